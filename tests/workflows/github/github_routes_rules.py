"""GitHub's routes to rulesets and environments."""

from typing import Any

from github_rest import API, Call, GitHubError, Reply, Routes
from github_state import now

routes = Routes()


@routes.serve("GET", "/repos/{owner}/{repo}/rulesets")
def rulesets(call: Call) -> Reply:
    """The list has the organisation's too, unless it is asked not to."""
    own = [_ruleset(call, number) for number in _kept(call, "rulesets")]
    parent = {"name": "main", "source_type": "Organization", "source": call.parameters["owner"]}
    parents = [{"id": 1, **parent, "enforcement": "active"}]
    return call.page([*(parents if call.query("includes_parents", "true") == "true" else []), *own])


@routes.serve("POST", "/repos/{owner}/{repo}/rulesets", "name", "enforcement")
def create_ruleset(call: Call) -> Reply:
    if any(it["name"] == call.body["name"] for it in _kept(call, "rulesets").values()):
        raise GitHubError(422, "Name must be unique")
    number = str(call.github.new_id())
    _kept(call, "rulesets")[number] = call.body
    return Reply(201, _ruleset(call, number))


@routes.serve("PUT", "/repos/{owner}/{repo}/rulesets/{ruleset_id}")
def change_ruleset(call: Call) -> Reply:
    number = call.parameters["ruleset_id"]
    if number not in _kept(call, "rulesets"):
        raise GitHubError(404)
    _kept(call, "rulesets")[number] = call.body
    return Reply(200, _ruleset(call, number))


@routes.serve("GET", "/repos/{owner}/{repo}/environments")
def environments(call: Call) -> Reply:
    found = list(_kept(call, "environments").values())
    return Reply(200, {"total_count": len(found), "environments": found})


@routes.serve("PUT", "/repos/{owner}/{repo}/environments/{environment_name}")
def change_environment(call: Call) -> Reply:
    name, number = call.parameters["environment_name"], call.github.new_id()
    policy = call.body.get("deployment_branch_policy")
    rule = {"id": number + 1, "node_id": f"R_{number}", "type": "branch_policy"}
    url = f"{API}/repos/{call.name}/environments/{name}"
    _kept(call, "environments")[name] = kept = {
        **{"id": number, "node_id": f"EN_{number}", "name": name, "url": url, "html_url": url},
        **{"created_at": now(), "updated_at": now()},
        **{"protection_rules": [rule] if policy else [], "deployment_branch_policy": policy},
    }
    return Reply(200, kept)


@routes.serve(
    "POST", "/repos/{owner}/{repo}/environments/{environment_name}/deployment-branch-policies"
)
def add_branch(call: Call) -> Reply:
    number, name = call.github.new_id(), call.body["name"]
    branches = _kept(call, "branches").setdefault(call.parameters["environment_name"], [])
    branches.append(name)
    return Reply(200, {"id": number, "node_id": f"BP_{number}", "name": name})


def _kept(call: Call, what: str) -> dict[str, Any]:
    kept: dict[str, Any] = call.known.setdefault(what, {})
    return kept


def _ruleset(call: Call, number: str) -> dict[str, Any]:
    source = {"source_type": "Repository", "source": call.name}
    return {"id": int(number), **source, **_kept(call, "rulesets")[number]}
