"""The SSH connection of target `compose`, to a real server on this machine."""

import http.server
import os
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from getpass import getuser
from pathlib import Path

import pytest

from mlops.delivery.tunnel import Tunnel, free_port
from mlops.project.errors import MlopsError

SSHD = shutil.which("sshd", path=f"{os.environ['PATH']}{os.pathsep}/usr/sbin")

needs_a_server = pytest.mark.skipif(
    SSHD is None, reason="there is no SSH server: apt-get install openssh-server"
)


@dataclass(frozen=True)
class Server:
    """An SSH server that lets in who holds ``key``."""

    folder: Path
    port: int

    def environment(self, host_key: str = "host.pub") -> dict[str, str]:
        kind, public, *_ = (self.folder / host_key).read_text().split()
        return {
            "DEPLOY_HOST": f"ssh://{getuser()}@127.0.0.1:{self.port}",
            "DEPLOY_SSH_KEY": (self.folder / "key").read_text(),
            "DEPLOY_KNOWN_HOSTS": f"[127.0.0.1]:{self.port} {kind} {public}",
            "DEPLOY_SOCKET": str(self.folder / "docker.sock"),
        }


@pytest.fixture
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    folder = tmp_path_factory.mktemp("ssh")
    for name in ("host", "key", "other"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / name)]
        subprocess.run(command, check=True)
    port = free_port()
    settings = {
        "Port": port,
        "ListenAddress": "127.0.0.1",
        "HostKey": folder / "host",
        "AuthorizedKeysFile": folder / "key.pub",
        "PidFile": "none",
        "StrictModes": "no",
        "UsePAM": "no",
        "PasswordAuthentication": "no",
    }
    config = folder / "sshd_config"
    config.write_text("".join(f"{name} {value}\n" for name, value in settings.items()))
    if os.geteuid() == 0:  # where it leaves its rights
        Path("/run/sshd").mkdir(mode=0o755, exist_ok=True)
    assert SSHD is not None
    process = subprocess.Popen([SSHD, "-D", "-f", str(config)], stderr=subprocess.DEVNULL)
    until = time.monotonic() + 10
    while time.monotonic() < until:
        with socket.socket() as probe:
            if probe.connect_ex(("127.0.0.1", port)) == 0:
                break
        time.sleep(0.05)
    yield Server(folder, port)
    process.terminate()
    process.wait()


@needs_a_server
def test_engine_and_ports_of_the_host_are_reached(server: Server) -> None:
    engine = socket.socket(socket.AF_UNIX)
    engine.bind(str(server.folder / "docker.sock"))
    engine.listen()
    threading.Thread(target=lambda: engine.accept()[0].sendall(b"engine"), daemon=True).start()
    handler = http.server.SimpleHTTPRequestHandler
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        tunnel = Tunnel(server.environment())
        try:
            scheme, _, path = tunnel.environment["DOCKER_HOST"].partition("://")
            assert scheme == "unix"
            with socket.socket(socket.AF_UNIX) as docker:
                docker.connect(path)
                assert docker.recv(6) == b"engine"
            address = tunnel.forward(f"127.0.0.1:{site.server_port}")
            assert address != f"http://127.0.0.1:{site.server_port}"
            assert tunnel.forward(f"0.0.0.0:{site.server_port}") == address
            port = int(address.rpartition(":")[2])
            with socket.create_connection(("127.0.0.1", port)) as asked:
                asked.sendall(b"HEAD / HTTP/1.0\r\n\r\n")
                assert asked.recv(100).startswith(b"HTTP/1.0 200")
            kept = Path(path).parent
            assert (kept / "key").stat().st_mode & 0o777 == 0o600
        finally:
            tunnel.close()
            site.shutdown()
    assert not kept.exists()  # the key, too
    engine.close()


@needs_a_server
def test_another_host_than_the_known_one_is_refused(server: Server) -> None:
    with pytest.raises(MlopsError, match="Host key verification failed"):
        Tunnel(server.environment(host_key="other.pub"))


@needs_a_server
def test_a_key_that_is_not_let_in_is_refused(server: Server) -> None:
    environment = server.environment()
    environment["DEPLOY_SSH_KEY"] = (server.folder / "other").read_text()
    with pytest.raises(MlopsError, match="Permission denied"):
        Tunnel(environment)


@pytest.mark.parametrize(
    ("environment", "why"),
    [
        ({}, "DEPLOY_HOST is not set; set it to ssh://user@host"),
        ({"DEPLOY_HOST": "https://host"}, "'https://host'; expected ssh://user@host"),
        ({"DEPLOY_HOST": "ssh://-oProxyCommand=x"}, "expected ssh://user@host"),
        ({"DEPLOY_HOST": "ssh://-oProxyCommand=x@host"}, "expected ssh://user@host"),
        ({"DEPLOY_HOST": "ssh://a@host", "DEPLOY_SSH_KEY": "k"}, "DEPLOY_KNOWN_HOSTS is not set"),
        ({"DEPLOY_HOST": "ssh://a@host:99999"}, "expected ssh://user@host"),
    ],
)
def test_settings_that_cannot_work_are_refused(environment: dict[str, str], why: str) -> None:
    with pytest.raises(MlopsError) as error:
        Tunnel(environment)
    assert why in str(error.value)
