"""The image, really built from an export and really run. Needs a container engine."""

import json
import os
import re
import shlex
import socket
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path
from typing import Any

import boto3
import pytest
from docker_command import Docker
from moto.server import ThreadedMotoServer
from packaging.requirements import Requirement
from projects import MAKEFILE, ROOT, Project, copy_from_root

# The engine may have no network of its own; that of the machine is always there.
BUILD = "docker build --network host"
CONTEXT = ["deploy", ".dockerignore", "requirements-serve.txt", "requirements-serve-skops.txt"]
BASE = re.compile(r"^FROM (\S+) AS base$", re.MULTILINE)
ABSENT = "sklearn skops joblib cloudpickle dill pandas mlflow dvc scipy onnx pip setuptools"
LARGEST = 200e6  # bytes of site-packages
LOOK = """
import hashlib, importlib.util, json, pathlib, sys
from importlib.metadata import distributions as packages

app = pathlib.Path("/app")
files = [path for path in app.rglob("*") if path.is_file() and path.parts[2] != "venv"]
site = next(app.glob("venv/lib/python*/site-packages"))
print(json.dumps({
    "python": sys.version.split()[0],
    "installed": {it.name: it.version for it in packages(path=[str(site)])},
    "elsewhere": [it.name for it in packages() if it.locate_file("") != site],
    "importable": [name for name in sys.argv[1:] if importlib.util.find_spec(name)],
    "files": {str(it.relative_to(app)): hashlib.md5(it.read_bytes()).hexdigest() for it in files},
    "size": sum(it.lstat().st_size for it in site.rglob("*")),
}))
"""


@dataclass(frozen=True)
class Image:
    """An image, and the project that it was made of."""

    docker: Docker
    project: Project
    name: str

    @cached_property
    def content(self) -> dict[str, Any]:
        """What a look around in it finds."""
        run = ("run", "--rm", "--network", "none", "--entrypoint", "python", self.name)
        return dict(json.loads(self.docker(*run, "-c", LOOK, *ABSENT.split())))

    @cached_property
    def settings(self) -> dict[str, Any]:
        return dict(json.loads(self.docker("image", "inspect", self.name))[0]["Config"])

    @cached_property
    def sample(self) -> dict[str, Any]:
        """Rows, and the scores that they have offline."""
        return dict(json.loads((self.project / "build/image/sample.json").read_text()))


def copy_context(docker: Docker, folder: Path) -> None:
    """Copy what an image is built from besides code and model; on a base that the engine has."""
    for path in CONTEXT:
        copy_from_root(path, folder)
    if docker.base:
        dockerfile = folder / "deploy/Dockerfile"
        dockerfile.write_text(BASE.sub(f"FROM {docker.base} AS base", dockerfile.read_text()))


@pytest.fixture(scope="module")
def image(
    docker: Docker, trained: Project, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Image]:
    """What ``make image`` builds of the challenger."""
    project = trained.copy(tmp_path_factory.mktemp("image") / "project")
    copy_context(docker, project.folder)
    name = f"image-of-a-test-{os.getpid()}"  # none that somebody works with
    project.set(name=name)
    project.run("mlops", "compare")
    project.run("mlops", "register")
    begin = time.monotonic()
    make = ("make", "-f", str(MAKEFILE), "-o", ".venv/setup", "image", f"BUILD={BUILD}")
    project.run(*make)
    print(f"\nbuilt in {time.monotonic() - begin:.0f} s")
    yield Image(docker, project, f"{name}:1")
    docker("image", "rm", f"{name}:1")


@dataclass(frozen=True)
class Service:
    """A container of the image, as closed as it can be."""

    container: str
    volume: str
    url: str

    def ask(self, path: str, body: object = None) -> tuple[int, dict[str, Any]]:
        data = None if body is None else json.dumps(body).encode()
        request = urllib.request.Request(
            self.url + path, data, headers={"Content-Type": "application/json"}
        )
        try:
            with urllib.request.urlopen(request, timeout=10) as answer:
                return answer.status, json.load(answer)
        except urllib.error.HTTPError as error:
            return error.code, json.load(error)


@pytest.fixture
def running(image: Image) -> Iterator[Service]:
    volume = image.docker("volume", "create")
    log = ("--volume", f"{volume}:/predictions", "--env", "PREDICTION_LOG_URI=/predictions")
    with started(image.docker, "PORT", *log, "--env", "HOST=127.0.0.1", image.name) as service:
        yield replace(service, volume=volume)
    image.docker("volume", "rm", volume)


