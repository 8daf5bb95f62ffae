"""Repositories on the local GitHub: a tiny one, and the example after its first push."""

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
import recorded
from hosted import Hosted, make_hosted
from local_github import LocalGitHub
from projects import Project, Workshop
from second_version import SecondVersion, bring_to_production
from tiny_repository import TinyRepository

# What every image has, also that of the first deployment.
OLD = {"id": "CVE-2026-0", "package": "openssl", "severity": "CRITICAL", "fixed": "3.6"}


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the first push: the longest start, which others would have to wait for."""
    items.sort(key=lambda item: "test_first_push.py" not in item.nodeid)


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


@pytest.fixture(scope="session")
def deployed(workshop: Workshop) -> Hosted:
    """The example pushed to main, and what its workflows made of it. Copy it to go on."""

    def start(folder: Path) -> Project:
        make_hosted(folder)
        return Project(folder)

    def first_push(project: Project) -> None:
        hosted = Hosted(project.folder)
        with hosted.github as github:
            github.actions.known["private"] = False  # so that images can be signed
            hosted.vulnerabilities.write_text(json.dumps([OLD]))
            github.push(hosted.project.folder)
            recorded.check(github.github.requests)
            assert github.github.refused == []

    return Hosted(workshop.make("deployed", Project, start, first_push).folder)


@pytest.fixture(scope="session")
def second_version(workshop: Workshop, deployed: Hosted) -> SecondVersion:
    """What became of a second version, stopped at each step once; look, and copy to go on."""

    def start(folder: Path) -> SecondVersion:
        deployed.copy(folder)
        return SecondVersion(folder)

    return workshop.make("second-version", SecondVersion, start, bring_to_production)


@pytest.fixture
def hosted(deployed: Hosted, tmp_path: Path) -> Iterator[Hosted]:
    """A copy to go on with. At the end, GitHub must have understood every request."""
    copy = deployed.copy(tmp_path / "hosted")
    with copy.github as github:
        github.actions.left_out.add("ci.yml")
        yield copy
        recorded.check(github.github.requests)
        assert github.github.refused == []
