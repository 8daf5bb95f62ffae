"""The history of drift checks as one picture: scores, drift, violations and decisions."""

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby, pairwise
from pathlib import Path
from typing import Any

from mlops.project import words

Entries = Sequence[dict[str, Any]]

QUESTIONS = ("data", "predictions", "concept", "staleness")
# Okabe and Ito's palette, which people who see few colours can tell apart: jfly.uni-koeln.de/color
DECISIONS = {"none": "#009E73", "watch": "#E69F00", "retrain": "#D55E00"}
SCORE, PREDICTIONS, COLUMNS = "#0072B2", "#CC79A7", "#A6BDD7"


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


def _by_champion(entries: Entries) -> list[tuple[int, list[dict[str, Any]]]]:
    grouped = groupby(entries, key=lambda entry: entry["champion"])
    return [(champion, list(group)) for champion, group in grouped]


def _start(entry: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(entry["start"])


def _after(entry: dict[str, Any]) -> datetime:
    return datetime.fromisoformat(entry["end"]) + timedelta(days=1)


def _middles(entries: Entries) -> list[datetime]:
    return [_start(entry) + (_after(entry) - _start(entry)) / 2 for entry in entries]
