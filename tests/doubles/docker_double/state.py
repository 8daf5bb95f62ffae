"""Where the double keeps what it knows, and how it fails."""

import contextlib
import fcntl
import json
import os
import re
import shlex
import socket
import sys
from pathlib import Path
from typing import NoReturn

STATE = Path(os.environ["DOCKER_DOUBLE"])
IMAGES, REGISTRY, CONTAINERS = STATE / "images", STATE / "registry", STATE / "containers"
CODE = STATE / "code"
TAGS = STATE / "tags.json"


def fail(message: str, code: int = 1) -> NoReturn:
    print(message, file=sys.stderr)
    sys.exit(code)


def daemon_error(message: str, code: int = 1) -> NoReturn:
    fail(f"Error response from daemon: {message}", code)


def read(path: Path, default=None):
    return json.loads(path.read_text()) if path.is_file() else default


def write(path: Path, value) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    new = path.with_name(f".{path.name}.{os.getpid()}")
    new.write_text(json.dumps(value, indent=1))
    new.replace(path)


@contextlib.contextmanager
def locked():
    STATE.mkdir(parents=True, exist_ok=True)
    with (STATE / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def told_to_fail(said: str) -> bool:
    wanted = os.environ.get("DOCKER_DOUBLE_FAIL", "")
    number, _, rest = wanted.partition(" ")
    if number.isdigit():
        wanted = rest
    if not wanted or not re.search(wanted, said):
        return False
    calls = STATE / "calls.jsonl"
    lines = calls.read_text().splitlines() if calls.is_file() else []
    before = sum(
        re.search(wanted, shlex.join(json.loads(line)["arguments"])) is not None for line in lines
    )
    return not number.isdigit() or before + 1 == int(number)


def told_to_kill(said: str) -> bool:
    wanted = STATE / "kill"
    if not wanted.is_file() or not re.search(wanted.read_text(), said):
        return False
    wanted.unlink()
    return True


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]
