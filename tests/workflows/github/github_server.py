"""A GitHub on this machine: github.com, api.github.com, ghcr.io under their real addresses.

Clients reach it through a proxy that lets nothing else pass; git, gh and any program that
honours the usual environment variables work as they are.
"""

import base64
import json
import re
import sys
import traceback
from dataclasses import dataclass, replace
from email.message import Message
from pathlib import Path
from typing import Any, Self

import github_graphql
import github_pulls
import github_routes_delivery
import github_routes_issues
import github_routes_repositories
import github_routes_rules
import github_routes_workflows
from github_git import SERVICE, serve
from github_rest import Call, GitHubError, Reply, Route, run
from github_state import ANYONE, GitHubState, Token
from loopback_proxy import Answer, LoopbackProxy, Request
from signing import TRUSTED, Authority

# Of the last two, gh asks whom to trust; here, neither knows (see runner_machine.py).
HOSTS = (
    *("github.com", "api.github.com", "ghcr.io"),
    *("tuf-repo.github.com", "tuf-repo-cdn.sigstore.dev"),
)
ROUTES = [
    *github_routes_repositories.routes,
    *github_routes_issues.routes,
    *github_routes_delivery.routes,
    *github_routes_workflows.routes,
    *github_routes_rules.routes,
    *github_graphql.routes,
]


@dataclass(frozen=True)
class Recorded:
    """A request and the status it got; of git traffic, the method is GIT and the query what for."""

    method: str
    host: str
    path: str
    query: str
    body: Any  # parsed JSON, or None
    status: int
    token: str  # whose it is; the token itself would end up in logs
    user_agent: str
    route: str = ""  # the path as GitHub's reference writes it; "" where there is none


@dataclass
class Failure:
    """An answer that requests get instead of the right one."""

    method: str
    path: str
    status: int
    user_agent: str
    times: int | None


