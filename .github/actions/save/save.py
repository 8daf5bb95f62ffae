"""Add to the branch mlops-store what another job has made, after a look at each file of it.

That job ran much code, of libraries and of the project, and could push nothing. This one can, and
only takes files for what they are: nothing on the branch is lost, nothing that others have saved
meanwhile is replaced, and objects of DVC are what their names say.
"""

import hashlib
import json
import os
import re
import sys
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from github import CommandError, InputError, annotate, append, git

BRANCH = "refs/heads/mlops-store"
FETCHED = "refs/mlops/fetched"
CHANGE = "change.json"  # says which files there are, and what they replace
NOTHING_DEPLOYED = "Store, nothing deployed yet"
ATTEMPTS = 5

LARGEST = 95_000_000  # bytes; GitHub refuses files over 100 MB
REGISTRY, AUDIT = "mlflow.db", "audit.jsonl"
MERGED = {"drift.jsonl", "cml.sha256"}  # lines of which each stands for itself
FOLDERS = {"artifacts", "dvc"}
DATABASE = b"SQLite format 3\x00"
OBJECT = re.compile(r"dvc/files/md5/([0-9a-f]{2})/([0-9a-f]{30})(?:\.dir)?")
RUN = re.compile(r"dvc/runs/[0-9a-f]{2}/[0-9a-f]{64}/[0-9a-f]{64}")
BLOB = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


@dataclass(frozen=True)
class File:
    """A file of the new store, and the blob that it replaces in the one it was made from."""

    path: str
    here: Path
    was: str | None


def main() -> None:
    """Check, save, and say so."""
    try:
        files, deployed = read(Path(os.environ["FOLDER"]), os.environ["SHA256"])
        sentence = save(files, deployed)
    except (InputError, CommandError) as error:
        annotate("error", "Save", str(error))
        append("GITHUB_OUTPUT", f"why=step save: {error}")
        sys.exit(1)
    print(sentence)
    append("GITHUB_STEP_SUMMARY", sentence)


def read(folder: Path, sha256: str) -> tuple[list[File], bool]:
    """Return what was handed over, and whether everything up to this commit is deployed now.

    Raises
    ------
    InputError
        When anything else is in the folder, or a file is not what it has to be.
    """
    there = {str(path.relative_to(folder)): path for path in _files(folder)}
    told = _told(there.pop(CHANGE, None), sha256)
    if there.keys() != told["files"].keys():
        odd = min(there.keys() ^ told["files"].keys())
        raise InputError(f"{odd!a} is not what {CHANGE} says was handed over")
    files = []
    for path, about in told["files"].items():
        content = there[path].read_bytes()
        if hashlib.sha256(content).hexdigest() != about["sha256"]:
            raise InputError(f"{path!a} is not what was handed over: its sha256 is another")
        check(path, content)
        if about["was"] is not None and not BLOB.fullmatch(about["was"]):
            raise InputError(f"{CHANGE} does not say what {path!a} replaces")
        files.append(File(path, there[path], about["was"]))
    return files, told["deployed"] is True


def _files(folder: Path) -> Iterator[Path]:
    """Yield all files; a link, or a file that GitHub would refuse, ends it."""
    for entry in sorted(folder.rglob("*")):
        if entry.is_symlink() or not (entry.is_dir() or entry.is_file()):
            raise InputError(f"{str(entry)!a} is no file, but a link or something else")
        if entry.is_file():
            if entry.stat().st_size > LARGEST:
                raise InputError(f"{str(entry)!a} is larger than {LARGEST:,} bytes")
            yield entry


def _told(path: Path | None, sha256: str) -> Any:
    content = path.read_bytes() if path else b""
    if hashlib.sha256(content).hexdigest() != sha256:
        raise InputError(f"{CHANGE} is not what was handed over: its sha256 is another")
    return json.loads(content)


def check(path: str, content: bytes) -> None:
    """Refuse a file that is no part of a store, or not what its name says."""
    parts = path.split("/")
    if not path.isprintable() or any(it.lower() in ("", ".", "..", ".git") for it in parts):
        raise InputError(f"{path!a} has a name that is not accepted")
    if len(parts) == 1 and path in {REGISTRY, AUDIT, *MERGED}:
        if path == REGISTRY and not content.startswith(DATABASE):
            raise InputError(f"{path} is no database")
    elif len(parts) == 1 or parts[0] not in FOLDERS:
        raise InputError(f"{path!a} is no part of a store")
    elif parts[0] == "dvc" and not RUN.fullmatch(path):
        name = OBJECT.fullmatch(path)
        digest = hashlib.md5(content, usedforsecurity=False).hexdigest()
        if not name or name[1] + name[2] != digest:
            raise InputError(f"{path!a} is not what its name says: its MD5 is {digest}")


