"""How the service starts, stops and shares its work among processes."""

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from projects import ROOT, Project
from running_service import JSON, RunningService
from written_log import eventually

from mlops.artifact import model_folder


def slow_request(running: RunningService, row: dict[str, Any]) -> tuple[socket.socket, bytes]:
    """Begin a request; returns its connection and the rest of its body."""
    url = urlsplit(running.url)
    body = json.dumps(row).encode()
    client = socket.create_connection((url.hostname, url.port))
    head = f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: {len(body)}\r\n"
    client.sendall(f"{head}Content-Type: application/json\r\n\r\n".encode() + body[:10])
    time.sleep(0.1)
    return client, body[10:]


def is_refused(running: RunningService) -> bool:
    url = urlsplit(running.url)
    try:
        socket.create_connection((url.hostname, url.port)).close()
    except ConnectionRefusedError:
        return True
    return False


def test_sigterm_answers_what_was_accepted_and_exits_with_0(service: Any, tmp_path: Path) -> None:
    running = service(
        drain_seconds=60, prediction_log_uri=tmp_path / "log", prediction_log_flush_seconds=60
    )
    row = running.example()
    client, rest = slow_request(running, row)
    running.terminate()
    eventually(lambda: running.request("GET", "/ready").status == 503)
    assert running.request("GET", "/ready").json()["status"] == "stopping"
    assert running.predict(row).status == 200  # a load balancer may not have noticed yet
    running.terminate()  # a second time: do not wait until it is over
    eventually(lambda: is_refused(running))
    client.sendall(rest)
    answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 200 ")
    assert b"connection: close" in answer
    assert running.process.wait(10) == 0
    (log,) = (tmp_path / "log").glob("*.jsonl")
    records = [json.loads(line) for line in log.read_text().splitlines() if line.strip()]
    assert len(records) == 2
    assert records[1]["id"].encode() in answer
    assert [line["message"] for line in map(json.loads, running.log.splitlines())][-1] == "stopped"


def test_a_request_that_never_ends_is_told_so_when_the_patience_is_over(service: Any) -> None:
    running = service(shutdown_seconds=0.3)
    client, _ = slow_request(running, running.example())
    running.terminate()
    answer = b"".join(iter(lambda: client.recv(4096), b""))
    assert answer.startswith(b"HTTP/1.1 503 ")
    assert b'"kind":"busy"' in answer
    assert running.process.wait(10) == 0


