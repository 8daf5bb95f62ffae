"""One run of one workflow, by act on this machine.

What act does otherwise than GitHub is made up for here (jobs without a runner, masked secrets,
what a failing step said last, processes left behind) and in triggers.py (filters). What is not:
``permissions``, ``concurrency`` and ``timeout-minutes`` of a job do nothing, nobody reviews an
``environment``, jobs run one after another, outputs of the last step of a composite action are also
the action's.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from act_log import Annotation, IncompleteRunError, Job, Log, Step
from act_names import known_jobs
from workflow_files import Repository

__all__ = ["Annotation", "IncompleteRunError", "Job", "Order", "Run", "Step", "run_workflow"]

RUNNERS = ("ubuntu-24.04",)
LONGEST = 1800  # seconds after which a run is given up


@dataclass
class Run:
    """What came of it; job names are those that GitHub shows."""

    id: int
    workflow: str
    name: str
    event: str
    sha: str
    ref: str
    attempt: int
    conclusion: str
    jobs: dict[str, Job]
    annotations: list[Annotation]
    summary: str
    artifacts: dict[str, Path]
    seconds: float
    log: str
    started: str = ""


@dataclass
class Order:
    """What to run, as whom, and with what at hand."""

    folder: Path  # for this run alone; ``repository`` in it holds .github of the commit
    workflow: str
    event: str
    payload: dict[str, Any]
    run_id: int
    attempt: int
    context: dict[str, str]  # GITHUB_...
    environment: dict[str, str]
    actions: dict[str, Path]  # owner/name@commit to the stand-in
    secrets: dict[str, str] = field(default_factory=dict)
    variables: dict[str, str] = field(default_factory=dict)

    @property
    def repository(self) -> Path:
        return self.folder / "repository"


def run_workflow(order: Order) -> Run:
    """Run a workflow until its end.

    Raises
    ------
    IncompleteRunError
        When act did not run what GitHub would have run.
    """
    started = time.time()
    workflows = Repository.at(order.repository).workflows
    workflow = workflows[order.workflow]
    known = list(known_jobs(workflows, workflow))
    for job in known:
        if containers := {"services", "container"} & set(job.data):
            raise IncompleteRunError(f"{job.name}: here are no containers for {containers}")
    log = Log(known, list(order.secrets.values()))
    broken = _act(order, log)
    if not broken:
        log.check()
    found = log.jobs()
    annotations = [annotation for job in found for annotation in job.annotations()]
    annotations += [Annotation("error", "", broken, "")] if broken else []
    return Run(
        id=order.run_id,
        workflow=order.workflow,
        name=str(workflow.data.get("name", f".github/workflows/{order.workflow}")),
        event=order.event,
        sha=order.context["GITHUB_SHA"],
        ref=order.context["GITHUB_REF"],
        attempt=order.attempt,
        conclusion=_conclusion({job.conclusion for job in found}, broken),
        jobs={job.name: job.job() for job in found},
        annotations=annotations,
        summary="\n\n".join(text for job in found for text in job.summary()),
        artifacts={},
        seconds=time.time() - started,
        log="\n".join(log.lines),
        started=datetime.fromtimestamp(started, UTC).isoformat(),
    )


def _conclusion(conclusions: set[str], broken: str) -> str:
    if broken or "failure" in conclusions:
        return "failure"
    return "skipped" if conclusions == {"skipped"} else "success"


def _act(order: Order, log: Log) -> str:
    """Run act; returns why it gave up the whole workflow, or nothing."""
    tracking = f"github_{order.run_id}_{order.folder}"  # GitHub's runner knows its processes by it
    complaints = order.folder / "act.stderr"
    with complaints.open("w", encoding="utf-8") as stderr:
        act = subprocess.Popen(
            _command(order, tracking),
            cwd=order.repository,
            env=order.environment,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
        )
        too_long = threading.Timer(LONGEST, act.kill)
        too_long.start()
        assert act.stdout
        try:
            for line in act.stdout:
                if match := re.search(r'::output-read::([^\\"]+)', line):
                    Path(match[1]).touch()  # the step that failed waits for it: runner/bash
                log.add(line)
            act.wait()
        finally:
            act.kill()
            act.wait()
            act.stdout.close()
            too_long.cancel()
            _end_processes(tracking)
    broken = ""
    for line in complaints.read_text(encoding="utf-8").splitlines():
        if not line.startswith("{"):
            log.add(line)
            broken += "" if re.match("Error: Job '.*' failed", line) else f"{line}\n"
    return str(log.masked(broken.strip()))


def _command(order: Order, tracking: str) -> list[str]:
    event = order.folder / "event.json"
    event.write_text(json.dumps(order.payload), encoding="utf-8")
    nothing = order.folder / "nothing"
    nothing.touch()
    context = {
        **order.context,
        "SHA_REF": order.context["GITHUB_SHA"],  # so act calls it
        "GITHUB_RUN_ID": str(order.run_id),
        "GITHUB_RUN_ATTEMPT": str(order.attempt),
        "RUNNER_TRACKING_ID": tracking,
    }
    options = {
        "--actor": [context["GITHUB_ACTOR"]],
        "--platform": [f"{runner}=-self-hosted" for runner in RUNNERS],
        "--workflows": [f".github/workflows/{order.workflow}"],
        "--eventpath": [str(event)],
        "--action-cache-path": [str(order.folder / "act")],
        "--artifact-server-addr": ["127.0.0.1"],
        "--concurrent-jobs": ["1"],
        "--env": [f"{name}={value}" for name, value in context.items()],
        "--secret": [f"{name}={value}" for name, value in order.secrets.items()],
        "--var": [f"{name}={value}" for name, value in order.variables.items()],
        "--local-repository": [f"{action}={path}" for action, path in order.actions.items()],
        # Files of these kinds in the repository are no settings of GitHub.
        **{f"--{kind}-file": [str(nothing)] for kind in ("env", "input", "secret", "var")},
    }
    switches = ["--no-cache-server", "--no-skip-checkout", "--json", "--verbose"]
    given = [f"{name}={value}" for name, values in options.items() for value in values]
    return [program("act"), order.event, *switches, *given]


def program(name: str) -> str:
    """Return where a program is: in the environment of the tests, or where the shell finds it."""
    places = [str(Path(sys.executable).parent), os.environ["PATH"]]
    found = shutil.which(name, path=os.pathsep.join(places))
    if found is None:
        raise FileNotFoundError(f"{name} is not installed; `make setup` does that")
    return found


def _end_processes(tracking: str) -> None:
    """End what steps left running, as GitHub's runner does when a job ends."""
    for process in psutil.process_iter():
        try:
            if process.environ().get("RUNNER_TRACKING_ID") == tracking:
                process.kill()
        except psutil.Error:
            continue  # ended meanwhile, or somebody else's
