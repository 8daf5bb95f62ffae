"""The prediction log as a canary reads it: record by record, as the rows came to the service."""

import json
import os
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import Any, TypeVar

from mlops.project.errors import MlopsError
from mlops.serving import log_file

LOG = "PREDICTION_LOG_URI"
TRIES, PAUSE = 3, 1.0  # of reading a log, which changes nothing; seconds between them

T = TypeVar("T")
Row = dict[str, Any]
Record = dict[str, Any]
Columns = Sequence[Mapping[str, Any]]


class OutOfReachError(Exception):
    """There is no log that this machine could read; the message says why."""


def uri() -> str:
    """Return where the log is.

    Raises
    ------
    OutOfReachError
        When nobody says it.
    """
    if address := os.environ.get(LOG, ""):
        return address
    raise OutOfReachError(f"{LOG} is not set, so there is no prediction log")


def withheld(record: Record, columns: Columns) -> set[str]:
    """Return the names of the columns that this record does not hold as they were asked."""
    hidden = {*record.get("left_out", ()), *record.get("hashed", ())}
    return hidden.intersection(it["name"] for it in columns)


def not_held(names: set[str]) -> str:
    return f"the prediction log does not hold {', '.join(sorted(names))} (PREDICTION_LOG_EXCLUDE)"


def row(record: Record, columns: Columns) -> Row | None:
    """Return what was asked; None where a service, perhaps a later version, needs more."""
    asked = dict(record["features"])
    for column in columns:
        if column["name"] not in asked:
            if not column.get("nullable"):
                return None
            asked[column["name"]] = None  # what may be missing need not be sent
    return asked


class Tail:
    """What comes into a log from now on; from a bucket, what is uploaded from now on."""

    def __init__(self, uri: str) -> None:
        self._uri = uri
        self._read = _sizes(uri)

    def new(self) -> Iterator[Record]:
        """Yield the records that have come since the last call."""
        for path, size in _sizes(self._uri).items():
            seen = self._read.get(path, 0)
            if size <= seen:
                continue
            content = _tried(self._uri, partial(_content, self._uri, path, seen)) or b""
            whole = content[: content.rfind(b"\n") + 1]  # a line that is being written is next
            self._read[path] = seen + len(whole)
            yield from _records(whole.splitlines())


def newest_first(uri: str) -> Iterator[Record]:
    """Yield the records of the log, but for services that write side by side the newest first."""
    paths = _sizes(uri)
    if not paths:
        raise OutOfReachError(f"there is no prediction log in {uri} that this machine can see")
    for path in sorted(paths, key=lambda path: path.rpartition("/")[2], reverse=True):
        content = _tried(uri, partial(_content, uri, path)) or b""
        yield from _records(reversed(content.splitlines()))


def _records(lines: Iterable[bytes]) -> Iterator[Record]:
    """Yield what users asked; what a smoke test or a canary asked is logged, too, with a mark."""
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:  # torn by a crash, or being written
            continue
        whole = isinstance(record, dict) and isinstance(record.get("features"), dict)
        if whole and not record.get("trial"):
            yield record


def _sizes(uri: str) -> dict[str, int]:
    """Return the paths of the files of the log, with their sizes; none where no log is."""
    found = _tried(uri, lambda: list(_listed(uri))) or []
    return {path: size for path, size in found if log_file.NAME.fullmatch(path.rpartition("/")[2])}


def _listed(uri: str) -> Iterator[tuple[str, int]]:
    if (folder := log_file.folder_of(uri)) is not None:
        for file in folder.iterdir():
            with suppress(FileNotFoundError):  # a service removes old files meanwhile
                yield str(file), file.stat().st_size
        return
    place, path = _connect(uri)
    for found in place.ls(path, detail=True):
        yield found["name"], found["size"]


def _content(uri: str, path: str, start: int = 0) -> bytes:
    if log_file.folder_of(uri) is None:
        return bytes(_connect(uri)[0].cat_file(path))[start:]
    with Path(path).open("rb") as file:
        file.seek(start)
        return file.read()


def _connect(uri: str) -> tuple[Any, str]:
    try:
        return log_file.connect(uri)
    except (ImportError, MlopsError):
        scheme = uri.partition("://")[0]
        raise OutOfReachError(
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
        except OutOfReachError:
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
