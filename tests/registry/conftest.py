"""A toy of a project, with a real model in a real registry."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import recorded
from github_server import FakeGitHub
from toy_fixtures import killed_at, project, template

__all__ = ["killed_at", "project", "template"]


@pytest.fixture
def github(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[FakeGitHub]:
    """GitHub, as a job sees it that the merge of octocat has started."""
    with FakeGitHub(tmp_path / "github") as github:
        github.add_repository("octo/flights")
        github.add_token(
            "ghs_of_the_run", "github-actions[bot]", write=False, repository="octo/flights"
        )
        run = {"ACTIONS": "true", "ACTOR": "octocat", "REPOSITORY": "octo/flights", "RUN_ID": "7"}
        workflow = {f"GITHUB_{name}": value for name, value in run.items()}
        for name, value in {**workflow, "GH_TOKEN": "ghs_of_the_run", **github.environment}.items():
            monkeypatch.setenv(name, value)
        yield github
        recorded.check(github.requests)
