"""A training's run in W&B as well: written by the real library, sent to a stand-in."""

import json
import subprocess
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
import wandb_file
from toy_project import ToyProject

from mlops.project import files
from mlops.project.git import Commit
from mlops.registry import tracking, weights_and_biases
from mlops.registry.training_run import TrainingRun

KEY = "adaskey123" * 4  # wandb itself refuses a shorter one
COMMIT = Commit("0123456789" * 4, dirty=False)


class Server(ThreadingHTTPServer):
    """Answers as api.wandb.ai does, as far as `wandb sync` asks; or refuses whoever comes."""

    def __init__(self, status: int) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.status = status
        self.seen: list[tuple[str, bytes]] = []

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def answer(self, asked: dict[str, Any]) -> dict[str, Any]:
        project = {"name": "flight-delays", "entity": {"name": "ada"}}
        bucket = {"id": "1", "name": "run", "displayName": "run", "project": project}
        names = asked.get("variables", {}).get("files", [])
        upload = [{"name": name, "uploadUrl": f"{self.address}/{name}"} for name in names]
        made = {"runID": "run", "uploadHeaders": [], "files": upload}
        return {
            "data": {
                "serverInfo": {"features": []},
                "upsertBucket": {"bucket": bucket, "inserted": True},
                "createRunFiles": made,
            }
        }


class Handler(BaseHTTPRequestHandler):
    server: Server

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        self.server.seen.append((self.path, body))
        said = self.server.answer(json.loads(body)) if self.path == "/graphql" else {}
        answer = json.dumps(said).encode()
        self.send_response(self.server.status)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    do_PUT = do_POST  # noqa: N815 the name that the base class looks for

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    with Server(request.param) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture(autouse=True)
def _key(project: ToyProject, monkeypatch: pytest.MonkeyPatch) -> None:
    """In the toy, before a training, with a key and no way to W&B."""
    for name in ("PROJECT", "ENTITY", "DIR"):
        monkeypatch.delenv(f"WANDB_{name}", raising=False)
    monkeypatch.setenv("WANDB_API_KEY", KEY)
    monkeypatch.setenv("WANDB_BASE_URL", "http://127.0.0.1:9")
    monkeypatch.setenv("WANDB_MODE", "offline")
    files.HOLDOUT.parent.mkdir(exist_ok=True)
    pd.DataFrame({"a": [1.0]}).to_parquet(files.HOLDOUT)
    files.LOCK.write_text("numpy==2.0.0\n", encoding="utf-8")
    files.PARAMS.write_text("name: flight-delays\n", encoding="utf-8")
    files.write_json(files.DATA_REPORT, {"md5": "da7a" * 8})


def train(project: ToyProject, error: Exception | None = None) -> str:
    """Log a training with two metrics, of which one is undefined; returns MLflow's run."""
    with TrainingRun(project.params, COMMIT) as run:
        run.log_metrics({"roc_auc": 0.7, "log_loss": np.nan})
        if error:
            raise error
    return run.id


def written() -> list[Path]:
    return sorted(Path("build/wandb").glob("offline-run-*/*.wandb"))


def test_a_run_has_what_mlflow_has_and_the_way_there(
    project: ToyProject, capfd: pytest.CaptureFixture[str]
) -> None:
    run_id = train(project)
    (path,) = written()
    told = wandb_file.run(path)
    assert told["name"] == "2013-01 to 2013-03 01234567"
    assert told["project"] == "flight-delays"
    assert told["tags"] == ["commit 01234567", "data da7ada7a"]
    assert told["exit_code"] == 0
    assert {name: it for name, it in told["metrics"].items() if name[0] != "_"} == {"roc_auc": 0.7}
    config = told["config"]
    assert config["gate"]["margin"] == project.params.gate.margin
    assert (config["commit"], config["data_md5"]) == (COMMIT.sha, "da7a" * 8)
    assert config["mlflow_run"] == run_id
    run = tracking.connect().get_run(run_id)
    assert run.data.metrics == {"roc_auc": 0.7}
    said = "".join(capfd.readouterr())
    assert said.splitlines()[-1] == f"Written for W&B: {path.parent}"
    everything = b"".join(it.read_bytes() for it in Path("build").rglob("*") if it.is_file())
    assert KEY not in said
    assert KEY.encode() not in everything


