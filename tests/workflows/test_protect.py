"""`make protect`: one command protects main, for a team or for somebody who works alone."""

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import recorded
from github_server import FakeGitHub
from projects import ROOT

NAME = "octo/flights"
TOKEN = "ghp_ofAda"  # not a secret: only the local GitHub knows it


class Owner:
    """A clone whose owner is signed in to the local GitHub."""

    def __init__(self, github: FakeGitHub, folder: Path) -> None:
        self.github, self.folder = github, folder
        github.add_repository(NAME, "trunk")
        github.add_token(TOKEN, "ada", write=True)
        for part in ("lib", "rulesets"):
            shutil.copytree(
                ROOT / ".github" / part,
                folder / ".github" / part,
                ignore=shutil.ignore_patterns("__pycache__"),
            )
        for command in (["init"], ["remote", "add", "origin", f"https://github.com/{NAME}.git"]):
            subprocess.run(["git", *command], cwd=folder, check=True, capture_output=True)

    def protect(self, *who: str, token: str = TOKEN) -> tuple[int, str]:
        done = subprocess.run(
            [sys.executable, ".github/lib/protect.py", *who],
            cwd=self.folder,
            env={
                **self.github.environment,
                "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
                "HOME": str(self.folder),
                "GH_TOKEN": token,
                "GH_PROMPT_DISABLED": "1",
            },
            capture_output=True,
            text=True,
            check=False,
        )
        return done.returncode, done.stdout + done.stderr

    @property
    def known(self) -> dict[str, Any]:
        known: dict[str, Any] = self.github.state["repositories"][NAME]
        return known

    def reviews(self) -> dict[str, Any]:
        """Return what main demands of a review."""
        (main,) = [it for it in self.known["rulesets"].values() if it["name"] == "main"]
        (rule,) = [it for it in main["rules"] if it["type"] == "pull_request"]
        return dict(rule["parameters"])


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Owner]:
    with FakeGitHub(tmp_path / "github") as github:
        yield Owner(github, tmp_path)
        recorded.check(github.requests)


def test_a_team_and_then_somebody_alone(owner: Owner) -> None:
    code, said = owner.protect("team")
    assert (code, said.splitlines()) == (
        0,
        [
            "ruleset main: installed",
            "ruleset store: installed",
            "environment staging: may be used from trunk only",
            "environment production: may be used from trunk only",
        ],
    )
    assert owner.reviews()["required_approving_review_count"] == 1
    assert owner.reviews()["require_code_owner_review"]  # the bot's approval is no owner's
    assert owner.reviews()["require_last_push_approval"]
    assert owner.known["branches"]["production"] == ["trunk"]
    asked = [it.body for it in owner.github.requests if it.method == "PUT"]
    assert [it["prevent_self_review"] for it in asked if "prevent_self_review" in it] == [True] * 2

    code, said = owner.protect("alone")
    assert said.splitlines()[0] == "ruleset main: replaced"
    assert len(owner.known["rulesets"]) == 2
    assert owner.reviews()["required_approving_review_count"] == 0
    assert not owner.reviews()["require_last_push_approval"]  # which blocks also where 0 approve
    assert not owner.reviews()["require_code_owner_review"]
    assert "environment production: has rules, which stay; look whether" in said
    assert owner.known["branches"]["production"] == ["trunk"]


@pytest.mark.parametrize("who", [(), ("both",)])
def test_nothing_is_done_before_it_is_known_for_whom(owner: Owner, who: tuple[str, ...]) -> None:
    code, said = owner.protect(*who)
    assert code == 1
    assert said.startswith(
        "make protect: RULES=team where somebody else approves each pull request"
    )
    assert "rulesets" not in owner.known


def test_what_github_refuses_is_said(owner: Owner) -> None:
    owner.github.add_token("ghp_ofMallory", "mallory", write=False)
    code, said = owner.protect("team", token="ghp_ofMallory")
    assert code == 1
    assert "(HTTP 403)" in said
    assert "signed in as an administrator" in said
    assert "Traceback" not in said