@pytest.fixture(scope="module")
def two(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service of two processes."""
    folder = tmp_path_factory.mktemp("two")
    (folder / "tmp").mkdir()
    one = RunningService(
        trained / "models",
        folder,
        workers=2,
        tmpdir=folder / "tmp",
        prediction_log_uri=folder / "log",
        prediction_log_flush_seconds=0.05,
    )
    yield one.wait()
    one.kill()


def workers(running: RunningService) -> set[int]:
    children = Path(f"/proc/{running.process.pid}/task/{running.process.pid}/children")
    found = set()
    for pid in map(int, children.read_text().split()):
        with contextlib.suppress(FileNotFoundError):  # it may end in this moment
            if b"spawn_main" in Path(f"/proc/{pid}/cmdline").read_bytes():
                found.add(pid)
    return found


def ask_until_both_answer(running: RunningService) -> int:
    """Ask on new connections until two processes have predicted; returns the number of requests."""
    running.reconnect()  # an open connection may be to a worker that was killed
    processes, asked = set(), 0
    body, url = json.dumps(running.example()), urlsplit(running.url)
    while len(processes) < 2:
        connection = http.client.HTTPConnection(url.netloc)
        connection.request("POST", "/predict", body, JSON)
        answer = json.loads(connection.getresponse().read())
        connection.close()
        processes.add(answer["predictions"][0]["id"].partition("-")[0])
        asked += 1
        time.sleep(0.01)
    return asked


def wait_for_rows(running: RunningService, rows: float) -> dict[str, float]:
    """Wait until so many are counted; a worker counts a request just after it has answered it."""
    eventually(lambda: running.metrics()["serving_rows_total"] == rows)
    return running.metrics()


def test_any_worker_answers_for_all(two: RunningService) -> None:
    asked = ask_until_both_answer(two)
    metrics = wait_for_rows(two, asked)
    assert metrics['serving_requests_total{path="/predict",status="200"}'] == asked
    assert metrics["serving_scores_count"] == asked
    assert metrics["serving_prediction_log_up"] == 1
    (info,) = (name for name in metrics if name.startswith("serving_model_info"))
    assert metrics[info] == 1


def test_a_killed_worker_is_replaced_and_what_it_counted_stays(two: RunningService) -> None:
    before = two.metrics()["serving_rows_total"]
    before = wait_for_rows(two, before + ask_until_both_answer(two))["serving_rows_total"]
    victim = min(old := workers(two))
    assert len(old) == 2
    os.kill(victim, signal.SIGKILL)
    eventually(lambda: len(workers(two) - {victim}) == 2 and victim not in workers(two))
    metrics = wait_for_rows(two, before + ask_until_both_answer(two))
    assert metrics["serving_prediction_log_up"] == 1
    said_alive = {int(file.stem.rpartition("_")[2]) for file in two.folder.rglob("gauge_live*.db")}
    assert said_alive == workers(two)


def test_workers_stop_together_and_leave_nothing(two: RunningService) -> None:
    gone = workers(two)
    assert two.stop() == 0
    assert not any(Path(f"/proc/{pid}").exists() for pid in gone)
    assert list((two.folder / "tmp").iterdir()) == []


def test_workers_that_cannot_start_are_not_tried_for_ever(trained: Project, tmp_path: Path) -> None:
    broken = RunningService(
        trained / "models", tmp_path, prediction_log_uri="gopher://x", workers=2
    )
    assert broken.process.wait(30) == 3
    assert "gopher" in broken.log
    assert "Traceback" not in broken.log


def test_a_port_that_is_taken_is_named(trained: Project, tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        broken = RunningService(trained / "models", tmp_path, port=port)
        assert broken.process.wait(20) == 1
    assert broken.log == (
        f"mlops.serving: cannot listen at 127.0.0.1:{port}: Address already in use; "
        "set HOST and PORT\n"
    )


def copy_model(trained: Project, folder: Path) -> Path:
    folder.mkdir()
    for name in (model_folder.ONNX, model_folder.FEATURES, model_folder.FACTS):
        (folder / name).write_bytes((trained / "models" / name).read_bytes())
    return folder


def test_a_model_that_cannot_be_served_is_refused_in_a_line(
    trained: Project, tmp_path: Path
) -> None:
    damaged = copy_model(trained, tmp_path / "damaged")
    (damaged / model_folder.ONNX).write_bytes((damaged / model_folder.ONNX).read_bytes()[:-1])
    old = copy_model(trained, tmp_path / "old")
    facts = json.loads((old / model_folder.FACTS).read_text())
    (old / model_folder.FACTS).write_text(json.dumps(facts | {"columns": []}))
    unread = copy_model(trained, tmp_path / "unread")
    (unread / "version.json").write_text("{")
    said = {
        tmp_path / "nowhere": "model.json is not there; run `dvc repro` to train",
        damaged: "model.onnx is damaged: its MD5 is",
        old: "because the model is from before the service; train it again",
        unread: "version.json is damaged",
    }
    started = {
        model: RunningService(model, tmp_path / f"{model.name}-run", workers=1 + (model == old))
        for model in said
    }
    for model, sentence in said.items():
        assert started[model].process.wait(20) == 1
        (line,) = [
            line for line in started[model].log.splitlines() if line.startswith("mlops.serving: ")
        ]
        assert sentence in line


def test_a_registered_version_says_which(service: Any, trained: Project, tmp_path: Path) -> None:
    model = copy_model(trained, tmp_path / "model")
    lineage = {"name": "flights", "version": 3, "commit": "c0ffee", "metrics": {"roc_auc": 0.7}}
    (model / "version.json").write_text(json.dumps(lineage))
    running = service(model)
    assert running.predict(running.example()).json()["model_version"] == "3"
    assert running.request("GET", "/ready").json()["model_version"] == "3"
    said = running.request("GET", "/model").json()
    assert said.items() >= (lineage | {"version": "3", "task": "binary"}).items()
    (info,) = (name for name in running.metrics() if name.startswith("serving_model_info"))
    assert 'commit="c0ffee",name="flights",version="3"' in info


def test_a_person_serves_the_trained_model_with_one_command(trained: Project) -> None:
    process = subprocess.Popen(
        ["mlops", "serve"],
        cwd=trained.folder,
        env=trained.environment | {"PORT": "0"},
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout
    port = json.loads(process.stdout.readline())["port"]
    while True:
        try:
            connection = http.client.HTTPConnection("127.0.0.1", port)
            connection.request("GET", "/model")
            break
        except OSError:
            time.sleep(0.02)
    said = json.loads(connection.getresponse().read())
    assert (said["name"], said["version"]) == ("flight-delays", "unregistered")
    assert said["model_md5"] == model_folder.load(trained / "models").facts.model_md5
    connection.close()
    process.send_signal(signal.SIGINT)
    assert process.wait(20) == 0
    assert json.loads(process.stdout.read().splitlines()[-1])["message"] == "stopped"
    refused = trained.run("mlops", "serve", "--export", "nowhere", fails=True)
    assert refused.stderr == (
        "mlops: nowhere/model/model.json is not there; run `dvc repro` to train\n"
    )


USED = """
import json, os, signal, sys, threading, urllib.request
from mlops.serving import server, settings

def ask():
    url = f"http://127.0.0.1:{os.environ['PORT']}"
    while True:
        try:
            model = json.load(urllib.request.urlopen(url + "/model"))
            break
        except OSError:
            pass
    row = {column["name"]: column["example"] for column in model["columns"]}
    body = json.dumps(row).encode()
    request = urllib.request.Request(url + "/predict", body, {"Content-Type": "application/json"})
    urllib.request.urlopen(request)
    for path in ("/live", "/ready", "/metrics", "/openapi.json", "/docs"):
        urllib.request.urlopen(url + path)
    files = [getattr(module, "__file__", None) for module in list(sys.modules.values())]
    print("USED", json.dumps([file for file in files if file and "site-packages" in file]))
    sys.stdout.flush()
    os.kill(os.getpid(), signal.SIGTERM)

threading.Thread(target=ask, daemon=True).start()
sys.exit(server.run(settings.read()))
"""


def test_nothing_is_imported_that_the_images_lock_does_not_name(
    trained: Project, tmp_path: Path
) -> None:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    settings = {"PORT": port, "MODEL_DIR": trained / "models", "DRAIN_SECONDS": 0}
    settings |= {"PREDICTION_LOG_URI": "s3://bucket/log", "PREDICTION_LOG_SPOOL": tmp_path}
    done = subprocess.run(
        [sys.executable, "-c", USED],
        env=os.environ
        | {"PYTHONPATH": str(ROOT / "src")}
        | {name: str(value) for name, value in settings.items()},
        capture_output=True,
        text=True,
        check=True,
    )
    (line,) = [line for line in done.stdout.splitlines() if line.startswith("USED ")]
    used = {
        Path(file).parts[Path(file).parts.index("site-packages") + 1].partition(".")[0].lower()
        for file in json.loads(line.removeprefix("USED "))
    }
    assert {"numpy", "onnxruntime", "uvicorn", "starlette", "msgspec"} <= used
    lock = (ROOT / "requirements-serve.txt").read_text()
    locked = {text.partition("==")[0].lower() for text in lock.splitlines() if "==" in text}
    modules = {name.replace("-", "_") for name in locked} | {"yaml"}
    # The last three: libraries of the lock use them where something else has brought them.
    of_this_environment = {"_virtualenv", "_distutils_hack", "multipart", "sniffio", "watchfiles"}
    assert used - of_this_environment - modules == set()
    assert not used & {"sklearn", "pandas", "mlflow", "skops", "joblib", "cloudpickle", "dill"}
    assert "fastapi" not in used  # for want of a src/model/routes.py
    # Its thread, asked for an answer while the process ends, aborts it, some times in a hundred.
    assert "obstore" in used
    assert "fsspec" not in used
