"""What a drift check found, for people: the summary of its run, and parts of the pull request."""

import math
from collections.abc import Iterator
from typing import Any

from mlops.project.params import Window
from mlops.project.words import label, number, signed
from mlops.report import comment

CELLS = 10  # of a bar; its middle is the threshold
MOST = 8  # columns in the table that everybody sees; all are in a fold
FEWEST = 3  # as many are shown, also when fewer have drifted
LONGEST_NAME = 40  # characters of a category

QUESTIONS = {
    "data": ("data drift", "do the inputs look different?"),
    "predictions": ("prediction drift", "does the champion answer otherwise?"),
    "concept": ("concept drift", "is the champion worse than it was?"),
    "staleness": ("staleness", "how old is what the champion knows?"),
    "challenger": ("challenger", "would a model trained on newer rows be better on them?"),
}
STATES = {"ok": "✅", "violated": "❌", "waiting": "⏳", "skipped": "⏸️", "wanted": "⏳"}
LIMITS = {"concept": "{} worse", "staleness": "{} days", "challenger": "{} better"}
STATES |= {"better": "🔁", "not worse": "🟰", "not better": "⚪", "same": "🟰"}

Column = dict[str, Any]


def render(drift: dict[str, Any]) -> str:
    """Return the summary of a run as Markdown, from what ``reports/drift.json`` holds."""
    return comment.render("drift/drift.md.j2", in_words(drift))


def in_words(drift: dict[str, Any]) -> dict[str, Any]:
    """Return what the templates show.

    That is ``drift`` as it is; ``questions``, ``columns`` (all that were judged) and ``windows`` as
    rows of tables; ``top``, the columns to show first.
    """
    asked = drift["questions"]
    challenger = {"challenger": drift["challenger"]} if drift.get("challenger") else {}
    judged = [it for question in asked.values() for it in question.get("columns", [])]
    judged.sort(key=lambda it: (not it["drifted"], -_times(it)))
    drifted = sum(it["drifted"] for it in judged)
    columns = [_column(it) for it in judged]
    return {
        "drift": drift,
        "questions": [_question(name, it) for name, it in (asked | challenger).items()],
        "columns": columns,
        "top": columns[: min(MOST, max(FEWEST, drifted))],
        "windows": [_window(it) for it in drift["windows"]],
    }


def span(start: str, end: str) -> str:
    """Name a window by its months when it is made of whole ones: ``2013-06`` is 30 days."""
    window = Window(start=start, end=end)
    if window.first_day.day == window.first_day_after.day == 1:
        window = Window(start=start[:7], end=end[:7])
    return str(window)


def _question(name: str, question: dict[str, Any]) -> dict[str, Any]:
    title, asks = QUESTIONS[name]
    value, threshold = question["value"], question["threshold"]
    # Three digits of a share, and all of the days.
    limit = "" if threshold is None else f"{threshold:{'.3g' if threshold < 100 else 'g'}}"
    if question["state"] == "wanted":
        found = "to be trained"
    elif question["state"] == "waiting":
        found = "waiting for labels"
    elif value is None:
        found = "not asked" if name == "challenger" else "not judged"
    elif name == "data":
        found = f"{value} of {len(question['columns'])} inputs"
    elif name == "predictions":
        found = number(value)
    elif name in ("concept", "challenger"):
        before, now = ("holdout", "newest") if name == "concept" else ("champion", "candidate")
        scores = f"{number(question[before])} → {number(question[now])}"
        found = f"{label(question['metric'])} {scores} ({signed(value)})"
    else:
        found = f"{value} days"
    return {
        "state": question["state"],
        "icon": STATES[question["state"]],
        "title": title,
        "asks": asks,
        "found": found,
        "threshold": limit and LIMITS.get(name, "{}").format(limit),
        "sentence": question["sentence"],
    }


def _column(column: Column) -> dict[str, Any]:
    error = column["sampling_error"]
    return {
        "name": f"champion's {column['name']}" if column["kind"] == "score" else column["name"],
        "icon": STATES["violated" if column["drifted"] else "ok"],
        "bar": _bar(_times(column)),
        "score": "–" if _unknown(column["score"]) else number(column["score"]),
        "threshold": f"{column['threshold']:g}",
        "method": column["method"],
        "changed": ", ".join(_changes(column)) or "–",
        "judged": column["judged"] + (f", ±{number(error)}" if error else ""),
    }


def _unknown(value: float | None) -> bool:
    return value is None or math.isnan(value)


def _times(column: Column) -> float:
    """Return how many thresholds a column has moved by."""
    return 0.0 if _unknown(column["score"]) else float(column["score"] / column["threshold"])


def _bar(times: float) -> str:
    """Draw a distance against its threshold, which is in the middle; the end is twice as much."""
    middle = CELLS // 2
    filled = min(CELLS, math.floor(round(middle * times, 9)))  # 0.3 / 0.1 is not quite 3
    cells = "█" * filled + "░" * (CELLS - filled)
    return f"{cells[:middle]}│{cells[middle:]}"


def _changes(column: Column) -> Iterator[str]:
    """Say what is different, most telling first."""
    before, after, missing = column["reference"], column["current"], column["missing"]
    if column["new_categories"]:
        names = ", ".join(str(name)[:LONGEST_NAME] for name in column["new_categories"][:3])
        more = ", …" if len(column["new_categories"]) > 3 else ""
        what = "words" if column["kind"] == "text" else "rows"
        yield f"new: {names}{more} ({column['new_share']:.1%} of {what})"
    if "missing" in column["why"] or abs(missing["current"] - missing["reference"]) >= 0.01:
        yield f"missing {missing['reference']:.1%} → {missing['current']:.1%}"
    elif _unknown(column["score"]):
        yield "no values to compare"
    yield from _moved_shares(before, after) if "top" in before else _moved_numbers(before, after)


def _moved_numbers(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    for name, words in (("mean", "mean"), ("std", "spread")):
        was, now = before[name], after[name]
        if _unknown(was) or _unknown(now):
            continue
        if name == "mean" or abs(now - was) > 0.2 * was:
            yield f"{words} {number(was)} → {number(now)}"


def _moved_shares(before: dict[str, Any], after: dict[str, Any]) -> Iterator[str]:
    """Name the two common categories whose shares have moved most."""
    was, now = (dict(map(tuple, side["top"])) for side in (before, after))
    both = sorted((name for name in now if name in was), key=lambda it: -abs(now[it] - was[it]))
    for name in both[:2]:
        if abs(now[name] - was[name]) >= 0.001:
            yield f"{str(name)[:LONGEST_NAME]} {was[name]:.1%} → {now[name]:.1%}"
    if before["distinct"] != after["distinct"]:
        yield f"{before['distinct']:,} → {after['distinct']:,} values"


def _window(window: dict[str, Any]) -> dict[str, str]:
    violated = [QUESTIONS[name][0] for name in window["violated"]]
    return {
        "window": span(window["start"], window["end"]),
        "violated": ", ".join(violated) or "nothing",
        "decision": window["decision"],
    }
