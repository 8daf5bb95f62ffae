"""``mlops report``: the JSON files in ``reports/`` as the pull-request comment."""

import html
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlops import files
from mlops.errors import MlopsError

LIMIT = 60_000  # characters; GitHub refuses a comment above 65,536
CELL = 120  # characters of one value; data and parameters may hold anything
FEWEST_ROWS = 3

METRICS = {
    "roc_auc": "ROC AUC",
    "average_precision": "average precision",
    "log_loss": "log loss",
    "brier_score": "Brier score",
    "f1_macro": "F1 (macro)",
    "roc_auc_ovr": "ROC AUC (one class against the rest)",
    "r2": "R²",
}

IN_WORDS = {
    "roc_auc": "how often the model ranks two rows with different outcomes the right way round",
    "average_precision": "how many of the rows ranked highest are what was looked for",
    "log_loss": "how surprised the model is by what happened",
    "brier_score": "how far its probabilities are from what happened",
    "accuracy": "how often it is right",
    "balanced_accuracy": "how often it is right, each class counting the same",
    "mean_absolute_error": "how far off it is on average",
    "root_mean_squared_error": "how far off it is, large errors counting more",
    "median_absolute_error": "how far off it is on a typical row",
    "r2": "the share of the variation that it explains",
}


def run() -> None:
    """Write ``reports/report.md`` from what validate and compare have written."""
    files.REPORT.unlink(missing_ok=True)
    data = files.read_json(files.DATA_REPORT, "dvc repro")
    if data["passed"]:
        comparison = files.read_json(files.COMPARISON, "mlops compare")
        if comparison["candidate"]["data_md5"] != data["md5"]:
            raise MlopsError(f"{files.COMPARISON} is about older data; run `mlops compare` first")
        text = render("report.md.j2", comparison)
    else:
        text = render("refused.md.j2", data)
    files.write_text(files.REPORT, text)
    print(f"{files.REPORT}: {len(text):,} characters")


def render(template: str, content: dict[str, Any], limit: int = LIMIT) -> str:
    """Render a template, cutting its longest tables until it has at most ``limit`` characters.

    Parameters
    ----------
    template : str
        Name of a file beside this module. It hands each table to ``cut(name, rows)``.
    content : dict
        A report's JSON; the template's variables.
    """
    import jinja2

    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        autoescape=False,  # the output is Markdown; `cell` and `code` defuse what is not ours
    )
    environment.filters.update(FILTERS)
    keep: dict[str, int] = {}
    while True:
        shown: dict[str, int] = {}
        text = environment.get_template(template).render(
            content, cut=_cutter(keep, shown), in_words=IN_WORDS
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


def _cutter(keep: dict[str, int], shown: dict[str, int]) -> Callable[[str, list[Any]], list[Any]]:
    def cut(name: str, rows: list[Any]) -> list[Any]:
        kept = rows[: keep.get(name, len(rows))]
        shown[name] = len(kept)
        return kept

    return cut


def cell(value: object) -> str:
    """Make any text safe inside a table cell: nothing in it is Markdown, HTML or a mention."""
    text = html.escape(_short(value))
    text = re.sub(r"[\\`*_{}\[\]()|~!$]", lambda found: f"&#{ord(found[0])};", text)
    return re.sub(r"([@#])", "\\1\u200b", text.replace("&#", "\0")).replace("\0", "&#")


def code(value: object) -> str:
    """Make any text safe in a fixed-width span; backticks inside would end a Markdown one."""
    text = html.escape(_short(value)).replace("|", "&#124;").replace("`", "&#96;")
    return f"<code>{text}</code>"


def _short(value: object) -> str:
    text = " ".join(str(value).split())
    return text if len(text) <= CELL else f"{text[: CELL - 1]}…"


def number(value: float | None) -> str:
    """Three decimals below ten, one above: scores and minutes each as people say them."""
    if value is None:
        return "–"
    return (f"{value:.3f}" if abs(value) < 10 else f"{value:,.1f}").replace("-", "\u2212")


def signed(value: float | None) -> str:
    if value is None:
        return "–"
    return f"+{number(value)}" if value >= 0 else number(value)


def interval(row: dict[str, Any]) -> str:
    return f"{signed(row['low'])} to {signed(row['high'])}"


def metric_name(name: str) -> str:
    return METRICS.get(name, name.replace("_", " "))


def seconds(value: float | None) -> str:
    return "unknown time" if value is None else f"{value:.1f} s"


FILTERS: dict[str, Callable[..., str]] = {
    "cell": cell,
    "code": code,
    "number": number,
    "signed": signed,
    "interval": interval,
    "metric": metric_name,
    "seconds": seconds,
}
