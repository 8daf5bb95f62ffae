"""Numeric columns: by Evidently's score of the samples, or by all rows where that is in doubt."""

from collections.abc import Mapping
from typing import Any

import numpy as np

from mlops.artifact.table import Array
from mlops.drift.all_rows import Bounds, bound
from mlops.drift.distance import sampling_error
from mlops.drift.evidently_report import NUMERIC
from mlops.drift.survey import Survey
from mlops.drift.tally import Numbers


def judge(
    before: Survey,
    after: Survey,
    thresholds: Mapping[str, float],
    scores: Mapping[str, float],
) -> dict[str, dict[str, Any]]:
    """Judge columns by their thresholds.

    All rows count where the windows are no larger than the samples, and where the threshold is
    within the sampling error of the score.

    Parameters
    ----------
    before, after : Survey
        The reference and the newest rows.
    scores : mapping of str to float
        Evidently's, of the samples.
    """
    found: dict[str, dict[str, Any]] = {}
    doubtful: dict[str, Bounds] = {}
    for name, threshold in thresholds.items():
        numbers = before.numbers[name], after.numbers[name]
        score, judged, error = scores.get(name), "all rows", None
        if (before.sampled or after.sampled) and numbers[0].present and numbers[1].present:
            judged = "sample"
            error = None if score is None else _error(before, after, name, score)
            if score is None or error is None or abs(score - threshold) <= error:
                computed = name in before.rows.computed or name in after.rows.computed
                known = None if computed else numbers
                doubtful[name] = Bounds(_values(before, after, name), threshold, known)
        found[name] = _judged(numbers, score, judged, error)
    if doubtful:
        bound(before.rows, after.rows, doubtful)
    for name, bounds in doubtful.items():
        sides = bounds.sides
        numbers = sides[0].numbers, sides[1].numbers
        # Bins in which the distributions do cross are few: the lower bound is mostly nearer.
        found[name] = _judged(numbers, bounds.score[0], "all rows", None)
    return found


def _error(before: Survey, after: Survey, name: str, score: float) -> float:
    sides = before, after
    samples = [side.sample[name].dropna().to_numpy() for side in sides]
    numbers, sampled = [side.numbers[name] for side in sides], [side.sampled for side in sides]
    return sampling_error(samples, numbers, sampled, score)


def _values(before: Survey, after: Survey, name: str) -> Array:
    """Return values of both windows; a sample may have none of those that a window has."""
    values = []
    for side in (before, after):
        numbers = side.numbers[name]
        values += [side.sample[name].dropna().to_numpy(), [numbers.minimum, numbers.maximum]]
    return np.concatenate([np.asarray(some) for some in values])


def _judged(
    numbers: tuple[Numbers, Numbers], score: float | None, judged: str, error: float | None
) -> dict[str, Any]:
    was, now = numbers
    return {
        "method": NUMERIC,
        "score": score,
        "judged": judged,
        "sampling_error": error,
        "missing": {"reference": was.missing, "current": now.missing},
        "new_categories": [],
        "new_share": 0.0,
        "reference": was.summary(),
        "current": now.summary(),
    }
