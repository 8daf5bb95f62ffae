"""MLflow's own pages on the registry: served from here, or named where a server has them."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml
from projects import MAKEFILE, Project
from toy_project import NAME, ToyProject, refused, truncate

from mlops.project import files
from mlops.registry import model_version, tracking, ui


@pytest.fixture
def free_port() -> int:
    with socket.socket() as free:
        free.bind((ui.HOST, 0))
        return int(free.getsockname()[1])


@pytest.fixture
def pages(project: ToyProject, free_port: int) -> Iterator[str]:
    """Where `mlops ui` serves the registry, and what it printed, in ui.log."""
    files.PARAMS.write_text(yaml.safe_dump(project.params.model_dump(mode="json")))
    command = [Path(sys.executable).with_name("mlops"), "ui", "--port", str(free_port)]
    with Path("ui.log").open("wb") as log:
        process = subprocess.Popen(command, stdout=log, stderr=log, start_new_session=True)
    try:
        address = f"http://{ui.HOST}:{free_port}"
        wait_for(address, process)
        yield address
    finally:
        os.killpg(process.pid, signal.SIGINT)  # as Ctrl-C does
        process.wait(20)


def wait_for(address: str, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(600):
        try:
            urllib.request.urlopen(f"{address}/health").close()
            return
        except OSError:
            assert process.poll() is None, Path("ui.log").read_text()
            time.sleep(0.1)
    raise AssertionError(Path("ui.log").read_text())


def ask(address: str) -> Any:
    with urllib.request.urlopen(address) as answer:
        return json.load(answer)


def test_the_pages_show_versions_and_their_files(pages: str) -> None:
    api = f"{pages}/api/2.0/mlflow"
    (registered,) = ask(f"{api}/registered-models/search")["registered_models"]
    assert registered["name"] == NAME
    assert {one["alias"]: one["version"] for one in registered["aliases"]} == {
        "champion": "1",
        "challenger": "2",
    }
    version = ask(f"{api}/model-versions/get?name={NAME}&version=1")["model_version"]
    listed = ask(f"{api}/artifacts/list?run_id={version['run_id']}")["files"]
    assert [one["path"] for one in listed] == ["versions"]
    facts = ask(f"{pages}/model-versions/get-artifact?name={NAME}&version=1&path=model.json")
    assert facts["target"] == "late"
    with urllib.request.urlopen(pages) as page:
        assert b"<title>MLflow</title>" in page.read()
    said = Path("ui.log").read_text().splitlines()
    assert said[0] == (
        f"MLflow on {Path.cwd()}/.store/mlflow.db, in a few seconds: {pages} (Ctrl-C stops it)"
    )
    assert "`mlops promote`" in said[1]
    assert "Traceback" not in "".join(said)
    assert {path.name for path in Path.cwd().iterdir()}.isdisjoint({"mlruns", "mlartifacts"})
    assert model_version.standing(tracking.connect(reading=True), NAME)["champion"] == 1


def test_where_there_is_no_registry_yet_it_says_how_to_get_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv(tracking.URI, raising=False)
    sentence = refused(lambda: ui.run(5000))
    assert sentence.startswith(f"there is no registry yet ({tmp_path}/.store/mlflow.db); ")
    assert "`make repro` makes one" in sentence
    assert "`mlops store pull`" in sentence
    assert not files.STORE.exists()


def test_of_a_server_only_the_address_is_printed_without_its_password(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv(tracking.URI, "https://amelia:secret@mlflow.example.com/a")
    ui.run(5000)
    assert capsys.readouterr().out == "The registry is a server: https://mlflow.example.com/a\n"


def test_a_port_that_is_taken_is_named_before_anything_starts(project: ToyProject) -> None:
    with socket.socket() as other:
        other.bind((ui.HOST, 0))
        other.listen()
        port = other.getsockname()[1]
        sentence = refused(lambda: ui.run(port))
    assert sentence.startswith(f"port {port} is not to be had (Address already in use)")
    assert f"`make ui PORT={port + 1}`" in sentence


def test_a_damaged_registry_is_not_shown(project: ToyProject) -> None:
    truncate()
    assert "mlflow.db is damaged (" in refused(lambda: ui.run(5000))


def test_make_hands_on_the_port(new_project: Project) -> None:
    make = ("make", "--file", str(MAKEFILE), "--old-file", ".venv/setup", "ui")
    assert "there is no registry yet (" in new_project.run(*make, fails=True).stderr
    assert "Invalid value for '--port'" in new_project.run(*make, "PORT=70000", fails=True).stderr
