"""GitHub Flavored Markdown as GitHub shows it: sanitised, with charts, and no resource loaded."""

import html
import re
from collections.abc import Callable
from html.parser import HTMLParser
from typing import NamedTuple

import mermaid
from markdown_it import MarkdownIt
from markdown_it.rules_inline import StateInline
from markupsafe import Markup
from rich.emoji import Emoji

# https://github.com/gjtorikian/html-pipeline: what GitHub lets through, less pictures, which load.
ALLOWED = {
    *("h1", "h2", "h3", "h4", "h5", "h6", "p", "div", "span", "br", "hr", "wbr"),
    *("b", "strong", "i", "em", "s", "del", "strike", "ins", "mark", "small", "sub", "sup"),
    *("code", "pre", "tt", "kbd", "samp", "var", "q", "cite", "blockquote", "abbr", "a"),
    *("ul", "ol", "li", "dl", "dt", "dd", "details", "summary", "ruby", "rt", "rp"),
    *("table", "thead", "tbody", "tfoot", "tr", "th", "td", "caption"),
}
VOID = {"br", "hr", "wbr"}
ATTRIBUTES = {
    "align": re.compile("left|center|right"),
    "colspan": re.compile(r"\d{1,2}"),
    "rowspan": re.compile(r"\d{1,2}"),
    "start": re.compile(r"\d{1,9}"),
    "open": re.compile(""),
    "title": re.compile("(?s).*"),
}
# https://github.github.com/gfm/#disallowed-raw-html-extension-: shown as text.
TEXT_ONLY = re.compile(
    r"<(?=/?(title|textarea|style|xmp|iframe|noembed|noframes|script|plaintext)\b)", re.I
)
ADDRESS = re.compile(r"https?://[^\s<]+")
TRAILING = "?!.,:*_~'\")"
REFERENCE = re.compile(
    r"(?<![\w&/#@])(?:@(?P<login>[A-Za-z\d][A-Za-z\d-]{0,38})|#(?P<number>\d+)|(?P<sha>[\da-f]{40}))\b"
)
ALERT = re.compile(r"\[!(NOTE|TIP|IMPORTANT|WARNING|CAUTION)\][ \t]*(?:\n|$)")
TASK = re.compile(r"\[([ xX])\] ")
HARMLESS = re.compile(r"(https?|mailto):|#", re.I)

Resolve = Callable[[str], str | None]


def render(text: str, repository: str, resolve: Resolve, *, breaks: bool = False) -> Markup:
    """Render Markdown that anybody may have written.

    Parameters
    ----------
    repository : str
        ``owner/name``, to whose issues and pull requests ``#1`` refers.
    resolve : callable
        Returns where a link to an address leads: a place on the page, an address elsewhere, or
        None for nowhere; then only its text is shown.
    breaks : bool
        Whether the end of a line is one, as in GitHub's comments.
    """
    markdown = MarkdownIt("commonmark", {"html": True, "breaks": breaks})
    markdown.enable(["table", "strikethrough"])
    markdown.inline.ruler.before("autolink", "address", _address)
    sanitiser = Sanitiser(repository, resolve)
    sanitiser.feed(TEXT_ONLY.sub("&lt;", markdown.render(text)))
    sanitiser.close()
    return Markup(sanitiser.html())  # noqa: S704 - just sanitised


def _address(state: StateInline, silent: bool) -> bool:
    """Read a bare address as a link, as GitHub does; only in the source, not behind entities."""
    scheme = next((s for s in ("https", "http") if state.pending.endswith(s)), None)
    found = scheme and ADDRESS.match(state.src, state.pos - len(scheme))
    if not scheme or not found or state.linkLevel:
        return False
    address = found[0].rstrip(TRAILING)
    if not silent:
        state.pending = state.pending[: -len(scheme)]
        state.push("link_open", "a", 1).attrs = {"href": address}
        state.push("text", "", 0).content = address
        state.push("link_close", "a", -1)
    state.pos += len(address) - len(scheme)
    return True


class Element(NamedTuple):
    """An element that has begun."""

    name: str
    end: str  # what closes it
    place: int  # of its tag among the parts written


