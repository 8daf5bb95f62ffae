"""A service in a process of its own, asked over real HTTP."""

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import urllib3
from projects import ROOT

JSON = {"Content-Type": "application/json"}
PATIENCE = 20.0  # seconds to start or to stop, on a machine that is busy with other tests


@dataclass(frozen=True)
class Answer:
    """What the service answered."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def error(self) -> dict[str, str]:
        """The error, which is all that the body holds."""
        (error,) = self.json().values()
        assert set(error) == {"kind", "message", "request_id"}
        assert error["request_id"] == self.headers["X-Request-ID"]
        return dict(error)


class RunningService:
    """``python -m mlops.serving`` on a free port, with settings as keyword arguments.

    ``RunningService(models, tmp_path, api_key="secret")`` sets ``API_KEY``. With one process it
    stops as soon as it is told to; set ``drain_seconds`` to have it wait. A ``prefix`` is a command
    that starts it; ``arguments`` are the service's own.
    """

    def __init__(
        self,
        model: Path,
        folder: Path,
        *prefix: str,
        arguments: Sequence[str] = (),
        **settings: Any,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._log = folder / "service.log"
        given = {"drain_seconds": 0, "port": 0, "model_dir": model} | settings
        inherited = {"PATH", "HOME", "LANG", "TMPDIR", "OMP_NUM_THREADS"}
        clock = ("LD_PRELOAD", "FAKETIME")  # of whoever runs the tests on another day
        kept = {
            name: value
            for name, value in os.environ.items()
            if name in inherited or name.startswith(clock)
        }
        with self._log.open("wb") as log:
            self.process = subprocess.Popen(
                [*prefix, sys.executable, "-m", "mlops.serving", *arguments],
                cwd=folder,
                env=kept
                | {"PYTHONPATH": str(ROOT / "src")}
                | {name.upper(): str(value) for name, value in given.items()},
                stdout=log,
                stderr=subprocess.STDOUT,
            )
        self._pool = urllib3.PoolManager(retries=False, timeout=PATIENCE)

    def wait(self) -> "RunningService":
        """Wait until it answers."""
        self.url = f"http://127.0.0.1:{self._port()}"
        while True:
            try:
                assert self.request("GET", "/live").json() == {"status": "live"}
                return self
            except urllib3.exceptions.HTTPError:
                assert self.process.poll() is None, self.log
                time.sleep(0.01)

    def _port(self) -> int:
        deadline = time.monotonic() + PATIENCE
        while time.monotonic() < deadline and self.process.poll() is None:
            for line in self.log.splitlines():
                if (
                    line.startswith("{")
                    and line.endswith("}")
                    and "port" in (said := json.loads(line))
                ):
                    return int(said["port"])
            time.sleep(0.01)
        raise AssertionError(f"the service did not start\n{self.log}")

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        got = self._pool.request(method, self.url + path, body=body, headers=headers)
        return Answer(got.status, got.headers, got.data)

    def reconnect(self) -> None:
        """Ask on new connections from now on."""
        self._pool.clear()

    def predict(self, rows: Any, **headers: str) -> Answer:
        """Ask for the predictions of a row or of a list of rows."""
        return self.request("POST", "/predict", json.dumps(rows).encode(), JSON | headers)

    def example(self) -> dict[str, Any]:
        """Return a row that the service takes."""
        columns = self.request("GET", "/model").json()["columns"]
        return {column["name"]: column["example"] for column in columns}

    def metrics(self) -> dict[str, float]:
        """Return all samples, by name and labels as they are written."""
        text = self.request("GET", "/metrics").body.decode()
        lines = [line for line in text.splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    @property
    def log(self) -> str:
        """All that it printed."""
        return self._log.read_text(encoding="utf-8")

    def lines(self, message: str) -> list[dict[str, Any]]:
        """Return the lines of its log with this message."""
        found = [json.loads(line) for line in self.log.splitlines()]
        return [line for line in found if line["message"] == message]

    def terminate(self) -> None:
        self.process.send_signal(signal.SIGTERM)

    def stop(self) -> int:
        """Stop it as an orchestrator does; returns the exit code."""
        self.terminate()
        self._pool.clear()
        return self.process.wait(PATIENCE)

    def kill(self) -> None:
        """Stop it with kill -9."""
        self.process.kill()
        self.process.wait()
