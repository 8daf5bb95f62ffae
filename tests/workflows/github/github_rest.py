"""How a request to GitHub's REST API finds its answer; the answers are in ``github_routes_*``."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, unquote, urlencode

from github_git import resolve
from github_state import ANYONE, GitHubState, Token

API = "https://api.github.com"
LONGEST_BODY = 65_536  # characters, of comments, issues and pull requests
MESSAGES = {
    401: "Requires authentication",
    403: "Resource not accessible by integration",
    404: "Not Found",
    422: "Validation Failed",
    429: "You have exceeded a secondary rate limit.",
}


class GitHubError(Exception):
    """An answer other than the one asked for, in GitHub's words."""

    def __init__(self, status: int, message: str = "", **error: str) -> None:
        self.status = status
        self.content: dict[str, Any] = {
            "message": message or MESSAGES.get(status, "Server Error"),
            "documentation_url": "https://docs.github.com/rest",
            "status": str(status),
        }
        if error:
            self.content["errors"] = [error]
        super().__init__(f"{status} {self.content['message']} {error or ''}")


@dataclass(frozen=True)
class Reply:
    status: int
    content: Any = None  # JSON, or the bytes of a file
    headers: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Call:
    """A request to a route, and who asks."""

    github: GitHubState
    token: Token
    path: str
    query_string: str
    body: Any
    parameters: dict[str, str]
    accepts: str = "application/json"

    @property
    def name(self) -> str:
        return f"{self.parameters['owner']}/{self.parameters['repo']}"

    @property
    def known(self) -> dict[str, Any]:
        """What the state has about the repository."""
        known: dict[str, Any] = self.github.state["repositories"][self.name]
        return known

    @property
    def git(self) -> Path:
        return self.github.path(self.name)

    def query(self, name: str, default: str = "") -> str:
        return parse_qs(self.query_string).get(name, [default])[-1]

    def commit(self, revision: str) -> str:
        """Return the commit of a branch, or of anything else that git can resolve."""
        found = resolve(self.git, f"refs/heads/{revision}") or resolve(self.git, revision)
        if found is None:
            raise GitHubError(422, f"No commit found for SHA: {revision}")
        return found

    def page(self, items: list[Any]) -> Reply:
        """Return the page asked for, with the links to the others."""
        size = min(int(self.query("per_page", "30")), 100)
        number = int(self.query("page", "1"))
        last = max(1, -(-len(items) // size))
        others = {"prev": number - 1, "next": number + 1, "last": last, "first": 1}
        if number == 1:
            del others["prev"], others["first"]
        if number >= last:
            del others["next"], others["last"]
        given = {name: values[-1] for name, values in parse_qs(self.query_string).items()}
        links = [
            f'<{API}{self.path}?{urlencode(given | {"page": to})}>; rel="{rel}"'
            for rel, to in others.items()
        ]
        headers = {"Link": ", ".join(links)} if links else {}
        return Reply(200, items[(number - 1) * size : number * size], headers)


@dataclass(frozen=True)
class Route:
    """A path as GitHub's reference writes it, and the fields that a request must have."""

    method: str
    template: str
    required: tuple[str, ...]
    answer: Callable[[Call], Reply]

    def match(self, method: str, path: str) -> dict[str, str] | None:
        """Return the parameters in the path, when it is one of this route."""
        slashes = ("ref", "branch", "basehead", "path")  # the parameters that may contain them
        pattern = re.sub(
            r"\{(\w+)\}",
            lambda it: f"(?P<{it[1]}>{'.+' if it[1] in slashes else '[^/]+'})",
            self.template,
        )
        found = re.fullmatch(pattern, path) if method == self.method else None
        return found and {name: unquote(text) for name, text in found.groupdict().items()}


class Routes(list[Route]):
    """Routes, each made of the function under ``@routes.serve(...)``; the first match counts."""

    def serve(
        self, method: str, template: str, *required: str
    ) -> Callable[[Callable[[Call], Reply]], Callable[[Call], Reply]]:
        def add(answer: Callable[[Call], Reply]) -> Callable[[Call], Reply]:
            self.append(Route(method, template, required, answer))
            return answer

        return add


def run(route: Route, call: Call) -> Reply:
    """Answer a call, unless it lacks a right or a field.

    Raises
    ------
    GitHubError
        With GitHub's status and words.
    """
    if "owner" in call.parameters:
        _check_rights(route, call)
    if not isinstance(call.body, dict | None):
        raise GitHubError(400, "Body should be a JSON object")
    body = call.body or {}
    for name in route.required:
        if name not in body:
            raise GitHubError(422, resource=route.template, field=name, code="missing_field")
    if len(body.get("body") or "") > LONGEST_BODY:
        words = f"body is too long (maximum is {LONGEST_BODY} characters)"
        raise GitHubError(422, resource="Issue", code="custom", field="body", message=words)
    return route.answer(call)


def _check_rights(route: Route, call: Call) -> None:
    if not call.github.may_read(call.name, call.token):
        raise GitHubError(404)
    if route.method == "GET" or call.github.may_write(call.name, call.token):
        return
    if call.token == ANYONE:
        raise GitHubError(401)
    # Who was invited to read may also speak, and propose what is in a fork.
    speaks = route.template.endswith(("/issues", "/pulls", "/comments"))
    if call.token.is_actions or not call.token.write or not speaks:
        raise GitHubError(403)
