"""``mlops report``: the JSON files in ``reports/`` as the pull-request comment."""

import functools
import html
import os
import re
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.project import actions, files, git, words
from mlops.project.errors import MlopsError

if TYPE_CHECKING:
    import jinja2

LIMIT = 60_000  # characters; GitHub refuses a comment above 65,536
CELL = 120  # characters of one value; data and parameters may hold anything
SENTENCE = 600
FEWEST_ROWS = 3
SHORTEST_ROW = 40  # characters; more rows than that allows are not even tried

# `_` means something only at the end of a word, so that names stay readable in the raw text.
MARKDOWN = re.compile(r"[\\`*\[\]|~$]|(?<![A-Za-z0-9])_|_(?![A-Za-z0-9])|:(?=//)|(?<=www)\.")
MENTION = re.compile(r"[@#]")


def run(anyway: bool = False, commit: str = "") -> None:
    """Write ``reports/report.md`` from what validate, train and compare have written.

    It is about ``commit``, by default the one that is checked out.

    With ``anyway``, when there is nothing to judge, the report says so instead of an error: an
    older comment on the pull request must not stand there as if it were about this commit.
    """
    files.REPORT.unlink(missing_ok=True)
    try:
        template, content = _content()
    except MlopsError:
        if not anyway:
            raise
        template, content = "report/unfinished.md.j2", {"error": None}
        if files.FAILURE.is_file():
            content |= files.read_json(files.FAILURE, "mlops")
    text = render(template, content, commit=commit)
    files.write_text(files.REPORT, text)
    print(f"{files.REPORT}: {len(text):,} characters")


def _content() -> tuple[str, dict[str, Any]]:
    data = files.read_json(files.DATA_REPORT, "dvc repro")
    if not data["passed"]:
        return "report/refused.md.j2", data
    comparison = files.read_json(files.COMPARISON, "mlops compare")
    judged = comparison["candidate"]
    loaded = comparison.get("data", {}).get("md5", judged["data_md5"])
    about = (loaded, judged["model_md5"], judged.get("threshold"))
    model = files.read_json(files.MODEL_FACTS, files.REPRO)
    if about != (data["md5"], model["model_md5"], model.get("threshold")):
        raise MlopsError(
            f"{files.COMPARISON} is about an older model or data; run `mlops compare` first"
        )
    return "report/report.md.j2", comparison


def run_url() -> str | None:
    """Return the address of the workflow run that this is part of."""
    repository, run_id = actions.repository(), os.environ.get("GITHUB_RUN_ID")
    return f"{repository}/actions/runs/{run_id}" if repository and run_id else None


def render(template: str, content: dict[str, Any], limit: int = LIMIT, commit: str = "") -> str:
    """Render a template, cutting its longest tables until it has at most ``limit`` characters.

    Parameters
    ----------
    template : str
        Name of a file beside this module. It hands each table to ``cut(name, rows)``.
    content : dict
        A report's JSON; the template's variables.

    Raises
    ------
    MlopsError
        When it is too long with every table cut.
    """
    head = git.Commit(commit, dirty=False) if commit else git.head()
    around = {"head": head, "run_url": run_url(), "meanings": words.MEANINGS}
    keep: dict[str, int] = {}
    while True:
        shown: dict[str, int] = {}
        text = (
            _environment()
            .get_template(template)
            .render(content, cut=_cutter(keep, shown, limit // SHORTEST_ROW), **around)
        )
        if len(text) <= limit:
            return text
        name = max(shown, key=lambda table: shown[table], default="")
        if not name or shown[name] <= FEWEST_ROWS:
            raise MlopsError(
                f"the report has {len(text):,} characters with every table cut to {FEWEST_ROWS} "
                f"rows, and GitHub takes {limit:,}; shorten names in params.yaml or the schema"
            )
        keep[name] = max(FEWEST_ROWS, shown[name] // 2)


@functools.cache  # so that a template is compiled once
def _environment() -> "jinja2.Environment":
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parents[1]),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        # The output is Markdown; `cell` and `code` defuse what is not ours.
        autoescape=False,  # noqa: S701
    )
    environment.filters.update(FILTERS)
    return environment


def _cutter(
    keep: dict[str, int], shown: dict[str, int], most: int
) -> Callable[[str, list[Any]], list[Any]]:
    def cut(name: str, rows: list[Any]) -> list[Any]:
        kept = rows[: keep.get(name, most)]
        shown[name] = len(kept)
        return kept

    return cut


def cell(value: object, longest: int = CELL) -> str:
    """Make any text safe in a line or table cell: nothing in it is Markdown, HTML or a mention."""
    # A space of no width after the sign: GitHub finds mentions in what the entities stand for.
    text = MENTION.sub(lambda sign: sign[0] + "\u200b", _plain(str(value), longest))
    return text.replace("&#\u200b", "&#")


def sentence(value: object) -> str:
    """Make a sentence safe that quotes values; it may be longer than one value."""
    return cell(value, SENTENCE)


def code(value: object) -> str:
    """Make any text safe in a fixed-width span; backticks inside would end a Markdown one."""
    return f"<code>{_plain(str(value), CELL)}</code>"


@functools.lru_cache(maxsize=20_000)  # a report that is cut is rendered several times
def _plain(whole: str, longest: int) -> str:
    """Return one line in which nothing is Markdown or HTML, but for the entities that say so."""
    text = whole[: 4 * longest]  # of ten thousand characters the rest is not worth the time
    text = "".join(part for part in " ".join(text.split()) if part.isprintable())
    if len(text) > longest or len(whole) > 4 * longest:
        text = f"{text[: longest - 1]}…"
    escaped = html.escape(text, quote=False)
    return MARKDOWN.sub(lambda found: f"&#{ord(found[0])};", escaped)


FILTERS: dict[str, Callable[..., str]] = {
    "cell": cell,
    "code": code,
    "sentence": sentence,
    "label": words.label,
    "percent": words.percent,
    "number": words.number,
    "rounded": words.rounded,
    "signed": words.signed,
    "interval": words.interval,
    "seconds": words.seconds,
    "megabytes": words.megabytes,
}
