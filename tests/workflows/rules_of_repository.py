"""Rules of what GitHub is told about the repository: rulesets and Dependabot."""

import json
from collections.abc import Iterator
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

import yaml
from workflow_files import Job, Loader, Repository

DEPENDABOT = ".github/dependabot.yml"
FILTERS = {"paths", "paths-ignore", "branches", "branches-ignore"}
USUAL_TYPES = {"opened", "synchronize", "reopened"}


def rulesets(repository: Repository) -> dict[str, dict[str, Any]]:
    return {
        path: json.loads(text) for path, text in repository.files.items() if "/rulesets/" in path
    }


def required_checks(repository: Repository) -> set[str]:
    return {
        check["context"]
        for ruleset in rulesets(repository).values()
        for rule in ruleset["rules"]
        if rule["type"] == "required_status_checks"
        for check in rule["parameters"]["required_status_checks"]
    }


def jobs_on_pull_requests(repository: Repository) -> Iterator[tuple[str, dict[str, Any], Job]]:
    """Yield name as GitHub shows it, filters of the trigger, and job."""
    for workflow in repository.workflows.values():
        if "pull_request" not in workflow.triggers:
            continue
        filters = workflow.triggers["pull_request"] or {}
        for job in workflow.jobs.values():
            if not job.calls:
                yield job.data.get("name", ""), filters, job
                continue
            for called in repository.workflows[job.calls].jobs.values():
                yield f"{job.data.get('name')} / {called.data.get('name')}", filters, called


def required_checks_are_jobs(repository: Repository) -> Iterator[str]:
    shown = [name for name, *_ in jobs_on_pull_requests(repository)]
    for check in required_checks(repository):
        if shown.count(check) != 1:
            yield f"{shown.count(check)} jobs that pull requests start are named {check!r}"


def required_checks_always_report(repository: Repository) -> Iterator[str]:
    """One that never starts blocks for ever; one that is skipped counts as passed."""
    for name, filters, job in jobs_on_pull_requests(repository):
        if name not in required_checks(repository):
            continue
        types = set(filters.get("types", USUAL_TYPES))
        if FILTERS & filters.keys() or not types.issuperset(USUAL_TYPES):
            yield f"{job.where} is required: no {', '.join(filters)} under pull_request"
        expected = "always()" if "needs" in job.data else None
        if job.data.get("if") != expected:
            yield f"{job.where} is required: with `needs`, add `if: always()`; else no `if`"


def required_checks_wait_for_every_job(repository: Repository) -> Iterator[str]:
    """Else a job could fail unseen. One that may write only tells what others have found."""
    for workflow in repository.workflows.values():
        jobs = workflow.jobs.values()
        required = [job for job in jobs if job.data.get("name") in required_checks(repository)]
        needed = {name for job in required for name in job.needs}
        for name, job in workflow.jobs.items():
            if required and job.reads_only and job not in required and name not in needed:
                yield f"{job.where}: no required check has it under `needs`"


def rulesets_can_be_installed_by_name(repository: Repository) -> Iterator[str]:
    for path, ruleset in rulesets(repository).items():
        if ruleset["name"] != Path(path).stem:
            yield f"{path} must be named like its file"


def updates(repository: Repository) -> list[dict[str, Any]]:
    return yaml.load(repository.files.get(DEPENDABOT, "updates: []"), Loader)["updates"]


def directories(repository: Repository, ecosystem: str) -> list[str]:
    return [
        directory
        for entry in updates(repository)
        if entry["package-ecosystem"] == ecosystem
        for directory in [entry.get("directory"), *entry.get("directories", [])]
        if directory
    ]


def dependabot_sees_everything(repository: Repository) -> Iterator[str]:
    images = [str(Path(path).parent) for path in repository.files if path.endswith("Dockerfile")]
    used = {"uv": ["."], "github-actions": [".", *repository.actions], "docker": images}
    for ecosystem, folders in used.items():
        known = directories(repository, ecosystem)
        for folder in folders:
            path = f"/{folder}".removesuffix("/.") or "/"
            if not any(fnmatchcase(path, pattern) for pattern in known):
                yield f"{DEPENDABOT}: {ecosystem} lacks {path}"
    for folder in directories(repository, "docker"):
        # Dependabot ends with an error there, every week.
        if not any(fnmatchcase(f"/{image}", folder) for image in images):
            yield f"{DEPENDABOT}: docker names {folder}, which holds no Dockerfile"


def dependabot_waits_and_groups(repository: Repository) -> Iterator[str]:
    for entry in updates(repository):
        days = entry.get("cooldown", {}).get("default-days", 0)
        if days < 7 or not entry.get("groups"):
            yield f"{DEPENDABOT}: {entry['package-ecosystem']} needs groups and 7 days of cooldown"


RULES = [
    required_checks_are_jobs,
    required_checks_always_report,
    required_checks_wait_for_every_job,
    rulesets_can_be_installed_by_name,
    dependabot_sees_everything,
    dependabot_waits_and_groups,
]
