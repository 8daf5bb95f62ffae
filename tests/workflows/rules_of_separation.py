"""Rules of what never meets in one job: training, and a token that writes."""

import re
from collections.abc import Iterator

from workflow_files import Repository

PROPOSE = "./.github/actions/propose"
RUN_CODE = {f"./.github/actions/{name}" for name in ("setup", "store", "deploy")}
TRAINS = re.compile(r"\bdvc repro\b|\bmake (pull-repro|repro|report)\b|\bmlops train\b")
RUNS_CODE = re.compile(r"\b(make|dvc|mlops|pytest)\b")


def who_trains_may_only_read(repository: Repository) -> Iterator[str]:
    """What makes a model runs much code, of libraries and of the project: it can change nothing."""
    for job in repository.jobs:
        for step in job.steps:
            if TRAINS.search(step.data.get("run", "")) and not job.reads_only:
                yield f"{step.where}: who trains may only read, and this job has {job.grants}"


def who_proposes_runs_no_code(repository: Repository) -> Iterator[str]:
    """Its token may push to any branch: it takes files from other jobs, and runs actions only."""
    for job in repository.jobs:
        if not any(step.uses == PROPOSE for step in job.steps):
            continue
        for step in job.steps:
            if step.uses in RUN_CODE or RUNS_CODE.search(step.data.get("run", "")):
                yield f"{step.where}: a job that proposes runs no code of the project"


RULES = [who_trains_may_only_read, who_proposes_runs_no_code]
