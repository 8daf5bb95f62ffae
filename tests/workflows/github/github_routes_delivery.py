"""GitHub's routes to checks, deployments, attestations and releases, and its container registry."""

import json
from typing import Any

import github_answers as answers
from github_rest import API, Call, GitHubError, Reply, Routes
from github_state import GitHubState, now

routes = Routes()


@routes.serve("POST", "/repos/{owner}/{repo}/check-runs", "name", "head_sha")
def create_check_run(call: Call) -> Reply:
    call.commit(call.body["head_sha"])
    done = call.body.get("conclusion") is not None
    known = {
        "id": call.github.new_id(),
        "external_id": "",
        "details_url": None,
        "status": "completed" if done else "queued",
        "conclusion": None,
        "started_at": now(),
        "completed_at": now() if done else None,
        **call.body,
    }
    call.known["check_runs"].append(known)
    url = f"{API}/repos/{call.name}/check-runs/{known['id']}"
    output = dict.fromkeys(("title", "summary", "text")) | known.get("output", {})
    content = {
        **known,
        "node_id": f"CR_{known['id']}",
        "url": url,
        "html_url": f"{answers.SITE}/{call.name}/runs/{known['id']}",
        "output": output | {"annotations_count": 0, "annotations_url": f"{url}/annotations"},
        **dict.fromkeys(("check_suite", "app")),
        "pull_requests": [],
    }
    return Reply(201, content)


@routes.serve("GET", "/repos/{owner}/{repo}/deployments")
def deployments(call: Call) -> Reply:
    found = [
        _deployment(call, it)
        for it in reversed(call.known["deployments"])
        if all(call.query(key, it[key]) == it[key] for key in ("environment", "ref", "sha"))
    ]
    return call.page(found)


@routes.serve("POST", "/repos/{owner}/{repo}/deployments", "ref")
def create_deployment(call: Call) -> Reply:
    known = {
        "id": call.github.new_id(),
        "sha": call.commit(call.body["ref"]),
        "ref": call.body["ref"],
        "task": call.body.get("task", "deploy"),
        "payload": call.body.get("payload", {}),
        "environment": call.body.get("environment", "production"),
        "description": call.body.get("description"),
        "user": call.token.login,
        "created_at": now(),
        "updated_at": now(),
        "statuses": [],
    }
    call.known["deployments"].append(known)
    return Reply(201, _deployment(call, known))


@routes.serve("GET", "/repos/{owner}/{repo}/deployments/{deployment_id}/statuses")
def deployment_statuses(call: Call) -> Reply:
    deployment = _known_deployment(call)
    statuses = reversed(deployment["statuses"])
    return call.page([_deployment_status(call, deployment, it) for it in statuses])


@routes.serve("POST", "/repos/{owner}/{repo}/deployments/{deployment_id}/statuses", "state")
def create_deployment_status(call: Call) -> Reply:
    deployment = _known_deployment(call)
    known = {
        "id": call.github.new_id(),
        "description": "",
        **call.body,
        "user": call.token.login,
        "created_at": now(),
        "updated_at": now(),
    }
    deployment["statuses"].append(known)
    return Reply(201, _deployment_status(call, deployment, known))


@routes.serve("GET", "/repos/{owner}/{repo}/attestations/{subject_digest}")
def attestations(call: Call) -> Reply:
    """Return what the stand-in for actions/attest has noted, signed."""
    digest = call.parameters["subject_digest"]
    file = call.github.folder / "recorded" / "attest.jsonl"
    lines = file.read_text(encoding="utf-8").splitlines() if file.exists() else []
    wanted = call.query("predicate_type")
    found = [
        call.github.authority.bundle(_statement(noted), noted["claims"])
        for noted in map(json.loads, lines)
        if noted["digest"] == digest
        and noted["claims"]["repository"] == call.name
        and wanted in ("", noted["kind"])
    ]
    if not found:
        raise GitHubError(404)
    told = {"repository_id": call.known["id"], "initiator": "user"}  # not GitHub itself
    return Reply(200, {"attestations": [{"bundle": it, **told} for it in found]})


def manifest(github: GitHubState, path: str) -> Reply:
    """Answer for ghcr.io what an image's name and digest name, as the double of docker has it."""
    name, _, digest = path.removeprefix("/v2/").partition("/manifests/")
    if not name:
        return Reply(200)
    file = github.folder / "docker" / "registry" / "ghcr.io" / f"{name}.json"
    known = json.loads(file.read_text(encoding="utf-8"))["manifests"] if file.exists() else {}
    if digest not in known:
        raise GitHubError(404)
    kind = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
    return Reply(200, f"manifest of {known[digest]}".encode(), kind)


