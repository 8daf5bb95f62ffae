"""GitHub's routes to rulesets, environments and other settings of a repository."""

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


@routes.serve("GET", "/repos/{owner}/{repo}/rulesets/{ruleset_id}")
def ruleset(call: Call) -> Reply:
    if call.parameters["ruleset_id"] not in _kept(call, "rulesets"):
        raise GitHubError(404)
    return Reply(200, _ruleset(call, call.parameters["ruleset_id"]))


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


@routes.serve("GET", "/repos/{owner}/{repo}/codeowners/errors")
def owners_that_nobody_is(call: Call) -> Reply:
    """Return what is wrong in CODEOWNERS, which is there or is missed."""
    if "codeowners_errors" not in call.known:
        raise GitHubError(404)
    return Reply(200, {"errors": call.known["codeowners_errors"]})


@routes.serve("GET", "/repos/{owner}/{repo}/actions/permissions/workflow")
def rights_of_workflows(call: Call) -> Reply:
    may = call.known["actions_may_open_pull_requests"]
    content = {"default_workflow_permissions": "read", "can_approve_pull_request_reviews": may}
    return Reply(200, content)


@routes.serve("GET", "/repos/{owner}/{repo}/actions/secrets")
def secrets(call: Call) -> Reply:
    return _given(call, "secrets", "secrets")


@routes.serve("GET", "/repos/{owner}/{repo}/actions/variables")
def variables(call: Call) -> Reply:
    return _given(call, "variables", "variables")


@routes.serve("GET", "/repos/{owner}/{repo}/actions/organization-secrets")
def secrets_of_the_organisation(call: Call) -> Reply:
    return _given(call, "secrets", "organisation_secrets")


@routes.serve("GET", "/repos/{owner}/{repo}/actions/organization-variables")
def variables_of_the_organisation(call: Call) -> Reply:
    return _given(call, "variables", "organisation_variables")


@routes.serve("GET", "/repos/{owner}/{repo}/actions/variables/{name}")
def variable(call: Call) -> Reply:
    name = call.parameters["name"]
    if name not in _kept(call, "variables"):
        raise GitHubError(404)
    return Reply(200, _setting(name, _kept(call, "variables")[name]))


def _given(call: Call, kind: str, kept: str) -> Reply:
    """Return a page of secrets or variables; only who may write sees that there are any."""
    if not call.github.may_write(call.name, call.token):
        raise GitHubError(403)
    page = call.page(
        [
            _setting(name, *([] if kind == "secrets" else [value]))
            for name, value in _kept(call, kept).items()
        ]
    )
    content = {"total_count": len(_kept(call, kept)), kind: page.content}
    return Reply(200, content, page.headers)


def _setting(name: str, *value: str) -> dict[str, str]:
    times = {"created_at": now(), "updated_at": now()}
    return {"name": name, **times, **({"value": value[0]} if value else {})}


def _kept(call: Call, what: str) -> dict[str, Any]:
    kept: dict[str, Any] = call.known.setdefault(what, {})
    return kept


def _ruleset(call: Call, number: str) -> dict[str, Any]:
    source = {"source_type": "Repository", "source": call.name}
    return {"id": int(number), **source, **_kept(call, "rulesets")[number]}
