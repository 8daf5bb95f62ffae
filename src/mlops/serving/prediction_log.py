"""The prediction log: what was asked and answered, as JSON Lines that DuckDB reads as they are.

A folder is appended to in place: one file for each process and rotation, named by the UTC time
before which none of its records lies. For any other address that fsspec knows (``s3://``), files
lie in a spool folder until they are full or old enough, and are then uploaded.

Predictions come first. Nothing here waits on the event loop, or raises: what the log cannot take is
dropped and counted, and the log says why until it works again.
"""

import asyncio
import math
import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal

import msgspec

from mlops.serving import log_file
from mlops.serving.log_file import LogFile

BUFFER_BYTES = 16 * 1024**2  # waits in memory at most; more is dropped
WRITE_BYTES = 1024**2  # is written without waiting for the next tick
SYNC_SECONDS = 5.0  # a disk that takes longer counts as failing
LEAST_PATIENCE = 0.5  # a busy machine is not a failing disk
RETRY_SECONDS = 1.0
SCAN_SECONDS = 60.0  # also without a rotation: another worker may have died and left files
LONGEST_PAUSE = 60.0
OPEN_SHARE = 1 / 8  # of what is kept, for the files that are being written


class LogState(msgspec.Struct, frozen=True):
    """How the prediction log is; ``reason`` says why it is failing.

    ``written``, ``dropped`` and, as the oldest, ``removed`` are counts of records. The folder had
    ``bytes`` a minute ago at most; from ``limit`` bytes on files are removed, 0: none is.
    """

    state: Literal["off", "ok", "failing"] = "off"
    reason: str = ""
    written: int = 0
    dropped: int = 0
    removed: int = 0
    bytes: int = 0
    limit: int = 0


class Keep(msgspec.Struct, frozen=True):
    """How much the folder may hold, in MB, and records of how many days; 0 is no limit.

    That many ``workers`` share it, and each has a file open.
    """

    mb: float = 0.0
    days: float = 0.0
    workers: int = 1

    def rotate_bytes(self, mb: float) -> int:
        """Return the size of a file: ``mb``, or less, so that a limit is kept by closed files."""
        return int(1024**2 * min(mb, self.mb * OPEN_SHARE / self.workers if self.mb else mb))

    def rotate_seconds(self, seconds: float) -> float:
        """Return the age at which a file is closed: its first record says when it is removed."""
        return min(seconds, self.days * 3600 if self.days else seconds)

    def limit_bytes(self, rotate_bytes: int) -> int:
        """Return from which size on the oldest go: what all workers have open may yet grow."""
        return int(self.mb * 1024**2) - self.workers * rotate_bytes if self.mb else 0

    def since(self) -> datetime | None:
        return datetime.now(UTC) - timedelta(days=self.days) if self.days else None


