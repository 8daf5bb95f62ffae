"""Which commit the working folder is at, and whether it differs from it."""

import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Commit:
    """A commit; ``sha`` is None outside a repository or before its first commit."""

    sha: str | None
    dirty: bool


def head(folder: Path = Path()) -> Commit:
    """Return the commit of a folder, by default the working folder.

    Files that the pipeline itself writes (``dvc.lock``) do not make it dirty.
    """
    sha = ask("-C", str(folder), "rev-parse", "--verify", "HEAD")
    changes = ask("-C", str(folder), "status", "--porcelain", "--", ".", ":(exclude)dvc.lock")
    return Commit(sha, dirty=changes != "")


def ask(*arguments: str) -> str | None:
    """Return what git prints; None when it fails or is not there."""
    try:
        done = subprocess.run(["git", *arguments], capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return done.stdout.strip() if done.returncode == 0 else None