@contextmanager
def started(docker: Docker, port_is: str, *arguments: str) -> Iterator[Service]:
    """Run a container, as closed as it can be, at a free port that a variable names."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    container = docker(
        *("run", "--detach", "--network", "host", "--read-only", "--tmpfs", "/tmp"),
        *("--cap-drop", "ALL", "--security-opt", "no-new-privileges"),
        *("--env", f"{port_is}={port}", *arguments),
    )
    service = Service(container, "", f"http://127.0.0.1:{port}")
    try:
        wait_until_ready(service)
        yield service
    finally:
        docker("rm", "--force", container)


def wait_until_ready(service: Service) -> None:
    begin = time.monotonic()
    while time.monotonic() < begin + 30:
        try:
            if service.ask("/ready")[0] == 200:
                break
        except OSError:
            time.sleep(0.02)
    print(f"\nready {time.monotonic() - begin:.1f} s after docker run")


def locked(lock: str, python: str) -> dict[str, str]:
    """Return what a lock installs on Linux: name and version of each package."""
    found = {}
    for line in (ROOT / lock).read_text(encoding="utf-8").splitlines():
        if re.match(r"[A-Za-z0-9]", line):
            requirement = Requirement(line.removesuffix("\\"))
            here = {"python_full_version": python, "python_version": python.rpartition(".")[0]}
            if requirement.marker is None or requirement.marker.evaluate(here):
                found[requirement.name] = str(requirement.specifier).removeprefix("==")
    return found


def canonical(names: dict[str, str]) -> dict[str, str]:
    return {re.sub(r"[-_.]+", "-", name).lower(): version for name, version in names.items()}


def test_installed_is_what_the_lock_says_and_nothing_else(image: Image) -> None:
    found = image.content
    assert canonical(found["installed"]) == locked("requirements-serve.txt", found["python"])
    assert found["elsewhere"] == []
    assert found["importable"] == []


def test_it_is_small(image: Image) -> None:
    size = image.content["size"]
    print(f"\nsite-packages: {size / 1e6:.0f} MB")
    assert size <= LARGEST


def test_of_the_project_it_holds_the_machinery_and_the_exported_model(image: Image) -> None:
    sources, expected = [image.project / "src/mlops", image.project / "build/image/model"], {}
    for source, name in zip(sources, ("src/mlops", "model"), strict=True):
        for path in source.rglob("*"):
            if path.is_file() and path.suffix != ".pyc":
                expected[f"{name}/{path.relative_to(source)}"] = path
    expected["src/model/__init__.py"] = image.project / "src/model/__init__.py"
    found = {name: md5 for name, md5 in image.content["files"].items() if ".pyc" not in name}
    assert set(found) == set(expected)
    told = json.loads(expected["model/model.json"].read_text())
    assert found["model/model.onnx"] == told["model_md5"]
    for name, path in expected.items():
        with path.open("rb") as file:
            assert found[name] == md5(file.read()), name


def md5(content: bytes) -> str:
    import hashlib

    return hashlib.md5(content).hexdigest()


def test_bytecode_is_there_for_a_quick_start(image: Image) -> None:
    found = set(image.content["files"])
    tag = "cpython-" + "".join(image.content["python"].split(".")[:2])
    for name in found:
        if name.startswith("src/") and name.endswith(".py"):
            folder, _, stem = name.removesuffix(".py").rpartition("/")
            assert f"{folder}/__pycache__/{stem}.{tag}.pyc" in found


def test_its_settings_hold_no_secret_of_the_machine_that_built_it(image: Image) -> None:
    (base,) = BASE.findall((image.project / "deploy/Dockerfile").read_text())
    inherited = json.loads(image.docker("image", "inspect", base))[0]["Config"]["Env"] or []
    names = {it.partition("=")[0] for it in image.settings["Env"] if it not in inherited}
    assert names == {
        *("PATH", "PYTHONPATH", "PYTHONDONTWRITEBYTECODE", "PYTHONUNBUFFERED"),
        *("HOME", "HOST", "LD_LIBRARY_PATH", "PORT", "PREDICTION_LOG_SPOOL"),
    }
    assert image.settings["User"] == "10001:10001"


def test_it_says_what_it_is(image: Image) -> None:
    said = {
        key.removeprefix("org.opencontainers.image."): value
        for key, value in image.settings["Labels"].items()
        if key.startswith("org.opencontainers.image.")
    }
    commit = image.project.run("git", "rev-parse", "HEAD").stdout.strip()
    assert (said["version"], said["revision"]) == ("1", commit)
    assert "created" not in said  # the same files make the same image


def test_it_serves_with_no_right_to_anything(image: Image, running: Service) -> None:
    docker = image.docker
    status, ready = running.ask("/ready")
    told = json.loads((image.project / "build/image/model/model.json").read_text())
    assert (status, ready["model_version"]) == (200, "1")
    assert ready["model_md5"] == told["model_md5"]
    rows, scores = image.sample["rows"], image.sample["scores"]
    status, answer = running.ask("/predict", rows)
    assert status == 200, answer
    assert [it["score"] for it in answer["predictions"]] == pytest.approx(scores, abs=1e-5)
    assert running.ask("/predict", {"nonsense": 1})[0] == 422
    # The health check of the image is content, and the service may write to no file of its own.
    assert image.settings["Healthcheck"]["Test"][0] == "CMD"
    docker("exec", running.container, *image.settings["Healthcheck"]["Test"][1:])
    assert docker("exec", running.container, "id", "-u") == "10001"
    docker("exec", running.container, "touch", "/app/model/x", fails=True)
    docker("exec", running.container, "touch", "/predictions/x", "/tmp/x")


def test_sagemaker_starts_it_with_an_argument(image: Image) -> None:
    with started(image.docker, "SAGEMAKER_BIND_TO_PORT", image.name, "serve") as service:
        assert service.ask("/ping") == (200, {"ready": True})
        status, answer = service.ask("/invocations", image.sample["rows"])
        assert status == 200, answer
        scores = [it["score"] for it in answer["predictions"]]
        assert scores == pytest.approx(image.sample["scores"], abs=1e-5)


def test_with_the_layer_for_lambda_it_serves_and_writes_to_tmp_alone(
    image: Image, tmp_path: Path
) -> None:
    """With a stand-in for the adapter, whose registry cannot be reached from here."""
    docker, name = image.docker, f"{image.name}-lambda"
    dockerfile = (ROOT / "deploy/endpoint/lambda/Dockerfile").read_text(encoding="utf-8")
    stand_in = "FROM scratch AS adapter\nCOPY adapter /lambda-adapter"
    dockerfile, found = re.subn(r"(?m)^FROM \S+ AS adapter$", stand_in, dockerfile)
    assert found == 1
    (tmp_path / "Dockerfile").write_text(dockerfile)
    (tmp_path / "adapter").write_text("#!/bin/sh\n")
    (tmp_path / "adapter").chmod(0o755)
    docker("build", "--build-arg", f"IMAGE={image.name}", "--tag", name, str(tmp_path))
    cloud = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    cloud.start()
    url = f"http://127.0.0.1:{cloud.get_host_and_port()[1]}"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    s3: Any = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
    s3.create_bucket(Bucket="bucket")  # as the Dockerfile names it
    told = keys | {"aws_endpoint_url": url, "aws_default_region": "us-east-1", "host": "127.0.0.1"}
    settings = [it for key, value in told.items() for it in ("--env", f"{key.upper()}={value}")]
    try:
        with started(docker, "PORT", *settings, name) as service:
            docker("exec", service.container, "/opt/extensions/lambda-adapter")
            status, answer = service.ask("/predict", image.sample["rows"])
            assert (status, answer["logged"]) == (200, True)
            docker("stop", service.container)
        (entry,) = s3.list_objects_v2(Bucket="bucket", Prefix="predictions/")["Contents"]
        assert entry["Size"] > 0
    finally:
        cloud.stop()
        docker("image", "rm", name)


def test_sigterm_ends_it_in_time_and_with_every_record(image: Image, running: Service) -> None:
    docker, rows = image.docker, image.sample["rows"][:3]
    ids = [it["id"] for _ in range(20) for it in running.ask("/predict", rows)[1]["predictions"]]
    begin = time.monotonic()
    docker("stop", "--time", "20", running.container)
    seconds = time.monotonic() - begin
    print(f"\nended {seconds:.1f} s after SIGTERM")
    assert docker("inspect", "--format", "{{.State.ExitCode}}", running.container) == "0"
    assert seconds < 10
    script = "cat $(find /predictions -name '*.jsonl')"
    log = docker(
        *("run", "--rm", "--volume", f"{running.volume}:/predictions", "--entrypoint", "sh"),
        *(image.name, "-c", script),
    )
    records = [json.loads(line) for line in log.splitlines()]
    assert [record["id"] for record in records] == ids
    assert len(ids) == 60


def test_a_model_of_skops_brings_its_own_lock_and_a_router_its_file(
    docker: Docker, tmp_path: Path
) -> None:
    copy_context(docker, tmp_path)
    for path in ("src/mlops/project/errors.py", "src/model/__init__.py"):
        copy_from_root(path, tmp_path)
    (tmp_path / "src/model/routes.py").touch()
    (tmp_path / "build/image/model").mkdir(parents=True)
    (tmp_path / "build/image/model/model.skops").write_bytes(b"a model")
    # One library stands for all, which take a minute; tests/template/test_lock.py knows them.
    lock = tmp_path / "requirements-serve-skops.txt"
    (one,) = re.findall(r"^threadpoolctl==.*(?:\n    --hash.*)+", lock.read_text(), re.MULTILINE)
    lock.write_text(f"{one}\n")
    build = [*shlex.split(BUILD), "--quiet", "--file", "deploy/Dockerfile", "."]
    built = subprocess.run(build, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    name = built.stdout.strip().splitlines()[-1]
    content = Image(docker, Project(tmp_path), name).content
    assert list(content["installed"]) == ["threadpoolctl"]
    assert "src/model/routes.py" in content["files"]
