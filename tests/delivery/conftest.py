"""Programs that are not in the lock: without them, tests skip."""

import re
import shutil

import pytest
from docker_command import Docker
from docker_engine import BASE
from places import Images
from projects import ROOT
from running_prometheus import program

HOW = "(where one can be had, it is used by: python3 tests/delivery/docker_engine.py make test)"


@pytest.fixture(scope="session")
def docker() -> Docker:
    """An engine in which ``deploy/Dockerfile`` can be built."""
    if shutil.which("docker") is None:
        pytest.skip(f"no container engine: no command docker {HOW}")
    docker = Docker()
    asked = docker.run("version")
    if asked.returncode != 0:
        pytest.skip(f"no container engine: {asked.stderr.strip().splitlines()[-1]} {HOW}")
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    (base,) = re.findall(r"^FROM (\S+) AS base$", dockerfile, re.MULTILINE)
    if docker.has(base):
        return docker
    if docker.has(BASE):  # an engine that reaches no registry: Debian's Python takes its place
        docker.base = BASE
        return docker
    pulled = docker.run("pull", base)
    if pulled.returncode != 0:
        pytest.skip(f"the container engine cannot pull {base}: {pulled.stderr.strip()} {HOW}")
    return docker


@pytest.fixture(scope="session")
def promtool() -> str:
    return program("promtool", "prometheus")


@pytest.fixture(scope="session")
def prometheus() -> str:
    return program("prometheus", "prometheus")


@pytest.fixture(scope="session")
def haproxy() -> str:
    """The proxy of deploy/host, as the double of ``docker`` runs it."""
    return program("haproxy", "haproxy")


@pytest.fixture(scope="session")
def images(tmp_path_factory: pytest.TempPathFactory) -> Images:
    """Versions of a tiny model as images, for the double of ``docker``."""
    return Images(tmp_path_factory.mktemp("images"))
