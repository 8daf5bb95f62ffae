"""Where the registry is: built in, moved elsewhere, or on a server."""

import json
import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
from toy_project import NAME, ROWS, ToyProject, champion_predicts, refused

from mlops.artifact import model_folder
from mlops.project import files
from mlops.registry import promotion, tracking, versions

MODEL_URI = f"models:/{NAME}@champion"
PLAIN_MLFLOW = """
import sys, mlflow, numpy as np
mlflow.set_tracking_uri(sys.argv[1])
rows = np.load(sys.argv[3])
model = mlflow.sklearn.load_model(sys.argv[2])
print(type(model).__name__, model.predict_proba(rows)[:, 1].tolist())
print(mlflow.pyfunc.load_model(sys.argv[2]).predict(rows).astype(int).tolist())
"""


def test_a_moved_store_loads_with_plain_mlflow(project: ToyProject, tmp_path: Path) -> None:
    moved = tmp_path / "else where&é" / "store"
    moved.parent.mkdir()
    shutil.move(files.STORE, moved)
    np.save(tmp_path / "rows.npy", ROWS)
    uri = f"sqlite:///{moved}/mlflow.db"
    said = subprocess.run(
        [sys.executable, "-c", PLAIN_MLFLOW, uri, MODEL_URI, tmp_path / "rows.npy"],
        cwd="/",
        capture_output=True,
        text=True,
        check=False,
    )
    project.train(1)
    expected = model_folder.load(files.MODEL).predict({"a": ROWS[:, 0], "b": ROWS[:, 1]})
    first, second = said.stdout.splitlines()
    assert first.startswith("LogisticRegression "), said.stderr
    np.testing.assert_allclose(json.loads(first.split(" ", 1)[1]), expected, atol=1e-6)
    assert json.loads(second) == (expected > 0.5).astype(int).tolist()


@pytest.fixture
def server(template: Path, tmp_path: Path) -> Iterator[str]:
    """A real MLflow server with nothing in it."""
    shutil.copyfile(template / "empty.db", tmp_path / "server.db")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1"]
    command += ["--port", str(port), "--workers", "1"]
    command += ["--backend-store-uri", f"sqlite:///{tmp_path}/server.db"]
    command += ["--artifacts-destination", str(tmp_path / "server-artifacts")]
    with (tmp_path / "server.log").open("wb") as log:
        process = subprocess.Popen(
            command,
            stdout=log,
            stderr=log,
            start_new_session=True,
            cwd=tmp_path,
            env=os.environ | {"MLFLOW_SERVER_ENABLE_JOB_EXECUTION": "false"},
        )
        try:
            wait_for(port, process, tmp_path / "server.log")
            yield f"http://127.0.0.1:{port}"
        finally:
            os.killpg(process.pid, 15)
            process.wait(20)


def wait_for(port: int, process: "subprocess.Popen[bytes]", log: Path) -> None:
    for _ in range(600):
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                return
        assert process.poll() is None, log.read_text()
        time.sleep(0.1)
    raise AssertionError(log.read_text())


def test_a_server_is_used_like_the_built_in_store(
    project: ToyProject, server: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    shutil.rmtree(files.STORE)
    monkeypatch.setenv(tracking.URI, server)
    client, params = tracking.connect(), project.params
    assert versions.fetch(client, NAME, "champion") is None
    assert project.register(1, "first", champion=None) == 1
    promotion.promote(client, params)
    assert project.register(2) == 2
    promotion.promote(client, params)
    promotion.rollback(client, params)
    assert project.aliases() == {"champion": 1, "previous": 2}
    champion_predicts(1)
    found, again = (versions.fetch(client, NAME, "champion") for _ in range(2))
    assert found is not None
    assert again is not None
    assert found[1] == again[1]
    assert versions.lineage(client, params, 1)["aliases"] == ["champion"]
    assert [line["to"] for line in project.audit()] == [1, 2, 1]
    model = mlflow.sklearn.load_model(MODEL_URI)
    assert model.predict(ROWS).shape == (5,)
    assert not (files.STORE / "mlflow.db").exists()
    assert os.environ[tracking.URI] == server


def test_a_server_that_is_down_is_named(
    project: ToyProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(tracking.URI, "http://amelia:secret@127.0.0.1:9")
    before = sorted(Path.cwd().rglob("*"))
    assert refused(tracking.connect) == (
        "MLFLOW_TRACKING_URI=http://127.0.0.1:9 does not answer; start the server or correct the "
        "address, or unset MLFLOW_TRACKING_URI to use .store"
    )
    assert sorted(Path.cwd().rglob("*")) == before


def test_connecting_leaves_the_environment_to_the_user(project: ToyProject) -> None:
    before = dict(os.environ)
    tracking.connect()
    assert {name for name in os.environ if name.endswith("_URI")} == {
        name for name in before if name.endswith("_URI")
    }


def test_an_experiment_is_made_once_and_brought_back(project: ToyProject) -> None:
    client = tracking.connect()
    made = tracking.experiment_id(client, "tides")
    assert client.get_experiment(made).artifact_location == "store:/artifacts"
    client.delete_experiment(made)
    assert tracking.experiment_id(client, "tides") == made
    assert client.get_experiment(made).lifecycle_stage == "active"
