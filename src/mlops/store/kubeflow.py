"""The stages of ``dvc.yaml`` as a pipeline of Kubeflow: a task each, which runs ``mlops stage``."""

from pathlib import Path
from typing import Any

from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Params

MISSING = "Kubeflow Pipelines is not in the environment; run `make add setup GROUP=kubeflow`"


def export(params: Params, path: Path, image: str) -> str:
    """Write the pipeline as YAML; returns what was done, in a sentence.

    Its parameters are ``repository``, which each task clones, and ``revision``. ``image`` has git
    and the environment of requirements.txt on its PATH.

    Raises
    ------
    MlopsError
        When kfp is not installed.
    """
    try:
        from kfp import compiler, dsl
    except ImportError:
        raise MlopsError(MISSING) from None
    run = dsl.component(_run_stage, base_image=image, install_kfp_package=False)
    stages = before()

    def pipeline(repository: str, revision: str = "main") -> None:
        tasks: dict[str, Any] = {}
        for name, earlier in stages.items():
            task = run(stage=name, repository=repository, revision=revision)
            # What has run for the same inputs is DVC's to know; Kubeflow sees only names.
            task.set_display_name(name).set_caching_options(False).set_retry(2)
            tasks[name] = task.after(*(tasks[it] for it in earlier))

    named = dsl.pipeline(name=params.name)(pipeline)
    files.write_atomic(path, lambda it: compiler.Compiler().compile(named, str(it)))
    return f"{path} has {len(stages)} stages, which run in {image}"


def before() -> dict[str, list[str]]:
    """Return which stages each one follows, as ``dvc dag`` draws it; earlier ones first."""
    from dvc.repo import Repo
    from dvc.repo.reproduce import plan_repro

    with Repo() as repo:
        graph = repo.index.graph
        return {
            stage.name: sorted(it.name for it in graph.successors(stage) if it.cmd)
            for stage in plan_repro(graph)
            if stage.cmd  # others are files of `dvc add`
        }


def _run_stage(stage: str, repository: str, revision: str) -> None:
    """Run a stage in a clone of its own. In a pod, this is all that there is of the module."""
    import os
    import subprocess
    import tempfile

    with tempfile.TemporaryDirectory() as folder:
        subprocess.run(["git", "clone", "--quiet", "--", repository, folder], check=True)
        subprocess.run(["git", "checkout", "--quiet", "--detach", revision], cwd=folder, check=True)
        environment = {**os.environ, "PYTHONPATH": f"{folder}/src"}
        subprocess.run(["mlops", "stage", stage], cwd=folder, env=environment, check=True)