class PredictionLog:
    """Takes records on the event loop; a thread writes them.

    With ``fsync``, what :meth:`sync` confirmed outlives kill -9 and a power cut. Without, what
    :meth:`append` took outlives kill -9 ``flush_seconds`` later.

    A folder that cannot be written to is a state, not an error.

    Parameters
    ----------
    uri : str
        A folder (``log`` or ``file:///log``), or what fsspec can write to (``s3://bucket/log``).
    fsync : bool
        Whether records go to the disk before :meth:`sync` returns.
    flush_seconds : float
        Without ``fsync``: the longest time that a record is in memory only.
    rotate_mb, rotate_seconds : float
        A file that is this large or old is closed, and the next one begun.
    keep : Keep
        How much, and for how long. In an address that is no folder, its own rules say that; here,
        they are those of the spool folder.
    spool : pathlib.Path
        Where files lie until they are uploaded; not used when ``uri`` is a folder.

    Raises
    ------
    MlopsError
        When no installed package can write to ``uri``.
    """

    def __init__(
        self,
        uri: str,
        *,
        fsync: bool,
        flush_seconds: float,
        rotate_mb: float,
        rotate_seconds: float,
        keep: Keep,
        spool: Path,
    ) -> None:
        folder = log_file.folder_of(uri)
        uploader = None if folder else Uploader(uri, spool)
        self._uploader = uploader
        self._fsync = fsync
        # A record waits for the tick and then for the disk: together not longer than promised.
        tick = flush_seconds / 4
        self._patience = SYNC_SECONDS if fsync else max(flush_seconds - tick, LEAST_PATIENCE)
        self._accepted = 0
        self._accepted_bytes = 0
        self._dropped = 0
        self._closed = False
        self._revived = 0.0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiters: deque[tuple[int, asyncio.Future[bool]]] = deque()
        self._writer = Writer(
            folder=folder or spool,
            fsync=fsync,
            tick=tick,
            rotate_bytes=keep.rotate_bytes(rotate_mb),
            rotate_seconds=keep.rotate_seconds(rotate_seconds),
            keep=keep,
            after_round=self._wake_waiters,
            after_rotation=uploader.poke if uploader else lambda: None,
        )

    def append(self, lines: bytes, count: int) -> bool:
        """Take ``count`` records, one JSON object a line; call it on the event loop.

        Returns False when they were dropped: the log is failing, or behind by ``BUFFER_BYTES``.
        """
        writer = self._writer
        waiting = self._accepted_bytes - writer.written_bytes + len(lines)
        if waiting > BUFFER_BYTES or self._closed or self._why_failing():
            return self._drop(count)
        self._accepted_bytes += len(lines)
        self._accepted += count
        writer.queue.append((lines, count))
        if (self._fsync or waiting > WRITE_BYTES) and not writer.wake.is_set():
            writer.wake.set()
        return True

    async def sync(self) -> bool:
        """Wait until all that :meth:`append` took so far is on the disk; one fsync serves many.

        Returns whether it is. Without ``fsync`` True, at once.
        """
        if not self._fsync:
            return True
        self._loop = asyncio.get_running_loop()
        waiter: asyncio.Future[bool] = self._loop.create_future()
        self._waiters.append((self._accepted, waiter))
        self._settle()
        try:
            async with asyncio.timeout(SYNC_SECONDS):
                return await waiter
        except TimeoutError:
            return False

    def status(self) -> LogState:
        """Say how the log is; from any thread."""
        reason = self._why_failing() or (self._uploader.reason if self._uploader else "")
        state: Literal["ok", "failing"] = "failing" if reason else "ok"
        writer = self._writer
        counts = writer.written, self._dropped, writer.removed
        return LogState(state, reason, *counts, bytes=writer.bytes, limit=writer.limit)

    def close(self, timeout: float) -> None:
        """Write and upload what is left, as far as ``timeout`` seconds allow.

        What is not uploaded then stays in the spool folder for the next start.
        """
        if self._closed:
            return
        self._closed = True
        deadline = time.monotonic() + timeout
        self._writer.stop(timeout)
        self._dropped += self._accepted - self._writer.written
        if self._uploader:
            self._uploader.stop(max(0.0, deadline - time.monotonic()))

    def _why_failing(self) -> str:
        writer = self._writer
        if writer.reason:
            return writer.reason
        since = writer.busy_since
        if since and time.monotonic() - since > self._patience:
            return f"the disk has not answered for more than {self._patience:g} s"
        return ""

    def _drop(self, count: int) -> bool:
        self._dropped += count
        now = time.monotonic()
        if not (self._closed or self._writer.is_alive()) and now > self._revived + RETRY_SECONDS:
            self._revived = now
            self._writer.start()
        return False

    def _wake_waiters(self) -> None:
        """Have the event loop look after them; called by the writer's thread."""
        if self._loop and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._settle)

    def _settle(self) -> None:
        written, failing = self._writer.written, bool(self._writer.reason)
        while self._waiters and (failing or self._waiters[0][0] <= written):
            target, waiter = self._waiters.popleft()
            if not waiter.done():
                waiter.set_result(target <= written)


