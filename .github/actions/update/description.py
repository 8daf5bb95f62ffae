"""What a reviewer of an update reads: from where to where, what conflicts, which files change."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Literal

LONGEST = 60_000  # characters; GitHub refuses more than 65,536
MOST_FILES = 200
WORDS = {"A": "new", "D": "gone"}
ON_GITHUB = re.compile(r"https://github\.com/[\w.-]+/[\w.-]+?(?=(\.git)?/?$)")

MARKED = "both versions are in the branch, between conflict markers"
LEFT_OUT = "not in the branch: this is what could not be applied"
ADVICE = """\
The project and the template changed the same lines. Check this branch out, resolve what is below
(`ours` is the project, `theirs` the template), and push: from then on the branch is yours, and no
later run touches it.
"""
ABOUT_THE_LOCK = """\
When `pyproject.toml` is resolved, make the locks, `requirements*.txt`, anew with `make lock`: where
both changed the same lines of one, it is the project's as it was.
"""
UNLOCKED = """\
The locks, `requirements*.txt`, have to be made anew with `make lock` on this branch, as that failed
here: {}.
"""
NEWS = "### What is new, and what you must do\n\n"
LONGEST_NEWS = 6_000


@dataclass(frozen=True)
class Conflict:
    """A file whose change in the template does not go with its change in the project."""

    path: str
    kind: Literal["marked", "left out"]
    text: str  # what of it conflicts, as a diff or in git's words


@dataclass(frozen=True)
class Update:
    """An update from one commit of the template to another."""

    template: str
    old: str
    new: str
    changes: dict[str, str]  # git's letter (A, M, D, T) of each changed file
    conflicts: list[Conflict]
    unlocked: str = ""  # why `make lock` failed
    news: str = ""  # what the list of versions has more

    @property
    def title(self) -> str:
        return f"Update from the template ({self.new[:7]})"


def describe(update: Update) -> str:
    """Return the text of the pull request as Markdown, with the conflicts cut where it must be."""
    before = "\n".join([_summary(update), *_news(update), *_advice(update)])
    after = "\n".join(["", "### Files", "", *_files(update.changes), ""])
    room = LONGEST - len(before) - len(after)
    return before + "".join(_conflicts(update.conflicts, room)) + after


def _summary(update: Update) -> str:
    moved = f"`{update.old[:7]}` to `{update.new[:7]}`"
    link = ON_GITHUB.match(update.template)
    if link:
        moved = f"[{moved}]({link[0]}/compare/{update.old}...{update.new})"
    return f"""\
The template, {code(update.template)}, went from {moved}. This brings what the project has of it up
to date. It touches nothing that is yours: what `[tool.cruft] skip` in `pyproject.toml` lists.
"""


def _news(update: Update) -> Iterable[str]:
    if update.news:
        yield NEWS + _fence(
            update.news, LONGEST_NEWS, "markdown", "docs/CHANGELOG.md has all of it"
        )
    if update.unlocked:
        yield UNLOCKED.format(code(update.unlocked))


def _advice(update: Update) -> Iterable[str]:
    if update.conflicts:
        count = len(update.conflicts)
        yield f"### {count} conflict{'s' if count > 1 else ''} to resolve by hand\n"
        yield ADVICE
        if any(conflict.path == "pyproject.toml" for conflict in update.conflicts):
            yield ABOUT_THE_LOCK


def _conflicts(conflicts: list[Conflict], room: int) -> Iterable[str]:
    """Show each conflict; those that are short leave their room to those that are long."""
    heads = [
        f"\n**{code(it.path)}**: {MARKED if it.kind == 'marked' else LEFT_OUT}\n\n"
        for it in conflicts
    ]
    room -= sum(map(len, heads))
    by_length = sorted(range(len(conflicts)), key=lambda place: len(conflicts[place].text))
    shown = {}
    for done, place in enumerate(by_length):
        shown[place] = _fence(conflicts[place].text, room // (len(conflicts) - done))
        room -= len(shown[place])
    for place, head in enumerate(heads):
        yield head + shown[place]


def _fence(
    text: str,
    room: int,
    language: str = "diff",
    rest: str = "on a laptop, `cruft update` shows all of it",
) -> str:
    """Show text in a fence that nothing in the text can close."""
    ticks = "`" * max(3, 1 + max(map(len, re.findall("`+", text)), default=0))
    start, end = f"{ticks}{language}\n", f"\n{ticks}\n"
    room -= len(start) + len(end)
    if len(text) > room:
        cut = f"\n... cut here; {rest}"
        text = text[: max(0, room - len(cut))] + cut
    return start + text.rstrip("\n") + end


def _files(changes: dict[str, str]) -> Iterable[str]:
    for path in list(changes)[:MOST_FILES]:
        word = WORDS.get(changes[path], "")
        yield f"- {code(path)}{f' ({word})' if word else ''}"
    if len(changes) > MOST_FILES:
        yield f"- and {len(changes) - MOST_FILES} more"


def code(text: str) -> str:
    """Show text of others as code, so that it is neither markup nor a mention."""
    return f"`{' '.join(text.replace('`', chr(39)).split())}`"
