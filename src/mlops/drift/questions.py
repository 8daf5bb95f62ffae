"""The four questions: each a number, a threshold from ``params.yaml``, a state and a sentence.

Data in, data out; :mod:`mlops.drift.check` reads the rows and asks the model. ``state`` is ``ok``,
``violated``, ``waiting`` (for labels) or ``skipped``.
"""

import math
from collections.abc import Collection, Sequence
from datetime import date
from typing import Any

import numpy as np
import numpy.typing as npt

from mlops.drift.decision import Question
from mlops.judgement.bootstrap import Change
from mlops.judgement.metric import ROUNDING, Metric
from mlops.project.params import Drift, Gate, Task, amount
from mlops.project.words import interval, label, number, percent, rounded, signed

Column = dict[str, Any]

NAMED = 3  # columns in a sentence; the report has them all

# Why a column has drifted, and the key of params.yaml that says from where on.
TUNED = {
    "score": "drift.columns",
    "missing": "drift.missing",
    "new categories": "drift.new_categories",
}


def data(
    columns: Sequence[Column],
    left_out: Sequence[str],
    settings: Drift,
    withheld: Collection[str] = (),
) -> Question:
    """Have the inputs moved away from those that the champion trained on?

    Parameters
    ----------
    columns : sequence of dict
        As :func:`mlops.drift.columns.judge` finds them.
    left_out : sequence of str
        Inputs that are no numbers and no categories, such as times.
    withheld : collection of str
        Inputs that the prediction log leaves out or hashes: nobody can say whether they drifted.
    """
    drifted = sorted((it for it in columns if it["drifted"]), key=_beyond, reverse=True)
    threshold = settings.columns.at_least
    violated = len(drifted) >= threshold
    have = "has" if len(drifted) == 1 else "have"
    sentence = f"{len(drifted)} of {len(columns)} inputs {have} drifted"
    if drifted:
        named = [_moved(it) for it in drifted[:NAMED]]
        if more := len(drifted) - len(named):
            named.append(f"{more} more")
        keys = [key for why, key in TUNED.items() if any(why in it["why"] for it in drifted)]
        limits = ", ".join(keys) if violated else f"drift.columns.at_least is {threshold}"
        sentence = f"{sentence}: {', '.join(named)} ({limits})"
    if withheld:
        sentence += (
            f"; not judged, as the prediction log withholds them: {', '.join(sorted(withheld))}"
        )
    return {
        **_question("violated" if violated else "ok", len(drifted), threshold),
        "sentence": sentence,
        "share": len(drifted) / len(columns) if columns else 0.0,
        "columns": list(columns),
        "not_judged": list(left_out),
        "withheld": sorted(withheld),
    }


def predictions(columns: Sequence[Column], task: Task, settings: Drift) -> Question:
    """Does the champion answer otherwise than on its own holdout, which it had not seen either?

    On the rows that trained it, its scores are surer than on any others, drift or no drift.
    """
    largest = max(columns, key=_beyond)
    value, threshold = float(largest["score"] or 0.0), settings.predictions
    violated = any(it["drifted"] for it in columns)
    before, now = largest["reference"]["mean"], largest["current"]["mean"]
    said = "more than" if value >= threshold else "within"
    what = "predictions" if task == "regression" else "scores"
    if task == "multiclass":
        what = f"{largest['name'].replace('score', 'scores', 1)} (the class that moved most)"
    sentence = (
        f"the {what} moved by {number(value)} standard deviations (mean {number(before)} to "
        f"{number(now)}), {said} drift.predictions ({threshold:g})"
    )
    if any("missing" in it["why"] for it in columns):
        sentence = f"{largest['missing']['current']:.1%} of the scores are missing; {sentence}"
    return {
        **_question("violated" if violated else "ok", value, threshold),
        "sentence": sentence,
        "columns": list(columns),
    }


