"""The files of the prediction log: where they lie, and whole lines only, locked by their writer."""

import fcntl
import os
import re
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any, Self
from urllib.parse import unquote, urlsplit

from mlops.project.errors import MlopsError

PATTERN = "predictions-*.jsonl"
NAME = re.compile(r"predictions-(\d{8}T\d{6}Z)-([0-9a-f]+)-(\d+)\.jsonl")
TIME, READ_TIME = "%Y%m%dT%H%M%SZ", "%Y%m%dT%H%M%S%z"

# Requests of smoke tests and canaries have ids that begin like this; what they asked is marked.
TRIAL = b"mlops-trial-"

CLOUDS = {"s3", "s3a", "gs", "az", "adl", "azure", "abfs", "abfss"}  # what obstore writes to

# The smallest page of a page cache. A writer's bytes become visible page by page, so a line within
# one page is seen whole or not at all: by a reader meanwhile, and after kill -9.
PAGE = 4096
COUNTED = 256 * 1024  # bytes at a time: a count of lines lets no request wait


def folder_of(uri: str) -> Path | None:
    """Return the folder that ``uri`` names; None when it is elsewhere, such as ``s3://``."""
    if "://" not in uri:
        return Path(uri)
    return Path(unquote(urlsplit(uri).path)) if uri.startswith("file://") else None


def connect(uri: str, setting: str = "PREDICTION_LOG_URI") -> tuple[Any, str]:
    """Return the fsspec file system that ``uri`` is on, and its path there.

    Raises
    ------
    MlopsError
        When no installed package knows such an address.
    """
    import fsspec  # only here: a service that logs to a folder does not need the memory

    scheme, _, rest = uri.partition("://")
    try:
        if scheme in CLOUDS:
            from obstore.fsspec import FsspecStore

            store: Any = FsspecStore  # its types want each scheme by itself
            files = store(scheme, **_patience(), skip_instance_cache=True)
            return files, rest.rstrip("/")
        files, path = fsspec.core.url_to_fs(uri, use_listings_cache=False)
    except (ImportError, ValueError) as error:
        raise _unknown(uri, setting, error) from None
    return files, str(path).rstrip("/")


def open_upload(uri: str) -> Callable[[Path], object]:
    """Return what brings a file to ``uri``, under its own name.

    Not by fsspec where obstore does it: that would answer from a thread of its own, which aborts
    the process when it ends just then.

    Raises
    ------
    MlopsError
        When no installed package knows such an address.
    """
    scheme, _, rest = uri.partition("://")
    if scheme not in CLOUDS:
        files, target = connect(uri)
        return lambda path: files.put_file(str(path), f"{target}/{path.name}")
    import obstore
    from obstore.store import from_url

    bucket, _, folder = rest.rstrip("/").partition("/")
    try:
        store = from_url(f"{scheme}://{bucket}", **_patience())
    except ValueError as error:
        raise _unknown(uri, "PREDICTION_LOG_URI", error) from None
    prefix = f"{folder}/" if folder else ""
    return lambda path: obstore.put(store, f"{prefix}{path.name}", path)


def _patience() -> dict[str, Any]:
    # An address that begins with http:// (AWS_ENDPOINT_URL) was given on purpose. Asked again
    # after a pause by who calls, so obstore need not try for three minutes.
    return {
        "client_options": {"allow_http": True, "connect_timeout": "5s"},
        "retry_config": {"max_retries": 2, "retry_timeout": timedelta(seconds=20)},
    }


def _unknown(uri: str, setting: str, error: Exception) -> MlopsError:
    return MlopsError(
        f"{setting} is {uri}, and nothing that is installed can write there "
        f"({' '.join(str(error).split())}); give a folder, or install the package"
    )


