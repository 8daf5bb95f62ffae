"""A Markdown page as its tests ask for it: text, blocks of code, links, headings, commands."""

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

FENCE = re.compile(r"\s*(`{3,}|~{3,})\s*(\S*)")
MARK = re.compile(r"\s*<!-- not run here: (.*?)\s*-->\s*")
CODE = re.compile(r"(?<!`)(`+)(?!`)(.+?)(?<!`)\1(?!`)", re.DOTALL)
COMMENT = re.compile(r"<!--.*?-->", re.DOTALL)
LINK = re.compile(
    r"""\]\(\s*<?([^)\s>]+)>?[^)]*\)|^\s*\[[^\]]+\]:\s+(\S+)|(?:href|src|srcset)="([^"]+)\"""",
    re.MULTILINE,
)
HEADING = re.compile(r" {0,3}#{1,6}\s+(.*?)\s*#*$")
SHELLS = ("console", "bash", "sh", "shell")


@dataclass(frozen=True)
class Block:
    """A fenced block of code, and the reason on the line above it not to run it."""

    line: int
    language: str
    lines: list[str]
    reason: str | None

    @property
    def commands(self) -> list[str]:
        """Return the commands of a block of a shell; what they print is left out."""
        if self.language != "console":
            return ["\n".join(self.lines)] if any(map(str.strip, self.lines)) else []
        found: list[str] = []
        goes_on = False
        for line in self.lines:
            if line.startswith("$ "):
                found.append(line[2:])
            elif goes_on:
                found[-1] += f"\n{line}"
            else:
                continue
            goes_on = line.endswith("\\") or unfinished(found[-1])
        return found


@dataclass(frozen=True)
class Page:
    """A page by its name in the repository."""

    name: str
    text: str

    @cached_property
    def _parted(self) -> tuple[list[tuple[int, str]], list[Block]]:
        """Return the numbered lines outside of blocks, and the blocks."""
        outside: list[tuple[int, str]] = []
        blocks: list[Block] = []
        fence = ""
        before = ""
        for number, line in enumerate(self.text.splitlines(), 1):
            found = FENCE.match(line)
            if fence and found and found[1].startswith(fence) and not found[2]:
                fence = ""
            elif fence:
                blocks[-1].lines.append(line)
            elif found:
                mark = MARK.fullmatch(before)
                fence = found[1]
                blocks.append(Block(number, found[2].lower(), [], mark[1] if mark else None))
            else:
                outside.append((number, line))
            before = line
        return outside, blocks

    @property
    def lines(self) -> list[tuple[int, str]]:
        return self._parted[0]

    @property
    def blocks(self) -> list[Block]:
        return self._parted[1]

    @property
    def shells(self) -> list[Block]:
        return [block for block in self.blocks if block.language in SHELLS]

    @property
    def _outside(self) -> str:
        return "\n".join(line for _, line in self.lines)

    @property
    def links(self) -> list[str]:
        """Return where it links to, other sites left out."""
        text = COMMENT.sub("", CODE.sub("code", self._outside))
        found = (next(filter(None, it.groups())) for it in LINK.finditer(text))
        return [it for it in found if not re.match(r"[a-z][a-z0-9+.-]*:|//", it)]

    @property
    def anchors(self) -> set[str]:
        """Return what a link may name behind the #, as GitHub makes it of headings."""
        found: set[str] = set(re.findall(r"""<\w+ (?:id|name)="([^"]+)\"""", self._outside))
        for _, line in self.lines:
            if heading := HEADING.fullmatch(line):
                slug = name = slug_of(heading[1])
                count = 0
                while slug in found:
                    count += 1
                    slug = f"{name}-{count}"
                found.add(slug)
        return found

    @property
    def commands(self) -> Iterator[tuple[list[str], str]]:
        """Give each command that it names, as words, with what the text says behind it."""
        for block in self.blocks:
            lines = block.commands if block.language in SHELLS else block.lines
            for line in lines:
                for command in split(line):
                    yield command, ""
        for paragraph in re.split(r"\n\s*\n|\n(?=\s*[|*-])", self._outside):
            for code in CODE.finditer(paragraph):
                behind = " ".join(paragraph[code.end() :].split())
                for command in split(code[2].replace("\\|", "|")):
                    yield command, behind


def slug_of(heading: str) -> str:
    """Return GitHub's name for a heading."""
    shown = re.sub(r"!?\[([^\]]*)\]\([^)]*\)", r"\1", heading)
    shown = re.sub(r"<[^>]+>", "", shown)
    return re.sub(r"[^\w\- ]", "", shown.lower()).replace(" ", "-")


def unfinished(command: str) -> bool:
    """Say whether a quotation is still open."""
    try:
        shlex.split(command, comments=True)
    except ValueError:
        return True
    return False


def split(text: str) -> list[list[str]]:
    """Split what is typed into commands, each a list of words without variables before it."""
    typed = re.sub(r"(^|\s)#\s.*$", r"\1", text.replace("\\\n", " "), flags=re.MULTILINE)
    found: list[list[str]] = []
    for line in typed.split("\n"):
        lexer = shlex.shlex(line.strip().removeprefix("$ "), posix=True, punctuation_chars=True)
        lexer.whitespace_split = True
        lexer.commenters = ""
        try:
            words = list(lexer)
        except ValueError:
            words = line.split()
        found.append([])
        for word in words:
            if word.strip("();<>|&"):
                if found[-1] or not re.match(r"[A-Za-z_]+=", word):
                    found[-1].append(word)
            else:
                found.append([])
    return [command for command in found if command]
