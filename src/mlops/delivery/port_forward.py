"""``kubectl port-forward``: how this machine asks what runs in a cluster."""

import re
import subprocess
import threading
from collections.abc import Mapping, Sequence
from os import environ
from queue import Empty, Queue

from mlops.project.errors import MlopsError

FORWARDING = re.compile(r"Forwarding from (127\.0\.0\.1:\d+) -> ")
SECONDS = 30.0


class PortForward:
    """A port of this machine that leads to one pod, until ``close``."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], what: str) -> None:
        self._process = subprocess.Popen(
            [*command, "port-forward", "--address", "127.0.0.1", what, ":http"],
            env={**environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: Queue[str | None] = Queue()
        # Read to the end: it says a line for each connection, and would wait on a full pipe.
        threading.Thread(target=self._read, daemon=True).start()
        self.url = f"http://{self._address(what)}"

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.strip())
        self._lines.put(None)

    def _address(self, what: str) -> str:
        last = "it said nothing"
        try:
            while (line := self._lines.get(timeout=SECONDS)) is not None:
                last = line or last
                if match := FORWARDING.match(line):
                    return match[1]
        except Empty:
            last = f"nothing within {SECONDS:.0f} s"
        self.close()
        raise MlopsError(f"kubectl port-forward {what}: {last}")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
