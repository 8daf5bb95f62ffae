"""What @actions/core is to the real actions: inputs, outputs, state and messages."""

import os
import sys
from pathlib import Path
from typing import Any, NoReturn

LOCAL_GITHUB = Path(os.environ["LOCAL_GITHUB"])
WORKSPACE = Path(os.environ["GITHUB_WORKSPACE"])


def given(name: str) -> str:
    return os.environ.get(f"INPUT_{name.upper().replace(' ', '_')}", "").strip()


def is_true(name: str) -> bool:
    """Read a boolean as YAML 1.2 writes it; actions refuse anything else."""
    text = given(name).lower()
    if text not in ("true", "false"):
        fail(f"Input does not meet YAML 1.2 'Core Schema' specification: {name}")
    return text == "true"


def lines(name: str) -> list[str]:
    return [line.strip() for line in given(name).splitlines() if line.strip()]


def event() -> Any:
    import json  # seldom needed

    return json.loads(Path(os.environ["GITHUB_EVENT_PATH"]).read_text(encoding="utf-8"))


def set_output(name: str, value: object) -> None:
    _append("GITHUB_OUTPUT", name, value)


def save_state(name: str, value: object) -> None:
    _append("GITHUB_STATE", name, value)


def state(name: str) -> str:
    return os.environ.get(f"STATE_{name}", "")


def warn(message: str) -> None:
    print(f"::warning::{message}", flush=True)


def fail(message: str) -> NoReturn:
    print(f"::error::{message}", flush=True)
    sys.exit(1)


def _append(file: str, name: str, value: object) -> None:
    with Path(os.environ[file]).open("a", encoding="utf-8") as target:
        target.write(f"{name}={value}\n")
