"""The answer `orchestrator` adds its few files, and the default none."""

from pathlib import Path

import pytest
from generation import Generate, tracked

FILES = {
    "none": [],
    "airflow": ["airflow/README.md", "airflow/dag.py"],
    "kubeflow": ["kubeflow/README.md", "kubeflow/test_pipeline.py", "kubeflow/train.yaml"],
}


@pytest.mark.parametrize("answer", FILES)
def test_a_project_has_the_files_of_its_orchestrator_only(
    generate: Generate, tmp_path: Path, answer: str
) -> None:
    default = generate(folder=tmp_path / "default")
    project = generate(folder=tmp_path / "chosen", orchestrator=answer)
    more = [f"orchestration/{name}" for name in FILES[answer]]
    assert tracked(project) == sorted(tracked(default) + more)
    assert (project / "orchestration").exists() == (answer != "none")
    page = (project / "deploy/README.md").read_text(encoding="utf-8")
    named = [it for it in FILES if f"(../orchestration/{it}/README.md)" in page]
    assert named == ([] if answer == "none" else [answer])
    changed = [name for name in tracked(default) if differs(default / name, project / name)]
    assert changed == ([] if answer == "none" else ["deploy/README.md"])


def differs(one: Path, other: Path) -> bool:
    return one.read_bytes() != other.read_bytes()
