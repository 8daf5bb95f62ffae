"""Categorical columns: by the counts of all rows, which are Evidently's distance exactly."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from mlops.drift.distance import jensenshannon
from mlops.drift.evidently_report import CATEGORICAL
from mlops.drift.survey import Survey

TOP = 5  # categories of a summary
NAMED = 10  # new categories whose names are given


@dataclass(frozen=True)
class Compared:
    """Counts of two windows against each other; pairs are the reference and the newest rows.

    ``new`` rows have a category that the reference does not have, ``named`` are the commonest of
    those. ``top`` has the commonest categories with their rows.
    """

    score: float
    distinct: tuple[int, int]
    top: tuple[dict[Any, int], dict[Any, int]]
    new: int
    named: list[Any]


def judge(before: Survey, after: Survey, name: str) -> dict[str, Any]:
    """Judge a column; ``score`` is None when a window has no values."""
    was, now = before.categories[name], after.categories[name]
    if was.counts is None or now.counts is None:
        from mlops.drift import many

        found = many.compare(before.rows, after.rows, name, (was.present, now.present))
    else:
        found = compare(was.counts, now.counts)
    reference, current = (
        {"distinct": distinct, "top": [[it, count / side.present] for it, count in top.items()]}
        for side, distinct, top in zip((was, now), found.distinct, found.top, strict=True)
    )
    return {
        "method": CATEGORICAL,
        "score": found.score if was.present and now.present else None,
        "judged": "all rows",
        "sampling_error": None,
        "missing": {"reference": was.missing, "current": now.missing},
        "new_categories": found.named,
        "new_share": found.new / now.rows,
        "reference": reference,
        "current": current,
    }


def compare(reference: Mapping[Any, int], current: Mapping[Any, int]) -> Compared:
    """Compare the rows of each category."""
    new = {value: count for value, count in current.items() if value not in reference}
    top = commonest(reference, TOP), commonest(current, TOP)
    score = jensenshannon(reference, current) if reference and current else np.nan
    distinct = len(reference), len(current)
    return Compared(score, distinct, top, sum(new.values()), list(commonest(new, NAMED)))


def commonest(counts: Mapping[Any, int], n: int) -> dict[Any, int]:
    """Return the ``n`` with the most rows, the first in the alphabet where they have the same."""
    order = sorted(counts, key=lambda value: (-counts[value], str(value)))
    return {value: counts[value] for value in order[:n]}
