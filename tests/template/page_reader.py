"""A page as a strict reader has it: each element ends where it should, and nothing can run."""

import re
from dataclasses import dataclass
from html.parser import HTMLParser


@dataclass
class Tag:
    name: str
    attributes: dict[str, str]
    text: str = ""


class Reader(HTMLParser):
    """Reads a page more strictly than a browser: every element must end, and where it should."""

    VOID = frozenset({"meta", "br", "hr", "input", "wbr"})
    BLOCKS = frozenset({"p", "div", "ul", "li", "h2", "h3", "summary", "pre", "header", "br"})

    def __init__(self, page: str) -> None:
        super().__init__()
        self.tags: list[Tag] = []
        self.open: list[Tag] = []
        self.feed(page)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(Tag(tag, {name: value or "" for name, value in attrs}))
        if tag in self.BLOCKS:
            self.handle_data(" ")
        if tag not in self.VOID:
            self.open.append(self.tags[-1])

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert any(it.name == "svg" for it in self.open), tag
        self.tags.append(Tag(tag, {name: value or "" for name, value in attrs}))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop().name == tag
        if tag in self.BLOCKS:
            self.handle_data(" ")

    def handle_data(self, data: str) -> None:
        for tag in self.open:
            tag.text += data

    def find(self, name: str, kind: str = "") -> list[Tag]:
        return [
            tag
            for tag in self.tags
            if tag.name == name and (not kind or kind in tag.attributes.get("class", "").split())
        ]

    def text(self, name: str, kind: str = "") -> list[str]:
        return [" ".join(tag.text.split()) for tag in self.find(name, kind)]


def assert_inert(page: Reader) -> None:
    """Assert that no element can run something, or load it from anywhere."""
    known = {"html", "head", "meta", "title", "style", "body", "aside", "header", "main", "footer"}
    known |= {"nav", "section", "article", "div", "span", "p", "a", "b", "br", "ul", "ol", "li"}
    known |= {"h1", "h2", "h3", "code", "pre", "em", "strong", "sub", "time", "details", "summary"}
    known |= {"table", "thead", "tbody", "tr", "th", "td", "input"}
    known |= {"svg", "symbol", "use", "path", "rect", "text"}
    for tag in page.tags:
        assert tag.name in known
        for name, value in tag.attributes.items():
            assert not name.startswith("on")
            assert name not in ("src", "srcset", "xlink:href", "action", "formaction", "target")
            if name == "href":
                assert tag.name in ("a", "use")
                assert value.startswith("#" if tag.name == "use" else ("#", "https://"))
            if name == "style":
                assert re.fullmatch(r"background: hsl\(\d+ 45% 42%\)|position: absolute", value)
