"""The pipeline compiles: `make test` holds this once `make add setup GROUP=kubeflow` has run."""

from pathlib import Path

import pytest

pytest.importorskip("kfp", reason="`make add setup GROUP=kubeflow` has not run")

import yaml

from mlops.project import params
from mlops.store import kubeflow


def test_every_stage_is_a_task_after_those_that_it_needs(tmp_path: Path) -> None:
    kubeflow.export(params.settings(), tmp_path / "pipeline.yaml", "registry/image:1")
    written = next(yaml.safe_load_all((tmp_path / "pipeline.yaml").read_text(encoding="utf-8")))
    tasks = written["root"]["dag"]["tasks"]
    named = {
        key: task["inputs"]["parameters"]["stage"]["runtimeValue"]["constant"]
        for key, task in tasks.items()
    }
    found = {
        named[key]: sorted(named[it] for it in task.get("dependentTasks", []))
        for key, task in tasks.items()
    }
    assert found == kubeflow.before()
