"""Objects of DVC, taken over or kept only where their bytes are what their name says.

DVC believes what is read-only in its cache, and that a remote has what it once took: a damaged
object would come back with each pull.
"""

import json
import re
import shutil
from collections.abc import Iterator
from functools import partial
from pathlib import Path
from typing import Any

import yaml

from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.store import remote

LOCK = Path("dvc.lock")
CACHE = Path(".dvc/cache")
OBJECT = re.compile(r"[0-9a-f]{32}(\.dir)?")


def take(directory: Path) -> str:
    """Take over what another job has trained: ``dvc.lock``, and the objects that it names.

    What it names is put where the pipeline has it. Nothing else of ``directory`` is looked at:
    DVC's run-cache is made anew, from that lock.

    Raises
    ------
    MlopsError
        When an object is not what its name says, or the lock names no objects. Nothing has been
        taken over then.
    """
    from dvc.repo import Repo

    lock = _read(directory / LOCK)
    objects = sorted(set(_named(directory, lock)))
    for oid in objects:
        target = _place(Path(), oid)
        target.parent.mkdir(parents=True, exist_ok=True)
        if not target.exists():
            files.write_atomic(target, partial(shutil.copyfile, _place(directory, oid)))
    files.write_text(LOCK, (directory / LOCK).read_text(encoding="utf-8"))
    with Repo() as repo:
        repo.checkout(force=True, allow_missing=True)
        for stage in repo.index.stages:
            # One that did not run there is not in the lock; without its data, one has no hash.
            if stage.addressing in lock.get("stages", {}) and all(it.exists for it in stage.deps):
                repo.stage_cache.save(stage)
    return f"{LOCK} and {len(objects):,} objects are taken over from {directory}"


def _named(directory: Path, lock: dict[str, Any]) -> Iterator[str]:
    """Yield the objects of a lock that a folder has, each checked."""
    for held in lock.get("stages", {}).values():
        for out in held.get("outs", []):
            oid = str(out.get("md5", ""))
            if not oid or not _is_whole(directory, oid):
                continue
            yield oid
            if oid.endswith(".dir"):
                inside = json.loads(_place(directory, oid).read_text(encoding="utf-8"))
                yield from (str(it["md5"]) for it in inside if _is_whole(directory, str(it["md5"])))


def _is_whole(directory: Path, oid: str) -> bool:
    """Whether the folder has the object, refusing one that is not what its name says."""
    if not OBJECT.fullmatch(oid):
        raise MlopsError(
            f"{directory / LOCK} names {oid!r}, which is no MD5; nothing is taken over"
        )
    path = _place(directory, oid)
    if path.is_symlink() or (path.exists() and files.md5(path) != oid.removesuffix(".dir")):
        raise MlopsError(f"{path} is not what its name says; nothing is taken over; train again")
    return path.exists()  # a stage that had nothing to do need not have been pulled


def _place(directory: Path, oid: str) -> Path:
    return directory / CACHE / "files/md5" / oid[:2] / oid[2:]


def _read(path: Path) -> dict[str, Any]:
    try:
        return yaml.safe_load(path.read_text(encoding="utf-8")) or {} if path.is_file() else {}
    except yaml.YAMLError:
        raise MlopsError(f"{path} cannot be read; after a merge, run `make merge-lock`") from None


def mend() -> list[str]:
    """Drop the damaged objects that ``dvc.lock`` names from cache and remote; says which.

    What one of them left in the working folder goes as well. A stage whose object nobody has whole
    leaves ``dvc.lock``, so that it runs again.

    Raises
    ------
    MlopsError
        When ``dvc.lock`` cannot be read, or the remote cannot be reached.
    """
    from dvc.exceptions import DvcException

    lock = _read(LOCK)
    stages = lock.get("stages", {})
    said, again = [], set()
    with remote.reached("read") as repo:
        try:
            default = repo.config["core"].get("remote")
            places = [repo.cache.local, *([repo.cloud.get_remote_odb()] if default else [])]
            for stage, held in stages.items():
                outs = held.get("outs", [])
                # In a cache of DVC 2, which DVC 3 only reads, an MD5 is that of a text with other
                # ends.
                objects = [(Path(it["path"]), it["md5"]) for it in outs if it.get("hash") == "md5"]
                for path, oid in objects:  # grows by what is in a folder
                    whole, damaged = _check(places, oid)
                    if whole and oid.endswith(".dir"):
                        listed = json.loads(whole.fs.cat_file(whole.oid_to_path(oid)))
                        objects += [(path / it["relpath"], it["md5"]) for it in listed]
                    if not damaged:
                        continue
                    if path.is_file() and files.md5(path) in damaged.values():
                        path.unlink()
                    if not whole:
                        again.add(stage)
                    then = "another copy is whole" if whole else f"stage {stage} is to run again"
                    said.append(
                        f"{path} was damaged in {' and '.join(damaged)}, and is dropped: {then}"
                    )
        except (DvcException, ImportError, OSError) as error:
            # No more: the pull that follows fails, if it needs the remote.
            said.append(f"the DVC remote cannot be checked: {error}")
    if again:
        left = {name: it for name, it in stages.items() if name not in again}
        files.write_text(LOCK, yaml.safe_dump({**lock, "stages": left}, sort_keys=False))
    return said


def _check(places: list[Any], oid: str) -> tuple[Any, dict[str, str]]:
    """Return who has the object whole; and its MD5 by the folder where it was damaged."""
    from dvc_data.hashfile.hash import file_md5

    whole, damaged = None, {}
    for place in places:
        path = place.oid_to_path(oid)
        # From afar nothing is fetched only to be checked.
        if (whole and place.fs.protocol != "local") or not place.fs.exists(path):
            continue
        found = file_md5(path, place.fs)
        if found == oid.removesuffix(".dir"):
            whole = whole or place
        else:
            place.fs.remove(path)
            damaged[str(place.path)] = found
    return whole, damaged
