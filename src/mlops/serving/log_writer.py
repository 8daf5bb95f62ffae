"""The thread that writes the prediction log, so that a slow or full disk slows no prediction."""

import os
import secrets
import threading
import time
from collections import deque
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

from mlops.serving import log_file
from mlops.serving.log_file import LogFile

RETRY_SECONDS = 1.0


class Writer:
    """Writes what lies in ``queue`` to files in a folder; what it cannot write it keeps.

    ``queue``
        Whole lines and their number; the event loop appends, the thread takes.
    ``wake``
        Set it to have the queue written now and not at the next tick.
    ``written``, ``written_bytes``
        What is in a file; with ``fsync``, on the disk.
    ``reason``
        Why the last write failed; empty when it did not.
    ``busy_since``
        When the write that is under way began (``time.monotonic``); 0 when none is.
    """

    def __init__(
        self,
        folder: Path,
        *,
        fsync: bool,
        tick: float,
        rotate_bytes: int,
        rotate_seconds: float,
        after_round: Callable[[], object],
        after_rotation: Callable[[], object],
    ) -> None:
        self.queue: deque[tuple[bytes, int]] = deque()
        self.wake = threading.Event()
        self.written = 0
        self.written_bytes = 0
        self.reason = ""
        self.busy_since = 0.0
        self._folder = folder
        self._fsync = fsync
        self._tick = tick
        self._rotate_bytes = rotate_bytes
        self._rotate_seconds = rotate_seconds
        self._after_round = after_round
        self._after_rotation = after_rotation
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
                self.wake.wait(RETRY_SECONDS if self.reason else self._tick)
                self.wake.clear()
            self._round()
            self._rotate()
        except BaseException as error:
            self._fail(error, "the writer died: ")
            self._after_round()
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
                self._file.size >= self._rotate_bytes or self._file.age >= self._rotate_seconds
            ):
                self._rotate()
            self.reason = ""
        except Exception as error:  # whatever it is, predictions go on and this is tried again
            self._fail(error)
        self.busy_since = 0.0
        self._after_round()

    def _take(self) -> None:
        now = datetime.now(UTC)
        if not self._pending:
            self._oldest = self._looked  # all that is in the queue came since
        self._looked = now
        while self.queue:
            self._pending.append(self.queue.popleft())

    def _open_again(self) -> None:
        self._folder.mkdir(parents=True, exist_ok=True)
        log_file.repair(self._folder)
        self._open()
        self._proven = True

    def _open(self) -> LogFile:
        self._files += 1
        self._file = LogFile.create(self._folder, self._oldest, self._process, self._files)
        return self._file

    def _write(self) -> None:
        lines = b"".join(lines for lines, _ in self._pending)
        (self._file or self._open()).write(lines, fsync=self._fsync)
        self.written += sum(count for _, count in self._pending)
        self.written_bytes += len(lines)
        self._pending.clear()

    def _rotate(self) -> None:
        if self._file:
            self._file.close()
            self._file = None
            self._after_rotation()

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
            return f"{error.filename or self._folder}: {os.strerror(error.errno)}"
        return " ".join(str(error).split()) or type(error).__name__
