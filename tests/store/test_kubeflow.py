"""The stages as a pipeline of Kubeflow, compiled and run; and the Job that trains alone."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import kubernetes_validate
import pytest
import yaml
from apart import environment, small_project
from projects import ROOT, Project, copy_from_root

VERSION = "kfp==2.17.3"
RUN = """
import sys
from kfp import components, local
local.init(runner=local.SubprocessRunner(use_venv=False), pipeline_root=sys.argv[3])
pipeline = components.load_component_from_file(sys.argv[1])
pipeline(repository=sys.argv[2], revision="HEAD")
"""
TOY = """
stages:
  rows:
    cmd: seq 1000 > data/rows.txt
    deps: [params.yaml]
    outs: [data/rows.txt]
  train:
    cmd: mkdir models && sha256sum data/rows.txt > models/model.txt
    deps: [data/rows.txt]
    outs: [models]
  evaluate:
    cmd: wc models/model.txt > data/size.txt
    deps: [models]
    outs: [data/size.txt]
"""
COMMAND = ("export-pipeline", "kfp", "pipeline.yaml", "--image", "registry.example.com/x:1")


class Cluster(Project):
    """A project, and an environment in which kfp is."""

    programs: Path

    @property
    def environment(self) -> dict[str, str]:
        around = super().environment
        return around | {"PATH": f"{self.programs}{os.pathsep}{around['PATH']}"}


@pytest.fixture(scope="module")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Cluster:
    folder = tmp_path_factory.mktemp("kubeflow")
    project = Cluster(small_project(folder).folder)
    copy_from_root("orchestration/kubeflow", project.folder)
    project.programs = environment(folder / "environment", VERSION)
    (libraries,) = (folder / "environment").glob("lib/python*/site-packages")
    # What the lock of a project has besides, after `make add GROUP=kubeflow`.
    ours = next(it for it in sys.path if it.endswith("site-packages"))
    (libraries / "ours.pth").write_text(f"{ours}\n")
    project.commit()
    return project


def test_without_kfp_it_says_what_to_install(cluster: Cluster) -> None:
    said = Project(cluster.folder).run("mlops", *COMMAND, fails=True)
    assert said.stderr.splitlines()[-1] == (
        "mlops: Kubeflow Pipelines is not in the environment; run `make add setup GROUP=kubeflow`"
    )
    assert not (cluster / "pipeline.yaml").exists()


def test_pods_give_the_same_bytes_as_one_place(cluster: Cluster, tmp_path: Path) -> None:
    compiled = ("python", "-m", "mlops.cli", *COMMAND)
    said = cluster.run(*compiled).stdout
    assert said == "pipeline.yaml has 6 stages, which run in registry.example.com/x:1\n"
    # The real stages run apart in test_stage.py; these take no time.
    (cluster / "dvc.yaml").write_text(TOY)
    cluster.commit()
    cluster.run(*compiled)
    cluster.run("python", "-c", RUN, "pipeline.yaml", str(cluster.folder), str(tmp_path))
    assert "is cached - skipping run" in run_job(cluster, tmp_path)
    # Here nothing is fetched: each object that this machine makes is in the remote already.
    assert not (cluster / "models").exists()
    cluster.run("dvc", "repro")
    assert "in sync" in cluster.run("dvc", "status", "--cloud").stdout


def run_job(cluster: Cluster, folder: Path) -> str:
    """Run the command of the Job in a shell, as its container would in an empty folder."""
    (container,) = job()["spec"]["template"]["spec"]["containers"]
    branch = cluster.run("git", "branch", "--show-current").stdout.strip()
    given = {"REPOSITORY": f"file://{cluster.folder}", "REVISION": branch}
    done = subprocess.run(
        [*container["command"], *container["args"]],
        cwd=folder,
        env=Project(cluster.folder).environment | given,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_a_project_compiles_what_dvc_draws(cluster: Cluster) -> None:
    said = cluster.run("python", "-m", "pytest", "-q", "orchestration/kubeflow").stdout
    assert "1 passed" in said


def job() -> dict[str, Any]:
    text = (ROOT / "orchestration/kubeflow/train.yaml").read_text(encoding="utf-8")
    written: dict[str, Any] = yaml.safe_load(text)
    return written


@pytest.mark.parametrize("release", ["1.32", kubernetes_validate.latest_version()])
def test_the_job_is_valid_and_restricted(release: str) -> None:
    kubernetes_validate.validate(job(), release, strict=True)
    spec = job()["spec"]["template"]["spec"]
    assert spec["securityContext"]["runAsNonRoot"] is True
    (container,) = spec["containers"]
    assert container["securityContext"] == {
        "readOnlyRootFilesystem": True,
        "allowPrivilegeEscalation": False,
        "capabilities": {"drop": ["ALL"]},
    }
    assert set(container["resources"]) == {"requests", "limits"}
    broken = job()
    broken["spec"]["template"]["spec"]["restartPolcy"] = "Never"
    with pytest.raises(kubernetes_validate.ValidationError, match="restartPolcy"):
        kubernetes_validate.validate(broken, release, strict=True)
