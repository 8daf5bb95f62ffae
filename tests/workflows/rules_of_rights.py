"""Rules of what a run may do, and of what it may be made to do by somebody else's text."""

import re
from collections.abc import Iterator
from typing import Any

from workflow_files import CHECKOUT, Job, Repository, Workflow

DEPLOYS = {"contents": "read", "packages": "write", "attestations": "read"}
# The jobs whose token may do more than read the code. Each is a decision, made here.
GRANTED: dict[str, dict[str, str]] = {
    "train.yml: comment": {"contents": "read", "pull-requests": "write", "actions": "read"},
    "deploy.yml: train": {"contents": "read", "pull-requests": "write", "actions": "read"},
    "deploy.yml: register": {"contents": "read", "actions": "read", "pull-requests": "read"},
    "deploy.yml: save": {"contents": "write"},
    "deploy.yml: build": {"contents": "read", "packages": "read"},
    "deploy.yml: image": {"contents": "read", "packages": "write"},
    "deploy.yml: attest": {"id-token": "write", "attestations": "write"},
    "deploy.yml: staging": DEPLOYS,
    "deploy.yml: production": {**DEPLOYS, "actions": "read"},
    "deploy.yml: promote": {"contents": "read", "actions": "read"},
    "deploy.yml: save-promotion": {"contents": "write"},
    "deploy.yml: put-back": DEPLOYS,
    "deploy.yml: outcome": {"contents": "read", "actions": "read"},
    "drift.yml: data": {"contents": "read", "issues": "write"},
    "drift.yml: propose": {"contents": "write", "issues": "write", "pull-requests": "write"},
    "drift.yml: save": {"contents": "write"},
    "rollback.yml: rollback": DEPLOYS,
    "rollback.yml: promote": {"contents": "read", "actions": "read"},
    "rollback.yml: save": {"contents": "write"},
    "rollback.yml: put-back": DEPLOYS,
    "update.yml: propose": {"contents": "write", "issues": "write", "pull-requests": "write"},
    "template.yml: pages": {"pages": "write", "id-token": "write"},
}
# What a job that may write checks out, in workflows that pull requests start.
REVIEWED = {
    "${{ github.event.pull_request.base.sha }}",
    "${{ github.event.repository.default_branch }}",
}
# Conditions under which a job does not run for a pull request.
NO_PULL_REQUEST = {
    "github.event_name != 'pull_request'",
    "github.event_name == 'push'",
    "github.event_name == 'schedule'",
    "github.event_name == 'workflow_dispatch'",
    "github.ref == 'refs/heads/main'",
}
# Where a job gets what the DVC remote and the registry ask for; from the base branch, for whoever
# runs a pull request's code.
CREDENTIALS = "./.github/actions/credentials"
OF_THE_BASE = CREDENTIALS.replace("./", "./.base/", 1)
BASE = (
    "${{ github.event.pull_request.base.sha || github.event.merge_group.base_sha || github.sha }}"
)
NO_FORK = "github.event.pull_request.head.repo.full_name == github.repository"
REACHES = re.compile(
    r"\bmake pull-repro\b|\bdvc (repro --pull|pull|push)\b"
    r"|\bmlops (pull-data|ingest|store mend|drift|compare|judge|register|promote|rollback)\b"
    r"|\bmlops predict\b"
)
PREDICTS = re.compile(r"\bmlops predict\b")
SECRET = re.compile(r"\bsecrets\.(\w+)")
READS = "DATA_READ"  # a secret that only reads the data, for jobs that write nothing
SETUP = "./.github/actions/setup"
SCANNER = "aquasecurity/trivy-action@"
BUILDS = re.compile(r"\bdocker build\b")
DEPLOY = "./.github/actions/deploy"
# An image by its digest: as `docker push` said it, or as the registry of models has it.
IMAGE = re.compile(r"\$\{\{ (needs|steps)\.[\w-]+\.outputs\.image \}\}")
# Text that whoever opens a pull request or an issue, or commits, writes as they like.
STRANGERS_TEXT = re.compile(
    r"github\.(head_ref|event\.([\w*]+\.)*(title|body|message|label|ref|name|email|page_name))\b"
)


def nothing_is_granted_on_top(repository: Repository) -> Iterator[str]:
    for workflow in repository.workflows.values():
        if workflow.data.get("permissions") != {}:
            yield f"{workflow.name}: write `permissions: {{}}` on top; each job says what it needs"


def each_job_has_the_grants_decided_on(repository: Repository) -> Iterator[str]:
    for job in repository.jobs:
        if "permissions" not in job.data:
            yield f"{job.where} does not say its permissions"
        elif job.where in GRANTED and job.grants != GRANTED[job.where]:
            yield f"{job.where} is granted {job.grants}, decided was {GRANTED[job.where]}"
        elif job.where not in GRANTED and not job.reads_only:
            yield f"{job.where} is granted {job.grants}: decide on that in GRANTED"


