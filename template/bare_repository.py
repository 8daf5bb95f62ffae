"""What a bare git repository holds: commits, what a branch changes, and files."""

import re
import subprocess
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path

MOST_COMMITS = 100
FORM = "--format=%H%n%cI%n%an%n%s"
FILE = re.compile("^diff --git ", re.M)


@dataclass(frozen=True)
class Commit:
    sha: str
    author: str
    when: datetime
    subject: str


@dataclass(frozen=True)
class Change:
    """What a branch does to a file."""

    path: str
    lines: list[str]  # of the diff, without its heading

    def count(self, sign: str) -> int:
        return sum(line.startswith(sign) for line in self.lines)


@dataclass(frozen=True)
class File:
    path: str
    size: int  # in bytes
    blob: str  # its hash


def commits(repository: Path, revisions: str) -> list[Commit]:
    """Return the last commits of a branch or range, the newest first; none where there is none."""
    found = []
    log = _git(repository, "log", "-z", FORM, f"--max-count={MOST_COMMITS}", revisions)
    for entry in log.split("\0")[:-1]:
        sha, when, author, subject = entry.split("\n", 3)
        found.append(Commit(sha, author, datetime.fromisoformat(when), subject))
    return found


def changes(repository: Path, revisions: str) -> list[Change]:
    """Return what changed file by file between two commits, for ``a...b`` since they parted."""
    found = []
    diff = _git(repository, "diff", "--no-color", "--no-ext-diff", "--no-renames", revisions)
    for part in FILE.split(diff)[1:]:
        heading, mark, lines = part.partition("\n@@")
        path = heading.splitlines()[0].rpartition(" b/")[2]
        found.append(Change(path, (mark + lines).strip("\n").split("\n") if mark else []))
    return found


def files(repository: Path, branch: str) -> list[File]:
    found = []
    for line in _git(repository, "ls-tree", "-r", "-l", "-z", branch).split("\0")[:-1]:
        facts, _, path = line.partition("\t")
        _, _, blob, size = facts.split()
        found.append(File(path, int(size), blob))
    return found


def content(repository: Path, file: File) -> bytes:
    return _output(repository, "cat-file", "blob", file.blob)


def _git(repository: Path, *arguments: str) -> str:
    return _output(repository, *arguments, "--").decode(errors="replace")


def _output(repository: Path, *arguments: str) -> bytes:
    """Return what git prints; nothing for what is not there."""
    command = ["git", "-c", "core.quotepath=false", *arguments]
    return subprocess.run(command, cwd=repository, capture_output=True, check=False).stdout
