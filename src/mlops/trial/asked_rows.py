"""What a canary asks: the newest rows of the prediction log, else rows of the holdout.

The gate has judged the holdout before anything is deployed, so its rows tell little that is new.
What users ask now is in the log of the services. It is read line by line and not as a table: a row
goes to the services as it came.
"""

import json
import os
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mlops.project.errors import MlopsError
from mlops.project.params import Canary
from mlops.registry.export import Exported
from mlops.serving import log_file

LOG = "PREDICTION_LOG_URI"
FEWEST = 100  # other rows; with fewer, what the users of an hour asked would stand for all
POOL = 10  # times the requests: so many of the newest rows are drawn from
TRIES, PAUSE = 3, 1.0  # of reading a log, which changes nothing; seconds between them

T = TypeVar("T")
Row = dict[str, Any]
Columns = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Asked:
    """``rows`` to ask, from the ``source`` "prediction log" or "holdout"; ``said`` tells why."""

    rows: list[Row]
    source: str
    said: str

    def lacks(self, columns: Columns) -> list[str]:
        """Return the names of the columns that the rows do not have."""
        return [it["name"] for it in columns if it["name"] not in self.rows[0]]


@dataclass(frozen=True)
class Logged:
    """A row of the log."""

    row: Row
    rank: tuple[str, float]  # orders rows by what was answered


class _OutOfReachError(Exception):
    """There is no log that this machine could read; the message says why."""


def choose(expected: Exported, champion: Columns, limits: Canary) -> Asked:
    """Return the rows that champion and candidate are asked.

    Parameters
    ----------
    expected : Exported
        The candidate, with its sample of the holdout.
    champion : sequence of mappings
        The columns that the champion takes, as ``GET /model`` says them.

    Raises
    ------
    MlopsError
        When the log is there and cannot be read.
    """
    assert expected.sample
    sample = expected.sample.rows
    try:
        if limits.rows == "holdout":
            raise _OutOfReachError("serving.canary.rows in params.yaml says so")
        if not (uri := os.environ.get(LOG, "")):
            raise _OutOfReachError(f"{LOG} is not set, so there is no prediction log")
        names = {it["name"] for it in champion} | set(sample[0])
        logged = _newest(uri, champion, names, sample, POOL * limits.requests)
    except _OutOfReachError as why:
        count = min(len(sample), limits.requests)
        return Asked(sample, "holdout", f"asked {count} rows of the holdout: {why}")
    rows = [each.row for each in stratified(logged, limits.requests)]
    said = f"asked {len(rows)} of the newest {len(logged)} rows of the prediction log"
    return Asked(rows, "prediction log", said)


def stratified(logged: list[Logged], wanted: int) -> list[Logged]:
    """Return ``wanted`` rows, one from each of as many equal parts of the order of the scores.

    So they are spread over the scores as all of them are, rare high ones included, while a plain
    draw would have too few of these in one canary and too many in the next.
    """
    order = sorted(logged, key=lambda each: each.rank)
    count = min(wanted, len(order))
    return [order[int((part + 0.5) * len(order) / count)] for part in range(count)]


def _newest(
    uri: str, champion: Columns, names: Collection[str], sample: list[Row], most: int
) -> list[Logged]:
    """Return up to ``most`` different rows, the newest first, and none that is in the sample.

    Smoke test and canary ask rows of the sample, and these are logged, too.
    """
    known = {_key(row, sample[0]) for row in sample}
    found: dict[Any, Logged] = {}
    withheld: set[str] = set()
    for record in _records(uri):
        hidden = {*record.get("left_out", ()), *record.get("hashed", ())}.intersection(names)
        row = None if hidden else _row(record, champion)
        withheld |= hidden
        if row is None or _key(row, sample[0]) in known:
            continue
        found.setdefault(_key(row, sorted(row)), Logged(row, _rank(record)))
        if len(found) == most:
            break
    if len(found) >= FEWEST:
        return list(found.values())
    if withheld:
        names_of = ", ".join(sorted(withheld))
        raise _OutOfReachError(
            f"the prediction log does not hold {names_of} (PREDICTION_LOG_EXCLUDE)"
        )
    raise _OutOfReachError(
        f"the prediction log in {uri} has {len(found)} other rows that the champion takes, "
        f"and {FEWEST} are needed"
    )