def nobody_starts_workflows(repository: Repository) -> Iterator[str]:
    """What a job starts by hand has checks that GitHub does not count for a pull request."""
    for job in repository.jobs:
        if job.grants.get("actions") == "write":
            yield f"{job.where} is granted `actions: write`: what it starts counts for no merge"


def decided_grants_are_in_use(repository: Repository) -> Iterator[str]:
    jobs = {job.where for job in repository.jobs}
    for where in GRANTED:
        if where.split(":")[0] in repository.workflows and where not in jobs:
            yield f"{where} is in GRANTED, but there is no such job"


def callers_grant_what_the_called_need(repository: Repository) -> Iterator[str]:
    """GitHub starts none of a run in which a called job asks for more than its caller has."""
    order = ["none", "read", "write"]
    for job in repository.jobs:
        called = repository.workflows[job.calls].jobs.values() if job.calls else ()
        for needing in called:
            for scope, level in needing.grants.items():
                if order.index(job.grants.get(scope, "none")) < order.index(level):
                    yield f"{job.where} must grant `{scope}: {level}`, as {needing.where} needs it"


def pull_requests_run_with_read_only(repository: Repository) -> Iterator[str]:
    """Checked-out code of a pull request, and a token that may do more, never meet in a job."""
    for name, workflow in repository.workflows.items():
        started_by_pull_requests = "pull_request" in repository.events(name)
        for job in workflow.jobs.values():
            if job.reads_only:
                continue
            for reference in checked_out(job):
                theirs = re.search(r"pull_request\.(head|merge)|refs/pull|head_ref", reference)
                unsafe = started_by_pull_requests and not never_on_pull_requests(job)
                if theirs or (unsafe and reference not in REVIEWED):
                    yield f"{job.where} has {job.grants} and checks out {reference or 'a merge'}"


def checked_out(job: Job) -> list[str]:
    """Return the ref of each checkout; empty stands for what the event is about."""
    return [step.inputs.get("ref", "") for step in job.steps if step.uses.startswith(CHECKOUT)]


def never_on_pull_requests(job: Job) -> bool:
    condition = str(job.data.get("if", "")).removeprefix("${{").removesuffix("}}")
    parts = {part.strip() for part in condition.split("&&")}
    return "||" not in condition and bool(parts & NO_PULL_REQUEST)


def actions_check_nothing_out(repository: Repository) -> Iterator[str]:
    """Else the rule above would not see it."""
    for step in repository.steps_of_actions:
        if step.uses.startswith(CHECKOUT):
            yield f"{step.where}: the job that uses it checks out"


def no_trigger_lends_rights_to_strangers(repository: Repository) -> Iterator[str]:
    for workflow in repository.workflows.values():
        for event in workflow.triggers.keys() & {"pull_request_target", "workflow_run"}:
            yield f"{workflow.name}: {event} runs with the rights of main for anybody's event"


def secrets_are_named(repository: Repository) -> Iterator[str]:
    for job in repository.jobs:
        if job.data.get("secrets") == "inherit":
            yield f"{job.where}: `secrets: inherit` hands over every secret there is"


def credentials_do_not_stay(repository: Repository) -> Iterator[str]:
    for step in repository.steps:
        kept = step.inputs.get("persist-credentials") is not False
        if step.uses.startswith(CHECKOUT) and kept:
            yield f"{step.where}: add `persist-credentials: false`"


def who_reaches_the_data_has_credentials(repository: Repository) -> Iterator[str]:
    """What writes is for jobs that make a new store or write predictions, and only on main."""
    for name, workflow in repository.workflows.items():
        by_pull_requests = "pull_request" in repository.events(name)
        for job in workflow.jobs.values():
            action = OF_THE_BASE if by_pull_requests and not of_the_base(job) else CREDENTIALS
            writes = any(
                step.makes_a_store or PREDICTS.search(step.data.get("run", ""))
                for step in job.steps
            )
            role = "write" if writes and not by_pull_requests else "read"
            wanted = {"role": role, "secret": f"${{{{ secrets.DATA_{role.upper()} }}}}"}
            given = False
            for step in job.steps:
                if step.uses in (CREDENTIALS, OF_THE_BASE):
                    given = True
                    if (step.uses, step.inputs) != (action, wanted):
                        yield f"{step.where}: use {action} with {wanted}"
                elif REACHES.search(step.data.get("run", "")) and not given:
                    yield f"{step.where}: the job needs {action} before this step"


def of_the_base(job: Job) -> bool:
    """Whether a job works in a checkout of the base branch."""
    checkouts = (step.inputs for step in job.steps if step.uses.startswith(CHECKOUT))
    return any(it.get("ref") == BASE and "path" not in it for it in checkouts)


def forks_get_no_credentials(repository: Repository) -> Iterator[str]:
    for step in repository.steps:
        if step.uses.startswith(CHECKOUT) and step.inputs.get("path") == ".base":
            if step.inputs.get("ref") != BASE:
                yield f"{step.where}: its ref must be {BASE}"
            if NO_FORK not in step.condition:
                yield f"{step.where}: `if` must hold {NO_FORK}"
    for name, workflow in repository.workflows.items():
        for job in workflow.jobs.values() if "pull_request" in repository.events(name) else ():
            for step in job.steps:
                if step.uses == CREDENTIALS and NO_FORK not in step.condition:
                    yield f"{step.where}: `if` must hold {NO_FORK}"


