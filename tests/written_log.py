"""Fills prediction logs and reads what came of it."""

import json
import time
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from mlops.serving.prediction_log import Keep, PredictionLog


def open_log(uri: Path | str, **settings: Any) -> PredictionLog:
    defaults = {
        "fsync": False,
        "flush_seconds": 0.08,
        "rotate_mb": 64,
        "rotate_seconds": 3600,
        "keep": Keep(),
        "spool": Path("never-used"),
    }
    return PredictionLog(str(uri), **(defaults | settings))


DAY = datetime(2026, 11, 22, 3, 15, 0, 123456, tzinfo=UTC)


def line(name: object, size: int = 0, at: datetime = DAY) -> bytes:
    """Return a record with the id ``name`` as the service writes it, of at least ``size`` bytes."""
    record = {
        "id": str(name),
        "time": at.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "model_version": "3",
        "score": 0.25,
        "features": {"carrier": "UA", "seats": None, "note": "x" * size},
    }
    return json.dumps(record, separators=(",", ":")).encode() + b"\n"


def ids(folder: Path) -> list[str]:
    """Return the ids in a log, in order; each line must be a whole record."""
    found = []
    for path in sorted(folder.glob("predictions-*.jsonl"), key=_number):
        content = path.read_bytes()
        assert content.endswith(b"\n") or not content, f"{path} ends in {content[-40:]!r}"
        found += [json.loads(text)["id"] for text in content.splitlines()]
    return found


def _number(path: Path) -> tuple[str, str, int]:
    _, when, process, number = path.stem.split("-")
    return process, when, int(number)


def eventually(condition: Callable[[], object], seconds: float = 30.0) -> None:
    """Wait until ``condition`` holds, with patience for a busy machine."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never came true"
        time.sleep(0.005)
