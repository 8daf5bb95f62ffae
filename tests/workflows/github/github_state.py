"""What the local GitHub knows: repositories, people, and what a token gives the right to do."""

import json
import os
import threading
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from github_git import git, make_repository
from signing import Authority


@dataclass(frozen=True)
class Token:
    """Who asks, and with which rights; ``repository`` is the only one it may write to."""

    login: str
    write: bool
    repository: str | None = None
    is_actions: bool = False


ANYONE = Token("", write=False)


def now() -> str:
    return datetime.now(UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


class GitHubState:
    """A folder with ``state.json`` and bare repositories; it may be copied and opened again."""

    authority: Authority  # who signs attestations: another one each time that this is opened

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.repositories = folder / "repositories"
        self.repositories.mkdir(parents=True, exist_ok=True)
        self.state: dict[str, Any] = {"repositories": {}, "users": {}, "next_id": 1}
        if (folder / "state.json").exists():
            self.state = json.loads((folder / "state.json").read_text(encoding="utf-8"))
        self.lock = threading.RLock()
        self.tokens: dict[str, Token] = {}

    def save(self) -> None:
        """Write the state; not the tokens, which are for the one that added them."""
        with self.lock:
            text = json.dumps(self.state, indent=1, default=str)
        (self.folder / "state.new").write_text(text, encoding="utf-8")
        os.replace(self.folder / "state.new", self.folder / "state.json")

    def new_id(self) -> int:
        with self.lock:
            self.state["next_id"] += 1
            return int(self.state["next_id"]) - 1

    def path(self, name: str) -> Path:
        """Return where the bare repository ``OWNER/NAME`` is."""
        return self.repositories / f"{name}.git"

    def add_repository(
        self,
        name: str,
        default_branch: str = "main",
        *,
        private: bool = True,
        fork_of: str | None = None,
    ) -> Path:
        """Add an empty repository, or a fork with the branches of its parent."""
        path = self.path(name)
        make_repository(path, default_branch)
        if fork_of:
            git(path, "fetch", "--quiet", str(self.path(fork_of)), "refs/heads/*:refs/heads/*")
        self.add_user(name.split("/")[0])
        self.state["repositories"][name] = {
            "id": self.new_id(),
            "created_at": now(),
            "default_branch": default_branch,
            "description": None,
            "private": private,
            "fork_of": fork_of,
            "actions_may_open_pull_requests": False,  # GitHub's own default
            "pulls": {},  # these three by number or id, which is text as in JSON
            "issues": {},
            "comments": {},
            "labels": {},
            "check_runs": [],
            "dispatches": [],
            "deployments": [],
            "releases": {},  # by tag: the paths of assets by name
        }
        return path

    def add_user(self, login: str) -> None:
        if login not in self.state["users"]:
            kind = "Bot" if login.endswith("[bot]") else "User"
            self.state["users"][login] = {"id": self.new_id(), "type": kind, "created_at": now()}

    def add_token(
        self,
        token: str,
        login: str,
        *,
        write: bool,
        repository: str | None = None,
        is_actions: bool = False,
    ) -> None:
        """Let a person in, or with ``is_actions`` a workflow of the repository."""
        self.add_user(login)
        self.tokens[token] = Token(login, write, repository, is_actions)

    def may_read(self, name: str, token: Token) -> bool:
        """People were invited everywhere; a workflow sees its own repository and public ones."""
        if name not in self.state["repositories"]:
            return False
        invited = token != ANYONE and not token.is_actions
        own = token.is_actions and token.repository in (None, name)
        return invited or own or not self.state["repositories"][name]["private"]

    def may_write(self, name: str, token: Token) -> bool:
        return token.write and token.repository in (None, name)
