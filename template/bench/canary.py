"""How often a canary decides, where it should pass: two services of the very same version."""

import tempfile
from collections import Counter
from collections.abc import Iterator
from contextlib import chdir, redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path

from projects import make_project
from running_service import RunningService
from trial.exports import make_export

from mlops.project.params import load
from mlops.trial import canary

TIMES = 60


def run() -> Iterator[str]:
    """Compare a model with itself, with the settings that a project has."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        project = make_project(folder / "project")
        project.run("dvc", "repro")
        export = make_export(project, folder / "export")
        params = load(project.folder / "params.yaml")
        serving = params.serving.model_copy(update={"latency_ms": 50.0})
        services = [RunningService(export / "model", folder / each) for each in ("one", "other")]
        outcomes: Counter[str] = Counter()
        requests = 0
        try:
            one, other = (service.wait().url for service in services)
            for seed in range(TIMES):
                settings = params.model_copy(update={"seed": seed, "serving": serving})
                with chdir(folder), redirect_stdout(StringIO()), redirect_stderr(StringIO()):
                    report = canary.run(settings, one, other, export)
                outcomes[report["outcome"]] += 1
                requests += report["requests"]
        finally:
            for service in services:
                service.kill()
    said = ", ".join(f"{outcomes[it]} {it}" for it in ("passed", "inconclusive", "stopped"))
    yield (
        f"canary, a version against itself, {TIMES} times: {said} (goal: at most 5% not passed); "
        f"{requests / TIMES:,.0f} requests each"
    )


if __name__ == "__main__":
    for line in run():
        print(line, flush=True)
