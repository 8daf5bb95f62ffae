"""Commands run with an engine where one can be had; elsewhere they run, and it is said loudly."""

import os
import re
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import docker_engine
import pytest

SILENT = "#!/bin/sh\necho Cannot connect to the Docker daemon >&2; exit 1\n"
ANSWERING = "#!/bin/sh\nexit 0\n"
MINE = "unix:///run/mine.sock"
NO_ENGINE = re.compile(
    r"# NO CONTAINER ENGINE: no image is built, and none is run "
    r"\((.* Docker daemon; root could start one|this is no Debian machine: apt-get is missing)\)\."
)


@pytest.fixture
def machine(tmp_path: Path) -> Path:
    """A folder of programs: a shell, and nothing that could get an engine."""
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("sh", "sleep"):
        (programs / name).symlink_to(str(shutil.which(name)))
    return programs


def start(machine: Path, docker: str, *command: str) -> "subprocess.Popen[str]":
    if docker:
        (machine / "docker").write_text(docker)
        (machine / "docker").chmod(0o755)
    return subprocess.Popen(
        [sys.executable, docker_engine.__file__, *command],
        env={
            "PATH": str(machine),
            "XDG_CACHE_HOME": str(machine.parent / "cache"),
            "DOCKER_HOST": MINE,
        },
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


@pytest.mark.parametrize("docker", [SILENT, ""], ids=["no engine", "no docker"])
def test_without_an_engine_the_command_runs_between_two_banners(machine: Path, docker: str) -> None:
    process = start(machine, docker, "sh", "-c", "echo ran with $DOCKER_HOST; exit 7")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (7, f"ran with {MINE}\n")
    if docker or os.geteuid() == 0:
        assert len(NO_ENGINE.findall(err)) == 2, err
    assert err.count("# NO PROMTOOL: tests that need it are skipped (this is no Debian") == 2
    assert err.count("#" * 100) == 4
    assert not list((machine.parent / "cache").rglob("dockerd.log"))  # nothing was tried


def test_an_engine_that_answers_is_used_as_it_is(machine: Path) -> None:
    process = start(machine, ANSWERING, "sh", "-c", "echo ran with $DOCKER_HOST")
    out, err = process.communicate(timeout=30)
    assert (process.returncode, out) == (0, f"ran with {MINE}\n")
    assert "ENGINE" not in err


def test_a_signal_reaches_the_command(machine: Path) -> None:
    process = start(machine, ANSWERING, "sh", "-c", "echo started; exec sleep 60")
    assert process.stdout is not None
    assert process.stdout.readline() == "started\n"
    process.send_signal(signal.SIGTERM)
    process.communicate(timeout=30)
    assert process.returncode == 128 + signal.SIGTERM
