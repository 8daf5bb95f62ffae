"""Faults of a page: dead links, too much text, commands that are not there, blocks that fail."""

import argparse
import importlib.util
import posixpath
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import typer.main
from dvc.cli.parser import get_main_parser
from generation import PATH, ROOT, run, tracked
from markdown_page import MARK, Page

from mlops.cli import app

WORDS = 1500
CHARACTERS = 160  # from so many on, a line is too long
REASON = 2  # words


@dataclass(frozen=True)
class Tree:
    """A repository whose pages link to each other."""

    root: Path

    @property
    def files(self) -> set[str]:
        return set(tracked(self.root))

    def page(self, name: str) -> Page:
        return Page(name, (self.root / name).read_text(encoding="utf-8"))


def dead_links(page: Page, tree: Tree) -> list[str]:
    """Return the links of a page that lead to no file, or to no heading."""
    files = tree.files
    folders = {str(it) for file in files for it in Path(file).parents}
    found = []
    for link in page.links:
        path, _, heading = link.partition("#")
        path = unquote(path.partition("?")[0])
        start = "" if path.startswith("/") else posixpath.dirname(page.name)
        target = posixpath.normpath(posixpath.join(start, path.lstrip("/")) if path else page.name)
        if target not in files | folders:
            found.append(f"{page.name}: {link} leads to no file")
        elif not heading or not target.endswith(".md"):
            continue
        elif unquote(heading) not in tree.page(target).anchors:
            found.append(f"{page.name}: {link} leads to no heading")
    return found


def too_long(page: Page) -> list[str]:
    """Return what is too long to be read: the page, or a line of its text."""
    found = []
    if (words := len(page.text.split())) > WORDS:
        found.append(f"{page.name}: {words:,} words, at most {WORDS:,}")
    for number, line in page.lines:
        seen = re.sub(r"(?<=\]\()[^)]+(?=\))|https?://[^\s)>\"]+", "", line)
        if len(seen) >= CHARACTERS and not line.lstrip().startswith("|"):
            found.append(f"{page.name}:{number}: {len(seen)} characters, fewer than {CHARACTERS}")
    return found


def targets_of(*makefiles: str) -> set[str]:
    texts = [(ROOT / name).read_text(encoding="utf-8") for name in makefiles]
    return set(re.findall(r"^([a-z-]+):(?!=)", "\n".join(texts), re.MULTILINE))


def fault_of_make(words: list[str], targets: set[str]) -> str | None:
    asked = [it for it in words if "=" not in it and not it.startswith("-") and it != "..."]
    return next((f"no target {it}" for it in asked if it not in targets), None)


def fault_of_mlops(words: list[str]) -> str | None:
    """Follow what is typed down the tree of commands."""
    command: Any = typer.main.get_command(app)
    options: dict[str, Any] = {}
    values = iter(words)
    given = 0
    for word in values:
        options |= {name: it for it in command.params for name in [*it.opts, *it.secondary_opts]}
        name, _, value = word.partition("=")
        if name == "--help" or word == "...":
            continue
        if word.startswith("-"):
            if not (option := options.get(name)):
                return f"no option {name}"
            if not value and not (option.is_flag or option.count):
                next(values, "")
        elif hasattr(command, "commands"):
            if word not in command.commands:
                return f"no command {word}"
            command = command.commands[word]
        else:
            given += 1
            takes = [it.nargs for it in command.params if it.param_type_name == "argument"]
            if -1 not in takes and given > sum(takes):
                return f"takes no {word}"
    return None


def fault_of_dvc(words: list[str]) -> str | None:
    parser: argparse.ArgumentParser = get_main_parser()
    options = dict(parser._option_string_actions)
    for word in words:
        if word.startswith("-"):
            if word.partition("=")[0] not in options:
                return f"no option {word}"
            continue
        below = [it for it in parser._actions if isinstance(it, argparse._SubParsersAction)]
        if below:
            if word not in below[0].choices:
                return f"no command {word}"
            parser = below[0].choices[word]
            options |= parser._option_string_actions
    return None


def fault_of_python(words: list[str]) -> str | None:
    if words[:1] != ["-m"] or not words[1:] or not words[1].startswith("mlops"):
        return None
    try:
        there = importlib.util.find_spec(f"{words[1]}.__main__")
    except ModuleNotFoundError:
        there = None
    if there is None:
        return f"no module {words[1]} to start"
    # As its __main__ says.
    return next((f"no option {it}" for it in words[2:] if it not in ("--help", "...")), None)


def unknown_commands(page: Page, targets: set[str]) -> list[str]:
    """Return the commands of a page that would be refused."""
    found = []
    for words, behind in page.commands:
        program, *arguments = words
        fault = None
        if program == "make":
            # Pages of a project also speak of what only the template can make, and say so.
            known = targets | (ALL_TARGETS if behind.startswith("in the template") else set())
            fault = fault_of_make(arguments, known)
        elif program == "mlops":
            fault = fault_of_mlops(arguments)
        elif program == "dvc":
            fault = fault_of_dvc(arguments)
        elif program in ("python", "python3"):
            fault = fault_of_python(arguments)
        if fault:
            found.append(f"{page.name}: {' '.join(words)}: {fault}")
    return found


ALL_TARGETS = targets_of("Makefile", "project.mk")
PROJECT_TARGETS = targets_of("project.mk")


def unmarked(page: Page) -> list[str]:
    """Return what keeps a block of commands from being run, or from being left out rightly."""
    found = []
    marks = sum(bool(MARK.fullmatch(line)) for _, line in page.lines)
    reasons = [block.reason for block in page.shells if block.reason is not None]
    if marks != len(reasons):
        found.append(f"{page.name}: {marks - len(reasons)} marks are on no block of commands")
    for block in page.shells:
        if block.reason is not None and len(block.reason.split()) < REASON:
            found.append(f"{page.name}:{block.line}: says not why it is not run")
        if not block.commands:
            found.append(f"{page.name}:{block.line}: no commands; in a console, they follow on $")
        for test in re.findall(r"\btests/[\w/.]+", block.reason or ""):
            if not (ROOT / test).exists():
                found.append(f"{page.name}:{block.line}: {test} is not there")
    return found


def failures(page: Page, project: Path) -> list[str]:
    """Run the blocks that have no mark, each in a shell of its own, until one fails.

    The home folder is an empty one: what is run by mistake finds no key of the user.
    """
    path = f"{project}/.venv/bin:{PATH}"
    for block in page.shells:
        if block.reason is None:
            script = "\n".join(block.commands)
            command = ("timeout", "180", "bash", "-euo", "pipefail", "-c", script)
            done = run(*command, cwd=project, PATH=path)
            if done.returncode:
                said = f"{done.stdout[-2000:]}{done.stderr[-2000:]}"
                return [f"{page.name}:{block.line}: ended with {done.returncode}\n{said}"]
    return []