def _row(record: Mapping[str, Any], champion: Columns) -> Row | None:
    """Return what was asked; None where the champion, perhaps a later version, needs more."""
    row = dict(record["features"])
    for column in champion:
        if column["name"] not in row:
            if not column.get("nullable"):
                return None
            row[column["name"]] = None  # what may be missing need not be sent
    return row


def _key(row: Mapping[str, Any], names: Collection[str]) -> tuple[Any, ...]:
    """Return what two rows have in common that are the same to a model."""
    values = ((name, row.get(name)) for name in names)
    return tuple(
        (name, value.removesuffix("Z") if isinstance(value, str) else value)
        for name, value in values
    )


def _rank(record: Mapping[str, Any]) -> tuple[str, float]:
    """Return the score; with several classes, the most likely one and its score."""
    if scores := record.get("scores"):
        likeliest = max(scores, key=scores.__getitem__)
        return likeliest, scores[likeliest]
    return "", record.get("score", 0.0)


def _records(uri: str) -> Iterator[dict[str, Any]]:
    """Yield the records of the log, the newest first but for services that write side by side."""
    for content in _contents(uri):
        for line in reversed(content.splitlines()):
            try:
                record = json.loads(line)
            except ValueError:  # torn by a crash, or being written
                continue
            if isinstance(record, dict) and isinstance(record.get("features"), dict):
                yield record


def _contents(uri: str) -> Iterator[bytes]:
    """Yield the files of the log, the newest first; from a bucket, those that are uploaded."""
    paths = _tried(uri, partial(_listed, uri))
    if not paths:
        raise _OutOfReachError(f"there is no prediction log in {uri} that this machine can see")
    for path in sorted(paths, key=lambda path: path.rpartition("/")[2], reverse=True):
        yield _tried(uri, partial(_content, uri, path)) or b""


def _listed(uri: str) -> list[str]:
    if (folder := log_file.folder_of(uri)) is not None:
        found = [str(path) for path in folder.iterdir()]
    else:
        place, path = _connect(uri)
        found = place.ls(path, detail=False)
    return [path for path in found if log_file.NAME.fullmatch(path.rpartition("/")[2])]


def _content(uri: str, path: str) -> bytes:
    if log_file.folder_of(uri) is not None:
        return Path(path).read_bytes()
    return bytes(_connect(uri)[0].cat_file(path))


def _connect(uri: str) -> tuple[Any, str]:
    try:
        return log_file.connect(uri)
    except (ImportError, MlopsError):
        scheme = uri.partition("://")[0]
        raise _OutOfReachError(
            f"nothing that is installed here reads {scheme}://, where the prediction log is"
        ) from None


def _tried(uri: str, read: Callable[[], T]) -> T | None:
    """Return what ``read`` returns, None where no file is; a failure may pass, so it tries again.

    Raises
    ------
    MlopsError
        When it goes on failing.
    """
    for attempt in range(1, TRIES + 1):
        try:
            return read()
        except FileNotFoundError:  # a service removes old files, and those without a record
            return None
        except _OutOfReachError:
            raise
        except Exception as error:  # every file system has errors of its own
            why = " ".join(str(error).split()) or type(error).__name__
            if isinstance(error, PermissionError | NotADirectoryError):
                break
            if attempt < TRIES:
                time.sleep(PAUSE)
    raise MlopsError(
        f"the prediction log in {uri} cannot be read ({why}), so the canary cannot ask what users "
        "ask; let this machine read it, or set serving.canary.rows to holdout in params.yaml"
    )
