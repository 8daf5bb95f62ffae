"""Rows of the holdout with their scores: what a running service has to agree with.

``sample.json`` is made where the model is trained, and belongs to it: whoever registers it runs no
feature code, and years later the service can be tried without the data.
"""

import json
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from mlops.artifact.model_folder import Array, Column, ModelArtifact
from mlops.project import files

if TYPE_CHECKING:  # an export, which only copies the file, does not wait for pandas
    import pandas as pd

NAME = "sample.json"
ROWS = 500


def write(path: Path, model: ModelArtifact, holdout: "pd.DataFrame", seed: int) -> None:
    """Write up to 500 rows of the holdout to ``path``."""
    content = build(model, holdout, seed)
    as_json = partial(json.dumps, ensure_ascii=False, allow_nan=False, default=str)
    lines = {key: ",\n".join(map(as_json, values)) for key, values in content.items()}
    parts = (f'"{key}": [\n{text}\n]' for key, text in lines.items())
    files.write_text(path, "{" + ",\n".join(parts) + "}\n")


def build(model: ModelArtifact, holdout: "pd.DataFrame", seed: int) -> dict[str, list[Any]]:
    """Return rows as a client would send them, with the scores that the holdout got as a whole.

    Returns
    -------
    dict
        ``columns``: the model's inputs. ``rows``: an object for each row; times in ISO 8601, with
        Z unless training had no zone, missing values null. ``scores``: a float for each row, or a
        list of them (multiclass).
    """
    from mlops.artifact.table import to_columns

    columns = to_columns(holdout)
    scores = model.predict(columns)
    inputs = {name: columns[name] for name in model.facts.inputs}
    sendable = np.ones(len(holdout), bool)  # JSON has no word for infinity
    for column in inputs.values():
        if column.dtype.kind == "f":
            sendable &= ~np.isinf(column)
    some = np.random.default_rng(seed).permutation(np.flatnonzero(sendable))[:ROWS]
    some.sort()
    said = {it.name: it for it in model.facts.columns}
    values = {name: to_json(column[some], said.get(name)) for name, column in inputs.items()}
    return {
        "columns": list(inputs),
        "rows": [dict(zip(values, row, strict=True)) for row in zip(*values.values(), strict=True)],
        "scores": scores[some].tolist(),
    }


def to_json(column: Array, said: Column | None = None) -> list[Any]:
    """Return a column's values as JSON has them, and as requests of such a column do."""
    if column.dtype.kind == "M":
        instants = np.datetime_as_string(column.astype("datetime64[us]")).tolist()
        shorter = (text.removesuffix(".000000") for text in instants)
        zone = "Z" if said is None or said.zoned else ""
        return [None if text == "NaT" else f"{text}{zone}" for text in shorter]
    import pandas as pd

    missing = pd.isna(column)
    # What may be missing was a float in training.
    kinds: dict[str, Callable[[Any], Any]] = {"boolean": bool, "integer": int}
    kind = kinds.get(said.type) if said and column.dtype.kind == "f" else None
    return [
        None if gone else kind(value) if kind else value
        for value, gone in zip(column.tolist(), missing.tolist(), strict=True)
    ]
