"""Somebody else who saves the store just as a workflow begins to."""

import sqlite3
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from unittest import mock

import github_server
from github_git import git
from hosted import Hosted
from loopback_proxy import Answer, Request


@contextmanager
def overtaken(hosted: Hosted, times: int, *, registry: bool = False) -> Iterator[list[str]]:
    """Let somebody else be faster as often as that; yields the commits that they save.

    With ``registry``, they have changed the registry.
    """
    bare, serve = hosted.github.actions.git, github_server.serve
    saved: list[str] = []

    def save_first(*arguments: object, **options: object) -> Answer:
        request = next(it for it in arguments if isinstance(it, Request))
        if "service=git-receive-pack" in request.query and len(saved) < times:  # a push begins
            tree = with_registry(hosted, _count_on) if registry else "mlops-store^{tree}"
            message = f"Of somebody else, {len(saved) + 1}"
            saved.append(git(bare, "commit-tree", "-m", message, tree))
            git(bare, "update-ref", "refs/heads/mlops-store", saved[-1])
        return serve(*arguments, **options)

    with mock.patch.object(github_server, "serve", save_first):
        yield saved


def with_registry(hosted: Hosted, change: Callable[[sqlite3.Connection], object]) -> str:
    """Return a tree of the branch in which the registry is changed."""
    bare = hosted.github.actions.git
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "mlflow.db")
        file.write_bytes(hosted.github.files("mlops-store")["mlflow.db"])
        with closing(sqlite3.connect(file)) as database:
            change(database)
            database.commit()
        blob = git(bare, "hash-object", "-w", str(file))
    git(bare, "read-tree", "mlops-store")
    git(bare, "update-index", "--cacheinfo", f"100644,{blob},mlflow.db")
    return git(bare, "write-tree")


def _count_on(registry: sqlite3.Connection) -> None:
    """Give the registry another number of its own."""
    (number,) = registry.execute("PRAGMA user_version").fetchone()
    registry.execute(f"PRAGMA user_version = {number + 1}")
