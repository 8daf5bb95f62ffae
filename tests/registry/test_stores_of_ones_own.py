"""What docs/trackers-and-stores.md says, done: MLflow on Postgres and S3, lakeFS's layout."""

import os
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pandas as pd
import pytest
from debian_programs import MissingError
from postgres_server import postgres
from projects import ROOT, Project
from running_prometheus import free_address
from s3_server import BUCKET, READER, S3, WRITER, s3_server
from test_tracking import wait_for
from toy_project import NAME, ROWS, ToyProject, champion_predicts

from mlops.project import files
from mlops.project.git import Commit
from mlops.registry import promotion, tracking, versions
from mlops.registry.training_run import TrainingRun

PAGE = ROOT / "docs/trackers-and-stores.md"
# What the page has instead of a server of one's own.
DATABASE, ARTIFACTS = "postgresql+psycopg://mlflow@db.example.com:5432/mlflow", "s3://bucket/mlflow"


def commands(program: str) -> list[list[str]]:
    """Return the page's commands of a program, as words."""
    text = PAGE.read_text(encoding="utf-8").replace("\\\n", " ")
    return [line.split() for line in re.findall(rf"^\$ ({program} .+)$", text, re.MULTILINE)]


@pytest.fixture(scope="module")
def s3(tmp_path_factory: pytest.TempPathFactory) -> Iterator[S3]:
    with s3_server(tmp_path_factory.mktemp("s3") / "files") as server:
        yield server


@pytest.fixture
def server(s3: S3, tmp_path: Path) -> Iterator[str]:
    """The page's MLflow server, with a database and a bucket that exist here."""
    try:
        with postgres(tmp_path) as database, mlflow_server(database, s3, tmp_path) as address:
            yield address
    except MissingError as missing:
        pytest.skip(f"no PostgreSQL: {missing}")


@contextmanager
def mlflow_server(database: str, s3: S3, folder: Path) -> Iterator[str]:
    port = free_address().rpartition(":")[2]
    here = {DATABASE: database, ARTIFACTS: f"s3://{BUCKET}/mlflow", "5000": port}
    (words,) = commands("mlflow server")
    assert here.keys() <= set(words)
    environment = os.environ | WRITER | {"MLFLOW_S3_ENDPOINT_URL": s3.address}
    log = folder / "server.log"
    with log.open("wb") as said:
        process = subprocess.Popen(
            [sys.executable, "-m", *(here.get(word, word) for word in words)],
            stdout=said,
            stderr=said,
            start_new_session=True,
            cwd=folder,
            env=environment | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )
    try:
        wait_for(int(port), process, log)
        yield f"http://127.0.0.1:{port}"
    finally:
        os.killpg(process.pid, 15)
        process.wait(20)


def test_a_project_trains_registers_and_promotes_on_postgres_and_s3(
    project: ToyProject, server: str, s3: S3, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(files.STORE)
    for name in WRITER:  # only the server has keys of the bucket
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv(tracking.URI, server)
    monkeypatch.delenv("WANDB_API_KEY", raising=False)
    files.HOLDOUT.parent.mkdir(exist_ok=True)
    pd.DataFrame({"a": [1.0]}).to_parquet(files.HOLDOUT)
    files.LOCK.write_text("numpy==2.0.0\n", encoding="utf-8")
    files.PARAMS.write_text("name: flight-delays\n", encoding="utf-8")
    files.write_json(files.DATA_REPORT, {"md5": "da7a" * 8})
    with TrainingRun(project.params, Commit("0123456789" * 4, dirty=False)) as run:
        run.log_metrics({"roc_auc": 0.7})
        run.log_files()
    client = tracking.connect()
    logged = client.get_run(run.id)
    assert logged.data.metrics == {"roc_auc": 0.7}
    experiment = logged.info.experiment_id
    assert tracking.address(client, experiment, run.id) == (
        f"{server}/#/experiments/{experiment}/runs/{run.id}"
    )
    files.HOLDOUT.unlink()

    assert project.register(1, "first", champion=None) == 1
    promotion.promote(client, project.params)
    assert project.register(2) == 2
    promotion.promote(client, project.params)
    promotion.rollback(client, project.params)
    assert project.aliases() == {"champion": 1, "previous": 2}
    champion_predicts(1)
    assert versions.lineage(client, project.params, 1)["aliases"] == ["champion"]

    import mlflow

    assert mlflow.sklearn.load_model(f"models:/{NAME}@champion").predict(ROWS).shape == (5,)
    found = s3.keys()
    names = {key.rpartition("/")[2] for key in found if key.startswith("mlflow/")}
    assert {"params.yaml", "requirements.txt", "MLmodel", "model.onnx"} <= names
    assert not (files.STORE / "mlflow.db").exists()


def test_a_remote_of_dvc_is_a_branch_of_a_repository_of_lakefs(
    new_project: Project, s3: S3, tmp_path: Path
) -> None:
    s3.client.create_bucket(Bucket="flights")
    modify = [words for words in commands("dvc remote modify") if "store" in words]
    assert ["url", "s3://flights/main/dvc"] in [words[-2:] for words in modify]
    for words in modify:
        new_project.run(*(s3.address if "example.com" in word else word for word in words))
    (new_project / "data/source/rows.csv").write_text("a\n1\n", encoding="utf-8")
    new_project.run("dvc", "add", "--quiet", "data/source/rows.csv")

    def dvc(user: dict[str, str], *arguments: str) -> None:
        environment = new_project.environment | user
        subprocess.run(["dvc", *arguments], cwd=new_project.folder, env=environment, check=True)

    dvc(WRITER, "push", "--quiet", "data/source/rows.csv.dvc")
    keys = [it["Key"] for it in s3.client.list_objects_v2(Bucket="flights")["Contents"]]
    assert keys
    assert all(key.startswith("main/dvc/files/md5/") for key in keys)

    (new_project / "data/source/rows.csv").unlink()
    shutil.rmtree(new_project / ".dvc/cache")
    dvc(READER, "pull", "--quiet", "data/source/rows.csv.dvc")
    assert (new_project / "data/source/rows.csv").read_text(encoding="utf-8") == "a\n1\n"
