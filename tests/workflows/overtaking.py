"""Somebody else who saves the store just as a workflow begins to."""

from collections.abc import Iterator
from contextlib import contextmanager
from unittest import mock

import github_server
from github_git import git
from hosted import Hosted
from loopback_proxy import Answer, Request


@contextmanager
def overtaken(hosted: Hosted, times: int) -> Iterator[list[str]]:
    """Let somebody else be faster as often as that; yields the commits that they save."""
    bare, serve = hosted.github.actions.git, github_server.serve
    saved: list[str] = []

    def save_first(*arguments: object, **options: object) -> Answer:
        request = next(it for it in arguments if isinstance(it, Request))
        if "service=git-receive-pack" in request.query and len(saved) < times:  # a push begins
            now = git(bare, "rev-parse", "mlops-store")
            message = f"Of somebody else, {len(saved) + 1}"
            saved.append(git(bare, "commit-tree", "-m", message, f"{now}^{{tree}}"))
            git(bare, "update-ref", "refs/heads/mlops-store", saved[-1])
        return serve(*arguments, **options)

    with mock.patch.object(github_server, "serve", save_first):
        yield saved
