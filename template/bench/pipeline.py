"""What the framework costs: `dvc repro` against the bare work in one process."""

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

ROOT = Path(__file__).parents[2]
ROUNDS = 3


def run() -> Iterator[str]:
    """Measure in fresh clones; yield one line of text for each result as soon as it is there."""
    bare, cold, noop, changed = [], [], [], []
    for _ in range(ROUNDS):  # in turns, so that a busy machine is busy for both
        with tempfile.TemporaryDirectory() as folder:
            project = Path(folder, "project")
            call(ROOT, "git", "clone", "--quiet", str(ROOT), str(project))
            # Cold is the data and the registry; the bytecode is compiled once in a lifetime.
            call(project, sys.executable, "-m", "compileall", "-q", "src")
            bare.append(call(project, sys.executable, str(ROOT / "template/bench/bare.py")))
            cold.append(call(project, "dvc", "repro"))
            noop.append(call(project, "dvc", "repro"))
            call(project, "mlops", "compare")
            call(project, "mlops", "register")
            call(project, "mlops", "promote")
            params = project / "params.yaml"
            params.write_text(params.read_text().replace("max_iter: 100", "max_iter: 120"))
            changed.append(
                call(project, "dvc", "repro")
                + call(project, "mlops", "compare")
                + call(project, "mlops", "report")
            )
    allowed = 1.6 * min(bare) + 10
    yield (
        f"cold dvc repro: {min(cold):.1f} s; bare work {min(bare):.1f} s; ratio "
        f"{min(cold) / min(bare):.2f} (goal: at most 1.6 x bare + 10 s = {allowed:.1f} s)"
    )
    yield (
        f"no-op dvc repro: {min(noop):.2f} s; {min(noop) / min(bare):.2f} x the bare work "
        "(goal: at most 1.2 s)"
    )
    yield (
        f"from a change of params.yaml to the report: {min(changed):.1f} s; "
        f"{min(changed) / min(bare):.2f} x the bare work"
    )


def call(folder: Path, *command: str) -> float:
    """Run a command in a project and return its seconds."""
    environment = {**os.environ, "PYTHONPATH": str(folder / "src")}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    started = time.perf_counter()
    done = subprocess.run(
        command, cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stdout}\n{done.stderr}")
    return time.perf_counter() - started


if __name__ == "__main__":
    for line in run():
        print(line, flush=True)
