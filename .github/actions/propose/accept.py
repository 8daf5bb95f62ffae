"""Take over what another job has made: the files that may be proposed, and nothing else.

That job ran code, so its folder may hold anything. What is taken over is not run here either.
"""

import os
import re
import stat
from collections.abc import Iterator
from fnmatch import fnmatchcase
from itertools import zip_longest
from pathlib import Path, PurePosixPath

from github import InputError

LARGEST = 5_000_000  # bytes of a file
MOST = 100  # files
# No hidden files, which may be settings of git; no name that a command could take for an option.
NAME = re.compile(r"\w[\w.-]*", re.ASCII)
PATTERN = re.compile(r"[\w*][\w.*-]*(/[\w*][\w.*-]*)*", re.ASCII)

PARAMS = Path("params.yaml")
SECTION, KEYS = "data", ("window", "holdout")
KEY = re.compile(r"( *)([\w-]+) *:")
DATE = re.compile(r"(['\"]?)\d{4}-\d{2}(-\d{2})?\1")  # a day needs quotes, a month none
BEFORE_COMMENT = re.compile(r" +(?=#)")  # may shrink or grow, to keep comments in their column


def accept(patterns: list[str], folder: Path, body: Path) -> list[str]:
    """Copy the files into the checkout; returns their paths.

    Parameters
    ----------
    patterns : list of str
        Paths from the root of the project, of files or folders; ``*`` stands for part of a name.
    folder : Path
        What the other job has handed over, with the same paths.
    body : Path
        The text of the pull request, which may be in the folder, too.

    Raises
    ------
    InputError
        When there is anything else, or less.
    """
    for pattern in patterns:
        if not PATTERN.fullmatch(pattern):
            raise InputError(f"{pattern!a} under `files` is no path that could be accepted")
    found = sorted(path for path in _files(folder) if Path(folder, path) != body)
    for path in found:
        if not any(_matches(path, pattern) for pattern in patterns):
            raise InputError(f"{path!a} is not among the files that may be proposed")
    for pattern in patterns:
        if not any(_matches(path, pattern) for path in found):
            raise InputError(f"{pattern!a} is missing in what was handed over")
    for path in found:
        _copy(Path(folder, path), Path(path))
    return found


def _files(folder: Path) -> Iterator[str]:
    """Yield the paths of all files; not one is opened."""
    if folder.is_symlink() or not folder.is_dir():
        raise InputError(f"{str(folder)!a} is no folder: nothing was handed over")
    folders, count = [PurePosixPath()], 0
    while folders:
        inside = folders.pop()
        for entry in os.scandir(folder / inside):
            path = inside / entry.name
            if not NAME.fullmatch(entry.name):
                raise InputError(f"{str(path)!a} has a name that is not accepted")
            about = entry.stat(follow_symlinks=False)
            if stat.S_ISDIR(about.st_mode):
                folders.append(path)
                continue
            if not stat.S_ISREG(about.st_mode):
                raise InputError(f"{str(path)!a} is no file, but a link or something else")
            if about.st_size > LARGEST:
                raise InputError(f"{str(path)!a} is larger than {LARGEST:,} bytes")
            count += 1
            if count > MOST:
                raise InputError(f"more than {MOST} files were handed over")
            yield str(path)


def _matches(path: str, pattern: str) -> bool:
    """Return whether a path is what the pattern names, or lies in it."""
    names, wanted = path.split("/"), pattern.split("/")
    return len(names) >= len(wanted) and all(map(fnmatchcase, names, wanted))


def _copy(source: Path, target: Path) -> None:
    """Copy one file; in the checkout, a link would lead somewhere else."""
    for parent in target.parents:
        if parent.is_symlink() or (parent.exists() and not parent.is_dir()):
            raise InputError(f"'{target}' cannot be written: '{parent}' is no folder")
    if target.is_symlink() or (target.exists() and not target.is_file()):
        raise InputError(f"'{target}' cannot be written: here it is no file")
    content = source.read_bytes()
    if target == PARAMS:
        before = target.read_bytes() if target.exists() else b""
        _only_the_window_may_move(before, content)
    target.parent.mkdir(parents=True, exist_ok=True)
    target.write_bytes(content)


def _only_the_window_may_move(old: bytes, new: bytes) -> None:
    """Compare params.yaml before and after: only dates in ``data.window``, ``data.holdout`` move.

    Read as lines, as this job has no library for YAML, and as no other reading of the file may
    differ from ours: a line that holds anything new but a date is refused.

    Raises
    ------
    InputError
        Naming the first line that is not what it was.
    """
    lines = zip_longest(_lines(old), _lines(new))
    for number, (before, after) in enumerate(lines, 1):
        if before != after:
            raise InputError(
                f"'{PARAMS}', line {number}: a retraining may only move "
                f"{' and '.join(f'{SECTION}.{key}' for key in KEYS)}"
            )


def _lines(content: bytes) -> Iterator[str]:
    """Yield the lines, those of the window without what may change in them."""
    inside, depth, of_window = False, 0, False
    for line in content.decode("utf-8", errors="surrogateescape").split("\n"):
        key = KEY.match(line)
        indent = len(line) - len(line.lstrip(" "))
        if line.strip() and not line.lstrip().startswith("#"):
            if indent == 0:
                inside, depth, of_window = bool(key and key[2] == SECTION), 0, False
            elif inside:
                depth = depth or indent
                if indent <= depth:
                    of_window = bool(key and key[2] in KEYS and indent == depth)
        # In place of a date comes what no line has.
        yield BEFORE_COMMENT.sub(" ", DATE.sub("\n", line)) if of_window else line