class LogFile:
    """A file that this process appends to; other processes see by its lock that it is in use."""

    def __init__(self, path: Path, handle: int) -> None:
        self.path = path
        self.size = 0
        self._handle = handle
        self._opened = time.monotonic()

    @classmethod
    def create(cls, folder: Path, since: datetime, process: str, number: int) -> Self:
        """Create a file for records that are not older than ``since``.

        Raises
        ------
        OSError
            When the folder cannot hold it, or cannot lock it.
        """
        path = folder / f"predictions-{since.strftime(TIME)}-{process}-{number}.jsonl"
        handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_EXCL, 0o600)
        try:
            fcntl.flock(handle, fcntl.LOCK_EX)
            directory = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(directory)  # the name, too, outlives a power cut
            finally:
                os.close(directory)
        except OSError:
            os.close(handle)
            raise
        if os.fstat(handle).st_nlink == 0:  # before it was locked, it looked like a dead writer's
            os.close(handle)
            return cls.create(folder, since, process, number)
        return cls(path, handle)

    @property
    def age(self) -> float:
        """Seconds since it was opened."""
        return time.monotonic() - self._opened

    def write(self, lines: bytes, *, fsync: bool) -> None:
        """Append whole lines; after an error, :meth:`close` leaves what was there before.

        Raises
        ------
        OSError
            Disk full, file deleted, and whatever else a disk can do.
        """
        if os.fstat(self._handle).st_nlink == 0:
            raise FileNotFoundError(f"{self.path} was deleted while it was written to")
        data = fit_pages(lines, self.size)
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(self._handle, rest) :]
        if fsync:
            os.fsync(self._handle)
        self.size += len(data)

    def close(self) -> None:
        """Close the file without what a failed write left at its end, and without it if empty."""
        with suppress(OSError):
            if os.fstat(self._handle).st_size != self.size:
                os.ftruncate(self._handle, self.size)
        with suppress(OSError):
            if not self.size:
                self.path.unlink()
        with suppress(OSError):
            os.close(self._handle)


def fit_pages(lines: bytes, offset: int) -> bytes:
    """Put spaces before lines that would cross a page of a file that has ``offset`` bytes so far.

    JSON allows them there. A line longer than a page begins on a new one.
    """
    parts = []
    start = 0
    while start < len(lines):
        room = PAGE - offset % PAGE
        end = lines.rfind(b"\n", start, start + room) + 1
        if not end and room == PAGE:
            end = lines.find(b"\n", start) + 1 or len(lines)
        parts.append(lines[start:end] if end else b" " * room)
        offset += len(parts[-1])
        start = end or start
    return b"".join(parts)


@contextmanager
def claim(path: Path) -> Iterator[int | None]:
    """Hold a file that no living writer has open; None when there is one, or the file is gone."""
    try:
        handle = os.open(path, os.O_RDWR)
    except FileNotFoundError:
        yield None
        return
    try:
        fcntl.flock(handle, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        yield None
    else:
        yield handle if os.fstat(handle).st_nlink else None
    finally:
        os.close(handle)


def cut_torn_line(handle: int) -> None:
    """Cut a file after its last whole line."""
    end = size = os.fstat(handle).st_size
    while end:
        start = max(0, end - PAGE)
        if (found := os.pread(handle, end - start, start).rfind(b"\n")) >= 0:
            end = start + found + 1
            break
        end = start
    if end != size:
        os.ftruncate(handle, end)


def remove_oldest(folder: Path, keep_bytes: float, since: datetime | None) -> tuple[int, int]:
    """Remove the oldest files while all have more than ``keep_bytes``, and those before ``since``.

    A file that a writer has open stays, and so does one that is no file of a log. Returns how many
    records were removed, and how many bytes are left.
    """
    found = []
    for path in folder.glob(PATTERN):
        if match := NAME.fullmatch(path.name):
            with suppress(FileNotFoundError):  # uploaded meanwhile, or removed by another worker
                began, process, number = match.groups()
                found.append((began, process, int(number), path, path.stat().st_size))
    removed, left = 0, sum(size for *_, size in found)
    for began, *_, path, size in sorted(found):
        if left <= keep_bytes and (since is None or began >= since.strftime(TIME)):
            break
        with claim(path) as handle:
            if handle is not None:
                removed += _count_lines(handle)
                path.unlink()
                left -= size
    return removed, left


def _count_lines(handle: int) -> int:
    with open(handle, "rb", closefd=False) as file:
        return sum(block.count(b"\n") for block in iter(lambda: file.read(COUNTED), b""))


def repair(folder: Path) -> None:
    """Cut torn last lines of writers that are gone, by kill -9 or a power cut."""
    for path in folder.glob(PATTERN):
        with claim(path) as handle:
            if handle is not None:
                cut_torn_line(handle)
