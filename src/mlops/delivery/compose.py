"""Target ``compose``: a host with Docker, a proxy on it, and the service in two colours.

The new version starts in the colour that does not serve. The switch is one message to the proxy,
and so is the way back: the old colour runs on until the new one has served for a while.
"""

import csv
import io
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from mlops.delivery.docker import PORT, PULL_SECONDS, Docker, wait_until_ready
from mlops.delivery.tunnel import HOST, Tunnel
from mlops.project.errors import MlopsError

FILE = Path("deploy/host/compose.yaml")
COLOURS = ("blue", "green")
NONE = "none"
UP_SECONDS = 15.0
USERS, OPERATORS = 8080, 8081  # ports of the proxy; only the second has /metrics, /model and /docs
TLS = "TLS_FOLDER"  # on the host, with certificates: only with TLS may other machines ask

# HAProxy's runtime interface (management guide, 9.3): a command a line, over a socket.
ASK = 'exec 3<>"/dev/tcp/${ADMIN/://}" && printf "%s\\n" "$0" >&3 && cat <&3'
MAP = "${STATE}/serves.map"
# First the file, which a proxy that starts reads; then the proxy that runs. A reader of the file
# sees the old one or the new one, also after a power cut.
TELL = (
    f'printf "serves %s\\n" "$0" > "{MAP}.new" && sync && mv "{MAP}.new" "{MAP}" && sync && '
    f'exec 3<>"/dev/tcp/${{ADMIN/://}}" && printf "set map %s serves %s\\n" "{MAP}" "$0" >&3 && '
    "cat <&3"
)


class ComposeTarget:
    """Blue and green behind a proxy, on the host that ``DEPLOY_HOST`` names."""

    def __init__(self, name: str, environment: str, image: str) -> None:
        self.image = image
        # Compose allows a-z, 0-9, - and _; two environments may share a host.
        self.project = f"{name}-{environment}".lower().replace(".", "-")
        self.current: str | None = None
        self.candidate_url = self.champion_url = self.url = ""
        self.serving, self.idle = NONE, COLOURS[0]
        self.started = self.switched = False
        self._tunnel: Tunnel | None = None
        self.docker = Docker()
        self.proxy = Proxy(self.docker, self.container("proxy"))

    def container(self, service: str) -> str:
        return f"{self.project}-{service}-1"

    def look(self) -> str:
        self._tunnel = Tunnel(os.environ)
        self.docker = Docker(self._tunnel.environment)
        self.docker("version")
        self.proxy = Proxy(self.docker, self.container("proxy"))
        if not self.runs("proxy"):
            if self.docker.run("inspect", self.container("proxy")).returncode == 0:
                raise MlopsError(
                    f"{self.container('proxy')} is there but does not run, so nobody can say which "
                    f"colour serves; on the host: docker start {self.container('proxy')}"
                )
            return f"{self.project}: nothing runs yet on {self._tunnel.host}"
        self.serving = self.proxy.serves()
        if self.serving == NONE:
            return f"{self.project}: no colour serves yet"
        self.idle = next(colour for colour in COLOURS if colour != self.serving)
        if not self.runs(self.serving):
            return f"{self.serving} should serve, but does not run"
        image = ("inspect", "--format", "{{.Config.Image}}", self.container(self.serving))
        self.current = self.docker(*image)
        return f"{self.serving} serves {self.current}"

    def start(self) -> str:
        self.started = True
        if not self.runs("proxy"):
            self.compose("up", "--detach", "--build", "--no-deps", "proxy", timeout=PULL_SECONDS)
        # The variable of the other colour is not read: compose leaves that service alone.
        self.compose(
            *("up", "--detach", "--no-deps", "--force-recreate", self.idle),
            timeout=PULL_SECONDS,
            **{f"{self.idle.upper()}_IMAGE": self.image},
        )
        self.candidate_url = self.reach(self.idle)
        wait_until_ready(self.docker, self.container(self.idle), self.candidate_url)
        return f"{self.idle} runs {self.image}"

    def start_champion(self) -> str:
        self.champion_url = self.reach(self.serving)
        return f"{self.serving} serves meanwhile"

    def switch(self) -> str:
        self.proxy.wait_until_up(self.idle)
        self.switched = True
        self.proxy.send_to(self.idle)
        self.url = self.reach_proxy()
        return f"requests go to {self.idle}"

    def confirm(self) -> str:
        if (serving := self.proxy.serves()) != self.idle:
            raise MlopsError(f"{serving} serves, expected {self.idle}")
        return f"the proxy sends to {self.idle}"

    def watch(self, look: Callable[[str], str]) -> str:
        return look(self.url)

    def settle(self) -> str:
        if self.serving == NONE:
            return "there was nothing before it"
        # Stopped, not removed: `docker start` by hand brings it back without a registry.
        self.compose("stop", self.serving)
        return f"{self.serving} is stopped"

    def undo(self) -> str:
        if not self.started:
            return f"nothing was touched on {os.environ.get(HOST) or 'any host'}"
        if self.switched:
            if self.serving != NONE and not self.runs(self.serving):
                self.docker("start", self.container(self.serving))
            self.proxy.send_to(self.serving)
        self.compose("stop", self.idle)  # its log stays, to be looked at
        if self.serving == NONE:
            return "nothing serves, as before"
        return f"{self.serving} serves {self.current or 'nothing, as before'}"

    def close(self) -> None:
        if self._tunnel is not None:
            self._tunnel.close()

    def compose(self, *arguments: str, timeout: float = 120.0, **images: str) -> str:
        docker = Docker({**self.docker.environment, **exposed(os.environ), **images})
        file = ("--file", str(FILE), "--project-name", self.project)
        return docker("compose", *file, *arguments, timeout=timeout)

    def runs(self, service: str) -> bool:
        found = self.docker.run(
            "inspect", "--format", "{{.State.Running}}", self.container(service)
        )
        return found.returncode == 0 and found.stdout.strip() == "true"

    def reach(self, service: str, port: int = PORT) -> str:
        assert self._tunnel is not None
        published = self.docker("port", self.container(service), f"{port}/tcp")
        return self._tunnel.forward(published.splitlines()[0])

    def reach_proxy(self) -> str:
        try:
            return self.reach("proxy", OPERATORS)
        except MlopsError:  # one that was built before it had this port
            return self.reach("proxy", USERS)


