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


def known_inputs_only() -> None:
    """Fail where the step gives an input that the action has not: GitHub would only warn."""
    import re

    text = Path(sys.argv[1]).with_name("action.yml").read_text(encoding="utf-8")
    inputs = text.partition("\ninputs:\n")[2].partition("\noutputs:")[0].partition("\nruns:")[0]
    known = {name.upper() for name in re.findall(r"(?m)^  ([\w-]+):", inputs)}
    there = {name.removeprefix("INPUT_") for name in os.environ if name.startswith("INPUT_")}
    if unknown := sorted(there - known):
        fail(f"Unexpected input(s) {unknown}, valid inputs are {sorted(known)}")


def record(action: str, **what: object) -> int:
    """Note what an action did, for tests; returns how often it was used."""
    import json

    file = LOCAL_GITHUB / "recorded" / f"{action}.jsonl"
    file.parent.mkdir(exist_ok=True)
    with file.open("a", encoding="utf-8") as target:
        target.write(json.dumps({"run": int(os.environ["GITHUB_RUN_ID"]), **what}) + "\n")
    return len(file.read_text(encoding="utf-8").splitlines())


def docker(*arguments: str) -> str:
    """Run the command docker; what it refuses fails the action."""
    import subprocess

    done = subprocess.run(["docker", *arguments], capture_output=True, text=True, check=False)
    if done.returncode:
        fail(f"docker {arguments[0]}: {done.stderr.strip()}")
    return done.stdout.strip()


def has_image(name: str) -> bool:
    """Whether docker has an image: the real actions ask it before they ask a registry."""
    import subprocess

    asked = ["docker", "image", "inspect", name]
    return subprocess.run(asked, capture_output=True, check=False).returncode == 0


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
