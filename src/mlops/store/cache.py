"""Objects of DVC whose bytes are not what their name says: dropped, so that they come anew.

DVC believes what is read-only in its cache, and that a remote has what it once took: a damaged
object would come back with each pull.
"""

import json
from pathlib import Path
from typing import Any

import yaml

from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.store import remote

LOCK = Path("dvc.lock")


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

    try:
        lock = yaml.safe_load(LOCK.read_text(encoding="utf-8")) if LOCK.is_file() else {}
    except yaml.YAMLError:
        raise MlopsError(f"{LOCK} cannot be read; after a merge, run `make merge-lock`") from None
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
