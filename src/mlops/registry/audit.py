"""The audit record: one line for each time another version became champion.

Each line holds the SHA-256 of the line before it, so that nobody can change or drop one and leave
the rest as it is. Who may write the file can write all of it anew: the workflows' summaries name
the hash of the newest line, and :func:`verify` takes it.
"""

import getpass
import hashlib
import json
import os
from collections.abc import Mapping
from typing import Any

from mlops.project import actions, files, git
from mlops.project.errors import MlopsError

AUDIT = "audit.jsonl"
BEFORE = "sha256_before"  # in the first line null; older records have lines without it


def who() -> str:
    """Return who is acting: the GitHub user, else git's, else the system's."""
    if actor := os.environ.get("GITHUB_ACTOR"):
        return actor
    name, email = (git.ask("config", key) for key in ("user.name", "user.email"))
    return f"{name} <{email}>" if name and email else name or email or _system_user()


def approved_by() -> str | None:
    """Return who approved the deployment to production; None where nobody had to.

    Outside a workflow, that is whoever promotes.
    """
    if os.environ.get("GITHUB_ACTIONS") != "true":
        return who()
    return ", ".join(actions.approvers("production")) or None


def append(entry: Mapping[str, Any]) -> None:
    """Append a line that carries its own ``id``; an id that is there already is not added again.

    A workflow's summary tells the hash of the newest line.
    """
    lines = _whole()
    files.append_line(files.STORE / AUDIT, {**entry, BEFORE: _sha256(lines[-1]) if lines else None})
    lines = _whole()
    actions.summary(
        f"Line {len(lines)} of the audit record is its newest. To check the record up to it: "
        f"`mlops lineage --verify --known {_sha256(lines[-1])}`\n\n"
    )


def read() -> list[dict[str, Any]]:
    """Return the lines, oldest first, without one that was cut short."""
    return files.read_lines(files.STORE / AUDIT)


def verify(known: str | None = None) -> str:
    """Check that the record is as it was written; returns in a sentence what was checked.

    Parameters
    ----------
    known : str, optional
        SHA-256 of a line, in hex, kept elsewhere. Without it, lines that were cut off at the end
        are not missed, nor those of a record that was written anew.

    Raises
    ------
    MlopsError
        Naming the first line that does not follow from the one before, or saying that no line has
        the hash.
    """
    path, lines = files.STORE / AUDIT, _whole()
    hashes = [_sha256(line) for line in lines]
    told = [json.loads(line) for line in lines]
    begins = next((at for at, line in enumerate(told) if BEFORE in line), len(told))
    for at in range(begins, len(told)):
        before = hashes[at - 1] if at else None
        if told[at].get(BEFORE, "") != before:
            raise MlopsError(
                f"{path}: line {at + 1} does not follow from the one before it: lines were "
                "changed, removed or moved there; compare it with an earlier copy, and restore that"
            )
    if known is not None and known not in hashes:
        raise MlopsError(
            f"{path}: none of its {len(lines)} lines has the SHA-256 {known}: lines were cut off "
            "or written anew; compare it with an earlier copy, and restore that"
        )
    said = f"{path}: {len(lines)} lines, each follows from the one before"
    if begins:
        said += f" from line {begins + 1} on; lines 1 to {begins} are older than the hashes"
    newest = f"; the newest has the SHA-256 {hashes[-1]}" if hashes else ""
    return f"{said}{newest}"


def _whole() -> list[bytes]:
    """Return the lines as they are written, without one that was cut short."""
    path = files.STORE / AUDIT
    lines = path.read_bytes().splitlines() if path.exists() else []
    return [line for line in lines if _is_whole(line)]


def _is_whole(line: bytes) -> bool:
    try:
        read = json.loads(line)
    except ValueError:
        return False
    return isinstance(read, dict) and "id" in read


def _sha256(line: bytes) -> str:
    return hashlib.sha256(line).hexdigest()


def _system_user() -> str:
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # a container's user may have no name
        return f"uid {os.getuid()}"
