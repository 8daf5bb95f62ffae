"""GitHub's routes to pull requests, issues, their labels and comments."""

from typing import Any

import github_answers as answers
import github_pulls
from github_rest import Call, GitHubError, Reply, Routes
from github_state import now

routes = Routes()


@routes.serve("GET", "/repos/{owner}/{repo}/pulls")
def pulls(call: Call) -> Reply:
    def wanted(pull: dict[str, Any]) -> bool:
        head = f"{pull['head']['repository'].split('/')[0]}:{pull['head']['ref']}"
        base = pull["base"]["ref"]
        return call.query("head", head) == head and call.query("base", base) == base

    found = _listed(call, [pull for pull in call.known["pulls"].values() if wanted(pull)])
    return call.page([answers.pull(call.github, call.name, number) for number in found])


@routes.serve("POST", "/repos/{owner}/{repo}/pulls", "head", "base", "title")
def create_pull(call: Call) -> Reply:
    if call.token.is_actions and not call.known["actions_may_open_pull_requests"]:
        words = "GitHub Actions is not permitted to create or approve pull requests."
        raise GitHubError(403, words)
    if call.body.get("draft") and not call.known.get("drafts", True):
        raise GitHubError(422, github_pulls.NO_DRAFTS)
    number = _next_number(call)
    github_pulls.open_pull(call.github, call.name, call.token.login, call.body, number)
    return Reply(201, answers.full_pull(call.github, call.name, number))


@routes.serve("GET", "/repos/{owner}/{repo}/pulls/{pull_number}")
def pull(call: Call) -> Reply:
    _known(call, "pulls")
    return Reply(200, answers.full_pull(call.github, call.name, int(_number(call))))


@routes.serve("PATCH", "/repos/{owner}/{repo}/pulls/{pull_number}")
def change_pull(call: Call) -> Reply:
    known = _known(call, "pulls")
    _change(known, call.body)
    known["base"]["ref"] = call.body.get("base", known["base"]["ref"])
    github_pulls.update(call.github, call.name)
    return pull(call)


@routes.serve("GET", "/repos/{owner}/{repo}/issues")
def issues(call: Call) -> Reply:
    found = _listed(call, [*call.known["pulls"].values(), *call.known["issues"].values()])
    return call.page([answers.issue(call.github, call.name, number) for number in found])


@routes.serve("POST", "/repos/{owner}/{repo}/issues", "title")
def create_issue(call: Call) -> Reply:
    number = _next_number(call)
    call.known["issues"][str(number)] = {
        "id": call.github.new_id(),
        "number": number,
        "title": call.body["title"],
        "body": call.body.get("body"),
        "state": "open",
        "user": call.token.login,
        "labels": _label_names(call.body.get("labels", [])),
        "created_at": now(),
        "updated_at": now(),
        "closed_at": None,
    }
    return Reply(201, answers.issue(call.github, call.name, number))


@routes.serve("GET", "/repos/{owner}/{repo}/issues/{issue_number}")
def issue(call: Call) -> Reply:
    _known(call)
    return Reply(200, answers.issue(call.github, call.name, int(_number(call))))


@routes.serve("PATCH", "/repos/{owner}/{repo}/issues/{issue_number}")
def change_issue(call: Call) -> Reply:
    known = _known(call)
    _change(known, call.body)
    known["labels"] = _label_names(call.body.get("labels", known["labels"]))
    return issue(call)


@routes.serve("GET", "/repos/{owner}/{repo}/issues/{issue_number}/labels")
def labels(call: Call) -> Reply:
    names = _known(call)["labels"]
    found = [answers.label(call.github, call.name, name) for name in names]
    return call.page([label | {"archived_at": None} for label in found])


@routes.serve("POST", "/repos/{owner}/{repo}/issues/{issue_number}/labels", "labels")
def add_labels(call: Call) -> Reply:
    known = _known(call)
    known["labels"] = list(dict.fromkeys(known["labels"] + _label_names(call.body["labels"])))
    return labels(call)


@routes.serve("GET", "/repos/{owner}/{repo}/issues/{issue_number}/comments")
def comments(call: Call) -> Reply:
    number = _known(call)["number"]
    found = [it for it in call.known["comments"].values() if it["issue"] == number]
    return call.page([answers.comment(call.github, call.name, it) for it in found])


@routes.serve("POST", "/repos/{owner}/{repo}/issues/{issue_number}/comments", "body")
def create_comment(call: Call) -> Reply:
    known = {
        "id": call.github.new_id(),
        "issue": _known(call)["number"],
        "user": call.token.login,
        "body": call.body["body"],
        "created_at": now(),
        "updated_at": now(),
    }
    call.known["comments"][str(known["id"])] = known
    return Reply(201, answers.comment(call.github, call.name, known))


@routes.serve("GET", "/repos/{owner}/{repo}/issues/comments/{comment_id}")
def comment(call: Call) -> Reply:
    return Reply(200, answers.comment(call.github, call.name, _comment(call)))


@routes.serve("PATCH", "/repos/{owner}/{repo}/issues/comments/{comment_id}", "body")
def change_comment(call: Call) -> Reply:
    _comment(call).update(body=call.body["body"], updated_at=now())
    return comment(call)


@routes.serve("DELETE", "/repos/{owner}/{repo}/issues/comments/{comment_id}")
def delete_comment(call: Call) -> Reply:
    del call.known["comments"][str(_comment(call)["id"])]
    return Reply(204)


def _number(call: Call) -> str:
    return call.parameters.get("issue_number") or call.parameters["pull_number"]


def _known(call: Call, *kinds: str) -> dict[str, Any]:
    """Return what the state has about an issue; a pull request is one, too."""
    for kind in kinds or ("pulls", "issues"):
        if _number(call) in call.known[kind]:
            known: dict[str, Any] = call.known[kind][_number(call)]
            return known
    raise GitHubError(404)


def _comment(call: Call) -> dict[str, Any]:
    if call.parameters["comment_id"] not in call.known["comments"]:
        raise GitHubError(404)
    known: dict[str, Any] = call.known["comments"][call.parameters["comment_id"]]
    return known


def _next_number(call: Call) -> int:
    return 1 + max(map(int, [*call.known["pulls"], *call.known["issues"]]), default=0)


def _listed(call: Call, found: list[dict[str, Any]]) -> list[int]:
    """Return the numbers in the state and with the labels asked for, the newest first."""
    state = call.query("state", "open")
    names = set(filter(None, call.query("labels").split(",")))
    wanted = [it for it in found if state in ("all", it["state"]) and names <= set(it["labels"])]
    return sorted((it["number"] for it in wanted), reverse=True)


def _change(known: dict[str, Any], body: dict[str, Any]) -> None:
    known.update({name: body[name] for name in ("title", "body", "state") if name in body})
    known["updated_at"] = now()
    known["closed_at"] = (known["closed_at"] or now()) if known["state"] == "closed" else None


def _label_names(labels: list[Any]) -> list[str]:
    return [it if isinstance(it, str) else it["name"] for it in labels]
