"""Raw files that DVC keeps: from the DVC remote into ``data/source``, and from there to the remote.

Beside each lies a ``.dvc`` file (of ``dvc add`` or ``dvc import-url``), which git keeps.
"""

import json
from pathlib import Path
from subprocess import run
from typing import Any

import yaml

from mlops.project import files
from mlops.project.errors import MlopsError, first_line
from mlops.project.progress import console
from mlops.store import change, remote

BUILT_IN = files.STORE / "dvc"
PUSH = "make push-data"


def pull() -> str:
    """Fetch what ``data/source`` lacks; returns what was done, in a sentence.

    Raises
    ------
    MlopsError
        When the DVC remote cannot be read or lacks a file, or when a file here was changed.
    """
    from dvc.exceptions import CheckoutError, ConfirmRemoveError

    if not _kept():
        return f"{files.SOURCE} holds no file that DVC keeps"
    with remote.reached("read") as repo:
        console.print(f"Fetching what {files.SOURCE} lacks ...")
        try:
            repo.pull(targets=[str(files.SOURCE)], recursive=True)
        except CheckoutError as error:
            lost = ", ".join(error.target_infos)
            raise MlopsError(
                f"{lost} is in no DVC remote ({remote.address(repo)}); whoever has it runs `{PUSH}`"
            ) from None
        except ConfirmRemoveError as error:
            raise MlopsError(
                f"{first_line(error)}; a file in {files.SOURCE} was changed here: `dvc add` it to "
                "keep that, or delete it to have the one that was added"
            ) from None
    return f"{files.SOURCE} is what its .dvc files say"


def push() -> str:
    """Bring what is in ``data/source`` to the DVC remote; returns what was done, in a sentence.

    The built-in remote is kept on the branch ``mlops-store``. No model and no promotion of this
    machine gets there with it.

    Raises
    ------
    MlopsError
        When a file is not what its ``.dvc`` file says, or the remote does not take it.
    """
    if not (kept := _kept()):
        return (
            f"{files.SOURCE} holds no file that DVC keeps: nothing to push. For a file that is too "
            f"large for git there is `dvc add {files.SOURCE}/NAME`"
        )
    with remote.reached("written") as repo:
        for file in kept:
            if changed := repo.status(targets=[str(file)]):
                raise MlopsError(
                    f"{file.with_suffix('')} is not what {file} says ({_why(changed)}); run "
                    f"`dvc add {file.with_suffix('')}`, commit {file}, then `{PUSH}`"
                )
        console.print(f"Pushing {', '.join(str(file.with_suffix('')) for file in kept)} ...")
        pushed = repo.push(targets=[str(files.SOURCE)], recursive=True)
        where = remote.address(repo)
    if where != str(BUILT_IN.absolute()):
        return f"{files.SOURCE}: {pushed:,} new files in the DVC remote {where}"
    return change.add_data([path for file in kept for path in _objects(file)])


def read_anew() -> None:
    """Run the stage ``ingest`` also where nothing has changed that DVC can see.

    Raises
    ------
    SystemExit
        When it fails; it has said why.
    """
    files.SOURCE.mkdir(parents=True, exist_ok=True)  # projects from before it was there
    pull()
    if code := run(["dvc", "repro", "--force", "--single-item", "ingest"], check=False).returncode:
        raise SystemExit(code)


def _kept() -> list[Path]:
    """Return the ``.dvc`` files."""
    return sorted(files.SOURCE.rglob("*.dvc"))


def _why(changed: Any) -> str:
    """Return DVC's words for how a file differs, such as "modified"."""
    parts = [part for stage in changed.values() for part in stage if isinstance(part, dict)]
    said = {str(why) for part in parts for outs in part.values() for why in outs.values()}
    return ", ".join(sorted(said))


def _objects(file: Path) -> list[Path]:
    """Return where the built-in remote has what a ``.dvc`` file names, in the layout of DVC 3."""
    found = []
    for out in yaml.safe_load(file.read_text(encoding="utf-8"))["outs"]:
        path = _object(out["md5"])
        found.append(path)
        if path.suffix == ".dir":
            found += [_object(it["md5"]) for it in json.loads(path.read_text(encoding="utf-8"))]
    return found


def _object(md5: str) -> Path:
    return BUILT_IN / "files/md5" / md5[:2] / md5[2:]
