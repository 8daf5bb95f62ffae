"""Mermaid's charts of bars and lines (``xychart-beta``) as SVG, for a page without a network."""

import html
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, field

WIDTH, HEIGHT = 600, 330
TICKS = 6
BAR = 0.7 * 0.95  # of the distance between two categories, as Mermaid has it
CHARACTER = 9.5  # widest in a label, at the size that phones show

NUMBER = r"[+-]?(?:\d{1,12}\.?\d{0,12}|\.\d{1,12})"
NAME = r'(?:\s+(?P<name>"[^"]*"|[A-Za-z][\w-]*))?'
HEADER = re.compile(r"xychart(?:-beta)?")
TITLE = re.compile(r"title\s+(?P<name>.+)")
CATEGORIES = re.compile(rf"x-axis{NAME}\s*\[(?P<list>.*)\]")
RANGE = re.compile(rf"y-axis{NAME}(?:\s+(?P<low>{NUMBER})\s*-->\s*(?P<high>{NUMBER}))?")
PLOT = re.compile(rf"(?P<kind>bar|line){NAME}\s*\[(?P<list>.*)\]")
ITEM = re.compile(r'\s*("[^"]*"|[^,"]+)\s*(?:,|$)')


@dataclass
class Chart:
    """What the lines of a chart say."""

    title: str = ""
    x_title: str = ""
    y_title: str = ""
    categories: list[str] = field(default_factory=list)
    limits: tuple[float, float] | None = None
    plots: list[tuple[str, list[float]]] = field(default_factory=list)


def svg(source: str) -> str | None:
    """Draw a chart; None for what is not one, or is more than bars and lines over categories."""
    chart = parse(source)
    if chart is None or not chart.plots or not chart.categories:
        return None
    if any(len(values) != len(chart.categories) for _, values in chart.plots):
        return None
    every = [value for _, values in chart.plots for value in values]
    low, high = chart.limits or (min(every), max(every))
    if not low < high:
        return None
    parts = "".join(Drawing(chart, low, high).parts())
    kinds = " and ".join({"bar": "bars", "line": "a line"}[kind] for kind, _ in chart.plots)
    words = f"{chart.title or 'Chart'}: {kinds}, {chart.categories[0]} to {chart.categories[-1]}"
    return (
        f'<svg class="chart" viewBox="0 0 {WIDTH} {HEIGHT}" role="img"'
        f' aria-label="{html.escape(words)}">{parts}</svg>'
    )


def parse(source: str) -> Chart | None:
    lines = [line.strip() for line in source.splitlines()]
    lines = [line for line in lines if line and not line.startswith("%%")]
    if not lines or not HEADER.fullmatch(lines[0]):
        return None
    chart = Chart()
    for line in lines[1:]:
        if found := TITLE.fullmatch(line):
            chart.title = _name(found)
        elif found := CATEGORIES.fullmatch(line):
            chart.x_title = _name(found)
            chart.categories = [item.strip().strip('"') for item in ITEM.findall(found["list"])]
        elif found := RANGE.fullmatch(line):
            chart.y_title = _name(found)
            chart.limits = (float(found["low"]), float(found["high"])) if found["low"] else None
        elif found := PLOT.fullmatch(line):
            values = [value.strip() for value in found["list"].split(",")]
            if not all(re.fullmatch(NUMBER, value) for value in values):
                return None
            chart.plots.append((found["kind"], [float(value) for value in values]))
        else:
            return None
    return chart


def _name(found: re.Match[str]) -> str:
    return (found["name"] or "").strip('"')


class Drawing:
    """A chart with its places in the picture."""

    def __init__(self, chart: Chart, low: float, high: float) -> None:
        self.chart, self.low, self.high = chart, low, high
        self.left, self.right = 62 + 22 * bool(chart.y_title), WIDTH - 8
        self.top, self.bottom = 12 + 28 * bool(chart.title), HEIGHT - 32 - 22 * bool(chart.x_title)
        self.step = (self.right - self.left) / len(chart.categories)

    def x(self, place: int) -> float:
        """Return the middle of a category."""
        return self.left + self.step * (place + 0.5)

    def y(self, value: float) -> float:
        inside = min(max(value, self.low), self.high)
        share = (inside - self.low) / (self.high - self.low)
        return self.bottom - share * (self.bottom - self.top)

    def parts(self) -> Iterator[str]:
        for number, (kind, values) in enumerate(self.chart.plots):
            yield from self.bars(number, values) if kind == "bar" else self.line(number, values)
        yield f'<path class="axis" d="M{self.left} {self.top}V{self.bottom}H{self.right}"/>'
        yield from self.ticks()
        yield from self.categories()
        yield from self.titles()

    def bars(self, number: int, values: list[float]) -> Iterator[str]:
        width = self.step * BAR
        for place, (name, value) in enumerate(zip(self.chart.categories, values, strict=True)):
            yield (
                f'<rect class="bar plot{number}" x="{self.x(place) - width / 2:.1f}"'
                f' y="{self.y(value):.1f}" width="{width:.1f}"'
                f' height="{self.bottom - self.y(value):.1f}">'
                f"<title>{html.escape(name)}: {value:g}</title></rect>"
            )

    def line(self, number: int, values: list[float]) -> Iterator[str]:
        points = [f"{self.x(place):.1f} {self.y(value):.1f}" for place, value in enumerate(values)]
        yield f'<path class="line plot{number}" d="M{"L".join(points)}"/>'

    def ticks(self) -> Iterator[str]:
        for value, label in ticks(self.low, self.high):
            yield f'<path class="axis" d="M{self.left - 5} {self.y(value):.1f}H{self.left}"/>'
            yield _text("tick", label, self.left - 9, self.y(value))

    def categories(self) -> Iterator[str]:
        names = self.chart.categories
        every = math.ceil((max(map(len, names)) + 1) * CHARACTER / self.step)
        for place, name in enumerate(names):
            yield f'<path class="axis" d="M{self.x(place):.1f} {self.bottom}v5"/>'
            if place % every == 0:  # more labels than that would run into each other
                yield _text("category", name, self.x(place), self.bottom + 18)

    def titles(self) -> Iterator[str]:
        middle = (self.left + self.right) / 2
        if self.chart.title:
            yield _text("title", self.chart.title, middle, 20)
        if self.chart.x_title:
            yield _text("category", self.chart.x_title, middle, HEIGHT - 12)
        if self.chart.y_title:
            height = (self.top + self.bottom) / 2
            turned = f' transform="rotate(-90 14 {height:.1f})"'
            yield _text("category", self.chart.y_title, 14, height, turned)


def ticks(low: float, high: float) -> list[tuple[float, str]]:
    """Return round values within the range, and how they are written; Mermaid takes D3's."""
    rough = (high - low) / TICKS
    power = math.floor(math.log10(rough))
    factor = next(
        factor
        for factor, least in ((10, 50**0.5), (5, 10**0.5), (2, 2**0.5), (1, 0.0))
        if rough / 10.0**power >= least
    )
    step = factor * 10.0**power
    decimals = max(0, -math.floor(math.log10(step) + 1e-9))
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    return [(place * step, f"{place * step:.{decimals}f}") for place in range(first, last + 1)]


def _text(kind: str, text: str, x: float, y: float, more: str = "") -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{more}>{html.escape(text)}</text>'
