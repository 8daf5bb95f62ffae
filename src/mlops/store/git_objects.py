"""Folders as git commits and back, byte for byte, whatever the user's git converts or ignores.

Neither the work tree nor the index of the project takes part: files go straight into git's object
database and come straight out of it.
"""

import os
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path, PurePosixPath
from typing import IO

from mlops.project.errors import MlopsError

REGULAR = ("100644", "100755")  # modes; there are also symlinks and submodules
REASON_LENGTH = 500  # a server may answer with a page
CHATTER = ("hint:", "warning:", "To ")
CREDENTIALS = re.compile(r"://[^/\s]*@")
SOMEBODY = {"NAME": "mlops", "EMAIL": "mlops@localhost"}


class GitError(MlopsError):
    """What git said as it failed, in one line and without passwords."""


def git(*arguments: str, given: str = "", **environment: str) -> str:
    """Run git and return what it printed, without the last line's end.

    Parameters
    ----------
    given : str
        What git reads from its standard input.
    **environment : str
        Variables to set besides the user's own.

    Raises
    ------
    GitError
        When git fails.
    MlopsError
        When there is no git.
    """
    try:
        done = subprocess.run(
            ["git", *arguments],
            input=given,
            capture_output=True,
            encoding="utf-8",
            errors="surrogateescape",
            env={**os.environ, "LC_ALL": "C", **environment},
            check=False,
        )
    except FileNotFoundError:
        raise MlopsError(
            "git is not there; install it (apt install git; brew install git)"
        ) from None
    if done.returncode:
        raise GitError(_reason(done.stderr))
    return done.stdout.removesuffix("\n")


def write_tree(folder: Path, index: Path) -> str:
    """Put the files of ``folder`` into git and return the tree's sha.

    Not by ``git add``, which would apply attributes, line ends and filters. ``index`` is where git
    keeps its list meanwhile; there must be no file.
    """
    paths = sorted(path for path in folder.rglob("*") if path.is_file())
    named = "".join(f"{path.absolute()}\n" for path in paths)
    blobs = git("hash-object", "-w", "--no-filters", "--stdin-paths", given=named).split()
    entries = "".join(
        f"{REGULAR[0]} {blob}\t{path.relative_to(folder).as_posix()}\0"
        for blob, path in zip(blobs, paths, strict=True)
    )
    variable = {"GIT_INDEX_FILE": str(index.absolute())}
    git("update-index", "-z", "--index-info", given=entries, **variable)
    return git("write-tree", **variable)


def write_commit(tree: str, message: str) -> str:
    """Make a commit without a parent and return its sha; the user need not have a name."""
    variables: dict[str, str] = {}
    for role in ("AUTHOR", "COMMITTER"):
        try:
            git("-c", "user.useConfigOnly=true", "var", f"GIT_{role}_IDENT")
        except GitError:
            variables |= {f"GIT_{role}_{key}": value for key, value in SOMEBODY.items()}
    return git("commit-tree", "--no-gpg-sign", "-m", message, tree, **variables)


def extract(commit: str, folder: Path, advice: str) -> None:
    """Write the files of ``commit`` below ``folder``.

    Raises
    ------
    MlopsError
        When one is a link or would lie elsewhere; the sentence ends with ``advice``.
    """
    blobs = list(_blobs(commit))
    for mode, _, path in blobs:
        if mode not in REGULAR or path.is_absolute() or ".." in path.parts:
            raise MlopsError(f"{folder} holds {path}, which is no plain file; {advice}")
    with subprocess.Popen(
        ["git", "cat-file", "--batch"], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as process:
        assert process.stdin is not None and process.stdout is not None
        for _, sha, path in blobs:
            process.stdin.write(f"{sha}\n".encode())
            process.stdin.flush()
            target = folder / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(_next_blob(process.stdout))


def listed(tree: str) -> dict[str, str]:
    """Map the path of each file in a tree or commit to the sha of its content."""
    return {path.as_posix(): sha for _, sha, path in _blobs(tree)}


def ref(name: str) -> str | None:
    """Return the sha that a ref of the local repository holds, or None without one."""
    return git("for-each-ref", "--format=%(objectname)", name) or None


def _blobs(commit: str) -> Iterator[tuple[str, str, PurePosixPath]]:
    """Yield mode, sha and path of each entry."""
    for entry in git("ls-tree", "-r", "-z", "--full-tree", commit).split("\0")[:-1]:
        facts, _, name = entry.partition("\t")
        mode, _, sha = facts.split()
        yield mode, sha, PurePosixPath(name)


def _next_blob(answers: IO[bytes]) -> bytes:
    header = answers.readline().split()
    if len(header) != 3:
        raise GitError(f"object {header[0].decode() if header else ''} is not there")
    content = answers.read(int(header[2]))
    answers.read(1)  # the line's end after it
    return content


def _reason(said: str) -> str:
    lines = [line for line in said.splitlines() if not line.startswith(CHATTER)]
    reason = " ".join(" ".join(lines).split()) or "it does not say why"
    return CREDENTIALS.sub("://", reason)[:REASON_LENGTH]
