"""What is proposed, where, and in which words: the inputs that action.yml describes."""

import os
import re
from dataclasses import dataclass
from pathlib import Path

from github import SITE, InputError, read

LONGEST = 60_000  # characters; GitHub refuses more than 65,536
LONGEST_TITLE = 200
# A merge carries title and text into the message of a commit, whose runs these words would skip.
SKIPS = re.compile(r"\[(skip ci|ci skip|no ci|skip actions|actions skip)\]", re.IGNORECASE)
# https://docs.github.com/en/actions/concepts/security/github_token
# In one line, as GitHub keeps the line breaks of a pull request.
HELD = (
    "> [!IMPORTANT]\n> **Its checks wait for you.** GitHub holds the checks of what a workflow"
    " proposes until somebody with write access presses **Approve workflows to run**, below. After"
    " 30 days it drops them: close and reopen the pull request then.\n\n"
)


@dataclass(frozen=True)
class Proposal:
    """The changes on a branch, for which somebody is asked to review them."""

    repository: str
    branch: str
    base: str
    title: str
    body: str
    files: list[str]
    draft: bool
    labels: list[str]
    supersedes: str
    held: bool
    by_hand: str
    secret: str

    @classmethod
    def from_environment(cls) -> "Proposal":
        given = os.environ
        if not re.fullmatch(r"[\w.-]+(/[\w.-]+)*", given["BRANCH"], re.ASCII):
            raise InputError(f"{given['BRANCH']!a} cannot be the name of the branch")
        text = read(Path(given["BODY"]), "the text of the pull request", LONGEST)
        return cls(
            repository=given["GITHUB_REPOSITORY"],
            branch=given["BRANCH"],
            base=given["BASE"],
            title=_words(" ".join(given["TITLE"].split()))[:LONGEST_TITLE] or given["BRANCH"],
            body=_words(text)[:LONGEST],
            files=given["FILES"].split(),
            draft=given["DRAFT"] == "true",
            labels=[label.strip() for label in given["LABELS"].split(",")],
            supersedes=given["SUPERSEDES"],
            held=given["HELD"] == "true",
            by_hand=given["BY_HAND"],
            secret=given["SECRET"],
        )

    @property
    def text(self) -> str:
        """The text of the pull request."""
        return HELD + self.body if self.held else self.body

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

    @property
    def matter(self) -> str:
        """What its issue is about."""
        return f"proposal: {self.branch}"


def _words(text: str) -> str:
    return SKIPS.sub(r"(\1)", text).replace("\0", "")