class FakeGitHub(GitHubState):
    """Serves while it is open: ``with FakeGitHub(folder) as github: ...``."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.requests: list[Recorded] = []
        self.refused: list[str] = []
        self.environment: dict[str, str] = {}
        self._failures: list[Failure] = []

    def __enter__(self) -> Self:
        self.authority = Authority((self.folder / TRUSTED).parent)
        self._proxy = LoopbackProxy(self.folder / "tls", HOSTS, self.answer)
        self.refused, self.environment = self._proxy.refused, self._proxy.environment
        self._proxy.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._proxy.close()
        self.save()

    def fail(
        self,
        method: str,
        path: str,
        status: int,
        *,
        user_agent: str = "",
        times: int | None = None,
    ) -> None:
        """Answer ``status`` where the pattern ``path`` is found in a path or its ``?query``."""
        self._failures.append(Failure(method, path, status, user_agent, times))

    def ask(self, method: str, path: str, body: Any = None, *, login: str) -> Any:
        """Do what a person does on the site; returns what GitHub's API would answer.

        Raises
        ------
        GitHubError
            Where GitHub refuses.
        """
        self.add_user(login)
        path, _, query = path.partition("?")
        asked = Recorded(method, "api.github.com", path, query, body, 0, login, "")
        return self._rest(Token(login, write=True), asked).content

    def merge(self, name: str, number: int, method: str = "squash") -> str:
        """Merge a pull request with the button; returns the new commit of its base."""
        with self.lock:
            return github_pulls.merge(self, name, number, method)

    def answer(self, request: Request) -> Answer:
        """Answer a client, and record what it wanted."""
        recorded = _recorded(request)
        is_git = recorded.method == "GIT"
        try:
            token = self._token(request.headers)
            recorded = replace(recorded, token=token.login)
            self._fail(recorded)
            if is_git:
                answer = self._git(token, recorded, request)
            elif recorded.host == "ghcr.io":
                answer = _json(github_routes_delivery.manifest(self, recorded.path))
            elif recorded.host != "api.github.com":
                raise GitHubError(404)
            else:
                answer = _json(self._rest(token, recorded, request.headers.get("Accept", "")))
        except GitHubError as error:
            answer = _text(error) if is_git else _json(Reply(error.status, error.content))
        except Exception:
            traceback.print_exc(file=sys.stderr)
            answer = Answer(500, traceback.format_exc().encode())
        self.requests.append(replace(recorded, status=answer.status))
        return answer

    def _rest(self, token: Token, asked: Recorded, accepts: str = "") -> Reply:
        route, parameters = _find(asked.method, asked.path)
        if route is None:
            raise GitHubError(404)
        call = Call(self, token, asked.path, asked.query, asked.body, parameters, accepts)
        with self.lock:
            return run(route, call)

    def _git(self, token: Token, recorded: Recorded, request: Request) -> Answer:
        name = recorded.path.removeprefix("/").removesuffix(".git")
        writes = recorded.query == "receive-pack"
        if token == ANYONE and (writes or not self.may_read(name, token)):
            raise GitHubError(401)
        if not self.may_read(name, token):
            raise GitHubError(404, "Repository not found.")
        if writes and not self.may_write(name, token):
            raise GitHubError(403, f"Permission to {name}.git denied to {token.login}.")
        path = "/".join([recorded.path, *request.path.split("/")[3:]])
        answer = serve(self.repositories, request, path, may_change_workflows=not token.is_actions)
        if writes and request.method == "POST":
            with self.lock:
                github_pulls.update(self, name, token.login)
        return answer

    def _token(self, headers: Message) -> Token:
        kind, _, secret = headers.get("Authorization", "").partition(" ")
        if kind.lower() == "basic":
            secret = base64.b64decode(secret).decode().partition(":")[2]
        if not secret:
            return ANYONE
        if secret not in self.tokens:
            raise GitHubError(401, "Bad credentials")
        return self.tokens[secret]

    def _fail(self, recorded: Recorded) -> None:
        path = recorded.path + (f"?{recorded.query}" if recorded.query else "")
        for failure in self._failures:
            if (
                failure.times != 0
                and failure.method == recorded.method
                and re.search(failure.path, path)
                and failure.user_agent in recorded.user_agent
            ):
                if failure.times:
                    failure.times -= 1
                raise GitHubError(failure.status)


def _find(method: str, path: str) -> tuple[Route | None, dict[str, str]]:
    for route in ROUTES:
        parameters = route.match(method, path)
        if parameters is not None:
            return route, parameters
    return None, {}


def _recorded(request: Request) -> Recorded:
    agent = request.headers.get("User-Agent", "")
    to_git = SERVICE.fullmatch(request.path) if request.host == "github.com" else None
    if to_git:
        service = to_git["service"] or request.query.removeprefix("service=git-")
        path = f"/{to_git['name']}.git"
        return Recorded("GIT", request.host, path, service, None, 0, "", agent)
    try:
        body = json.loads(request.body) if request.body else None
    except ValueError:
        body = request.body.decode(errors="replace")
    route, _ = _find(request.method, request.path)
    template = route.template if route and request.host == "api.github.com" else ""
    return Recorded(
        request.method, request.host, request.path, request.query, body, 0, "", agent, template
    )


def _json(reply: Reply) -> Answer:
    if isinstance(reply.content, bytes):
        kind = {"Content-Type": "application/octet-stream"}
        return Answer(reply.status, reply.content, kind | reply.headers)
    kind = {"Content-Type": "application/json; charset=utf-8"}
    body = b"" if reply.content is None else json.dumps(reply.content).encode()
    return Answer(reply.status, body, kind | reply.headers)


def _text(error: GitHubError) -> Answer:
    """Say why to git, which shows text to its user and asks for a password after 401."""
    headers = {"Content-Type": "text/plain", "WWW-Authenticate": 'Basic realm="GitHub"'}
    return Answer(error.status, f"{error.content['message']}\n".encode(), headers)
