"""Rules of what never meets in one job: much code, and a token that writes."""

import re
from collections.abc import Iterator

from workflow_files import CHECKOUT, Repository

PROPOSE = "./.github/actions/propose"
SAVE = "./.github/actions/save"
RUN_CODE = {f"./.github/actions/{name}" for name in ("setup", "store", "deploy")}
TRAINS = re.compile(r"\bdvc repro\b|\bmake (pull-repro|repro|report)\b|\bmlops train\b")
JUDGES = re.compile(r"\bmlops judge\b")
# Said in the job that judges as well as in the one that may be required.
BASE = (
    "${{ github.event.pull_request.base.sha || github.event.merge_group.base_sha || github.sha }}"
)
RUNS_CODE = re.compile(r"\b(make|dvc|mlops|pytest)\b")


def who_trains_may_only_read(repository: Repository) -> Iterator[str]:
    """What makes a model runs much code, of libraries and of the project: it can change nothing."""
    for job in repository.jobs:
        for step in job.steps:
            if TRAINS.search(step.data.get("run", "")) and not job.reads_only:
                yield f"{step.where}: who trains may only read, and this job has {job.grants}"


def who_makes_a_store_may_only_read(repository: Repository) -> Iterator[str]:
    """It runs MLflow and DVC on what others have made; another job looks at it and pushes it."""
    for job in repository.jobs:
        for step in job.steps:
            if step.makes_a_store and "write" in job.grants.values():
                yield f"{step.where}: who makes a store may only read; {SAVE} saves it"


def who_saves_does_nothing_else(repository: Repository) -> Iterator[str]:
    for job in repository.jobs:
        if any(step.uses == SAVE for step in job.steps):
            for step in job.steps:
                if step.uses != SAVE and step.inputs.get("sparse-checkout") != ".github":
                    yield f"{step.where}: a job that saves only checks out .github, and saves"


def who_attests_runs_no_code(repository: Repository) -> Iterator[str]:
    """What can sign in the name of this workflow gets a digest, and nothing that could be run."""
    for job in repository.jobs:
        for step in job.steps if job.grants.get("attestations") == "write" else ():
            if step.uses.startswith((CHECKOUT, "./")):
                yield f"{step.where}: a job that attests runs no code of the project"


def who_proposes_runs_no_code(repository: Repository) -> Iterator[str]:
    """Its token may push to any branch: it takes files from other jobs, and runs actions only."""
    for job in repository.jobs:
        if not any(step.uses == PROPOSE for step in job.steps):
            continue
        for step in job.steps:
            if step.uses in RUN_CODE or RUNS_CODE.search(step.data.get("run", "")):
                yield f"{step.where}: a job that proposes runs no code of the project"


def who_judges_is_of_the_base(repository: Repository) -> Iterator[str]:
    """What a pull request could edit has no part in its judgement, but as data."""
    for job in repository.jobs:
        if not any(JUDGES.search(step.data.get("run", "")) for step in job.steps):
            continue
        for step in job.steps:
            if step.uses.startswith(CHECKOUT):
                beside = step.inputs.get("path", "").startswith("build/")
                if not beside and step.inputs.get("ref") != BASE:
                    yield f"{step.where}: who judges works in a checkout of the base branch"
            elif step.uses.startswith("./build/"):
                yield f"{step.where}: an action of what is judged must not run here"
            elif step.inputs.get("cache") or "/cache@" in step.uses:
                yield f"{step.where}: who judges takes nothing from a cache"


RULES = [
    who_judges_is_of_the_base,
    who_trains_may_only_read,
    who_makes_a_store_may_only_read,
    who_saves_does_nothing_else,
    who_attests_runs_no_code,
    who_proposes_runs_no_code,
]
