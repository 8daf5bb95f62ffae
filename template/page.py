"""The local GitHub as one page that any browser shows, without a network and without scripts."""

import html
import re
from datetime import UTC, datetime
from pathlib import Path

import gfm
import jinja2
import story
from markupsafe import Markup
from story import LocalGitHub, Story

FOLDER = Path(__file__).parent
LONGEST_DIFF = 400  # lines of one file
LOG_SHOWN = 40  # last lines of the log of a job that failed
COLOUR = re.compile(r"\x1b\[[\d;]*[A-Za-z]")
# Of the site: what a page of it is called here.
PLACES = {
    re.compile(r"(?:pull|issues)/(\d+)(?:/.*)?"): "number-{}",
    re.compile(r"actions/runs/(\d+)(?:/.*)?"): "run-{}",
    re.compile(r"commit/([\da-f]{7,40})"): "commit-{:.7}",
}


def write(github: LocalGitHub, folder: Path) -> Path:
    """Write ``folder/index.html``.

    Returns
    -------
    Path
        The file.
    """
    folder.mkdir(parents=True, exist_ok=True)
    path = folder / "index.html"
    path.write_text(render(story.read(github)), encoding="utf-8")
    return path


def render(told: Story) -> str:
    """Return the page; whatever people wrote into the repository is text in it, or sanitised."""
    known = places(told)

    def resolve(address: str) -> str | None:
        return _resolve(address, told.repository, known)

    def markdown(text: str, *, breaks: bool = False) -> Markup:
        return gfm.render(text, told.repository, resolve, breaks=breaks)

    named: set[str] = set()

    def is_first(place: str) -> bool:
        """Return whether a place is not on the page yet; a commit may be on several branches."""
        first = place not in named
        named.add(place)
        return first

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(FOLDER),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "markdown": markdown,
        "moment": moment,
        "machine": datetime.isoformat,
        "parsed": datetime.fromisoformat,
        "seconds": seconds,
        "size": size,
        "log": log,
        "hue": hue,
        "code_spans": code_spans,
    }
    return environment.get_template("page.html.j2").render(
        story=told,
        known=known,
        longest_diff=LONGEST_DIFF,
        is_first=is_first,
    )


def places(told: Story) -> set[str]:
    """Return the names of what can be linked to on the page."""
    commits = [*told.commits, *(commit for pull in told.pulls for commit in pull.commits)]
    return {
        *(f"number-{numbered.number}" for numbered in [*told.pulls, *told.issues]),
        *(f"run-{run.id}" for run in told.runs),
        *(f"commit-{commit.sha[:7]}" for commit in commits),
    }


def _resolve(address: str, repository: str, known: set[str]) -> str | None:
    """Return the place on the page for an address in the repository; others stay what they are."""
    inside = re.fullmatch(rf"https://github\.com/{re.escape(repository)}(?:[/#?](.*))?", address)
    if not inside:
        return None if address.startswith("#") else address
    for pattern, form in PLACES.items():
        if found := pattern.fullmatch((inside[1] or "").partition("#")[0]):
            place = form.format(found[1])
            return f"#{place}" if place in known else None
    return None


def moment(when: datetime) -> str:
    when = when.astimezone(UTC)
    return f"{when.day} {when:%b %Y, %H:%M}"


def seconds(value: float) -> str:
    if value < 10:
        return f"{value:.1f} s"
    return f"{value:.0f} s" if value < 60 else f"{value // 60:.0f} min {value % 60:.0f} s"


def size(value: int) -> str:
    return f"{value / 1e6:.1f} MB" if value >= 1e5 else f"{value / 1e3:.1f} kB"


def log(text: str) -> str:
    """Return the end of a log, without the colours of a terminal."""
    return "\n".join(COLOUR.sub("", text).rstrip().split("\n")[-LOG_SHOWN:])


def hue(login: str) -> int:
    """Return the colour of a person who has no picture."""
    return sum(map(ord, login)) * 37 % 360


def code_spans(title: str) -> Markup:
    """Return a title or subject, of whose Markdown GitHub only knows `code`."""
    parts = html.escape(title).split("`")
    if len(parts) % 2 == 0:  # the last one has no end
        parts[-2:] = ["`".join(parts[-2:])]
    marked = "".join(f"<code>{it}</code>" if i % 2 else it for i, it in enumerate(parts))
    return Markup(marked)  # noqa: S704 - escaped above
