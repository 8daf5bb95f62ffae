"""Structured logs on standard output: one JSON object a line."""

import asyncio
import logging
import sys
from datetime import UTC, datetime
from typing import Any

import msgspec

FLUSH_SECONDS = 0.2
FLUSH_BYTES = 65_536  # what a pipe takes at once

logger = logging.getLogger("mlops.serving")
encode = msgspec.json.Encoder().encode


class JsonFormatter(logging.Formatter):
    """Puts a record's message, and what ``extra={"fields": {...}}`` adds, into one object."""

    def format(self, record: logging.LogRecord) -> str:
        line = {
            "time": datetime.fromtimestamp(record.created, UTC),
            "level": record.levelname.lower(),
            "message": record.getMessage(),
            **getattr(record, "fields", {}),
        }
        if record.exc_info:
            line["traceback"] = self.formatException(record.exc_info)
        return encode(line).decode()


class RequestLog:
    """Lines about requests, written together: logging each by itself would cost a tenth."""

    def __init__(self, level: int) -> None:
        self._level = level
        self._lines: list[bytes] = []
        self._size = 0
        self._timer: asyncio.TimerHandle | None = None

    def wants(self, level: int) -> bool:
        return level >= self._level

    def write(self, line: Any) -> None:
        """Take a line; it is written soon."""
        encoded = encode(line)
        self._lines.append(encoded)
        self._size += len(encoded)
        if self._size > FLUSH_BYTES:
            self.flush()
        elif self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(FLUSH_SECONDS, self.flush)

    def flush(self) -> None:
        """Write what is waiting; a log that cannot be written stops no prediction."""
        if self._timer:
            self._timer.cancel()
            self._timer = None
        if self._lines:
            whole = b"\n".join([*self._lines, b""])
            self._lines.clear()
            self._size = 0
            try:
                sys.stdout.buffer.write(whole)
                sys.stdout.buffer.flush()
            except OSError:
                pass


def configure(level: str) -> int:
    """Send all of Python's logging to standard output as JSON; returns the level as a number."""
    handler = logging.StreamHandler(sys.stdout)
    handler.setFormatter(JsonFormatter())
    number = logging.getLevelNamesMapping()[level.upper()]
    logging.basicConfig(level=number, handlers=[handler], force=True)
    logging.captureWarnings(True)
    for name in ("uvicorn.error", "asyncio"):  # says at info what this service says itself
        logging.getLogger(name).setLevel(max(number, logging.WARNING))
    return number