def save(files: list[File], deployed: bool) -> str:
    """Push, anew on what others have pushed meanwhile; returns what was done."""
    paths = "".join(f"{file.here.absolute()}\n" for file in files)
    blobs = git("hash-object", "-w", "--no-filters", "--stdin-paths", given=paths).split()
    for _ in range(ATTEMPTS):
        tip = fetch()
        message = _message(tip, deployed)
        tree = _tree(tip, combined(dict(zip(files, blobs, strict=True)), tip))
        if tip and (tree, message) == (git("rev-parse", f"{tip}^{{tree}}"), _subject(tip)):
            return f"mlops-store is up to date: {message}"
        if push(_commit(tree, message), tip):
            size = sum(file.here.stat().st_size for file in files) / 1e6
            return f"{len(files):,} files ({size:.1f} MB) are saved in mlops-store: {message}"
    raise InputError("others push to mlops-store all the time; run this job again")


def fetch() -> str | None:
    """Return the commit of the branch, or None where there is none."""
    if not git("ls-remote", "origin", BRANCH):
        return None
    options = ("--quiet", "--refmap=", "--no-tags", "--no-filter", "--no-recurse-submodules")
    git("fetch", *options, "origin", f"+{BRANCH}:{FETCHED}")
    return git("rev-parse", FETCHED)


def combined(files: dict[File, str], tip: str | None) -> dict[str, str]:
    """Return by path which blob is to be written.

    Raises
    ------
    InputError
        When something would be lost that is on the branch.
    """
    there = _blobs(tip) if tip else {}
    written = {}
    for file, new in files.items():
        old = there.get(file.path)
        if file.path in (REGISTRY, AUDIT) and old not in (file.was, new):
            raise InputError(
                f"somebody else has saved {file.path} in mlops-store since this store was made "
                f"from it; nothing is changed; re-run the job {os.environ['JOB']}"
            )
        if old and file.path == AUDIT and not _lines(new)[: len(_lines(old))] == _lines(old):
            raise InputError(f"{AUDIT} lacks lines that are on the branch, and only grows")
        if old and file.path in MERGED:
            lines = dict.fromkeys(_lines(old) + _lines(new))
            text = "".join(f"{line}\n" for line in lines)
            new = git("hash-object", "-w", "--stdin", given=text)
        elif old not in (None, new) and file.path.startswith("artifacts/"):
            raise InputError(f"{file.path!a} is on the branch with another content, and stays")
        written[file.path] = new
    return written


def _lines(blob: str) -> list[str]:
    return [line for line in git("cat-file", "blob", blob).split("\n") if line]


def push(commit: str, tip: str | None) -> bool:
    """Replace the branch by a commit; False when somebody else was faster."""
    lease = f"--force-with-lease={BRANCH}:{tip or ''}"
    try:
        git("push", "--quiet", "--no-verify", lease, "origin", f"{commit}:{BRANCH}")
    except CommandError:
        listed = git("ls-remote", "origin", BRANCH).split()
        now = listed[0] if listed else None
        if now == tip:  # not overtaken: GitHub does not take it
            raise
        return now == commit  # only the answer was lost
    return True


def _tree(tip: str | None, written: dict[str, bytes]) -> str:
    with tempfile.TemporaryDirectory() as folder:
        index = {"GIT_INDEX_FILE": str(Path(folder, "index"))}
        git("read-tree", tip or "--empty", **index)
        entries = "".join(f"100644 {blob}\t{path}\0" for path, blob in written.items())
        git("update-index", "-z", "--index-info", given=entries, **index)
        return git("write-tree", **index)


def _commit(tree: str, message: str) -> str:
    """Make a commit without a parent: the branch is what the store is, not what it was."""
    who = {
        f"GIT_{role}_{key}": value
        for role in ("AUTHOR", "COMMITTER")
        for key, value in (("NAME", "mlops"), ("EMAIL", "mlops@localhost"))
    }
    return git("commit-tree", "--no-gpg-sign", "-m", message, tree, **who)


def _message(tip: str | None, deployed: bool) -> str:
    if deployed:
        return f"Store of {os.environ['GITHUB_REF_NAME']} at {os.environ['GITHUB_SHA']}"
    return _subject(tip) if tip else NOTHING_DEPLOYED


def _subject(commit: str) -> str:
    return git("log", "-1", "--format=%s", commit)


def _blobs(commit: str) -> dict[str, str]:
    entries = git("ls-tree", "-r", "-z", "--full-tree", commit).split("\0")[:-1]
    pairs = (entry.split("\t", 1) for entry in entries)
    return {path: facts.split()[2] for facts, path in pairs}


if __name__ == "__main__":
    main()
