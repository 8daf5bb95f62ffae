"""The ``docker`` command, and one container that runs the service for a while."""

import os
import time
from collections.abc import Mapping
from dataclasses import dataclass

from mlops.delivery.command import Command, last_line
from mlops.delivery.tunnel import free_port
from mlops.project.errors import MlopsError
from mlops.trial.service_client import NoAnswerError, Service

PORT = 8000  # in the container; EXPOSE of deploy/Dockerfile
START_SECONDS = 60.0
PULL_SECONDS = 600.0

# What the service needs of an engine: no right to become root, nothing to write to but /tmp.
CONFINED = [
    *("--read-only", "--tmpfs", "/tmp", "--cap-drop", "ALL"),  # noqa: S108 - the container's own
    *("--security-opt", "no-new-privileges", "--memory", "1g", "--pids-limit", "256"),
]
# What registries answer when a tag or digest does not exist.
UNKNOWN = ("manifest unknown", "not found", "manifest_unknown")


class UnknownImageError(MlopsError):
    """The registry answers, and has no such tag."""


class Docker(Command):
    """``docker``, possibly of another engine: ``DOCKER_HOST`` in its environment says which."""

    def __init__(self, environment: Mapping[str, str] | None = None) -> None:
        super().__init__("docker", environment or {})

    def pull(self, image: str) -> str:
        """Pull an image and return its digest in the registry, ``sha256:...``.

        Raises
        ------
        UnknownImageError
            When the registry has no such tag or digest.
        """
        done = self.run("pull", image, timeout=PULL_SECONDS)
        if done.returncode != 0:
            said = last_line(done)
            unknown = any(words in said.lower() for words in UNKNOWN)
            raise (UnknownImageError if unknown else MlopsError)(f"docker pull {image}: {said}")
        # Not from RepoDigests: that names a platform's image where the tag names an index of them.
        for line in done.stdout.splitlines():
            if line.startswith("Digest: "):
                return line.removeprefix("Digest: ").strip()
        raise MlopsError(f"docker pull {image} did not say a digest")

    def tag(self, image: str, tag: str) -> None:
        """Let ``tag`` in the registry name the very manifest that ``image`` names by digest."""
        if self.run("buildx", "version").returncode == 0:
            # The registry copies the manifest: `docker push` would write another one, with another
            # digest, when the image was built with an attestation.
            self("buildx", "imagetools", "create", "--prefer-index=false", "--tag", tag, image)
        else:
            self("tag", image, tag)
            self("push", tag, timeout=PULL_SECONDS)


@dataclass
class Container:
    """The service from an image, on a port of this machine, until ``remove``."""

    docker: Docker
    name: str
    url: str = ""

    def start(self, image: str) -> str:
        """Start it and wait until it is ready; returns its address."""
        self.remove()  # left by a deployment that was killed
        if os.environ.get("DEPLOY_NETWORK") == "host":
            port = free_port()
            network = ["--network", "host", "--env", "HOST=127.0.0.1", "--env", f"PORT={port}"]
            address = f"127.0.0.1:{port}"
        else:
            network, address = ["--publish", f"127.0.0.1::{PORT}"], ""
        self.docker("run", "--detach", "--name", self.name, *network, *CONFINED, image)
        # Without a port of ours, the engine has chosen one.
        address = address or self.docker("port", self.name, f"{PORT}/tcp").splitlines()[0]
        self.url = f"http://{address}"
        wait_until_ready(self.docker, self.name, self.url)
        return self.url

    def remove(self) -> None:
        self.docker.run("rm", "--force", "--volumes", self.name)


def wait_until_ready(docker: Docker, name: str, url: str) -> None:
    """Wait until the service at ``url`` is ready, and no longer than its container lives."""
    until = time.monotonic() + START_SECONDS
    while not is_ready(url):
        if docker("inspect", "--format", "{{.State.Running}}", name) != "true":
            raise MlopsError(f"the container ended at once: {last_words(docker, name)}")
        if time.monotonic() > until:
            raise MlopsError(f"not ready within {START_SECONDS:.0f} s: {last_words(docker, name)}")
        time.sleep(0.1)


def is_ready(url: str) -> bool:
    try:
        with Service(url, timeout=5.0) as service:
            return service.get("/ready").status == 200
    except NoAnswerError:
        return False


def last_words(docker: Docker, name: str) -> str:
    done = docker.run("logs", "--tail", "3", name)
    return " ".join((done.stdout + done.stderr).split()) or "it said nothing"