def scripts_hold_no_expressions(repository: Repository) -> Iterator[str]:
    for step in repository.steps:
        for script in (step.data.get("run", ""), step.inputs.get("script", "")):
            if "${{" in script:
                yield f"{step.where}: `${{{{ }}}}` becomes code here; pass it through `env`"


def text_of_strangers_goes_through_env(repository: Repository) -> Iterator[str]:
    for step in repository.steps:
        for name, value in step.inputs.items():
            if found := STRANGERS_TEXT.search(str(value)):
                yield f"{step.where}: {found[0]} in `with: {name}`"


def runs_take_turns(repository: Repository) -> Iterator[str]:
    """A newer push replaces a pull request's older run; what writes is never cut off."""
    users: dict[str, str] = {}
    for workflow in repository.workflows.values():
        if workflow.triggers.keys() == {"workflow_call"}:
            continue
        group, cancels = (workflow.concurrency.get(k) for k in ("group", "cancel-in-progress"))
        if not group or cancels is None:
            yield f"{workflow.name} needs `concurrency` with a group and cancel-in-progress"
            continue
        yield from ends_of_runs(workflow, group, cancels)
        start = group.split("${{")[0] or workflow.name
        if start in users:
            yield f"{workflow.name} and {users[start]} share the concurrency group {start}"
        users[start] = workflow.name


def ends_of_runs(workflow: Workflow, group: str, cancels: Any) -> Iterator[str]:
    jobs = workflow.jobs.values()
    for job in jobs:
        # Of those that wait for a group, GitHub keeps the newest and cancels the others.
        if job.concurrency:
            yield f"{job.where}: a newer job would take its turn in {job.concurrency['group']}"
    if cancels is not False and any(job.grants.get("contents") == "write" for job in jobs):
        yield f"{workflow.name} writes to the repository and may be cut off in the middle"
    if "pull_request" in workflow.triggers:
        if cancels is False:
            yield f"{workflow.name}: newer pushes to a pull request must cancel older runs"
        if "github.event.pull_request.number" not in group and "github.ref" not in group:
            yield f"{workflow.name}: pull requests must not cancel each other"


def keys_meet_no_cache(repository: Repository) -> Iterator[str]:
    """Any job of the branch may have written a cache, and nobody checks what comes from it."""
    for job in repository.jobs:
        for step in job.steps if holds_a_key(job) else ():
            if step.uses.startswith("actions/cache") or step.inputs.get("cache") is True:
                yield f"{step.where}: no cache in a job that holds a key"
    for step in repository.steps:
        if step.uses.startswith(SCANNER) and step.inputs.get("cache") is not False:
            yield f"{step.where}: add `cache: false`, else the scanner itself comes from one"


def holds_a_key(job: Job) -> bool:
    """Whether a job may write, or has a secret that does more than to read data."""
    secrets = {name for step in job.steps for name in SECRET.findall(str(step.data))}
    return "write" in job.grants.values() or bool(job.environment or secrets - {READS})


def who_delivers_has_a_small_lock(repository: Repository) -> Iterator[str]:
    """What is not installed cannot misuse the keys of an environment, or change an image."""
    for job in repository.jobs:
        delivers = any(
            step.uses == DEPLOY or BUILDS.search(step.data.get("run", "")) for step in job.steps
        )
        for step in job.steps if delivers else ():
            if step.uses == SETUP and step.inputs.get("lock") != "deliveries":
                yield f"{step.where}: add `lock: deliveries` in a job that builds or deploys"


def deployments_go_to_their_environment(repository: Repository) -> Iterator[str]:
    """By it GitHub asks the reviewers, hands out the secrets, and records the deployment."""
    for job in repository.jobs:
        for step in job.steps:
            if "mlops deploy" in step.data.get("run", ""):
                yield f"{step.where}: use {DEPLOY}"
            if step.uses != DEPLOY:
                continue
            if job.environment != step.inputs["environment"]:
                yield f"{step.where}: the job needs `environment: {step.inputs['environment']}`"
            if not IMAGE.fullmatch(step.inputs["image"]):
                yield f"{step.where}: {step.inputs['image']} must be an output `image`, a digest"


RULES = [
    nothing_is_granted_on_top,
    each_job_has_the_grants_decided_on,
    nobody_starts_workflows,
    decided_grants_are_in_use,
    callers_grant_what_the_called_need,
    pull_requests_run_with_read_only,
    actions_check_nothing_out,
    no_trigger_lends_rights_to_strangers,
    secrets_are_named,
    credentials_do_not_stay,
    who_reaches_the_data_has_credentials,
    forks_get_no_credentials,
    scripts_hold_no_expressions,
    text_of_strangers_goes_through_env,
    runs_take_turns,
    keys_meet_no_cache,
    who_delivers_has_a_small_lock,
    deployments_go_to_their_environment,
]
