"""The history of drift checks: a line in the store for each judged window, a table, a picture."""

import uuid
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from functools import partial
from itertools import groupby, pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.project import files, words

if TYPE_CHECKING:
    from rich.table import Table

Entries = Sequence[Mapping[str, Any]]

HISTORY = "drift.jsonl"
# ``gain``: of the challenger, over the champion on the same rows.
HEADINGS = ("until", "champion", "drifted", "distance", "score", "gain", "violated", "decision")
NONE_YET = (
    f"no drift check is on record in {files.STORE / HISTORY} yet; `mlops store pull` brings the "
    "record of the workflow, `mlops drift --record` begins one"
)

QUESTIONS = ("data", "predictions", "concept", "staleness")
# Okabe and Ito's palette, which people who see few colours can tell apart: jfly.uni-koeln.de/color
DECISIONS = {"none": "#009E73", "watch": "#E69F00", "retrain": "#D55E00"}
SCORE, PREDICTIONS, COLUMNS = "#0072B2", "#CC79A7", "#A6BDD7"
CHALLENGER = "#404040"


def read() -> list[dict[str, Any]]:
    """Return the entries in the order of their checks, without a line that was cut short."""
    return sorted(files.read_lines(files.STORE / HISTORY), key=lambda entry: str(entry["checked"]))


def record(drift: Mapping[str, Any]) -> str:
    """Append what ``reports/drift.json`` says; returns what was done, in a sentence.

    The same window of the same champion with the same rows is recorded once.
    """
    if not drift["new_data"]:
        return f"there is nothing to record: {drift['sentence']}"
    made = entry(drift)
    window = f"{made['start']} to {made['end']} for champion {made['champion']}"
    if not files.append_line(files.STORE / HISTORY, made):
        return f"{window} is on record already"
    return f"{window} is recorded in {files.STORE / HISTORY}, decision {made['decision']}"


def entry(drift: Mapping[str, Any]) -> dict[str, Any]:
    """Return the line of a check that had new data: enough to decide by, and to draw.

    ``low`` and ``high`` bound ``newest - holdout``, in the units of ``metric``. What a question did
    not answer is null.
    """
    champion, current, questions = drift["champion"], drift["current"], drift["questions"]
    data, predictions, concept = (
        questions.get(name, {}) for name in ("data", "predictions", "concept")
    )
    judged = (champion["version"], current["start"], current["end"], current["fingerprint"])
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, "/".join(map(str, judged)))),
        "checked": drift["checked"],
        "champion": champion["version"],
        "window": champion["window"],
        "start": current["start"],
        "end": current["end"],
        "source": drift["source"],
        "rows": current["rows"],
        "labelled": current["labelled"],
        "fingerprint": current["fingerprint"],
        "violated": [name for name, it in questions.items() if it["state"] == "violated"],
        "decision": drift["decision"],
        "labels_of": concept.get("labels_of"),
        "metric": concept.get("metric"),
        "greater_is_better": concept.get("greater_is_better"),
        "newest": concept.get("newest"),
        "holdout": concept.get("holdout"),
        "low": concept.get("low"),
        "high": concept.get("high"),
        "drifted_share": data.get("share"),
        "drifted": [it["name"] for it in data.get("columns", []) if it["drifted"]],
        "prediction_distance": predictions.get("value"),
        "challenger": _challenger(drift.get("challenger") or {}),
        "thresholds": {name: it["threshold"] for name, it in questions.items()},
    }


def _challenger(asked: Mapping[str, Any]) -> dict[str, Any] | None:
    """Return what a challenger scored beside the champion, if one was judged."""
    if asked.get("value") is None:
        return None
    return {name: asked[name] for name in ("state", "champion", "candidate", "low", "high", "end")}


def show() -> None:
    """Print the history as a table, and draw it into ``reports/drift_history.svg``."""
    from rich.console import Console

    if not (entries := read()):
        print(NONE_YET)
        return
    Console().print(_table(entries))
    files.write_atomic(files.DRIFT_HISTORY, partial(draw, entries))
    print(f"the plot is {files.DRIFT_HISTORY}")


def _table(entries: Entries) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, no_wrap=heading != "drifted")
    for it in entries:
        judged = it.get("challenger")  # older entries have none
        table.add_row(
            it["end"],
            str(it["champion"]),
            escape(", ".join(it["drifted"])) or "–",
            words.number(it["prediction_distance"]),
            words.number(it["newest"]),
            words.signed(judged["candidate"] - judged["champion"]) if judged else "–",
            "\n".join(it["violated"]) or "–",
            it["decision"],
        )
    return table


def draw(entries: Entries, path: Path) -> None:
    """Draw the history, of which there is one entry at least, into an SVG.

    Top: the champion's score on each window, with the interval, against its score on its own
    holdout; below the shade, concept drift begins. Middle: share of drifted columns and distance
    of the predictions. Bottom: violated questions, and the decision. A line is another champion.
    """
    import matplotlib
    from matplotlib.figure import Figure  # without pyplot, which looks for a screen

    # A window that was checked again counts as it was found last.
    last = {(entry["champion"], entry["start"], entry["end"]): entry for entry in entries}
    entries = sorted(last.values(), key=lambda entry: (entry["end"], entry["checked"]))
    with matplotlib.rc_context({"date.converter": "concise"}):
        figure = Figure(figsize=(10, 7), layout="constrained")
        score, drift, answers = figure.subplots(3, 1, sharex=True, height_ratios=[3, 2.2, 1.25])
        _draw_score(score, entries)
        _draw_drift(drift, entries)
        _draw_answers(answers, entries)
        _mark_champions((score, drift, answers), entries)
        answers.set_xlabel("window that was judged")
        figure.savefig(path, format="svg")


