"""The built-in store as a whole: saved to a folder, restored from one, and checked both times."""

import shutil
from contextlib import nullcontext
from pathlib import Path

from mlops.drift.history import HISTORY
from mlops.project import files, folders
from mlops.project.errors import MlopsError
from mlops.registry import database, tracking
from mlops.registry.audit import AUDIT
from mlops.registry.database import Version

FOLDERS = ("artifacts", "dvc")
CML = "cml.sha256"  # which file of CML may run; the workflows write and read it
RECORDS = (AUDIT, HISTORY, CML)
# MLflow's unfinished files, and what Python leaves where a version was loaded.
NOT_COPIED = shutil.ignore_patterns(".artifact.uploading.*", "__pycache__")


def save(directory: Path) -> None:
    """Copy ``.store`` to ``directory``, which is replaced as a whole or not at all.

    Others may go on training meanwhile.

    Raises
    ------
    MlopsError
        When the store is damaged, or ``directory`` holds something else or versions that the store
        lacks. Nothing has been changed then.
    """
    folders.finish_replacing(directory)
    check(files.STORE, "restore it with `mlops store restore DIR` before saving")
    _check_target(directory)
    _refuse_loss(files.STORE, directory, "save to another folder")
    with tracking.store_lock():
        copy = _copy(files.STORE, directory)
    folders.replace(directory, copy)
    shutil.rmtree(folders.aside(directory), ignore_errors=True)


def restore(directory: Path, force: bool = False) -> None:
    """Make ``.store`` a copy of ``directory``; what it was before is kept as ``.store.replaced``.

    A damaged store may be replaced.

    Raises
    ------
    MlopsError
        When ``directory`` holds no whole store, or, without ``force``, the store has versions that
        it lacks. Nothing has been changed then.
    """
    folders.finish_replacing(directory)
    _refuse_links(directory)
    check(directory, "restore from another folder")
    if not force:
        _refuse_loss(directory, files.STORE, "use --force if they may go")
    with tracking.store_lock() if files.STORE.exists() else nullcontext():
        folders.replace(files.STORE, _copy(directory, files.STORE))


def check(store: Path, advice: str) -> set[Version]:
    """Return the versions of a store, refusing one that is damaged.

    It has none when they are on a server, and it keeps only data and the records.

    Raises
    ------
    MlopsError
        Saying what is damaged, and ``advice``.
    """
    if registry_is_elsewhere(store):
        return set()
    path = store / database.NAME
    if problem := database.damage(path):
        raise MlopsError(f"{path} is damaged ({problem}); {advice}")
    versions = database.versions(path)
    if broken := sorted(version for version in versions if not _has_files(path, version)):
        raise MlopsError(f"{store} lacks the artifacts of {', '.join(map(str, broken))}; {advice}")
    return versions


def registry_is_elsewhere(store: Path) -> bool:
    """Tell a store beside an MLflow server from one that has lost its database."""
    held = {path.name for path in store.iterdir()} if store.is_dir() else set()
    return bool(held & {"dvc", *RECORDS}) and not held & {"artifacts", database.NAME}


def _has_files(path: Path, version: Version) -> bool:
    if not version.source.startswith("store:"):
        return True  # kept elsewhere
    return (database.artifact_path(path, version.source) / "MLmodel").is_file()


def _refuse_loss(source: Path, target: Path, advice: str) -> None:
    """Refuse to replace a store by one, already checked, that lacks some loadable versions."""
    path = target / database.NAME
    if database.damage(path):
        return
    there = {version for version in database.versions(path) if _has_files(path, version)}
    if not registry_is_elsewhere(source):
        there -= database.versions(source / database.NAME)
    if lost := sorted(there):
        raise MlopsError(
            f"{target} has {', '.join(map(str, lost))}, which {source} lacks and would be lost; "
            f"nothing is changed; {advice}"
        )


def _refuse_links(directory: Path) -> None:
    """Refuse what is no plain file of this folder alone: its copy would hold others' bytes."""
    for path in sorted(directory.rglob("*")):
        found = path.lstat()
        if path.is_symlink() or not (path.is_dir() or (path.is_file() and found.st_nlink == 1)):
            raise MlopsError(
                f"{path} is a link or no plain file, and a store has none; nothing is changed; "
                "restore a folder that `mlops store save` made. If you trust it: "
                f"`cp -rL {directory} COPY`, and restore COPY"
            )


def _check_target(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise MlopsError(f"{directory} is a file; name a folder to save the store to")
    held = {path.name for path in directory.iterdir()} if directory.exists() else set()
    if others := held - {database.NAME, *RECORDS, *FOLDERS}:
        raise MlopsError(
            f"{directory} holds {min(others)}, which is no part of a store; name another folder"
        )


def _copy(source: Path, target: Path) -> Path:
    """Copy a store to a new folder beside ``target``."""

    def fill(copy: Path) -> None:
        # The database first: every version it knows has its artifacts by then.
        registry = not registry_is_elsewhere(source)
        if registry:
            database.copy(source / database.NAME, copy / database.NAME)
        for name in FOLDERS if registry else ("dvc",):
            if (source / name).is_dir():
                shutil.copytree(source / name, copy / name, ignore=NOT_COPIED)
        for name in RECORDS:
            if (source / name).is_file():
                shutil.copyfile(source / name, copy / name)

    return folders.fill_beside(target, fill)
