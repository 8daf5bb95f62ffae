"""What is proposed, where, and in which words: the inputs that action.yml describes."""

import os
from dataclasses import dataclass
from pathlib import Path

from remote import SITE

LONGEST = 60_000  # characters; GitHub refuses more than 65,536
LONGEST_TITLE = 200


@dataclass(frozen=True)
class Proposal:
    """The changes on a branch, for which somebody is asked to review them."""

    repository: str
    branch: str
    base: str
    title: str
    body: str
    draft: bool
    labels: list[str]
    by_hand: str
    secret: str

    @classmethod
    def from_environment(cls) -> "Proposal":
        given = os.environ
        return cls(
            repository=given["GITHUB_REPOSITORY"],
            branch=given["BRANCH"],
            base=given["BASE"],
            title=" ".join(given["TITLE"].split())[:LONGEST_TITLE] or given["BRANCH"],
            body=Path(given["BODY"]).read_text(encoding="utf-8")[:LONGEST],
            draft=given["DRAFT"] == "true",
            labels=[label.strip() for label in given["LABELS"].split(",")],
            by_hand=given["BY_HAND"],
            secret=given["SECRET"],
        )

    @property
    def address(self) -> str:
        """Where git pushes to."""
        return f"{SITE}/{self.repository}.git"

    @property
    def ref(self) -> str:
        return f"refs/heads/{self.branch}"

    @property
    def api(self) -> str:
        return f"repos/{self.repository}"