def test_a_training_that_failed_failed_there_too(project: ToyProject) -> None:
    with pytest.raises(ValueError, match="no convergence"):
        train(project, ValueError("no convergence"))
    assert wandb_file.run(written()[0])["exit_code"] == 1


@pytest.mark.parametrize(("name", "value"), [("API_KEY", ""), ("MODE", "disabled")])
def test_without_a_key_nothing_is_written_and_wandb_not_imported(
    project: ToyProject, monkeypatch: pytest.MonkeyPatch, name: str, value: str
) -> None:
    monkeypatch.setenv(f"WANDB_{name}", value)
    monkeypatch.setitem(sys.modules, "wandb", None)  # an import would fail
    train(project)
    assert not Path("build").exists()


def test_a_key_without_the_library_is_said_and_the_training_goes_on(
    project: ToyProject, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "path", [it for it in sys.path if "site-packages" not in it])
    for name in [name for name in sys.modules if name.partition(".")[0] == "wandb"]:
        monkeypatch.delitem(sys.modules, name)
    weights_and_biases.log(tracked())
    assert capfd.readouterr().err == (
        "WANDB_API_KEY is set and wandb is not installed, so this run is in MLflow only; "
        "run `make add GROUP=wandb`, or unset the variable\n"
    )


def test_a_library_that_stops_is_said_without_the_key(
    project: ToyProject, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    import wandb

    def stop(**_: object) -> None:
        raise RuntimeError(f"no login with {KEY}")

    monkeypatch.setattr(wandb, "init", stop)
    weights_and_biases.log(tracked())
    assert capfd.readouterr().err == (
        "This run is in MLflow only, because wandb stopped: RuntimeError: no login with ***\n"
    )


@pytest.mark.parametrize("server", [200], indirect=True)
def test_a_run_is_sent_once_the_training_is_over(
    project: ToyProject,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    server: Server,
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", server.address)
    monkeypatch.setenv("WANDB_MODE", "online")
    train(project)
    said = capfd.readouterr().err
    assert "Sending the run to W&B: " in said
    assert "has not reached" not in said
    stream = "/files/ada/flight-delays/run/file_stream"
    posted = b"".join(body for path, body in server.seen if path == stream)
    assert b'\\"roc_auc\\":0.7' in posted
    sent = {path for path, _ in server.seen}
    assert not any("diff" in path or "requirements" in path for path in sent)
    assert not any(KEY.encode() in body for _, body in server.seen)
    assert not Path("wandb").exists()  # only what git ignores


@pytest.mark.parametrize("server", [401], indirect=True)
def test_a_server_that_refuses_the_key_stops_nothing(
    project: ToyProject,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
    server: Server,
) -> None:
    monkeypatch.setenv("WANDB_BASE_URL", server.address)
    monkeypatch.delenv("WANDB_MODE")
    train(project)
    folder = written()[0].parent
    said = capfd.readouterr().err.splitlines()[-1]
    assert said.startswith("This run has not reached W&B (")
    assert server.seen
    assert said.endswith(f"); it is in MLflow, and `wandb sync {folder}` sends it from here")
    assert KEY not in said


def test_a_server_that_is_not_there_is_given_its_time_and_no_more(
    project: ToyProject, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.delenv("WANDB_MODE")
    monkeypatch.setattr(weights_and_biases, "SEND_SECONDS", 2.0)
    train(project)
    folder = written()[0].parent
    assert capfd.readouterr().err.splitlines()[-1] == (
        "This run has not reached W&B (no answer for 2 s); it is in MLflow, and "
        f"`wandb sync {folder}` sends it from here"
    )
    left = subprocess.run(["ps", "-eo", "args"], capture_output=True, text=True, check=True).stdout
    assert f"wandb sync {folder}" not in left


def tracked() -> weights_and_biases.TrackedRun:
    return weights_and_biases.TrackedRun(
        "run", "flight-delays", {}, {"data_md5": "da7a"}, {}, "http://127.0.0.1/#/runs/1"
    )
