"""A real Prometheus with the project's own configuration, where one is installed."""

import json
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from pathlib import Path
from typing import Any

import pytest
import yaml
from projects import ROOT

MONITORING = ROOT / "deploy" / "monitoring"


def program(name: str, package: str) -> str:
    """Return where a program is, or skip the test."""
    path = shutil.which(name)
    if path is None:
        pytest.skip(f"{name} is not installed: apt-get install {package}")
    return path


def free_address() -> str:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return f"127.0.0.1:{free.getsockname()[1]}"


class Prometheus:
    """Collects one of the jobs in ``deploy/monitoring/prometheus.yml`` from an address, often."""

    def __init__(self, folder: Path, job: str, address: str) -> None:
        config = yaml.safe_load((MONITORING / "prometheus.yml").read_text(encoding="utf-8"))
        config["global"] = {"scrape_interval": "500ms", "evaluation_interval": "500ms"}
        (scraped,) = (it for it in config["scrape_configs"] if it["job_name"] == job)
        scraped.pop("dns_sd_configs", None)
        scraped["static_configs"] = [{"targets": [address]}]
        config["scrape_configs"] = [scraped]
        (folder / "prometheus.yml").write_text(yaml.safe_dump(config), encoding="utf-8")
        shutil.copy(MONITORING / "rules.yml", folder)
        self._address = free_address()
        self.process = subprocess.Popen(
            [
                *(program("prometheus", "prometheus"), "--config.file=prometheus.yml"),
                *(f"--storage.tsdb.path={folder}/data", "--log.level=error"),
                f"--web.listen-address={self._address}",
            ],
            cwd=folder,
        )

    def ask(self, path: str, **query: str) -> Any:
        url = f"http://{self._address}/api/v1/{path}?{urllib.parse.urlencode(query)}"
        with urllib.request.urlopen(url, timeout=10) as answer:
            return json.load(answer)["data"]

    def query(self, expression: str) -> list[dict[str, Any]]:
        return list(self.ask("query", query=expression)["result"])

    def wait_for(self, expression: str) -> None:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            try:
                if self.query(expression):
                    return
            except OSError:  # not up yet
                assert self.process.poll() is None
            time.sleep(0.1)
        raise AssertionError(f"never true: {expression}")

    def stop(self) -> None:
        self.process.terminate()
        self.process.wait(20)
