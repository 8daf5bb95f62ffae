"""Where everything lives, and writes that are whole or not there at all."""

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from mlops.project.errors import DamagedError, MlopsError

PARAMS = Path("params.yaml")
LOCK = Path("requirements.txt")
STORE = Path(".store")

SOURCE = Path("data/source")  # raw files, read by load_data
RAW = Path("data/raw.parquet")
CHECKED = Path("data/checked.parquet")  # what the schema makes of it
TRAIN = Path("data/train.parquet")
HOLDOUT = Path("data/holdout.parquet")

MODEL = Path("models")
MODEL_FACTS = MODEL / "model.json"

REPORTS = Path("reports")
SETTINGS = REPORTS / "settings.json"
DATA_REPORT = REPORTS / "data.json"
METRICS = REPORTS / "metrics.json"
TRAINING = REPORTS / "training.json"
PLOTS = REPORTS / "plots"
COMPARISON = REPORTS / "comparison.json"
SCORES = REPORTS / "scores.json"
REPORT = REPORTS / "report.md"
FAILURE = REPORTS / "failure.json"
MODEL_CARD = REPORTS / "model_card.md"
SMOKE = REPORTS / "smoke.json"
CANARY = REPORTS / "canary.json"
DEPLOYMENT = REPORTS / "deployment.json"
DRIFT = REPORTS / "drift.json"
DRIFT_PAGE = REPORTS / "drift.html"
DRIFT_SUMMARY = REPORTS / "drift.md"
DRIFT_METRICS = REPORTS / "drift.prom"
DRIFT_HISTORY = REPORTS / "drift_history.svg"
RETRAINING = REPORTS / "retraining.md"
EVIDENCE = REPORTS / "retraining"  # a folder for each retraining, by the end of its newest window

REPRO = "dvc repro"
MEND = f"run `mlops store mend`, then `{REPRO}`"  # what DVC holds damaged, it would bring again


def find_root(start: Path) -> Path:
    """Return the nearest folder at or above ``start`` that holds ``params.yaml``."""
    for folder in (start, *start.parents):
        if (folder / PARAMS).is_file():
            return folder
    raise MlopsError(
        f"no {PARAMS} in {start} or above it; run mlops inside a project, or pass --project FOLDER"
    )


def write_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` fill a temporary file beside ``path``, then move it into place.

    A reader sees the old file or the new one, also when the process is killed.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=path.suffix)
    os.close(handle)
    temporary = Path(name)
    try:
        write(temporary)
        temporary.chmod(0o644)
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    write_atomic(path, lambda temporary: temporary.write_text(text, encoding="utf-8"))


def write_json(path: Path, value: Any) -> None:
    """Write ``value`` as indented JSON; undefined (NaN) becomes null, as JSON has no NaN."""
    text = json.dumps(_null_for_nan(value), indent=2, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n")


def _null_for_nan(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _null_for_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_null_for_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value


def read_json(path: Path, made_by: str) -> Any:
    """Read JSON; ``made_by`` is the command that the error tells the user to run."""
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise MlopsError(f"{path} is not there; run `{made_by}` first") from None
    except ValueError as error:
        if made_by == REPRO:
            raise DamagedError(f"{path} is damaged ({error}); {MEND}") from None
        raise MlopsError(f"{path} is damaged ({error}); run `{made_by}` again") from None


def md5(path: Path) -> str:
    """Return the hex MD5 of a file: the same identity that ``dvc.lock`` records."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, lambda: hashlib.md5(usedforsecurity=False)).hexdigest()


def sha256(path: Path) -> str:
    """Return the hex SHA-256 of a file."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def append_line(path: Path, entry: Mapping[str, Any]) -> bool:
    """Append a line of JSON that carries its own ``id``; tells whether it was not there already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if any(line["id"] == entry["id"] for line in read_lines(path)):
        return False
    text = json.dumps(entry, ensure_ascii=False) + "\n"
    if path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size:
        text = "\n" + text  # a write that was cut short must not swallow this one
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, text.encode())
        os.fsync(handle)
    finally:
        os.close(handle)
    return True


def read_lines(path: Path) -> list[dict[str, Any]]:
    """Return the lines of a file that only grows, oldest first, without one that was cut short."""
    lines = []
    for text in path.read_bytes().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return [line for line in lines if isinstance(line, dict) and "id" in line]
