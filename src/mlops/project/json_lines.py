"""Files that only grow, a line of JSON at a time; a line that was cut short harms no other."""

import json
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any


def append(path: Path, entry: Mapping[str, Any]) -> bool:
    """Append a line that carries its own ``id``; tells whether it was not there already."""
    path.parent.mkdir(parents=True, exist_ok=True)
    if any(line["id"] == entry["id"] for line in read(path)):
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


def read(path: Path) -> list[dict[str, Any]]:
    """Return the lines, oldest first, without one that was cut short."""
    lines = []
    for text in path.read_bytes().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return [line for line in lines if isinstance(line, dict) and "id" in line]