@dataclass(kw_only=True, eq=False)
class Writer:
    """A thread that writes what lies in ``queue`` to files in a folder, and keeps what it cannot.

    ``queue``
        Whole lines and their number; the event loop appends, the thread takes.
    ``wake``
        Set it to have the queue written now and not at the next tick.
    ``written``, ``written_bytes``
        What is in a file; with ``fsync``, on the disk.
    ``reason``
        Why the last write failed; empty when it did not.
    ``removed``, ``bytes``, ``limit``
        As in :class:`LogState`.
    ``busy_since``
        When the write that is under way began (``time.monotonic``); 0 when none is.
    """

    folder: Path
    fsync: bool
    tick: float
    rotate_bytes: int
    rotate_seconds: float
    keep: Keep
    after_round: Callable[[], object]
    after_rotation: Callable[[], object]

    def __post_init__(self) -> None:
        self.queue: deque[tuple[bytes, int]] = deque()
        self.wake = threading.Event()
        self.written = 0
        self.written_bytes = 0
        self.reason = ""
        self.removed = self.bytes = 0
        self.limit = self.keep.limit_bytes(self.rotate_bytes)
        self.busy_since = 0.0
        self._tidy_at = 0.0
        self._process = secrets.token_hex(6)
        self._files = 0
        self._file: LogFile | None = None
        self._proven = False  # that the folder can be written to
        self._pending: list[tuple[bytes, int]] = []
        self._oldest = self._looked = datetime.now(UTC)
        self._stopping = False
        self.start()

    def start(self) -> None:
        """Start the thread; again, if it died."""
        self._thread = threading.Thread(target=self._run, name="prediction-log", daemon=True)
        self._thread.start()

    def is_alive(self) -> bool:
        return self._thread.is_alive()

    def stop(self, timeout: float) -> None:
        """Write what is left and close the file, unless that takes longer than ``timeout``."""
        self._stopping = True
        self.wake.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        try:
            while not self._stopping:
                self._round()
                self.wake.wait(RETRY_SECONDS if self.reason else self.tick)
                self.wake.clear()
            self._round()
            self._rotate()
        except BaseException as error:
            self._fail(error, "the writer died: ")
            self.after_round()
            raise

    def _round(self) -> None:
        self._take()
        self.busy_since = time.monotonic()
        try:
            if not self._proven:
                self._open_again()
            if self._pending:
                self._write()
            if self._file and (
                self._file.size >= self.rotate_bytes or self._file.age >= self.rotate_seconds
            ):
                self._rotate()
            if time.monotonic() >= self._tidy_at:
                self._tidy()
            self.reason = ""
        except Exception as error:  # whatever it is, predictions go on and this is tried again
            self._fail(error)
        self.busy_since = 0.0
        self.after_round()

    def _take(self) -> None:
        now = datetime.now(UTC)
        if not self._pending:
            self._oldest = self._looked  # all that is in the queue came since
        self._looked = now
        while self.queue:
            self._pending.append(self.queue.popleft())

    def _open_again(self) -> None:
        self.folder.mkdir(parents=True, exist_ok=True)
        log_file.repair(self.folder)
        self.after_rotation()  # the uploader passes by what it meets while it is repaired
        self._open()
        self._proven = True

    def _open(self) -> LogFile:
        self._files += 1
        self._file = LogFile.create(self.folder, self._oldest, self._process, self._files)
        return self._file

    def _write(self) -> None:
        lines = b"".join(lines for lines, _ in self._pending)
        (self._file or self._open()).write(lines, fsync=self.fsync)
        self.written += sum(count for _, count in self._pending)
        self.written_bytes += len(lines)
        self._pending.clear()

    def _rotate(self) -> None:
        if self._file:
            self._file.close()
            self._file = None
            self._tidy_at = 0.0
            self.after_rotation()

    def _tidy(self) -> None:
        limit = self.limit or math.inf
        removed, self.bytes = log_file.remove_oldest(self.folder, limit, self.keep.since())
        self.removed += removed
        self._tidy_at = time.monotonic() + SCAN_SECONDS

    def _fail(self, error: BaseException, what: str = "") -> None:
        """Give up the file, without what a failed write left in it; what was to go in is kept."""
        self.reason = what + self._sentence(error)
        # Never on with the same file: after a failed fsync, a second one that succeeds proves
        # nothing (https://wiki.postgresql.org/wiki/Fsync_Errors).
        self._proven = False
        file, self._file = self._file, None
        if file:
            file.close()

    def _sentence(self, error: BaseException) -> str:
        if isinstance(error, OSError) and error.errno:
            return f"{error.filename or self.folder}: {os.strerror(error.errno)}"
        return " ".join(str(error).split()) or type(error).__name__


class Uploader:
    """A thread that moves files away as soon as no writer has them open.

    Workers share a spool folder: whoever holds a file's lock uploads it. A file that was uploaded
    but not deleted, because of a crash in between, goes up again under the same name.
    """

    def __init__(self, uri: str, spool: Path) -> None:
        self.reason = ""
        self.failures = 0
        self._uri = uri
        self._spool = spool
        self._bring = log_file.open_upload(uri)
        self._wake = threading.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._run, name="prediction-upload", daemon=True)
        self._thread.start()

    def poke(self) -> None:
        """Look for finished files now."""
        self._wake.set()

    def stop(self, timeout: float) -> None:
        """Upload what is finished, once more and for at most ``timeout`` seconds."""
        self._stopping = True
        self._wake.set()
        self._thread.join(timeout)

    def _run(self) -> None:
        last = False
        while not last:
            last = self._stopping
            try:
                self._upload()
            except Exception as error:  # whatever it is, predictions go on and this is tried again
                self.failures += 1
                self.reason = self._sentence(error)
                pause = min(2.0 ** (self.failures - 1), LONGEST_PAUSE)
            else:
                self.failures = 0
                self.reason = ""
                pause = SCAN_SECONDS
            if not last:
                self._wake.wait(pause)
                self._wake.clear()

    def _upload(self) -> None:
        for path in sorted(self._spool.glob(log_file.PATTERN)):
            with log_file.claim(path) as handle:
                if handle is None:
                    continue
                log_file.cut_torn_line(handle)
                if path.stat().st_size:
                    self._bring(path)
                path.unlink()

    def _sentence(self, error: Exception) -> str:
        waiting = sum(1 for _ in self._spool.glob(log_file.PATTERN))
        cause = " ".join(str(error).split()) or type(error).__name__
        return (
            f"uploading to {self._uri} failed {self.failures} times in a row ({cause}); "
            f"{waiting} files wait in {self._spool}"
        )
