"""Rules of how workflows and actions are written, so that runs are the same, end, and are read."""

import re
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

from workflow_files import Repository

STAND_INS = Path(__file__).parent / "github" / "standins"
TELEMETRY_OFF = {
    "DO_NOT_TRACK": "1",
    "DVC_NO_ANALYTICS": "1",
    "ITERATIVE_DO_NOT_TRACK": "1",
    "MLFLOW_DISABLE_TELEMETRY": "true",
}
USES = re.compile(
    r"^\s*(?:- )?uses: (?P<action>[^\s@]+)(?:@(?P<commit>\S+))?(?: # (?P<version>\S+))?"
)
# Where the variable RUNNER chooses; and the same where code of a fork may come.
RUNNER = "${{ vars.RUNNER || 'ubuntu-24.04' }}"
OWN_RUNNER = (
    "${{ (github.event_name != 'pull_request'"
    " || github.event.pull_request.head.repo.full_name == github.repository)"
    " && vars.RUNNER || 'ubuntu-24.04' }}"
)
TRAINS = r"\bmake (?:pull-repro|train)\b|\bpytest tests/loop\b|\bmlops (?:drift|judge)\b"
# Minute, hour, day, month, weekday: the least and the greatest number.
CRON = [(0, 59), (0, 23), (1, 31), (1, 12), (0, 6)]


def remote_actions(repository: Repository) -> Iterator[tuple[str, str, str, str]]:
    """Yield file, action, commit and version (the comment), of which the latter two may be ''."""
    for path, text in repository.below(".github", ".yml", ".yaml"):
        for line in text.splitlines():
            if (found := USES.match(line)) and not found["action"].startswith("./"):
                yield path, found["action"], found["commit"] or "", found["version"] or ""


def actions_are_pinned(repository: Repository) -> Iterator[str]:
    for path, action, commit, version in remote_actions(repository):
        if not re.fullmatch("[0-9a-f]{40}", commit) or not re.fullmatch(r"v\d+\.\d+\.\d+", version):
            yield f"{path}: write `uses: {action}@<40 hex digits> # vX.Y.Z`"


def actions_have_one_version(repository: Repository) -> Iterator[str]:
    seen: dict[str, tuple[str, str]] = {}
    for path, action, *pin in remote_actions(repository):
        name = "/".join(action.split("/")[:2])
        first = seen.setdefault(name, (pin[0], path))
        if first[0] != pin[0]:
            yield f"{path}: {name} is at another commit than in {first[1]}"


def actions_have_a_stand_in(repository: Repository) -> Iterator[str]:
    """Without one, no test can run the workflow."""
    for path, action, *_ in remote_actions(repository):
        name = action.partition("/")[2]
        if path.endswith("template.yml"):
            continue  # it runs these tests; and a cluster, which nothing here could stand in for
        if not (STAND_INS / name / "action.yml").exists():
            yield f"{path}: {action} has no stand-in in tests/workflows/standins/{name}"


def artifacts_are_named_by_their_ids(repository: Repository) -> Iterator[str]:
    """Of several that have a name, GitHub gives the one with the greatest id, not the newest."""
    for step in repository.steps:
        if step.uses.startswith("actions/download-artifact@") and not step.inputs.get(
            "artifact-ids"
        ):
            yield f"{step.where}: give `artifact-ids`, an output of the job that kept it"


def runners_are_pinned(repository: Repository) -> Iterator[str]:
    for job in repository.jobs:
        if not job.calls and job.data.get("runs-on") not in ("ubuntu-24.04", RUNNER, OWN_RUNNER):
            yield f"{job.where} runs on {job.data.get('runs-on')}, not on ubuntu-24.04"


