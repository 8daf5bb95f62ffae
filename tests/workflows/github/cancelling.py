"""A run that somebody cancels in the middle of a step, as GitHub's runner ends it.

The step's own process gets SIGINT, after 7.5 s SIGTERM, and after 2.5 s SIGKILL (runner/bash).
Later steps of its job run only where their conditions are met after a cancellation. Act knows no
cancelled job, so the workflow is rewritten to that effect.
"""

import re
import shutil
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from act_run import Run
from workflow_files import Repository

# Still functions of the status: without one, a condition asks for success, too.
STATES = [(r"\bfailure\(\)", "!always()"), (r"\bcancelled\(\)", "always()")]
ORDERS = "cancel"  # folder for runner/bash, in that of the local GitHub


@dataclass(frozen=True)
class Cancellation:
    """In this job, when the step whose script holds ``script`` says ``said``."""

    job: str
    script: str
    said: str
    step: (
        str  # the id of that step in the workflow: of the one that uses an action, if it is in one
    )
    pace: float = 0.1  # of the signals, in seconds: GitHub's

    def give(self, local_github: Path) -> None:
        """Let the runner know."""
        folder = local_github / ORDERS
        folder.mkdir()
        for name in ("job", "said", "pace"):
            (folder / name).write_text(f"{getattr(self, name)}\n", encoding="utf-8")
        (folder / "step").write_text(f"{self.script}\n", encoding="utf-8")

    def rewrite(self, repository: Path, workflow: str) -> None:
        """Let conditions be what they are after a cancellation, and other jobs know of it."""
        known = Repository.at(repository).workflows[workflow]
        data = known.data
        if self.job not in data["jobs"]:
            return
        data["jobs"][self.job] = self._in_the_job(data["jobs"][self.job])
        reached = {self.job}
        for name, job in known.jobs.items():  # in the order in which they need each other
            if reached & set(job.needs):
                reached.add(name)
                result = (rf"\bneeds\.{self.job}\.result\b", "'cancelled'")
                data["jobs"][name] = _replaced(data["jobs"][name], *STATES, result)
        file = repository / ".github" / "workflows" / workflow
        file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")

    def _in_the_job(self, job: dict[str, Any]) -> dict[str, Any]:
        place = [step.get("id") for step in job["steps"]].index(self.step)
        outcome = (rf"\bsteps\.{self.step}\.(outcome|conclusion)\b", "'cancelled'")
        after = [_replaced(step, *STATES, outcome) for step in job["steps"][place + 1 :]]
        steps = [*job["steps"][: place + 1], *after]
        return _replaced({**job, "steps": []}, outcome) | {"steps": steps}

    def note(self, run: Run, local_github: Path) -> Run:
        """Say of the job and the run that they were cancelled, if it came to that."""
        if (local_github / ORDERS).exists():  # the step was never there, or never said so
            shutil.rmtree(local_github / ORDERS)
            return run
        jobs = {
            name: replace(job, conclusion="cancelled") if name == self.job else job
            for name, job in run.jobs.items()
        }
        return replace(run, jobs=jobs, conclusion="cancelled")


def _replaced(data: Any, *changes: tuple[str, str]) -> Any:
    if isinstance(data, dict):
        return {key: _replaced(value, *changes) for key, value in data.items()}
    if isinstance(data, list):
        return [_replaced(value, *changes) for value in data]
    if isinstance(data, str):
        for pattern, text in changes:
            data = re.sub(pattern, text, data)
    return data
