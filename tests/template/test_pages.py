"""What the pages say is so: links, length, commands, and blocks of commands, which are run."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from generation import ROOT, run, succeed, tracked, with_this_environment
from markdown_page import Page
from page_rules import (
    ALL_TARGETS,
    PROJECT_TARGETS,
    Tree,
    dead_links,
    failures,
    too_long,
    unknown_commands,
    unmarked,
)
from projects import Project
from running_service import RunningService
from test_links import TEMPLATE, links, under

TARGETS = ("image", "compose", "kubernetes")
OUR_README = f"{TEMPLATE}/README.md"

LIVING = [
    name
    for name in tracked(ROOT)
    if name.endswith(".md") and not (ROOT / name).is_symlink() and not under(name, [TEMPLATE])
]
LINKED = [str(target.relative_to(ROOT)) for target in links().values()]
# The first page that somebody follows comes first.
NAMES = [OUR_README, *LIVING]


def each(names: list[str]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("name", names)


@pytest.fixture(scope="module")
def projects(template: Path, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Tree]:
    """A project for each target, generated as its owner would."""
    folder = tmp_path_factory.mktemp("pages")
    for target in TARGETS:
        options = ["--no-input", "--output-dir", folder / target, f"deploy_target={target}"]
        succeed("cookiecutter", template, *options, cwd=folder, HOME=str(folder))
    return {target: Tree(folder / target / "flight-delays") for target in TARGETS}


@pytest.fixture
def page(name: str, projects: dict[str, Tree]) -> Page:
    """A page as it lies here; that of a project's README as a project has it."""
    if name == OUR_README:
        return Page(name, projects["image"].page("README.md").text)
    return Tree(ROOT).page(name)


# Links


@each(LIVING)
def test_links_of_a_page_lead_somewhere(name: str) -> None:
    assert dead_links(Tree(ROOT).page(name), Tree(ROOT)) == []


@pytest.mark.parametrize("target", TARGETS)
def test_links_lead_somewhere_in_a_project(target: str, projects: dict[str, Tree]) -> None:
    tree = projects[target]
    pages = sorted(it for it in tree.files if it.endswith(".md"))
    assert "README.md" in pages
    assert len(pages) > 10
    assert [fault for it in pages for fault in dead_links(tree.page(it), tree)] == []


@pytest.mark.parametrize("target", TARGETS)
def test_a_project_has_the_page_of_its_target_only(target: str, projects: dict[str, Tree]) -> None:
    pages = {"compose": "host/README.md", "kubernetes": "kubernetes/README.md"}
    linked = projects[target].page("deploy/README.md").links
    for other, page in pages.items():
        there = f"deploy/{page}" in projects[target].files
        assert there == (page in linked) == (other == target)


def test_the_first_screen_answers_who_asks_whether_it_is_for_them() -> None:
    """Before the first picture, and in so few words that no one has to scroll for them."""
    screen = (ROOT / "README.md").read_text(encoding="utf-8").partition("<picture>")[0]
    asked = re.findall(r"^- \*\*(.+\?)\*\*", screen, re.MULTILINE)
    assert asked == [
        "What is it?",
        "What do I get?",
        "Is it for my problem?",
        "What does it cost?",
        "How do I start?",
    ]
    assert len(screen.split()) < 200


# Length


@each(NAMES)
def test_a_page_is_short(page: Page) -> None:
    assert too_long(page) == []


# Commands


@each(NAMES)
def test_a_page_names_commands_that_are_there(name: str, page: Page) -> None:
    of_a_project = name == OUR_README or under(name, LINKED)
    assert unknown_commands(page, PROJECT_TARGETS if of_a_project else ALL_TARGETS) == []


def test_there_are_commands_to_be_checked() -> None:
    programs = {words[0] for name in LIVING for words, _ in Tree(ROOT).page(name).commands}
    assert {"make", "mlops", "dvc", "python"} <= programs


# Blocks of commands


def run_here() -> Iterator[str]:
    """Give the pages that have blocks to run."""
    for name in NAMES:
        if any(block.reason is None for block in Tree(ROOT).page(name).shells):
            yield name