def concept(
    metric: Metric,
    change: Change,
    gate: Gate,
    settings: Drift,
    rows: dict[str, Any],
) -> Question:
    """Is the champion worse than on its own holdout, by more than the margin and for sure?

    ``rows`` has the number of ``rows`` and ``holdout_rows`` that were scored, whether they were
    ``sampled``, and the last day of the window that they are of (``labels_of``).
    """
    sign = 1 if metric.greater_is_better else -1
    gains = sorted(sign * bound for bound in (change.low, change.high))
    margin = amount(settings.concept, change.reference)
    worse = -sign * change.difference > margin
    allowed = f"drift.concept ({rounded(margin)})"
    violated = worse and gains[1] < 0
    name, level = label(metric.name), percent(gate.confidence)
    moved = (
        f"{'rose' if change.difference > 0 else 'fell'} from {number(change.reference)} to "
        f"{number(change.newest)}"
    )
    bounds = f"{level} interval {interval({'low': change.low, 'high': change.high})}"
    bounds += f" on {rows['blocks']}"
    said = (
        f"more than {allowed} allows"
        if violated
        else f"beyond {allowed}, but the interval does not exclude zero"
        if worse
        else f"no worse than {allowed} allows"
    )
    return {
        **_question("violated" if violated else "ok", change.difference, margin),
        "sentence": f"{name} {moved} ({signed(change.difference)}, {bounds}), {said}",
        "metric": metric.name,
        "greater_is_better": metric.greater_is_better,
        "holdout": change.reference,
        "newest": change.newest,
        "low": change.low,
        "high": change.high,
        "confidence": gate.confidence,
        **rows,
    }


def concept_unanswered(
    metric: Metric, gate: Gate, settings: Drift, labelled: int, state: str, sentence: str
) -> Question:
    """Return the question when nothing can be said: ``waiting`` for labels, or ``skipped``."""
    return {
        **_question(state, None, None),
        "sentence": sentence,
        "metric": metric.name,
        "greater_is_better": metric.greater_is_better,
        **dict.fromkeys(("holdout", "newest", "low", "high")),
        "confidence": gate.confidence,
        "labels_of": None,
        "rows": labelled,
        "blocks": None,
        "holdout_rows": None,
        "sampled": False,
    }


def staleness(ended: date, what: str, as_of: date, settings: Drift) -> Question:
    """How long ago did ``what`` the champion knows end?"""
    days, limit = (as_of - ended).days, settings.stale_days
    violated = days > limit
    said = "more than" if violated else "within"
    return {
        **_question("violated" if violated else "ok", days, limit),
        "sentence": (
            f"the champion{what} {days:,} days before {as_of}, {said} drift.stale_days ({limit})"
        ),
    }


def too_few(
    sentence: str, metric: Metric, gate: Gate, settings: Drift, labelled: int
) -> dict[str, Question]:
    """Return all four questions unanswered."""
    columns = {"sentence": sentence, "columns": []}
    return {
        "data": {
            **_question("skipped", None, settings.columns.at_least),
            **columns,
            "share": None,
            "not_judged": [],
        },
        "predictions": {**_question("skipped", None, settings.predictions), **columns},
        "concept": concept_unanswered(metric, gate, settings, labelled, "skipped", sentence),
        "staleness": {
            **_question("skipped", None, settings.stale_days),
            "sentence": sentence,
        },
    }


def unreadable(prediction: npt.NDArray[np.float64], task: Task) -> str:
    """Say what is wrong with logged scores that no metric can read, or nothing."""
    if not np.isfinite(prediction).all():
        return "some logged scores are missing or no numbers"
    low, high = float(prediction.min()), float(prediction.max())
    if task == "regression" or (low >= -ROUNDING and high <= 1 + ROUNDING):
        return ""
    return f"the logged scores are no probabilities: they run from {low:g} to {high:g}"


def _question(state: str, value: float | None, threshold: float | None) -> Question:
    return {"state": state, "value": value, "threshold": threshold}


def _beyond(column: Column) -> float:
    """Return by how many thresholds a column has moved; a rule of its own counts as one."""
    score = column["score"]
    return 1.0 if score is None or math.isnan(score) else float(score / column["threshold"])


def _moved(column: Column) -> str:
    """Say in a few words how a column has drifted."""
    said = []
    if "score" in column["why"]:
        said.append(f"{number(column['score'], 2)} ≥ {column['threshold']:g}")
    if "missing" in column["why"]:
        shares = (column["missing"][side] for side in ("reference", "current"))
        said.append("missing in {:.1%} of rows, now {:.1%}".format(*shares))
    if "new categories" in column["why"]:
        names = ", ".join(map(str, column["new_categories"][:NAMED]))  # of booleans, too
        said.append(f"new {names}: {column['new_share']:.1%}")
    return f"{column['name']} ({'; '.join(said)})"
