"""The audit record: one line for each time another version became champion."""

import getpass
import json
import os
import subprocess
from collections.abc import Mapping
from typing import Any

from mlops import files

AUDIT = "audit.jsonl"


def who() -> str:
    """Return who is acting: the GitHub user, else git's, else the system's."""
    if actor := os.environ.get("GITHUB_ACTOR"):
        return actor
    name, email = (_git_config(key) for key in ("user.name", "user.email"))
    return f"{name} <{email}>" if name and email else name or email or _system_user()


def append(entry: Mapping[str, Any]) -> None:
    """Append a line that carries its own ``id``; an id that is there already is not added again."""
    path = files.STORE / AUDIT
    path.parent.mkdir(parents=True, exist_ok=True)
    if any(line["id"] == entry["id"] for line in read()):
        return
    text = json.dumps(entry, ensure_ascii=False) + "\n"
    if path.exists() and not path.read_bytes().endswith(b"\n") and path.stat().st_size:
        text = "\n" + text  # a write that was cut short must not swallow this one
    handle = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
    try:
        os.write(handle, text.encode())
        os.fsync(handle)
    finally:
        os.close(handle)


def read() -> list[dict[str, Any]]:
    """Return the lines, oldest first, without one that was cut short."""
    path = files.STORE / AUDIT
    lines = []
    for text in path.read_bytes().splitlines() if path.exists() else []:
        try:
            lines.append(json.loads(text))
        except ValueError:
            continue
    return [line for line in lines if isinstance(line, dict) and "id" in line]


def _git_config(key: str) -> str:
    try:
        done = subprocess.run(["git", "config", key], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return ""
    return done.stdout.strip()


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return f"uid {os.getuid()}"