def exposed(environment: Mapping[str, str]) -> dict[str, str]:
    """Return where users ask, as far as ``environment`` does not say: everywhere only with TLS."""
    default = {"HTTP_ADDRESS": "127.0.0.1", "HTTP_PORT": "80"}
    if environment.get(TLS):
        default = {"HTTP_ADDRESS": "0.0.0.0", "HTTP_PORT": "443"}  # noqa: S104 - with TLS
    return {name: environment.get(name) or value for name, value in default.items()}


@dataclass(frozen=True)
class Proxy:
    """HAProxy in the container ``name``."""

    docker: Docker
    name: str

    def ask(self, script: str, argument: str) -> str:
        return self.docker("exec", self.name, "bash", "-c", script, argument)

    def serves(self) -> str:
        """Return the colour that requests go to at this moment, or ``none``."""
        told = self.docker(
            "exec", self.name, "bash", "-c", ASK.replace('"$0"', f'"show map {MAP}"')
        )
        for line in told.splitlines():
            match line.split():
                case [_, "serves", colour] if colour in (*COLOURS, NONE):
                    return colour
        raise MlopsError(f"the proxy {self.name} does not say which colour serves: {told!r}")

    def send_to(self, colour: str) -> None:
        """Send all new requests to ``colour``; those under way end where they began."""
        said = self.ask(TELL, colour)
        if said or (found := self.serves()) != colour:
            raise MlopsError(f"the proxy did not switch to {colour}: {said or found}")

    def is_up(self, colour: str) -> bool:
        """Say whether the proxy itself finds ``colour`` ready."""
        told = self.ask(ASK, "show stat")
        rows = csv.DictReader(io.StringIO(told.removeprefix("# ")))
        return any(
            row["pxname"] == colour and row["svname"] == "service" and row["status"] == "UP"
            for row in rows
        )

    def wait_until_up(self, colour: str) -> None:
        until = time.monotonic() + UP_SECONDS
        while not self.is_up(colour):
            if time.monotonic() > until:
                raise MlopsError(f"the proxy does not find {colour} ready in {UP_SECONDS:.0f} s")
            time.sleep(0.2)
