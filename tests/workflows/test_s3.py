"""A project whose DVC remote is on S3, from its first push to its deployment; and who may not."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from subprocess import run

import numpy as np
import pandas as pd
import parcels
import pytest
from act_run import Run
from hosted import Hosted, make_hosted
from s3_server import READER, S3, WRITER, s3_server

FILE = Path("data/source/parcels.csv")
READ = '''"""Parcels."""

import pandas as pd


def load_data() -> pd.DataFrame:
    return pd.read_csv("data/source/parcels.csv", parse_dates=["seen_at"]).astype(
        {"seen_at": "datetime64[us, UTC]"}
    )
'''
# What comes into the place of the action that gives credentials, in a pull request.
GREEDY = """\
name: Greedy
description: Is never run
runs:
  using: composite
  steps:
    - name: Run
      shell: bash
      run: exit 1
"""


def write_file(project: Path) -> None:
    rng = np.random.default_rng(7)
    n = 2000
    times = pd.date_range("2023-01-01", "2023-04-30 23:00", periods=n, tz="UTC")
    stops = rng.integers(1, 9, n)
    table = pd.DataFrame(
        {
            "seen_at": times.as_unit("us").floor("s"),
            "weight": rng.gamma(2, 3, n).round(2),
            "stops": stops,
            "kind": rng.choice(["box", "bag", "tube"], n),
            "late": (rng.random(n) < stops / 10).astype("int64"),
        }
    )
    table.to_csv(project / FILE, index=False)


@dataclass(frozen=True)
class OnS3:
    hosted: Hosted
    s3: S3
    pushed: list[str]  # names in the bucket before the first workflow ran


@pytest.fixture(scope="module")
def on_s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[OnS3]:
    folder = tmp_path_factory.mktemp("on-s3")
    hosted = make_hosted(folder / "hosted")
    project = hosted.project
    for name, code in parcels.CODE.items():
        (project / f"src/model/{name}.py").write_text(code, encoding="utf-8")
    (project / "src/model/data.py").write_text(READ, encoding="utf-8")
    gate = parcels.PARAMS["gate"] | {"latency_ms": 5000.0, "trusted": ["stops"]}
    project.set(**(parcels.PARAMS | {"gate": gate}))
    write_file(project.folder)
    hosted.keep_jobs("ci.yml", "test")
    with s3_server(folder / "s3") as s3, hosted.github as github:
        s3.be_remote_of(project)
        project.run("dvc", "add", "--quiet", str(FILE))
        push = ["mlops", "push-data"]
        run(push, cwd=project.folder, env=project.environment | WRITER, check=True)
        pushed = s3.keys()
        hosted.commit("Parcels, on S3")
        github.actions.left_out = {"ci.yml"}  # a pull request below runs it
        github.secrets["DATA_READ"] = json.dumps(READER)
        github.secrets["DATA_WRITE"] = json.dumps(WRITER)
        github.push(project.folder)
        yield OnS3(hosted, s3, pushed)


def propose(on_s3: OnS3, branch: str, workflow: str, *, fork: bool = False) -> Run:
    """Open a pull request with another setting and another action; returns what one run did."""
    hosted = on_s3.hosted
    hosted.branch(branch)
    hosted.project.set(estimator__c=0.5)
    action = hosted.project / ".github/actions/credentials/action.yml"
    action.write_text(GREEDY, encoding="utf-8")
    hosted.commit("Another setting")
    login = "mallory" if fork else "ada"
    hosted.github.push(hosted.project.folder, branch, login=login)
    hosted.github.actions.left_out = {"ci.yml", "train.yml"} - {workflow}
    (found,) = hosted.github.open_pull_request(branch, "Another setting", fork=fork).runs
    return found


def test_the_first_push_is_green_and_serves(on_s3: OnS3) -> None:
    deployed = on_s3.hosted.github.runs[0]
    assert deployed.conclusion == "success", deployed.log
    assert deployed.jobs["production"].conclusion == "success", deployed.log
    assert "uncommitted changes" not in deployed.summary  # by what is in .base
    assert on_s3.hosted.registry()["aliases"] == {"champion": 1}
    assert on_s3.hosted.registry()["versions"][1]["git_commit"] == deployed.sha


def test_data_and_models_are_in_the_bucket_and_not_on_the_branch_of_the_store(on_s3: OnS3) -> None:
    (raw,) = on_s3.pushed
    keys = on_s3.s3.keys()
    assert raw in keys
    assert len(keys) > 5
    on_branch = {name.split("/")[0] for name in on_s3.hosted.github.files("mlops-store")}
    assert on_branch == {"mlflow.db", "artifacts", "audit.jsonl", "cml.sha256"}


def test_no_secret_is_in_a_log(on_s3: OnS3) -> None:
    for found in on_s3.hosted.github.runs:
        for user in (READER, WRITER):
            assert user["AWS_SECRET_ACCESS_KEY"] not in found.log


def test_a_pull_request_reads_by_the_action_of_its_base(on_s3: OnS3) -> None:
    found = propose(on_s3, "setting", "ci.yml")
    assert found.conclusion == "success", found.log
    assert "data/source is what its .dvc files say" in found.log


def test_a_pull_request_from_a_fork_is_told_who_can_go_on(on_s3: OnS3) -> None:
    found = propose(on_s3, "forked", "train.yml", fork=True)
    assert {name: job.conclusion for name, job in found.jobs.items()} == {
        "train": "failure",
        "judge": "success",
        "comment": "skipped",
        "model gate": "failure",
    }
    sentence = "this pull request comes from a fork, and forks get no credentials: a maintainer"
    assert sentence in found.summary
    (gate,) = [it.message for it in found.annotations if it.title == "model gate"]
    assert sentence in gate
    assert "s3://parcels/dvc cannot be read" in gate
    assert "Running stage" not in found.log
