"""The built-in store on a branch of origin, where the next Actions run finds it.

The branch is one commit without a parent: what ``.store`` was at one moment. Its message says up to
which commit the project is deployed, so that the next deployment knows what is new to it.
"""

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from filelock import FileLock

from mlops.drift.history import HISTORY
from mlops.project import actions, files, folders
from mlops.project.errors import MlopsError
from mlops.registry import database
from mlops.store import folder, origin
from mlops.store.git_objects import GitError, extract, git, listed, ref, write_commit, write_tree

HERE = files.STORE
THERE = f"{origin.NAME} of {origin.REMOTE}"
UNUSABLE = f"nothing is changed; run `mlops store push --force` in a clone that has a whole {HERE}"

NOTHING_DEPLOYED = "Store, nothing deployed yet"

CHANGE = "change.json"  # of a store that is handed over: which files it has, and what they replace

LARGEST_MB = 95  # GitHub refuses files over 100
ELSEWHERE = {
    "dvc": "keep data elsewhere (`dvc remote modify store url s3://bucket/path`)",
    "artifacts": "keep models on a server (MLFLOW_TRACKING_URI)",
}


def pull(force: bool = False) -> str:
    """Make ``.store`` what the branch holds; returns what was done, in a sentence.

    Data that only ``.store/dvc`` has stays: DVC names files by their content. So does, without
    ``force``, a drift check that only ``.store`` has on record: what it found remains true.

    Raises
    ------
    MlopsError
        When origin cannot be read, the branch holds no whole store, or, without ``force``,
        ``.store`` has versions that it lacks. Nothing has been changed then.
    """
    with _workspace() as workspace:
        commit = origin.fetch()
        if commit is None:
            origin.remember(None)
            begins = "stays as it is" if HERE.exists() else "starts empty"
            return f"{origin.REMOTE} has no branch {origin.NAME} yet; {HERE} {begins}"
        copy = workspace / origin.NAME
        with _called(copy, THERE):
            extract(commit, copy, UNUSABLE)
            folder.check(copy, UNUSABLE)
            _keep_data(copy)
            if not force:
                _keep_history(copy)
            folder.restore(copy, force)
        origin.remember(commit)
        return f"{HERE} is pulled from {THERE}: {_message(commit)}"


def push(force: bool = False, deployed: bool = False) -> str:
    """Replace the branch by one commit that holds ``.store``; returns what was done.

    With ``deployed``, everything up to HEAD is deployed now; else it stays what the branch says.

    Raises
    ------
    MlopsError
        When ``.store`` is damaged or has a file that GitHub refuses, when the branch moves
        meanwhile or, without ``force``, is not what was pulled here or holds what ``.store``
        lacks. Nothing has been changed then, neither here nor there.
    """
    if not any(
        (HERE / part).exists() for part in (database.NAME, *folder.RECORDS, *folder.FOLDERS)
    ):
        return f"{HERE} is empty: there is nothing to save"
    with _workspace() as workspace:
        base = origin.base(force)
        message = _deployed_message() if deployed else _message(base) if base else NOTHING_DEPLOYED
        copy = workspace / origin.NAME
        folder.save(copy)
        _refuse_large(copy)
        tree = write_tree(copy, workspace / "index")
        if base and not force:
            if (tree, message) == (git("rev-parse", f"{base}^{{tree}}"), _message(base)):
                return f"{THERE} is up to date: {message}"
            _refuse_loss(base, tree)
        origin.replace(base, write_commit(tree, message))
        size = sum(path.stat().st_size for path in copy.rglob("*") if path.is_file()) / 1e6
        return f"{HERE} is saved in {THERE} ({size:.1f} MB): {message}"


def hand_over(directory: Path, deployed: bool = False) -> str:
    """Write what ``.store`` has and the branch lacks to ``directory``; returns a sentence.

    For a job that may write nothing: another one, which has the right to push and runs none of the
    project's code, checks it and adds it to the branch (.github/actions/save). The step's output
    ``sha256`` is that of ``change.json`` in it, which names each file's.

    Raises
    ------
    MlopsError
        As :func:`push`.
    """
    with _workspace() as workspace:
        base = origin.base(force=False)
        copy = workspace / origin.NAME
        folder.save(copy)
        _refuse_large(copy)
        tree = write_tree(copy, workspace / "index")
        if base:
            _refuse_loss(base, tree)
        before = listed(base) if base else {}
        new = {path: sha for path, sha in listed(tree).items() if before.get(path) != sha}

        def fill(target: Path) -> None:
            told = {}
            for path in new:
                (target / path).parent.mkdir(parents=True, exist_ok=True)
                shutil.copyfile(copy / path, target / path)
                told[path] = {"sha256": files.sha256(target / path), "was": before.get(path)}
            files.write_json(target / CHANGE, {"deployed": deployed, "files": told})

        folders.replace(directory, folders.fill_beside(directory, fill))
    shutil.rmtree(folders.aside(directory), ignore_errors=True)
    actions.outputs(sha256=files.sha256(directory / CHANGE))
    return f"{len(new):,} files of {HERE} that {THERE} lacks are in {directory}"