class Sanitiser(HTMLParser):
    """Writes HTML anew from what is allowed in it; everything else becomes text or nothing."""

    def __init__(self, repository: str, resolve: Resolve) -> None:
        super().__init__(convert_charrefs=True)
        self.repository, self.resolve = repository, resolve
        self.written: list[str] = []
        self.open: list[Element] = []
        self.chart: list[str] | None = None  # the lines of a chart while they are read

    def html(self) -> str:
        if self.chart is not None:
            self._end_of_chart("".join(self.chart))
        while self.open:
            self.written.append(self.open.pop().end)
        return "".join(self.written)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag == "code" and given.get("class") == "language-mermaid":
            self.chart = []
        if tag == "img":
            self.written.append(html.escape(given.get("alt", "")))
        if tag not in ALLOWED or self.chart is not None:
            return
        end = "" if tag in VOID else f"</{tag}>"
        start = f"<{tag}{self._attributes(given)}>"
        if tag == "a":
            start, end = self._link(given.get("href", ""))
        elif tag == "table":  # a box to scroll in, where it is wider than a phone
            start, end = f'<div class="wide" tabindex="0">{start}', f"{end}</div>"
        self.written.append(start)
        if end:
            self.open.append(Element(tag, end, len(self.written) - 1))

    def handle_endtag(self, tag: str) -> None:
        if tag == "code" and self.chart is not None:
            self._end_of_chart("".join(self.chart))
        elif any(element.name == tag for element in self.open) and self.chart is None:
            closed = ""
            while closed != tag:
                closed, end, _ = self.open.pop()
                self.written.append(end)

    def handle_data(self, data: str) -> None:
        names = [element.name for element in self.open]
        if self.chart is not None:
            self.chart.append(data)
        elif {"code", "pre", "a"} & set(names):
            self.written.append(html.escape(data))
        elif names[-2:] == ["blockquote", "p"] and (alert := ALERT.match(data)):
            kind = f'<blockquote class="alert {alert[1].lower()}">'
            self.written[self.open[-2].place] = kind
            self.written.append(f"<strong>{alert[1].title()}</strong><br>")
            self.written.append(self._prose(data[alert.end() :]))
        else:
            if (names[-1:] == ["li"] or names[-2:] == ["li", "p"]) and (task := TASK.match(data)):
                done = "" if task[1] == " " else " checked"
                self.written.append(f'<input type="checkbox" disabled{done}> ')
                data = data[task.end() :]
            self.written.append(self._prose(data))

    def _attributes(self, given: dict[str, str]) -> str:
        if aligned := re.fullmatch("text-align:(left|center|right)", given.get("style", "")):
            given["align"] = aligned[1]
        return "".join(
            f' {name}="{html.escape(value)}"'
            for name, value in given.items()
            if name in ATTRIBUTES and ATTRIBUTES[name].fullmatch(value)
        )

    def _link(self, address: str) -> tuple[str, str]:
        """Return the two tags of a link, or of its text if it leads nowhere."""
        target = self.resolve(address) if HARMLESS.match(address) else None
        if target is None:
            return '<span class="nowhere">', "</span>"
        return f'<a href="{html.escape(target)}" rel="noreferrer nofollow">', "</a>"

    def _prose(self, text: str) -> str:
        """Return text with emoji for :names:, people in bold, and links to pull requests."""

        def refer(found: re.Match[str]) -> str:
            if found["login"]:
                return f"<strong>{found[0]}</strong>"
            place = f"commit/{found['sha']}" if found["sha"] else f"issues/{found['number']}"
            start, end = self._link(f"https://github.com/{self.repository}/{place}")
            shown = f"<code>{found['sha'][:7]}</code>" if found["sha"] else found[0]
            return f"{start}{shown}{end}"

        return REFERENCE.sub(refer, html.escape(Emoji.replace(text), quote=False))

    def _end_of_chart(self, source: str) -> None:
        self.chart = None
        drawn = mermaid.svg(source)
        if drawn and self.open and self.open[-1].name == "pre":
            self.written[self.open.pop().place] = ""
        self.written.append(drawn or f"<code>{html.escape(source)}</code>")