def what_trains_may_run_elsewhere(repository: Repository) -> Iterator[str]:
    """On a runner of one's own, and there nothing that a fork has written."""
    for workflow in repository.workflows.values():
        chosen = OWN_RUNNER if "pull_request" in repository.events(workflow.name) else RUNNER
        for job in workflow.jobs.values():
            trains = any(re.search(TRAINS, step.data.get("run", "")) for step in job.steps)
            if trains and job.data.get("runs-on") != chosen:
                yield f"{job.where} trains, so it `runs-on: {chosen}`"
            if not trains and job.data.get("runs-on") in (RUNNER, OWN_RUNNER):
                yield f"{job.where} does not train, so it `runs-on: ubuntu-24.04`"


def jobs_end(repository: Repository) -> Iterator[str]:
    for job in repository.jobs:
        if not job.calls and not isinstance(job.data.get("timeout-minutes"), int):
            yield f"{job.where} has no timeout-minutes: it would be stopped after six hours"


def everything_has_a_name(repository: Repository) -> Iterator[str]:
    for job in repository.jobs:
        if "name" not in job.data:
            yield f"{job.where} has no name"
    for step in repository.steps:
        if "name" not in step.data:
            yield f"{step.where} has no name"
    documents = {name: workflow.data for name, workflow in repository.workflows.items()}
    for where, data in (documents | repository.actions).items():
        if "name" not in data:
            yield f"{where} has no name"


def shells_stop_at_the_first_error(repository: Repository) -> Iterator[str]:
    """``shell: bash`` adds ``-o pipefail``; the default does not."""
    for workflow in repository.workflows.values():
        if workflow.data.get("defaults") != {"run": {"shell": "bash"}}:
            yield f"{workflow.name}: add `defaults: run: shell: bash`"
    for step in repository.steps_of_actions:
        if "run" in step.data and step.data.get("shell") != "bash":
            yield f"{step.where}: add `shell: bash`"


def nothing_is_reported_to_anybody(repository: Repository) -> Iterator[str]:
    for workflow in repository.workflows.values():
        environment = {key: str(value) for key, value in workflow.data.get("env", {}).items()}
        if not TELEMETRY_OFF.items() <= environment.items():
            yield f"{workflow.name}: its env must hold {TELEMETRY_OFF}"


def conditions_are_one_expression(repository: Repository) -> Iterator[str]:
    """``${{ a }} == 'b'`` is a text, and a text is true."""
    for item in [*repository.jobs, *repository.steps]:
        condition = str(item.data.get("if", "")).strip()
        if "${{" in condition and not re.fullmatch(r"\$\{\{((?!\}\}).)*\}\}", condition, re.DOTALL):
            yield f"{item.where}: `if: {condition}` is always true"


def ignored_failures_are_explained(repository: Repository) -> Iterator[str]:
    for path, text in repository.below(".github", ".yml", ".yaml"):
        lines = ["", *text.splitlines()]
        for before, line in pairwise(lines):
            if "continue-on-error:" in line and "#" not in line and "#" not in before:
                yield f"{path}: say in a comment why `continue-on-error`"


def schedules_are_crons(repository: Repository) -> Iterator[str]:
    for workflow in repository.workflows.values():
        for entry in workflow.triggers.get("schedule") or []:
            if not is_cron(entry["cron"]):
                yield f"{workflow.name}: {entry['cron']!r} is no schedule"


def is_cron(text: str) -> bool:
    fields = text.split()
    if len(fields) != len(CRON):
        return False
    for field, (least, greatest) in zip(fields, CRON, strict=True):
        for part in field.split(","):
            found = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/[1-9]\d*)?", part)
            if not found or not all(least <= int(n) <= greatest for n in found.groups() if n):
                return False
    return True


RULES = [
    actions_are_pinned,
    actions_have_one_version,
    actions_have_a_stand_in,
    artifacts_are_named_by_their_ids,
    runners_are_pinned,
    what_trains_may_run_elsewhere,
    jobs_end,
    everything_has_a_name,
    shells_stop_at_the_first_error,
    nothing_is_reported_to_anybody,
    conditions_are_one_expression,
    ignored_failures_are_explained,
    schedules_are_crons,
]
