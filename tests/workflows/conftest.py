"""A small repository on the local GitHub, for tests of the local GitHub itself."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from local_github import LocalGitHub
from tiny_repository import TinyRepository


@pytest.fixture(scope="session")
def tiny_seed(tmp_path_factory: pytest.TempPathFactory) -> LocalGitHub:
    """A repository with one commit, pushed; to be copied."""
    folder = tmp_path_factory.mktemp("tiny")
    with LocalGitHub(folder / "github") as github:
        tiny = TinyRepository(github, folder / "work")
        tiny.write("README.md", "Tiny\n")
        tiny.push("First")
    return github


@pytest.fixture
def tiny(tiny_seed: LocalGitHub, tmp_path: Path) -> Iterator[TinyRepository]:
    with tiny_seed.copy(tmp_path / "github") as github:
        yield TinyRepository(github, tmp_path / "work")
