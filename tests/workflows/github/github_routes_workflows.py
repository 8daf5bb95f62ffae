"""GitHub's routes to workflows: what they are, and the runs that were started by hand."""

import io
import zipfile
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import github_answers as answers
import yaml
from github_git import GitError, git, resolve
from github_rest import API, Call, GitHubError, Reply, Routes
from github_state import now

EXPIRES = timedelta(days=90)

routes = Routes()


@routes.serve("GET", "/repos/{owner}/{repo}/actions/workflows/{workflow_id}")
def workflow(call: Call) -> Reply:
    """Return the description of a workflow; ``workflow_states`` says which are switched off."""
    name = call.parameters["workflow_id"]
    path = f".github/workflows/{name}"
    try:
        git(call.git, "cat-file", "-e", f"{call.known['default_branch']}:{path}")
    except GitError:
        raise GitHubError(404) from None
    url = f"{API}/repos/{call.name}/actions/workflows/{name}"
    page = f"{answers.SITE}/{call.name}"
    content = {
        "id": 1,
        "node_id": "W_1",
        "name": name,
        "path": path,
        "state": call.known.get("workflow_states", {}).get(name, "active"),
        "created_at": call.known["created_at"],
        "updated_at": call.known["created_at"],
        "url": url,
        "html_url": f"{page}/blob/{call.known['default_branch']}/{path}",
        "badge_url": f"{page}/workflows/{name}/badge.svg",
    }
    return Reply(200, content)


@routes.serve("POST", "/repos/{owner}/{repo}/actions/workflows/{workflow_id}/dispatches", "ref")
def dispatch(call: Call) -> Reply:
    workflow, branch = call.parameters["workflow_id"], call.body["ref"].removeprefix("refs/heads/")
    sha = resolve(call.git, f"refs/heads/{branch}")
    if sha is None:
        raise GitHubError(422, f"No ref found for: {call.body['ref']}")
    try:
        text = git(call.git, "show", f"{sha}:.github/workflows/{workflow}")
    except GitError:
        raise GitHubError(404) from None
    triggers = yaml.load(text, yaml.BaseLoader)["on"]  # others read "on" as a truth value
    if "workflow_dispatch" not in triggers:
        raise GitHubError(422, "Workflow does not have 'workflow_dispatch' trigger")
    trigger = triggers["workflow_dispatch"] if isinstance(triggers, dict) else None
    allowed = (trigger or {}).get("inputs", {}) if isinstance(trigger, dict) else {}
    inputs = call.body.get("inputs", {})
    unexpected = [name for name in inputs if name not in allowed]
    if unexpected:
        raise GitHubError(422, f"Unexpected inputs provided: {unexpected}")
    call.known["dispatches"].append(
        {
            "workflow": workflow,
            "ref": branch,
            "inputs": inputs,
            "user": call.token.login,
            "sha": sha,
            "created_at": now(),
        }
    )
    return Reply(204)


@routes.serve("GET", "/repos/{owner}/{repo}/actions/workflows/{workflow_id}/runs")
def runs(call: Call) -> Reply:
    """List the runs that were started by hand: of others, this GitHub keeps no record."""
    workflow = call.parameters["workflow_id"]
    found = [
        _run(call, place, it)
        for place, it in enumerate(call.known["dispatches"], 1)
        if it["workflow"] == workflow and call.query("head_sha", it["sha"]) == it["sha"]
    ]
    if call.query("event", "workflow_dispatch") != "workflow_dispatch":
        found = []
    page = call.page(found[::-1])
    content = {"total_count": len(found), "workflow_runs": page.content}
    return Reply(page.status, content, page.headers)


@routes.serve("GET", "/repos/{owner}/{repo}/actions/runs/{run_id}/approvals")
def approvals(call: Call) -> Reply:
    """List the reviews of a run's deployments; ``approvals`` maps environments to who approved."""
    url = f"{API}/repos/{call.name}/environments"
    reviews = [
        {
            "environments": [
                {
                    "id": 1,
                    "node_id": "EN_1",
                    "name": name,
                    "url": f"{url}/{name}",
                    "html_url": f"{answers.SITE}/{call.name}/deployments/activity_log",
                    "created_at": call.known["created_at"],
                    "updated_at": call.known["created_at"],
                }
            ],
            "state": "approved",
            "user": answers.user(call.github, login),
            "comment": "",
        }
        for name, login in call.known.get("approvals", {}).items()
    ]
    return Reply(200, reviews)


