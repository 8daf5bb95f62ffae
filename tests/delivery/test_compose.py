"""``deploy/compose.yaml``: pinned, closed to the network, and without a password of its own."""

import os
import re
import shutil
import subprocess
import tomllib
from pathlib import Path
from typing import Any

import pytest
import yaml
from projects import ROOT

DEPLOY = ROOT / "deploy"
STACK: dict[str, Any] = yaml.safe_load((DEPLOY / "compose.yaml").read_text(encoding="utf-8"))
SERVICES: dict[str, dict[str, Any]] = STACK["services"]
each_service = pytest.mark.parametrize("name", SERVICES)
REQUIRED = {"IMAGE": "model:3", "GRAFANA_PASSWORD": "a $b", "POSTGRES_PASSWORD": "c'd"}


def test_the_pieces_are_all_there() -> None:
    assert set(SERVICES) == {
        *("model", "prometheus", "pushgateway", "grafana", "mlflow", "postgres"),
    }


@each_service
def test_the_image_is_pinned(name: str) -> None:
    image = SERVICES[name]["image"]
    assert image.startswith("${IMAGE:?") or re.search(r":v?\d+\.\d+[\w.-]*$", image)


@each_service
def test_only_this_machine_can_reach_it(name: str) -> None:
    assert all(port.startswith("127.0.0.1:") for port in SERVICES[name].get("ports", []))
    assert "network_mode" not in SERVICES[name]


@each_service
def test_it_can_do_little_but_its_work(name: str) -> None:
    service = SERVICES[name]
    assert service["read_only"] is True
    assert service["cap_drop"] == ["ALL"]
    assert service["security_opt"] == ["no-new-privileges:true"]
    assert "privileged" not in service
    assert not [volume for volume in service["volumes"] if "docker.sock" in volume]
    # All that it keeps is in a volume; what it reads of the project it cannot change.
    mounted = [volume for volume in service["volumes"] if volume.startswith(".")]
    assert all(volume.endswith(":ro") for volume in mounted)
    for volume in mounted:
        assert (DEPLOY / volume.split(":")[0]).exists(), volume


@each_service
def test_it_says_whether_it_is_well(name: str) -> None:
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert "healthcheck" in SERVICES[name] or "HEALTHCHECK" in dockerfile
    assert SERVICES[name]["restart"] == "unless-stopped"


def test_the_server_is_as_new_as_its_client() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    (version,) = [it[8:] for it in project["dependencies"] if it.startswith("mlflow==")]
    assert SERVICES["mlflow"]["image"] == f"ghcr.io/mlflow/mlflow:v{version}-full"


def test_prometheus_finds_what_it_reads_by_name_and_port() -> None:
    config = yaml.safe_load((DEPLOY / "monitoring/prometheus.yml").read_text(encoding="utf-8"))
    service, drift = config["scrape_configs"]
    (found,) = service["dns_sd_configs"]
    assert found["names"] == ["model"]
    dockerfile = (DEPLOY / "Dockerfile").read_text(encoding="utf-8")
    assert f"\nEXPOSE {found['port']}\n" in dockerfile
    assert f" PORT={found['port']} " in dockerfile
    assert SERVICES["model"]["ports"] == [f"127.0.0.1:{found['port']}:{found['port']}"]
    (pushed,) = drift["static_configs"]
    assert pushed == {"targets": ["pushgateway:9091"]}
    assert SERVICES["pushgateway"]["ports"] == ["127.0.0.1:9091:9091"]


def test_no_password_is_written_down() -> None:
    secrets = [
        value
        for service in SERVICES.values()
        for key, value in service.get("environment", {}).items()
        if re.search("PASSWORD|KEY|SECRET|TOKEN", key)
    ]
    assert len(secrets) >= 4
    assert all(re.fullmatch(r"\$\{\w+:(\?.+|-)\}", value) for value in secrets)


def compose(
    tmp_path: Path, *arguments: str, **variables: str
) -> "subprocess.CompletedProcess[str]":
    """Run Docker Compose, as a plugin or by itself, where one is installed."""
    command = ["docker", "compose"]
    if subprocess.run([*command, "version"], capture_output=True, check=False).returncode:
        command = ["docker-compose"]
    if shutil.which(command[0]) is None:
        pytest.skip("there is no Docker Compose 2, and Debian has only 1: docs.docker.com/compose")
    kept = {key: value for key, value in os.environ.items() if key not in REQUIRED}
    return subprocess.run(
        [*command, "--file", str(DEPLOY / "compose.yaml"), *arguments],
        cwd=tmp_path,
        env=kept | variables,
        capture_output=True,
        text=True,
        check=False,
    )


def test_compose_understands_it(tmp_path: Path) -> None:
    done = compose(tmp_path, "config", **REQUIRED)
    assert done.returncode == 0, done.stderr
    services = yaml.safe_load(done.stdout)["services"]
    assert services["model"]["image"] == REQUIRED["IMAGE"]
    assert services["mlflow"]["environment"]["PGPASSWORD"] == REQUIRED["POSTGRES_PASSWORD"]
    assert services["postgres"]["environment"]["POSTGRES_PASSWORD"] == "c'd"
    password = services["grafana"]["environment"]["GF_SECURITY_ADMIN_PASSWORD"]
    assert password.replace("$$", "$") == REQUIRED["GRAFANA_PASSWORD"]


@pytest.mark.parametrize("variable", REQUIRED)
def test_compose_asks_for_what_has_no_default(tmp_path: Path, variable: str) -> None:
    others = {key: value for key, value in REQUIRED.items() if key != variable}
    done = compose(tmp_path, "config", **others)
    assert done.returncode != 0
    assert f"required variable {variable} is missing a value: set {variable}" in done.stderr
