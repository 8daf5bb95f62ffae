"""The security model says which job has which keys, and each job is as it says."""

import re
from pathlib import Path

import pytest
from rules_of_rights import SECRET, SETUP
from workflow_files import CHECKOUT, Job, Repository

ROOT = Path(__file__).parents[2]
THIS = Repository.at(ROOT)
TEXT = (ROOT / ".github/security-model.md").read_text(encoding="utf-8")
HEAD = "| jobs | code | secrets | may write | lock | cache |\n"
# Secrets that are set in an environment, by the name of the target that needs them.
OF_ENVIRONMENT = {"API_KEY", "DEPLOY_SSH_KEY", "KUBE_CONFIG", "PREDICTION_LOG_HASH_KEY"}


def told(text: str) -> dict[str, list[str]]:
    """Map each job to what its row says: code, secrets, scopes, lock, cache."""
    rows = {}
    for line in text.partition(HEAD)[2].splitlines()[1:]:
        if not line.startswith("|"):
            break
        jobs, *cells = (cell.strip() for cell in line.strip("|").split("|"))
        for job in re.findall("`([^`]+)`", jobs):
            assert job not in rows, f"{job} stands in two rows"
            rows[job] = [cell.replace("`", "") for cell in cells]
    return rows


def found(job: Job) -> list[str]:
    """Return what its row has to say."""
    secrets = {name for step in job.steps for name in SECRET.findall(str(step.data))}
    named = secrets - OF_ENVIRONMENT if job.environment else secrets
    listed = [*(["environment"] if job.environment else []), *sorted(named)]
    writes = sorted(scope for scope, level in job.grants.items() if level == "write")
    setups = [step.inputs for step in job.steps if step.uses == SETUP]
    checks_out = any(step.uses.startswith(CHECKOUT) for step in job.steps)
    cached = any(step.uses.startswith("actions/cache") for step in job.steps) or any(
        it.get("cache") for it in setups
    )
    return [
        "project" if setups else "actions" if checks_out else "none",
        ", ".join(listed) or "none",
        ", ".join(writes) or "nothing",
        str(setups[0].get("lock", "all")) if setups else "none",
        "restored" if cached else "none",
    ]


def jobs() -> dict[str, Job]:
    """Return the jobs of a project; template.yml is none of its workflows."""
    return {
        job.where: job
        for job in THIS.jobs
        if not job.calls and not job.where.startswith("template.yml")
    }


@pytest.mark.parametrize("name", jobs())
def test_a_job_is_as_the_table_says(name: str) -> None:
    assert told(TEXT).get(name) == found(jobs()[name])


def test_the_table_has_no_job_that_is_gone() -> None:
    assert told(TEXT).keys() == jobs().keys()


@pytest.mark.parametrize(
    ("job", "change"),
    [
        ("deploy.yml: register", {"permissions": {"contents": "write"}}),
        ("deploy.yml: build", {"environment": "production"}),
        ("deploy.yml: save", {"steps": [{"uses": SETUP}]}),
        ("deploy.yml: attest", {"steps": [{"uses": f"{CHECKOUT}x"}]}),
        ("deploy.yml: image", {"steps": [{"uses": "x", "with": {"key": "${{ secrets.KEY }}"}}]}),
        ("deploy.yml: promote", {"steps": [{"uses": SETUP, "with": {"cache": True}}]}),
        ("deploy.yml: staging", {"steps": [{"uses": SETUP, "with": {"lock": "all"}}]}),
    ],
)
def test_a_job_that_gets_more_is_not_as_the_table_says(job: str, change: dict[str, object]) -> None:
    changed = Job(job, jobs()[job].data | change)
    assert told(TEXT)[job] != found(changed)
