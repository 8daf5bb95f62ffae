"""Joins what became true later to the predictions in the log: labels, by the prediction's id."""

import hashlib
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops.artifact import model_folder
from mlops.predictions import log
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Task
from mlops.project.progress import working
from mlops.serving import log_file


def run(file: Path, uri: str, task: Task) -> None:
    """Check the labels in ``file`` and add them to the log in ``uri``, whole or not at all.

    Parameters
    ----------
    file : pathlib.Path
        CSV, Parquet or JSON Lines with ``id`` and ``label``, and optionally ``time``: when the
        label became known (by default, now). Times without a zone are UTC.

    Raises
    ------
    MlopsError
        When the file cannot be read, or a row is no label for a model of ``task``.
    """
    if not uri:
        raise MlopsError("say where the prediction log is: set PREDICTION_LOG_URI, or pass --log")
    labels = check(load(file), file, task, known_classes())
    canonical = labels.sort_values(["id", "time"]).to_csv(index=False)
    digest = hashlib.sha256(canonical.encode()).hexdigest()[:12]
    place, folder = log_file.connect(uri)
    if there := [name for name in log.label_files(place, folder) if digest in name]:
        print(f"{file}: these labels are there already, in {there[0].rsplit('/', 1)[-1]}")
        return
    with working("Looking for the predictions in the log"):
        strangers = log.unknown(uri, set(labels["id"]))
    name = f"labels-{datetime.now(UTC).strftime(log_file.TIME)}-{digest}.parquet"
    _write(labels, uri, name)
    print(f"{file}: {len(labels):,} labels, now in {log.LABEL_FOLDER}/{name}")
    if strangers:
        print(
            f"{len(strangers):,} of them have an id that the log does not know, such as "
            f"{min(strangers)}; they join as soon as it does"
        )


def load(file: Path) -> pd.DataFrame:
    """Read a table of text, numbers or whatever the file holds."""
    readers = {
        ".csv": lambda: pd.read_csv(file, dtype=str, keep_default_na=False),
        ".parquet": lambda: pd.read_parquet(file),
        ".jsonl": lambda: pd.read_json(file, lines=True, dtype=False, convert_dates=False),
    }
    if file.suffix not in readers:
        raise MlopsError(f"{file}: expected a file that ends in {', '.join(readers)}")
    try:
        return readers[file.suffix]()
    except FileNotFoundError:
        raise MlopsError(f"{file} is not there") from None
    except (ValueError, OSError) as error:
        raise MlopsError(f"{file} cannot be read: {' '.join(str(error).split())}") from None


def known_classes() -> list[str | int] | None:
    """Return the classes of the model in ``models``; None without one, or for a regression."""
    facts = files.MODEL / model_folder.FACTS
    return model_folder.load(files.MODEL).facts.classes if facts.exists() else None


def check(
    table: pd.DataFrame, file: Path, task: Task, classes: list[str | int] | None
) -> pd.DataFrame:
    """Return ``id``, ``label`` and ``time`` (UTC, or missing), each row once.

    Raises
    ------
    MlopsError
        When a column or a value is missing, a label is none of ``classes`` or no number, or an id
        has two labels of which none is the later.
    """
    if missing := [name for name in ("id", "label") if name not in table]:
        raise MlopsError(
            f"{file} has no column {', '.join(missing)}; it has {', '.join(map(str, table))}"
        )
    labels = pd.DataFrame({name: table[name].map(_text) for name in ("id", "label")})
    for name in labels:
        _refuse(labels, labels[name] == "", file, f"has no {name}")
    try:
        times = table["time"] if "time" in table else pd.Series(None, table.index, dtype=object)
        times = times.replace("", None)
        labels["time"] = pd.to_datetime(times, utc=True, format="ISO8601").astype(
            "datetime64[us, UTC]"
        )
    except (ValueError, TypeError) as error:
        raise MlopsError(f"{file}: column time: {' '.join(str(error).split())}") from None
    labels["label"] = _values(labels, file, task, classes)
    labels = labels.drop_duplicates(ignore_index=True)
    twice = labels.duplicated(["id", "time"])
    _refuse(labels, twice, file, "has two labels; add a column time that says which is the later")
    return labels


def _values(
    labels: pd.DataFrame, file: Path, task: Task, classes: list[str | int] | None
) -> "pd.Series[Any]":
    if task == "regression":
        numbers = pd.to_numeric(labels["label"], errors="coerce")
        _refuse(labels, ~np.isfinite(numbers), file, "is no number, but params.yaml: task is")
        return numbers.astype("float64")
    if classes is None:
        whole = labels["label"].str.fullmatch(r"-?\d+").all()
        return labels["label"].astype("int64") if whole else labels["label"]
    by_text = {str(name): name for name in classes}
    allowed = ", ".join(by_text)
    _refuse(labels, ~labels["label"].isin(by_text), file, f"is no class of the model ({allowed})")
    return labels["label"].map(by_text)


def _refuse(labels: pd.DataFrame, wrong: "pd.Series[bool]", file: Path, what: str) -> None:
    if wrong.any():
        first = labels.loc[wrong].iloc[0]
        row = int(np.flatnonzero(wrong)[0]) + 1
        others = int(wrong.sum()) - 1
        raise MlopsError(
            f"{file}: row {row} (id '{first['id']}', label '{first['label']}') {what}"
            + (f"; so it is with {others:,} other rows" if others else "")
        )


def _write(labels: pd.DataFrame, uri: str, name: str) -> None:
    if folder := log_file.folder_of(uri):
        files.write_atomic(
            folder / log.LABEL_FOLDER / name, lambda path: labels.to_parquet(path, index=False)
        )
    else:  # an object is there once it is whole
        place, path = log_file.connect(uri)
        place.pipe_file(f"{path}/{log.LABEL_FOLDER}/{name}", labels.to_parquet(index=False))


def _text(value: object) -> str:
    if value is None or value is pd.NA or value != value:
        return ""
    if isinstance(value, (bool, np.bool_)) or (isinstance(value, float) and value.is_integer()):
        return str(int(value))
    return str(value)
