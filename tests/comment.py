"""The comment as GitHub reads it: its tables, and whether anything in it is more than text."""

import re
from dataclasses import dataclass

from markdown_it import MarkdownIt
from markdown_it.token import Token

from mlops.report import comment

TAGS = {"<code>", "</code>", "<sub>", "</sub>"}
FOLD = re.compile(r"(<details><summary>[^<>]+</summary>|</details>)\n?")
HOLDOUT = re.compile(
    r"<!-- holdout [0-9a-f]{4,32} 0\.\d{4} \d+ -->\n"
)  # the comment says it in words


@dataclass
class Cell:
    tokens: list[Token]

    @property
    def text(self) -> str:
        """What a reader sees."""
        return "".join(token.content for token in self.tokens if token.type != "html_inline")

    @property
    def types(self) -> set[str]:
        return {token.type for token in self.tokens}


Table = list[list[Cell]]


def parse(text: str) -> list[Token]:
    parser = MarkdownIt("commonmark", {"html": True}).enable(["table", "strikethrough"])
    return parser.parse(text)


def tables(text: str) -> list[Table]:
    """Return every table as rows of cells; each line must have as many cells as its header."""
    found: list[Table] = []
    lines = text.splitlines()
    for token in parse(text):
        if token.type == "table_open":
            assert token.map is not None
            # Markdown drops what is too much in a line and fills up what is not there.
            assert len({line.count("|") for line in lines[slice(*token.map)]}) == 1
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and found and token.level == 4:
            found[-1][-1].append(Cell(token.children or []))
    return found


def table(text: str, first: str) -> Table:
    """Return the table whose first heading starts so, without it; of two, the whole one."""
    return [rows for rows in tables(text) if rows[0][0].text.startswith(first)][-1][1:]


def assert_harmless(text: str) -> None:
    """Assert that the Markdown has no other structure than the template gives it."""
    assert not re.search(r"!\[|\]\(|://|www\.", text)
    outside_code = re.sub("<code>.*?</code>", "", text)  # GitHub finds no mentions in code
    assert not re.search(r"@\w|(?<!&)#\w", outside_code)
    assert all(part.isprintable() or part in "\n\u200b" for part in text)
    headings = 0
    for token in parse(text):
        headings += token.type == "heading_open"
        if token.type == "html_block":
            allowed = FOLD.fullmatch(token.content) or HOLDOUT.fullmatch(token.content)
            assert allowed, token.content
        if token.type == "fence":
            assert token.content.startswith("xychart-beta\n")
        for child in token.children or []:
            assert child.type not in ("link_open", "image", "s_open"), child
            assert child.type != "html_inline" or child.content in TAGS, child.content
    assert headings == 1


def plain(value: str) -> str:
    """Return a value as it may be shown: one line, without what does not print, and not long."""
    value = "".join(part for part in " ".join(value.split()) if part.isprintable())
    return value if len(value) <= comment.CELL else value[: comment.CELL - 1] + "…"
