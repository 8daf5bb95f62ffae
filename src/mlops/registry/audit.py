"""The audit record: one line for each time another version became champion."""

import getpass
import os
from collections.abc import Mapping
from typing import Any

from mlops.project import files, git

AUDIT = "audit.jsonl"


def who() -> str:
    """Return who is acting: the GitHub user, else git's, else the system's."""
    if actor := os.environ.get("GITHUB_ACTOR"):
        return actor
    name, email = (git.ask("config", key) for key in ("user.name", "user.email"))
    return f"{name} <{email}>" if name and email else name or email or _system_user()


def append(entry: Mapping[str, Any]) -> None:
    """Append a line that carries its own ``id``; an id that is there already is not added again."""
    files.append_line(files.STORE / AUDIT, entry)


def read() -> list[dict[str, Any]]:
    """Return the lines, oldest first, without one that was cut short."""
    return files.read_lines(files.STORE / AUDIT)


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return f"uid {os.getuid()}"
