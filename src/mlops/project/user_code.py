"""The door to the user's code in ``src/model``: what stops behind it is said in one sentence."""

import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from mlops.project.errors import MlopsError, first_line

LONGEST = 300  # characters of an error's own words; pandas and Pandera may quote whole tables


@contextmanager
def running(what: str) -> Iterator[None]:
    """Turn any error of the user's code into one that names its file and line.

    Parameters
    ----------
    what : str
        What is called there, as "load_data".
    """
    try:
        yield
    except MlopsError:
        raise
    except Exception as error:
        raise MlopsError(f"{_place(error)}: {what} stops: {first_line(error)}") from error


def shortened(text: str, longest: int = LONGEST) -> str:
    """Return a text as one line of at most so many characters, in which nothing is a command."""
    line = " ".join(text[: 4 * longest].split())
    line = "".join(part for part in line if part.isprintable())
    return line if len(line) <= longest and len(text) <= 4 * longest else f"{line[:longest]}…"


def _place(error: BaseException) -> str:
    """Return file and line of the innermost call in ``src/model``, or in a model's own features."""
    if isinstance(error, SyntaxError) and error.filename:
        return f"{_short(error.filename)}:{error.lineno}"
    theirs = [
        f"{_short(frame.filename)}:{frame.lineno}"
        for frame in traceback.extract_tb(error.__traceback__)
        if (path := Path(frame.filename)).parent.name == "model"
        or (path.name == "features.py" and path.parent.name != "pipeline")
    ]
    return theirs[-1] if theirs else "src/model"


def _short(path: str) -> str:
    """Return a path as seen from the project, whose root is the working directory."""
    here = Path(path)
    return str(here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here)
