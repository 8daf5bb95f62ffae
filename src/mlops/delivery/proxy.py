"""The proxy of the target ``compose``: which colour it sends requests to, asked and told."""

import csv
import io
import time
from dataclasses import dataclass

from mlops.delivery.docker import Docker
from mlops.project.errors import MlopsError

COLOURS = ("blue", "green")
NONE = "none"
UP_SECONDS = 15.0

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
