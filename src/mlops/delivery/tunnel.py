"""One SSH connection to a host: to its engine, and to ports that only the host itself can reach."""

import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import urlsplit

from mlops.project.errors import MlopsError

HOST, SOCKET = "DEPLOY_HOST", "DEPLOY_SOCKET"
KEY, KNOWN_HOSTS = "DEPLOY_SSH_KEY", "DEPLOY_KNOWN_HOSTS"
ENGINE = "/var/run/docker.sock"
LOCAL = "local"
CONNECT_SECONDS = 20.0


class Tunnel:
    """An open connection; ``environment`` makes the command ``docker`` use it.

    Not ``DOCKER_HOST=ssh://``: that takes keys and known hosts from the home folder only, connects
    anew for each command, and reaches no port of the host.
    """

    def __init__(self, environment: Mapping[str, str]) -> None:
        self.environment: dict[str, str] = {}
        self._process: subprocess.Popen[str] | None = None
        self._folder = Path(tempfile.mkdtemp(prefix="mlops-"))
        self._forwarded: dict[int, int] = {}
        self.host = environment.get(HOST, "")
        try:
            self._command = self._base(environment)
            if self.host != LOCAL:
                self._open(environment.get(SOCKET) or ENGINE)
        except BaseException:
            self.close()
            raise

    def _base(self, environment: Mapping[str, str]) -> list[str]:
        """Return the ``ssh`` command line with the keys of the environment."""
        if self.host == LOCAL:
            return []
        if not self.host:
            raise MlopsError(
                f"{HOST} is not set; set it to ssh://user@host (deploy/host/README.md), "
                f"or to {LOCAL} for the engine of this machine"
            )
        user, hostname, port = self._parts()
        command = ["ssh", "-T", "-S", str(self._folder / "control")]
        options = ["BatchMode=yes", "ExitOnForwardFailure=yes", "ServerAliveInterval=10"]
        options += [f"ConnectTimeout={CONNECT_SECONDS:.0f}"]
        if key := environment.get(KEY):
            if not (known := environment.get(KNOWN_HOSTS, "").strip()):
                raise MlopsError(
                    f"{KNOWN_HOSTS} is not set; set it to what `ssh-keyscan {hostname}` "
                    "prints, after comparing it with the host's own key"
                )
            self._write("key", f"{key.strip()}\n")
            self._write("known_hosts", f"{known}\n")
            command += ["-F", "none", "-i", str(self._folder / "key")]
            options += [f"UserKnownHostsFile={self._folder / 'known_hosts'}", "IdentitiesOnly=yes"]
            options += ["GlobalKnownHostsFile=none", "StrictHostKeyChecking=yes"]
        for option in options:
            command += ["-o", option]
        if port:
            command += ["-p", str(port)]
        return [*command, f"{user}@{hostname}" if user else hostname]

    def _parts(self) -> tuple[str | None, str, int | None]:
        address = self.host if "://" in self.host else f"ssh://{self.host}"
        try:
            parts = urlsplit(address)
            user, hostname, port = parts.username, parts.hostname, parts.port
        except ValueError:
            user, hostname, port = None, None, None
        # What begins with a hyphen would be an option of ssh.
        begins = (user or "u")[0], (hostname or "-")[0]
        if not address.startswith("ssh://") or not hostname or "-" in begins:
            raise MlopsError(f"{HOST} is {self.host!r}; expected ssh://user@host or :port after it")
        return user, hostname, port

    def _write(self, name: str, text: str) -> None:
        (self._folder / name).touch(mode=0o600)
        (self._folder / name).write_text(text)

    def _open(self, engine: str) -> None:
        here = self._folder / "docker.sock"
        *options, host = self._command
        try:
            self._process = subprocess.Popen(
                [*options, "-M", "-N", "-L", f"{here}:{engine}", host],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.PIPE,
                text=True,
            )
        except FileNotFoundError:
            raise MlopsError("the command ssh is not there; install OpenSSH") from None
        until = time.monotonic() + CONNECT_SECONDS + 10
        while not (self._folder / "control").exists():
            if self._process.poll() is not None:
                assert self._process.stderr is not None
                said = self._process.stderr.read().strip().splitlines()
                raise MlopsError(f"ssh to {self.host}: {said[-1].strip() if said else 'failed'}")
            if time.monotonic() > until:
                raise MlopsError(f"ssh to {self.host} did not connect in time")
            time.sleep(0.05)
        self.environment = {"DOCKER_HOST": f"unix://{here}"}

    def forward(self, address: str) -> str:
        """Return the URL by which this machine reaches ``127.0.0.1:port`` of the host."""
        port = int(address.rpartition(":")[2])
        if self.host == LOCAL:
            return f"http://127.0.0.1:{port}"
        if port not in self._forwarded:
            here = free_port()
            *options, host = self._command
            where = f"127.0.0.1:{here}:127.0.0.1:{port}"
            done = subprocess.run(
                [*options, "-O", "forward", "-L", where, host],
                capture_output=True,
                text=True,
                timeout=CONNECT_SECONDS,
                check=False,
            )
            if done.returncode != 0:
                raise MlopsError(f"ssh to {self.host}: no way to its port {port}: {done.stderr}")
            self._forwarded[port] = here
        return f"http://127.0.0.1:{self._forwarded[port]}"

    def close(self) -> None:
        if self._process is not None:
            self._process.terminate()
            self._process.wait()
            if self._process.stderr is not None:
                self._process.stderr.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def free_port() -> int:
    """Return a port of this machine that nobody uses now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