def add_data(objects: list[Path]) -> str:
    """Add files below ``.store/dvc`` to what the branch holds, and nothing else of ``.store``.

    Raises
    ------
    MlopsError
        When origin cannot be read or does not take it, or a file is one that GitHub refuses.
    """
    with _workspace() as workspace:
        base, pulled = origin.fetch(), ref(origin.PULLED)
        copy = workspace / origin.NAME
        copy.mkdir()
        if base:
            extract(base, copy, UNUSABLE)
        new = [path for path in objects if not (copy / path.relative_to(HERE)).exists()]
        if not new:
            return f"{THERE} has all of it already"
        for path in new:
            target = copy / path.relative_to(HERE)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)
        _refuse_large(copy)
        message = _message(base) if base else NOTHING_DEPLOYED
        origin.replace(base, write_commit(write_tree(copy, workspace / "index"), message))
        if pulled != base:
            origin.remember(pulled)  # .store still lacks what was there before
        size = sum(path.stat().st_size for path in new) / 1e6
        counted = "1 file" if len(new) == 1 else f"{len(new):,} files"
        return f"{counted} ({size:.1f} MB) added to {THERE}, and nothing else"


@contextmanager
def _workspace() -> Iterator[Path]:
    """Give a folder inside ``.git``, to one process at a time; a kill leaves no litter outside."""
    try:
        there = Path(git("rev-parse", "--git-path", origin.NAME))
    except GitError as error:
        raise MlopsError(
            f"{Path.cwd()} cannot be used with git ({error}), and the store is kept on a branch; "
            "run this in a clone of the project"
        ) from None
    origin.check()
    with FileLock(f"{there}.lock"):
        shutil.rmtree(there, ignore_errors=True)  # left by a killed process
        there.mkdir()
        try:
            yield there
        finally:
            shutil.rmtree(there, ignore_errors=True)


@contextmanager
def _called(folder: Path, name: str) -> Iterator[None]:
    """Let errors speak of what the user knows and not of our folder."""
    try:
        yield
    except MlopsError as error:
        raise MlopsError(str(error).replace(str(folder), name)) from None


def _keep_data(copy: Path) -> None:
    data = HERE / "dvc"
    for path in data.rglob("*"):
        target = copy / "dvc" / path.relative_to(data)
        if path.is_file() and not target.exists():
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(path, target)


def _keep_history(copy: Path) -> None:
    for entry in files.read_lines(HERE / HISTORY):
        files.append_line(copy / HISTORY, entry)


def _refuse_large(copy: Path) -> None:
    for path in sorted(copy.rglob("*")):
        size = path.stat().st_size / 1e6
        if path.is_file() and size > LARGEST_MB:
            name = path.relative_to(copy)
            advice = ELSEWHERE.get(name.parts[0], ELSEWHERE["artifacts"])
            raise MlopsError(
                f"{HERE / name} has {size:.0f} MB, and the branch takes files up to {LARGEST_MB} "
                f"MB; nothing is saved; {advice}, and delete this file"
            )


def _refuse_loss(base: str, tree: str) -> None:
    """Refuse to replace the branch by what did not grow out of it, such as a store begun anew."""
    gone = git("diff-tree", "-r", "-z", "--name-only", "--diff-filter=D", base, tree).split("\0")
    lost = [f"files such as {gone[0]}"] if gone[0] else []
    for record in folder.RECORDS:
        if _lines(base, record) - _lines(tree, record):
            lost.append(f"lines of {record}")
    if lost:
        raise MlopsError(
            f"{THERE} has {' and '.join(lost)} that {HERE} lacks; nothing is changed; run `mlops "
            "store pull` to have them, or push with --force if they may go"
        )


def _lines(tree: str, name: str) -> set[str]:
    listed = git("ls-tree", "--full-tree", tree, name)
    return set(git("cat-file", "blob", f"{tree}:{name}").splitlines()) if listed else set()


def _deployed_message() -> str:
    try:
        sha = git("rev-parse", "--verify", "--quiet", "HEAD^{commit}")
    except GitError:
        raise MlopsError(
            "the project has no commit yet that could be deployed; run `git commit` first"
        ) from None
    try:
        branch = git("symbolic-ref", "--quiet", "--short", "HEAD")
    except GitError:  # detached, as in Actions
        branch = os.environ.get("GITHUB_REF_NAME") or "HEAD"
    return f"Store of {branch} at {sha}"


def _message(commit: str) -> str:
    return git("log", "-1", "--format=%s", commit)
