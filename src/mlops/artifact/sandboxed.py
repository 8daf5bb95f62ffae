"""The program within the sandbox: a model's feature code, and the model, asked through a pipe.

``python -I -S sandboxed.py SOURCE SITE HELD`` reads questions from its standard input and answers
each on its standard output, until the input ends. :mod:`mlops.artifact.sandbox` asks.
A message is a line of JSON, which says what the arrays are that follow it, as bytes: numbers as
NumPy holds them, texts as JSON. Nothing of it can be code.
"""

import json
import os
import re
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, BinaryIO

if __name__ == "__main__":
    sys.path[:0] = sys.argv[1:3]

import msgspec
import numpy as np
import numpy.typing as npt

Array = npt.NDArray[Any]

NUMBERS = re.compile(r"[<>|=]?[biufM][0-9]+(\[[0-9a-zA-Z]+\])?")
TEXTS = "texts"
LONGEST = 100_000  # bytes of a message's first line
LARGEST = 4_000_000_000  # bytes of an array


def write(stream: BinaryIO, said: dict[str, Any], arrays: Mapping[str, Array]) -> None:
    """Send ``said``, and arrays of numbers, times or texts (as objects, NaN for a missing one)."""
    about, blocks = [], []
    for name, values in arrays.items():
        texts = values.dtype == object
        block = msgspec.json.encode(values.tolist()) if texts else np.ascontiguousarray(values)
        kind = TEXTS if texts else values.dtype.str
        size = len(block) if isinstance(block, bytes) else block.nbytes
        about.append([name, kind, list(values.shape), size])
        blocks.append(block)
    stream.write(json.dumps({"said": said, "arrays": about}).encode() + b"\n")
    for block in blocks:
        stream.write(block if isinstance(block, bytes) else block.tobytes())
    stream.flush()


def read(stream: BinaryIO) -> tuple[dict[str, Any], dict[str, Array]] | None:
    """Return what :func:`write` sent, None where it ended.

    Raises
    ------
    ValueError
        When it is not such a message.
    """
    if not (line := stream.readline(LONGEST)):
        return None
    header = msgspec.json.decode(line)
    arrays = {}
    for name, kind, shape, size in header["arrays"]:
        if not 0 <= size <= LARGEST or len(block := stream.read(size)) < size:
            raise ValueError(f"{name} is cut short")
        if kind == TEXTS:
            values = msgspec.json.decode(block, type=list[str | int | float | bool | None])
            arrays[name] = np.array([np.nan if it is None else it for it in values], object)
        elif NUMBERS.fullmatch(kind):
            arrays[name] = np.frombuffer(bytearray(block), kind).reshape(shape)
        else:
            raise ValueError(f"{name} is of type {kind[:20]!r}")
    return header["said"], arrays


def main() -> None:
    held = sys.argv[3]
    questions, answers = sys.stdin.buffer, os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)  # what feature code prints is no answer
    from mlops.artifact import model_folder
    from mlops.artifact.feature_code import Inputs, build
    from mlops.project.errors import MlopsError, first_line
    from mlops.project.user_code import running

    write(answers, {"held": held.split(",") if held else []}, {})
    model = None
    while question := read(questions):
        said, columns = question
        try:
            if said["do"] == "build":
                inputs = Inputs(columns, **said["inputs"])
                built = build(Path(said["file"]), inputs, said["rows"])
                write(answers, {"read": inputs.read}, built)
                continue
            model = model or model_folder.load(Path(said["folder"]))
            if said["do"] == "features":
                with running("build_features"):
                    asked = model.features(columns)
                write(answers, {}, asked if isinstance(asked, dict) else {"": asked})
            elif said["do"] == "predict":
                write(answers, {}, {"scores": model.predict(columns)})
            else:
                for at in range(said["rows"]):
                    row = {name: values[at : at + 1] for name, values in columns.items()}
                    write(answers, {}, {"scores": model.predict(row)})
        except Exception as error:
            why = str(error) if isinstance(error, MlopsError) else first_line(error)
            write(answers, {"error": why}, {})


if __name__ == "__main__":
    main()