@routes.serve("GET", "/repos/{owner}/{repo}/releases/tags/{tag}")
def release(call: Call) -> Reply:
    tag = call.parameters["tag"]
    if tag not in call.known["releases"]:
        raise GitHubError(404)
    place = list(call.known["releases"]).index(tag)
    url, page = f"{API}/repos/{call.name}/releases", f"{answers.SITE}/{call.name}/releases"
    content = {
        "url": f"{url}/{place}",
        "html_url": f"{page}/tag/{tag}",
        "assets_url": f"{url}/{place}/assets",
        "upload_url": f"https://uploads.github.com/repos/{call.name}/releases/{place}/assets",
        "tarball_url": f"{API}/repos/{call.name}/tarball/{tag}",
        "zipball_url": f"{API}/repos/{call.name}/zipball/{tag}",
        "id": place,
        "node_id": f"RE_{place}",
        "tag_name": tag,
        "target_commitish": call.known["default_branch"],
        "name": tag,
        "body": "",
        "draft": False,
        "prerelease": False,
        "created_at": call.known["created_at"],
        "published_at": call.known["created_at"],
        "author": answers.user(call.github, call.parameters["owner"]),
        "assets": [_asset(call, number) for number in _assets(call, tag)],
    }
    return Reply(200, content)


@routes.serve("GET", "/repos/{owner}/{repo}/releases/assets/{asset_id}")
def asset(call: Call) -> Reply:
    """Return the description, or to those who ask for a stream the file itself."""
    number = int(call.parameters["asset_id"])
    if number not in _assets(call):
        raise GitHubError(404)
    if call.accepts == "application/octet-stream":
        return Reply(200, (call.github.folder / _assets(call)[number][2]).read_bytes())
    return Reply(200, _asset(call, number))


def _statement(noted: dict[str, Any]) -> dict[str, Any]:
    """Say of an image what is attested, in the form of https://in-toto.io/Statement/v1."""
    digest = {"sha256": noted["digest"].removeprefix("sha256:")}
    return {
        "_type": "https://in-toto.io/Statement/v1",
        "subject": [{"name": noted["name"], "digest": digest}],
        "predicateType": noted["kind"],
        "predicate": {},
    }


def _deployment(call: Call, known: dict[str, Any]) -> dict[str, Any]:
    url = f"{API}/repos/{call.name}/deployments/{known['id']}"
    return {
        **{key: value for key, value in known.items() if key not in ("statuses", "user")},
        "node_id": f"DE_{known['id']}",
        "url": url,
        "creator": answers.user(call.github, known["user"]),
        "statuses_url": f"{url}/statuses",
        "repository_url": f"{API}/repos/{call.name}",
    }


def _known_deployment(call: Call) -> dict[str, Any]:
    for known in call.known["deployments"]:
        if str(known["id"]) == call.parameters["deployment_id"]:
            found: dict[str, Any] = known
            return found
    raise GitHubError(404)


def _deployment_status(
    call: Call, deployment: dict[str, Any], known: dict[str, Any]
) -> dict[str, Any]:
    url = f"{API}/repos/{call.name}/deployments/{deployment['id']}"
    return {
        **{key: value for key, value in known.items() if key != "user"},
        "node_id": f"DES_{known['id']}",
        "url": f"{url}/statuses/{known['id']}",
        "creator": answers.user(call.github, known["user"]),
        "deployment_url": url,
        "repository_url": f"{API}/repos/{call.name}",
    }


def _assets(call: Call, of: str | None = None) -> dict[int, tuple[str, str, str]]:
    """Return tag, name and path of the assets, of one tag or all, by a number that stays."""
    releases = call.known["releases"].items()
    every = [(tag, *asset) for tag, assets in releases for asset in assets.items()]
    return {place: it for place, it in enumerate(every, 1) if of in (None, it[0])}


def _asset(call: Call, number: int) -> dict[str, Any]:
    tag, name, path = _assets(call)[number]
    return {
        "url": f"{API}/repos/{call.name}/releases/assets/{number}",
        "browser_download_url": f"{answers.SITE}/{call.name}/releases/download/{tag}/{name}",
        "id": number,
        "node_id": f"RA_{number}",
        "name": name,
        "label": "",
        "state": "uploaded",
        "content_type": "application/octet-stream",
        "size": (call.github.folder / path).stat().st_size,
        "digest": None,
        "download_count": 0,
        "created_at": call.known["created_at"],
        "updated_at": call.known["created_at"],
        "uploader": answers.user(call.github, call.parameters["owner"]),
    }
