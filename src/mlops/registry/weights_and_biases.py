"""A training's run in Weights & Biases as well, where ``WANDB_API_KEY`` is set.

MLflow has the registry and what a version is made of; W&B gets settings, metrics and tags, and the
way to MLflow's run. Nothing here stops a training: the run is written to a folder, for which W&B
needs no network, and sent from there in a process that gets its time and no more.
"""

import math
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from textwrap import shorten
from typing import Any

from mlops.project import actions
from mlops.project.errors import first_line
from mlops.project.progress import console, working

KEY = "WANDB_API_KEY"
FOLDER = Path("build")
SEND_SECONDS = 60.0  # W&B itself would try for hours
TAG_LENGTH = 64  # wandb refuses longer ones
# What is sent is below, and nothing else: no code, no diff, nothing of the machine or its output.
SETTINGS: dict[str, Any] = {
    "mode": "offline",
    "silent": True,
    "console": "off",
    "disable_code": True,
    "disable_git": True,
    "save_code": False,
    "x_disable_machine_info": True,
    "x_disable_meta": True,
    "x_disable_stats": True,
    "x_save_requirements": False,
}


@dataclass(frozen=True)
class TrackedRun:
    """What MLflow has of a run, by the names that it has there."""

    name: str
    project: str
    params: dict[str, Any]
    tags: dict[str, str]
    metrics: dict[str, float]
    mlflow_run: str  # its address, or its id in the built-in registry
    failed: bool = False


def log(run: TrackedRun) -> None:
    """Log a run to W&B where a key is set; what stands in the way is said in one sentence.

    ``WANDB_MODE``, ``WANDB_PROJECT``, ``WANDB_ENTITY``, ``WANDB_DIR`` and ``WANDB_BASE_URL`` are
    W&B's own: ``offline`` writes the run and sends nothing, ``disabled`` does not write it either.
    """
    mode = os.environ.get("WANDB_MODE", "online")
    if not os.environ.get(KEY) or mode == "disabled":
        return
    try:
        written = _write(run)
    except ModuleNotFoundError as error:
        if error.name != "wandb":
            raise
        _warn(
            f"{KEY} is set and wandb is not installed, so this run is in MLflow only; "
            "run `make add GROUP=wandb`, or unset the variable"
        )
    except Exception as error:
        _warn(f"this run is in MLflow only, because wandb stopped: {first_line(error)}")
    else:
        if mode == "offline":
            console.print(f"Written for W&B: {written}", markup=False)
        elif problem := _send(written):
            _warn(
                f"this run has not reached W&B ({problem}); it is in MLflow, and "
                f"`wandb sync {written}` sends it from here"
            )


def _write(run: TrackedRun) -> Path:
    """Write the run as W&B does, and return its folder."""
    os.environ.setdefault("WANDB_ERROR_REPORTING", "false")
    import wandb

    root = _root()
    root.mkdir(parents=True, exist_ok=True)
    tags = {name.rpartition(".")[2]: value for name, value in run.tags.items()}
    shown = {"commit": tags.get("commit", "")[:8], "data": tags.get("data_md5", "")[:8]}
    opened = wandb.init(
        project=os.environ.get("WANDB_PROJECT") or run.project,
        name=run.name,
        dir=str(root),
        config={**run.params, **tags, "mlflow_run": run.mlflow_run},
        tags=[f"{name} {value}"[:TAG_LENGTH] for name, value in shown.items() if value],
        settings=wandb.Settings(**SETTINGS),
    )
    opened.log({name: value for name, value in run.metrics.items() if math.isfinite(value)})
    opened.finish(exit_code=int(run.failed))
    return Path(os.path.relpath(opened.settings.sync_dir))


def _send(folder: Path) -> str | None:
    """Send what was written; returns why it did not arrive."""
    command = [sys.executable, "-m", "wandb", "sync", str(folder)]
    online = {name: value for name, value in os.environ.items() if name != "WANDB_MODE"}
    with (
        working("Sending the run to W&B"),
        subprocess.Popen(
            command,
            env=online | {"WANDB_DIR": str(_root())},  # where its logs go, too
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,  # it starts others, which hold the pipe open
        ) as process,
    ):
        try:
            said, _ = process.communicate(timeout=SEND_SECONDS)
        except subprocess.TimeoutExpired:
            return f"no answer for {SEND_SECONDS:.0f} s"
        finally:
            with suppress(ProcessLookupError):  # all have ended
                os.killpg(process.pid, signal.SIGKILL)
    if any(folder.glob("*.synced")):  # the exit code is 0 also where the server has refused the key
        return None
    lines = [line.removeprefix("wandb: ").strip() for line in said.splitlines()]
    last = next((line for line in reversed(lines) if line), f"exit code {process.returncode}")
    return shorten(last, 160, placeholder="…").rstrip(".")


def _root() -> Path:
    """Return the folder that W&B makes its own in."""
    return Path(os.environ.get("WANDB_DIR") or FOLDER).resolve()


def _warn(sentence: str) -> None:
    sentence = sentence.replace(os.environ[KEY], "***")
    console.print(sentence[0].upper() + sentence[1:], markup=False)
    actions.warning(sentence)