def _draw_score(axes: Any, entries: Entries) -> None:
    metric = next((entry["metric"] for entry in reversed(entries) if entry["metric"]), None)
    scored = [it for it in entries if it["newest"] is not None and it["metric"] == metric]
    labels = {"own": "score on its own holdout", "margin": "margin of concept drift"}
    for _, windows in _by_champion(scored):
        span, own = [_start(windows[0]), _after(windows[-1])], windows[-1]["holdout"]
        margin = windows[-1]["thresholds"]["concept"]
        worst = own - margin if windows[-1]["greater_is_better"] else own + margin
        axes.plot(span, [own, own], "--", color=SCORE, linewidth=1, label=labels.pop("own", None))
        axes.fill_between(
            span, own, worst, color=SCORE, alpha=0.12, lw=0, label=labels.pop("margin", None)
        )
        axes.plot(_middles(windows), [it["newest"] for it in windows], color=SCORE, linewidth=1.5)
    for entry in scored:
        at, own = _middles([entry])[0], entry["holdout"]
        if entry["low"] is not None and entry["high"] is not None:
            axes.plot([at, at], [own + entry["low"], own + entry["high"]], color=SCORE, linewidth=1)
        colour = DECISIONS[entry["decision"]]
        axes.plot(at, entry["newest"], "o", color=colour, markersize=8, zorder=3)
    asked = [it for it in scored if it.get("challenger") and it["challenger"]["end"] == it["end"]]
    scores = [it["challenger"]["candidate"] for it in asked]
    if asked:
        axes.plot(_middles(asked), scores, "D", color=CHALLENGER, mfc="none", label="challenger")
    for decision, colour in DECISIONS.items():
        axes.plot([], [], "o", color=colour, markersize=8, label=decision)
    axes.margins(y=0.15)  # room for the versions
    axes.set_ylabel("score" if metric is None else f"{words.label(metric)} of the champion")
    _legend(axes)


def _draw_drift(axes: Any, entries: Entries) -> None:
    shares = [entry for entry in entries if entry["drifted_share"] is not None]
    axes.bar(
        _middles(shares),
        [entry["drifted_share"] for entry in shares],
        [0.6 * (_after(entry) - _start(entry)) for entry in shares],
        color=COLUMNS,
        label="share of columns that drifted",
    )
    moved = [entry for entry in entries if entry["prediction_distance"] is not None]
    for champion, windows in _by_champion(moved):
        axes.plot(
            _middles(windows),
            [entry["prediction_distance"] for entry in windows],
            "s-",
            color=PREDICTIONS,
            markersize=5,
            label="distance of the predictions" if champion == moved[0]["champion"] else None,
        )
    limit = entries[-1]["thresholds"].get("predictions")
    if limit is not None:
        axes.axhline(limit, linestyle=":", color=PREDICTIONS, label="its threshold")
    axes.set_ylim(bottom=0)
    axes.set_ylabel("drift")
    _legend(axes)


def _draw_answers(axes: Any, entries: Entries) -> None:
    rows = ("decision", *reversed(QUESTIONS))
    for row, question in enumerate(rows[1:], start=1):
        at = _middles([entry for entry in entries if question in entry["violated"]])
        axes.plot(at, [row] * len(at), "s", color="0.25", markersize=8)
    for entry in entries:
        colour = DECISIONS[entry["decision"]]
        axes.plot(_middles([entry]), [0], "o", color=colour, markersize=8)
    axes.set_yticks(range(len(rows)), rows)
    axes.set_ylim(-0.6, len(rows) - 0.4)
    axes.grid(axis="y", color="0.9")
    axes.set_axisbelow(True)


def _mark_champions(all_axes: Sequence[Any], entries: Entries) -> None:
    places = [(_start(entries[0]), entries[0]["champion"])]
    for before, after in pairwise(entries):
        if before["champion"] != after["champion"]:
            places.append((_start(after), after["champion"]))
            for axes in all_axes:
                axes.axvline(_start(after), color="0.35", linewidth=1, zorder=1)
    for at, version in places:
        all_axes[0].annotate(
            f" version {version}", (at, 0.98), xycoords=("data", "axes fraction"), va="top"
        )


def _legend(axes: Any) -> None:
    axes.legend(
        loc="lower left",
        bbox_to_anchor=(0, 1),
        ncols=5,
        frameon=False,
        fontsize="small",
        columnspacing=1.5,
        handletextpad=0.4,
    )
    axes.spines[["top", "right"]].set_visible(False)


def _by_champion(entries: Entries) -> list[tuple[int, list[Mapping[str, Any]]]]:
    grouped = groupby(entries, key=lambda entry: entry["champion"])
    return [(champion, list(group)) for champion, group in grouped]


def _start(entry: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(entry["start"])


def _after(entry: Mapping[str, Any]) -> datetime:
    return datetime.fromisoformat(entry["end"]) + timedelta(days=1)


def _middles(entries: Entries) -> list[datetime]:
    return [_start(entry) + (_after(entry) - _start(entry)) / 2 for entry in entries]
