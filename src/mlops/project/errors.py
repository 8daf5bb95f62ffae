"""The one exception that is the user's to fix."""

from textwrap import shorten

# Libraries that a project has where it chose them, by this name (pyproject.toml, project.mk).
ADDED = ("lightgbm", "xgboost")


class MlopsError(Exception):
    """What was wrong, where, what was expected and what to do next, in one line.

    The command line prints it without a traceback and exits with 1.
    """


class DamagedError(MlopsError):
    """A file that a stage wrote is not what it wrote; DVC may hold the same damage."""


def first_line(error: Exception) -> str:
    """Return what other code's error says, short enough for the middle of a sentence."""
    if isinstance(error, ModuleNotFoundError) and error.name in ADDED:
        return f"{error.name} is not installed; run `make add GROUP={error.name}`"
    said = str(error).strip().partition("\n")[0]
    return f"{type(error).__name__}: {shorten(said, 160, placeholder='…').rstrip('.')}".rstrip(": ")