@pytest.fixture(scope="module")
def project(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which nothing has run yet, for the commands of all pages."""
    return with_this_environment(tmp_path_factory.mktemp("commands"))


@each(NAMES)
def test_a_block_of_commands_runs_or_says_why_not(page: Page) -> None:
    assert unmarked(page) == []


@each([*run_here()])
def test_commands_of_a_page_run(name: str, request: pytest.FixtureRequest) -> None:
    page = Tree(ROOT).page(name)
    assert unmarked(page) == []
    project = request.getfixturevalue("project")
    if name == OUR_README:
        page = Page(name, (project / "README.md").read_text(encoding="utf-8"))
    assert failures(page, project) == []


def test_the_service_answers_the_request_that_its_page_shows(
    trained: Project, tmp_path: Path
) -> None:
    (block,) = [
        it for it in Tree(ROOT).page("deploy/README.md").shells if "curl" in str(it.commands)
    ]
    service = RunningService(trained / "models", tmp_path, api_key="secret").wait()
    try:
        script = "\n".join(block.commands).replace("http://127.0.0.1:8000", service.url)
        answer: dict[str, Any] = json.loads(succeed("bash", "-ec", script, cwd=tmp_path))
        wrong = script.replace("API_KEY=secret", "API_KEY=other")
        assert run("bash", "-ec", wrong, cwd=tmp_path).returncode == 22  # curl's, of 4xx
    finally:
        service.stop()
    shown = json.loads(block.lines[-1])
    assert shown.keys() == answer.keys()
    assert shown["predictions"][0].keys() == answer["predictions"][0].keys()
    assert shown["predictions"][0]["score"] == pytest.approx(
        answer["predictions"][0]["score"], abs=0.001
    )


# Each rule bites


TICKS = "`" * 3


def spoilt(text: str) -> Page:
    return Page("deploy/spoilt.md", text)


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("[page](gone.md)", "gone.md leads to no file"),
        ("![plot](gone.svg)", "gone.svg leads to no file"),
        ('<img src="gone.svg">', "gone.svg leads to no file"),
        ("[page]: gone.md", "gone.md leads to no file"),
        ("[`code`](../../elsewhere)", "../../elsewhere leads to no file"),
        ("[alert](alerts.md#servicedawn)", "alerts.md#servicedawn leads to no heading"),
        ("# A\n\n[b](#b)", "#b leads to no heading"),
    ],
)
def test_a_link_that_leads_nowhere_is_found(text: str, said: str) -> None:
    tree = Tree(ROOT)
    files = tree.files | {"deploy/spoilt.md"}

    class WithThePage(Tree):
        @property
        def files(self) -> set[str]:
            return files

        def page(self, name: str) -> Page:
            return spoilt(text) if name == "deploy/spoilt.md" else tree.page(name)

    assert dead_links(spoilt(text), WithThePage(ROOT)) == [f"deploy/spoilt.md: {said}"]


@pytest.mark.parametrize(
    "text",
    [
        "[page](alerts.md#servicedown), [folder](monitoring), [root](/params.yaml)",
        "`[code](gone.md)` <!-- [hidden](gone.md) --> [site](https://example.com/gone.md)",
        f"{TICKS}text\n[block](gone.md)\n{TICKS}",
    ],
)
def test_a_link_that_leads_somewhere_is_let_be(text: str) -> None:
    assert dead_links(spoilt(text), Tree(ROOT)) == []


def test_headings_are_named_as_github_names_them() -> None:
    text = "# Target `image`\n## What is judged, and when?\n## A\n### A\n## [Über](x.md) & co_x\n"
    names = {"target-image", "what-is-judged-and-when", "a", "a-1", "über--co_x"}
    assert spoilt(text).anchors == names
    assert spoilt(f"{TICKS}bash\n# no heading\n{TICKS}\n").anchors == set()


def test_what_is_too_long_is_found() -> None:
    assert too_long(spoilt("word " * 1501 + "\n"))[0] == (
        "deploy/spoilt.md: 1,501 words, at most 1,500"
    )
    line = "x" * 160
    said = ["deploy/spoilt.md:3: 160 characters, fewer than 160"]
    assert too_long(spoilt(f"# A\n\n{line}\n")) == said
    assert too_long(spoilt(f"| {line} |\n{TICKS}\n{line}\n{TICKS}\n[a](https://{line})")) == []


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("make repru", "no target repru"),
        ("make demo", "no target demo"),
        ("make setup repru A=b", "no target repru"),
        ("mlops drifd", "no command drifd"),
        ("mlops store pusch", "no command pusch"),
        ("mlops drift --asof 2013-06-30", "no option --asof"),
        ("mlops compare --mode retrain again", "takes no again"),
        ("dvc reprodce", "no command reprodce"),
        ("dvc remote modfy", "no command modfy"),
        ("dvc repro --forse", "no option --forse"),
        ("python -m mlops.servin", "no module mlops.servin to start"),
        ("python -m mlops.serving --port", "no option --port"),
    ],
)
def test_a_command_that_is_not_there_is_found(code: str, said: str) -> None:
    for text in (
        f"Try `{code}`.",
        f"{TICKS}console\n$ A=1 true && {code}  # so\nprinted\n{TICKS}",
        f"{TICKS}\n{code}\n{TICKS}",
    ):
        found = unknown_commands(spoilt(text), PROJECT_TARGETS)
        assert found == [f"deploy/spoilt.md: {code}: {said}"]


def test_commands_that_are_there_are_let_be() -> None:
    text = """
`make`, `make setup repro`, `make demo` in the template, `make start FILE=x TARGET='a b'`
`mlops --help`, `mlops store pull`, `mlops drift --as-of DATE`, `mlops deploy ... --look`
`dvc plots show`, `python -m mlops.serving --help`, `makes`, `data = [`
"""
    assert unknown_commands(spoilt(text), PROJECT_TARGETS) == []


def block(commands: str, mark: str = "", language: str = "console") -> Page:
    return spoilt(f"{mark}\n{TICKS}{language}\n{commands}\n{TICKS}\n")


@pytest.mark.parametrize(
    ("page", "said"),
    [
        (block("$ x", "<!-- not run here: slow -->"), ":2: says not why it is not run"),
        (block("$ x", "<!-- not run here: -->"), ":2: says not why it is not run"),
        (block("x"), ":2: no commands; in a console, they follow on $"),
        (block("$ x", "<!-- not run here: needs a cluster -->\n"), ": 1 marks are on no block"),
        (block("$ x", "<!-- not run here: runs in tests/gone.py -->"), ": tests/gone.py is not"),
    ],
)
def test_a_block_that_neither_runs_nor_says_why_is_found(page: Page, said: str) -> None:
    (found,) = unmarked(page)
    assert said.lstrip(":") in found


@pytest.mark.parametrize(
    ("page", "code"),
    [
        (block("$ true\nprinted\n$ test -e here\n"), 1),
        (block("$ false | cat"), 1),
        (block("exit 7", language="bash"), 7),
        (block("$ no-such-program"), 127),
    ],
)
def test_a_block_that_fails_is_found(page: Page, code: int, tmp_path: Path) -> None:
    (found,) = failures(page, tmp_path)
    assert found.startswith(f"deploy/spoilt.md:2: ended with {code}\n")


def test_blocks_run_in_order_and_their_comments_and_prints_do_not(tmp_path: Path) -> None:
    mark = "<!-- not run here: needs a cluster -->"
    page = spoilt(
        f"{TICKS}console\n$ echo one > a  # x; exit 9\nexit 9\n$ echo 'two\nlines' \\\n"
        f"    >> a\nexit 9\n{TICKS}\n{mark}\n{TICKS}sh\nexit 9\n{TICKS}\n"
        f"{TICKS}shell\ncp a b\n{TICKS}\n"
    )
    assert unmarked(page) == []
    assert failures(page, tmp_path) == []
    assert (tmp_path / "b").read_text() == "one\ntwo\nlines\n"
