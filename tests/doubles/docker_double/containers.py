"""A container: a process of this machine, with a port and volumes of its own."""

import hashlib
import os
import shutil
import subprocess
import sys
import time
from pathlib import Path

from docker_double.names import find_image, folder_of
from docker_double.registry import pull_one
from docker_double.state import CONTAINERS, STATE, daemon_error, free_port, read, write


def container(name: str) -> dict | None:
    for path in CONTAINERS.glob("*.json"):
        record = read(path)
        if name in (record["name"], record["id"], record["id"][:12]):
            return record
    return None


def the_container(name: str) -> dict:
    found = container(name)
    if found is None:
        daemon_error(f"No such container: {name}")
    return found


def alive(record: dict) -> bool:
    try:
        stat = Path(f"/proc/{record['pid']}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return False
    return (
        stat[0] not in "ZX" and stat[19] == record["started"]
    )  # the same process, not a later one


def published(name: str, ports: list[str]) -> dict[str, str]:
    """Map container ports to addresses of this machine, choosing where none is given."""
    found = {}
    promised = read(STATE / "addresses.json", {})
    for port in ports:
        *where, inside = port.split(":")
        host = where[0] if len(where) == 2 else "127.0.0.1"
        outside = where[-1] if where else ""
        host = "127.0.0.1" if host in ("", "0.0.0.0") else host
        inside = inside.removesuffix("/tcp")
        known = promised.get(f"{name}:{inside}")
        found[inside] = known or f"{host}:{int(outside) if outside else free_port()}"
    return found


def inside(value: str, mounts: dict[str, str]) -> str:
    """Translate a path in a mounted folder to the folder on this machine."""
    for path in sorted(mounts, key=len, reverse=True):
        if value == path or value.startswith(f"{path}/"):
            return mounts[path] + value[len(path) :]
    return value


def environment_of(image: Path, given: dict[str, str], record: dict) -> dict[str, str]:
    config = read(image / "config.json")
    mounts = record["mounts"]
    own = {
        name: value for name, value in config["Env"].items() if name not in ("PATH", "PYTHONPATH")
    }
    # By the last of these, what was started in a run is found when the run ends.
    inherited = ("LANG", "LC_ALL", "RUNNER_TRACKING_ID")
    env = {
        **{name: os.environ[name] for name in inherited if name in os.environ},
        "PATH": os.environ["PATH"],
        "HOME": record["folder"],
        "TMPDIR": record["folder"],
        **{name: value for name, value in own.items() if name not in ("HOME",)},
    }
    env |= given
    env = {name: inside(value, mounts) for name, value in env.items()}
    env["OMP_NUM_THREADS"] = "1"
    if (image / "haproxy.cfg").is_file():
        env["PORT"], env["OPERATORS_PORT"] = (
            address.split(":")[1] for address in record["ports"].values()
        )
        return env
    env |= {"MODEL_DIR": str(image / "model"), "PYTHONPATH": str(image / "src")}
    env.setdefault("PREDICTION_LOG_SPOOL", f"{record['folder']}/spool")
    if env["PREDICTION_LOG_SPOOL"].startswith("/predictions"):
        env["PREDICTION_LOG_SPOOL"] = f"{record['folder']}{env['PREDICTION_LOG_SPOOL']}"
    if record["ports"]:
        env["HOST"], port = next(iter(record["ports"].values())).split(":")
        env["PORT"] = port
    elif record["network"] != "host":
        env["HOST"] = "127.0.0.1"
        env["PORT"] = str(free_port())
    return env


def launch(record: dict) -> None:
    """Start the process of a container, which outlives this command."""
    image = folder_of(record["image_id"])
    folder = Path(record["folder"])
    env = environment_of(image, record["env"], record)
    if (image / "haproxy.cfg").is_file():
        command = ["haproxy", "-W", "-db", "-f", str(image / "haproxy.cfg")]
    else:
        command = [sys.executable, "-m", "mlops.serving"]
    with (folder / "log").open("ab") as log:
        process = subprocess.Popen(
            command,
            cwd=folder,
            env=env,
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,
        )
    stat = Path(f"/proc/{process.pid}/stat").read_text().rsplit(")", 1)[1].split()
    record |= {"pid": process.pid, "started": stat[19], "process_env": env, "stopped": False}
    write(CONTAINERS / f"{record['name']}.json", record)


def create(
    name: str,
    image: str,
    *,
    env: dict[str, str],
    ports: list[str],
    network: str = "bridge",
    volumes: list[str] = (),
    restart: str = "no",
    labels: dict[str, str] | None = None,
    settings: dict | None = None,
) -> dict:
    if container(name):
        daemon_error(f'Conflict. The container name "/{name}" is already in use', 125)
    if find_image(image) is None:
        pull_one(image)
    folder = CONTAINERS / f"{name}.folder"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    mounts = {}
    for volume in volumes:
        source, target = volume.split(":")[:2]
        host = Path(source) if source.startswith("/") else STATE / "volumes" / source
        first = not host.exists()
        host.mkdir(parents=True, exist_ok=True)
        mounts[target] = str(host)
        start = folder_of(find_image(image)) / "serves.map"
        if first and target == "/state" and start.is_file():
            shutil.copyfile(start, host / "serves.map")
    record = {
        "id": hashlib.sha256(f"{name}{time.time_ns()}".encode()).hexdigest(),
        "name": name,
        "image": image,
        "image_id": find_image(image),
        "env": env,
        "ports": published(name, ports),
        "network": network,
        "mounts": mounts,
        "restart": restart,
        "labels": labels or {},
        "settings": settings or {},
        "folder": str(folder),
    }
    launch(record)
    return record
