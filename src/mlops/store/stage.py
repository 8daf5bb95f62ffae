"""One stage of ``dvc.yaml`` by itself, in a clone that may hold nothing else: a pod, a task.

What the stages before it have made comes from the DVC remote, and so does its own result where it
has run for the same inputs before. No ``dvc.lock`` is handed on: DVC's run-cache, kept in the
remote, knows results by their inputs.
"""

from pathlib import Path
from subprocess import run
from typing import Any

import yaml

from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.progress import console
from mlops.store import remote, source

PIPELINE = Path("dvc.yaml")


def run_alone(name: str) -> None:
    """Run a stage that has something new to do; its result goes to the DVC remote.

    Raises
    ------
    MlopsError
        When there is no such stage, no remote that other clones reach, or a stage before it has
        not run for these inputs.
    SystemExit
        When the stage or the push fails; DVC has said why.
    """
    stages = yaml.safe_load(PIPELINE.read_text(encoding="utf-8"))["stages"]
    if name not in stages:
        raise MlopsError(f"{PIPELINE} has no stage {name!r}; expected one of {', '.join(stages)}")
    files.SOURCE.mkdir(parents=True, exist_ok=True)  # projects from before it was there
    _refuse_built_in()
    source.pull()
    _fetch_before(name)
    for command in (["dvc", "repro", "--pull", name], ["dvc", "push", "--run-cache", name]):
        if code := run(command, check=False).returncode:
            raise SystemExit(code)


def _refuse_built_in() -> None:
    """Refuse a remote that lies in this clone, where no other one finds it."""
    from dvc.repo import Repo

    with Repo() as repo:
        where = remote.address(repo) if repo.config["core"].get("remote") else ""
    if not where or where == str(source.BUILT_IN.absolute()):
        raise MlopsError(
            "stages that run apart pass their results through a DVC remote, and this project has "
            f"{'only the one built into each clone' if where else 'none'}: name one that all "
            "reach, as in `dvc remote modify store url s3://bucket/path`, and commit .dvc/config"
        )


def _fetch_before(name: str) -> None:
    """Bring what the stages before one have made, and run none of them.

    DVC itself would run those that it finds no result of.
    """
    from dvc.repo.reproduce import plan_repro
    from dvc.stage.cache import RunCacheNotFoundError

    with remote.reached("read") as repo, repo.lock:
        console.print(f"Fetching what stage {name} needs ...")
        repo.stage_cache.pull(None)
        (target,) = repo.stage.collect(name)
        before: list[Any] = plan_repro(repo.index.graph, [target])[:-1]
        for stage in (it for it in before if it.cmd):  # others are files of `dvc add`
            try:
                if stage.changed():
                    repo.stage_cache.restore(stage, pull=True)
            except RunCacheNotFoundError:
                raise MlopsError(
                    f"stage {name} needs what {stage.name} makes, and {remote.address(repo)} has "
                    f"no result of it for what is here; run `mlops stage {stage.name}` first"
                ) from None