@routes.serve("GET", "/repos/{owner}/{repo}/actions/artifacts")
def artifacts(call: Call) -> Reply:
    """List the artifacts of all runs, the newest run first; ``name`` asks for those of one name.

    Also what a run that goes on has kept already, as on GitHub.
    """
    found = [
        _artifact(call, number, path)
        for number, path in enumerate(_kept(call), 1)
        if call.query("name", path.name) == path.name
    ]
    page = call.page(found)
    return Reply(page.status, {"total_count": len(found), "artifacts": page.content}, page.headers)


@routes.serve("GET", "/repos/{owner}/{repo}/actions/artifacts/{artifact_id}/{archive_format}")
def archive(call: Call) -> Reply:
    """Return an artifact; GitHub says with a redirect where that is."""
    kept = _kept(call)
    place = int(call.parameters["artifact_id"]) - 1
    if call.parameters["archive_format"] != "zip" or not 0 <= place < len(kept):
        raise GitHubError(404)
    content = io.BytesIO()
    with zipfile.ZipFile(content, "w") as zipped:
        for file in sorted(it for it in kept[place].rglob("*") if it.is_file()):
            zipped.write(file, str(file.relative_to(kept[place])))
    return Reply(200, content.getvalue())


def _kept(call: Call) -> list[Path]:
    """Return the folders of all artifacts, those of the newest run first."""
    return sorted(
        call.github.folder.glob("runs/*/artifacts/*"),
        key=lambda path: int(path.parts[-3]),
        reverse=True,
    )


def _artifact(call: Call, number: int, path: Path) -> dict[str, Any]:
    url = f"{API}/repos/{call.name}/actions/artifacts/{number}"
    created = datetime.fromtimestamp(path.stat().st_mtime, UTC)
    times = {"created_at": created, "updated_at": created, "expires_at": created + EXPIRES}
    return {
        "id": number,
        "node_id": f"A_{number}",
        "name": path.name,
        "size_in_bytes": sum(file.stat().st_size for file in path.rglob("*") if file.is_file()),
        "url": url,
        "archive_download_url": f"{url}/zip",
        "expired": False,
        "workflow_run": {"id": int(path.parts[-3]), "head_sha": _head(call, path.parts[-3])},
        **{name: f"{time:%Y-%m-%dT%H:%M:%SZ}" for name, time in times.items()},
    }


def _head(call: Call, run: str) -> str:
    """Return the commit of a run: of a pull request its head, also as the run goes on."""
    heads: dict[str, str] = call.known.get("heads_of_runs", {})
    return heads.get(run, "0" * 40)


def _run(call: Call, number: int, known: dict[str, Any]) -> dict[str, Any]:
    url = f"{API}/repos/{call.name}/actions/runs/{number}"
    parts = {"logs_url": "logs", "artifacts_url": "artifacts", "cancel_url": "cancel"}
    parts |= {"jobs_url": "jobs", "rerun_url": "rerun", "check_suite_url": "check-suite"}
    repository = answers.repository(call.github, call.name)
    return {
        "id": number,
        "node_id": f"WFR_{number}",
        "name": known["workflow"],
        "display_title": known["workflow"],
        "head_branch": known["ref"],
        "head_sha": known["sha"],
        "path": f".github/workflows/{known['workflow']}",
        "run_number": number,
        "event": "workflow_dispatch",
        "status": "queued",
        "conclusion": None,
        "workflow_id": 1,
        "url": url,
        "html_url": f"{answers.SITE}/{call.name}/actions/runs/{number}",
        **{name: f"{url}/{part}" for name, part in parts.items()},
        "workflow_url": f"{API}/repos/{call.name}/actions/workflows/1",
        "pull_requests": [],
        "head_commit": None,
        "repository": repository,
        "head_repository": repository,
        "created_at": known["created_at"],
        "updated_at": known["created_at"],
    }
