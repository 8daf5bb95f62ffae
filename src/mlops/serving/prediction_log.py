"""The prediction log: what was asked and answered, as JSON Lines that DuckDB reads as they are.

A folder is appended to in place: one file for each process and rotation, named by the UTC time
before which none of its records lies. For any other address that fsspec knows (``s3://``), files
lie in a spool folder until they are full or old enough, and are then uploaded.

Predictions come first. Nothing here waits on the event loop, or raises: what the log cannot take is
dropped and counted, and the log says why until it works again.
"""

import asyncio
import time
from collections import deque
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, Self

from mlops.serving.log_file import folder_of
from mlops.serving.log_upload import Uploader
from mlops.serving.log_writer import RETRY_SECONDS, Writer

BUFFER_BYTES = 16 * 1024**2  # waits in memory at most; more is dropped
WRITE_BYTES = 1024**2  # is written without waiting for the next tick
SYNC_SECONDS = 5.0  # a disk that takes longer counts as failing
LEAST_PATIENCE = 0.5  # a busy machine is not a failing disk


@dataclass(frozen=True)
class LogStatus:
    """How the log is: ``reason`` says why it is failing; counts are of records."""

    state: Literal["ok", "failing"]
    reason: str
    written: int
    dropped: int


class PredictionLog:
    """Takes records on the event loop; a thread writes them.

    With ``fsync``, what :meth:`sync` confirmed outlives kill -9 and a power cut. Without, what
    :meth:`append` took outlives kill -9 ``flush_seconds`` later.
    """

    def __init__(
        self,
        folder: Path,
        uploader: Uploader | None,
        *,
        fsync: bool,
        flush_seconds: float,
        rotate_bytes: int,
        rotate_seconds: float,
    ) -> None:
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
            folder,
            fsync=fsync,
            tick=tick,
            rotate_bytes=rotate_bytes,
            rotate_seconds=rotate_seconds,
            after_round=self._wake_waiters,
            after_rotation=uploader.poke if uploader else lambda: None,
        )

    @classmethod
    def open(
        cls,
        uri: str,
        *,
        fsync: bool,
        flush_seconds: float,
        rotate_mb: float,
        rotate_seconds: float,
        spool: Path,
    ) -> Self:
        """Start the log; a folder that cannot be written to is a state, not an error.

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
        spool : pathlib.Path
            Where files lie until they are uploaded; not used when ``uri`` is a folder.

        Raises
        ------
        MlopsError
            When no installed package can write to ``uri``.
        """
        folder = folder_of(uri)
        uploader = None if folder else Uploader(uri, spool)
        return cls(
            folder or spool,
            uploader,
            fsync=fsync,
            flush_seconds=flush_seconds,
            rotate_bytes=int(rotate_mb * 1024**2),
            rotate_seconds=rotate_seconds,
        )

    def append(self, lines: bytes, count: int) -> bool:
        """Take ``count`` records, one JSON object a line; call it on the event loop.

        Returns
        -------
        bool
            False when they were dropped: the log is failing, or behind by ``BUFFER_BYTES``.
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

        Returns
        -------
        bool
            Whether it is. Without ``fsync`` True, at once.
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

    def status(self) -> LogStatus:
        """Say how the log is; from any thread."""
        reason = self._why_failing() or (self._uploader.reason if self._uploader else "")
        state: Literal["ok", "failing"] = "failing" if reason else "ok"
        return LogStatus(state, reason, self._writer.written, self._dropped)

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
