"""What `mlops deploy` takes for granted of `docker`: true of the double, and of an engine."""

import json
import os
import re
import shutil
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from places import CANDIDATE, CHAMPION, DOUBLES, REPOSITORY, Images, Place

from mlops.delivery.docker import UNKNOWN
from mlops.delivery.tunnel import free_port


@dataclass(frozen=True)
class Engine:
    """A command ``docker``, and two images in a repository: tags ``1`` and ``2``."""

    command: list[str]
    environment: dict[str, str]
    repository: str

    def run(self, *arguments: str) -> "subprocess.CompletedProcess[str]":
        return subprocess.run(
            [*self.command, *arguments],
            env={**os.environ, **self.environment},
            capture_output=True,
            text=True,
            check=False,
        )

    def __call__(self, *arguments: str) -> str:
        done = self.run(*arguments)
        assert done.returncode == 0, f"{arguments}: {done.stderr}"
        return done.stdout.strip()


@pytest.fixture(params=["double", "engine"])
def engine(request: pytest.FixtureRequest, images: Images, tmp_path: Path) -> Iterator[Engine]:
    if request.param == "double":
        place = Place.make(images, tmp_path / "place", "image")
        docker = Engine([str(DOUBLES / "docker")], place.environment, REPOSITORY)
        yield docker
        return
    request.getfixturevalue("docker")  # or skip
    if (registry := shutil.which("docker-registry")) is None:
        pytest.skip("there is no registry: apt-get install docker-registry")
    port, context = free_port(), tmp_path / "context"
    context.mkdir()
    config = {
        "version": 0.1,
        "storage": {"filesystem": {"rootdirectory": str(tmp_path / "registry")}},
        "http": {"addr": f"127.0.0.1:{port}"},
    }
    (tmp_path / "config.yml").write_text(json.dumps(config))
    command = [registry, "serve", str(tmp_path / "config.yml")]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
    docker = Engine(["docker"], {"DOCKER_BUILDKIT": "0"}, f"127.0.0.1:{port}/ada/flights")
    try:
        until = time.monotonic() + 20
        for version in (CHAMPION, CANDIDATE):
            (context / "Dockerfile").write_text(
                f"FROM scratch\nCOPY Dockerfile /\nLABEL version={version}\n"
            )
            name = f"{docker.repository}:{version}"
            docker("build", "--quiet", "--tag", name, str(context))
            while docker.run("push", name).returncode != 0:
                assert time.monotonic() < until, "the registry does not answer"
                time.sleep(0.2)
        yield docker
    finally:
        for version in (CHAMPION, CANDIDATE):
            docker.run("rmi", f"{docker.repository}:{version}")
        process.terminate()
        process.wait()


def test_a_tag_that_does_not_exist_is_said_to_be_unknown(engine: Engine) -> None:
    for unknown in (":none", f"@sha256:{'0' * 64}"):
        done = engine.run("pull", f"{engine.repository}{unknown}")
        assert done.returncode != 0
        assert any(words in done.stderr.lower() for words in UNKNOWN), done.stderr


def test_push_pull_and_inspect_agree_on_the_digest(engine: Engine) -> None:
    name = f"{engine.repository}:{CHAMPION}"
    pushed = re.search(r"digest: (sha256:[0-9a-f]{64})", engine("push", name))
    assert pushed
    assert f"Digest: {pushed[1]}" in engine("pull", name).splitlines()
    reference = f"{engine.repository}@{pushed[1]}"
    assert reference in json.loads(engine("inspect", "--format", "{{json .RepoDigests}}", name))
    # An engine that others use, too, may know the same image from another registry.
    first = engine("inspect", "--format", "{{index .RepoDigests 0}}", name)
    assert first.endswith(f"@{pushed[1]}")
    assert f"Digest: {pushed[1]}" in engine("pull", reference).splitlines()


def test_a_tag_moves_and_keeps_the_digest(engine: Engine) -> None:
    digests = []
    for version in (CHAMPION, CANDIDATE, CHAMPION):
        pulled = engine("pull", f"{engine.repository}:{version}")
        (digest,) = re.findall(r"^Digest: (\S+)$", pulled, re.MULTILINE)
        engine("tag", f"{engine.repository}@{digest}", f"{engine.repository}:production")
        engine("push", f"{engine.repository}:production")
        assert f"Digest: {digest}" in engine("pull", f"{engine.repository}:production")
        digests.append(digest)
    assert digests[0] == digests[2] != digests[1]


def test_what_is_not_there_is_an_error_except_to_remove_by_force(engine: Engine) -> None:
    for command in (["inspect"], ["port"], ["stop"], ["logs"], ["rm"]):
        assert engine.run(*command, "no-such-container").returncode != 0, command
    assert engine.run("rm", "--force", "--volumes", "no-such-container").returncode == 0


def test_the_double_refuses_what_it_does_not_know(images: Images, tmp_path: Path) -> None:
    place = Place.make(images, tmp_path / "place", "image")
    docker = Engine([str(DOUBLES / "docker")], place.environment, REPOSITORY)
    for arguments in (["swarm", "init"], ["run", "--privileged", "x"], ["ps", "--filtr", "x"]):
        done = docker.run(*arguments)
        assert done.returncode != 0
        assert "docker double: " in done.stderr, arguments
