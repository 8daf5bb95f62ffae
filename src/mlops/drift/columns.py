"""Which columns have moved between two windows: exact where it is cheap, sampled where it is safe.

One pass over each window counts what can be counted exactly, whatever its size: missing values,
ranges, means, categories. Evidently measures the distances, of samples when windows are large; all
rows are counted where its verdict could be another with them.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

from mlops.drift import categorical, numeric
from mlops.drift.evidently_report import distances
from mlops.drift.rows import Rows
from mlops.drift.survey import Survey, survey

DRAWN = 500  # categories of a column that Evidently can draw: its work grows with their square

Kind = Literal["numeric", "categorical", "score"]
Column = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """A column to judge; a ``score`` is numeric, and the champion's."""

    name: str
    kind: Kind
    threshold: float


@dataclass(frozen=True)
class Judged:
    """``columns``: one dict each, in the order wanted. ``fingerprint``: MD5 of the newest rows."""

    columns: list[Column]
    fingerprint: str


def judge(
    reference: Rows,
    current: Rows,
    wanted: Sequence[Wanted],
    *,
    missing: float,
    new_categories: float,
    sample_rows: int,
    seed: int,
    page: Path | None,
) -> Judged:
    """Judge each wanted column.

    Parameters
    ----------
    reference, current : Rows
        The champion's window and the newest; each has rows.
    wanted : sequence of Wanted
        Columns with their thresholds; Evidently's distance at or above one is drift.
    missing : float
        Rise of the share of missing values that is drift.
    new_categories : float
        Share of the newest rows, with a category that the reference does not have, that is drift.
    sample_rows : int
        Rows of each window that Evidently gets; it gets all of a smaller one.
    seed : int
        Of the sample.
    page : pathlib.Path or None
        Where Evidently's page goes. There is none when no column has values in both windows.

    Raises
    ------
    MlopsError
        When a window has no rows, or its file lacks a column.
    """
    numbers = {it.name: it.threshold for it in wanted if it.kind != "categorical"}
    categories = [it.name for it in wanted if it.kind == "categorical"]
    before = survey(reference, list(numbers), categories, sample_rows, seed)
    after = survey(current, list(numbers), categories, sample_rows, seed + 1)
    scores = _evidently(before, after, wanted, page)
    found = numeric.judge(before, after, numbers, scores)
    found |= {name: categorical.judge(before, after, name) for name in categories}
    columns = [_column(it, found[it.name], missing, new_categories) for it in wanted]
    return Judged(columns, _fingerprint(after))


def _evidently(
    before: Survey, after: Survey, wanted: Sequence[Wanted], page: Path | None
) -> dict[str, float]:
    """Return Evidently's scores of the columns that it can judge: it refuses empty ones."""
    able = [it for it in wanted if all(_can_be_judged(it, side) for side in (before, after))]
    if not able:
        return {}
    numbers = {it.name: it.threshold for it in able if it.kind != "categorical"}
    categories = {it.name: it.threshold for it in able if it.kind == "categorical"}
    return distances(before.sample, after.sample, numbers, categories, page)


def _can_be_judged(it: Wanted, side: Survey) -> bool:
    distinct = side.sample[it.name].nunique()
    return distinct > 0 and (it.kind != "categorical" or distinct <= DRAWN)


def _column(it: Wanted, found: Column, missing: float, new_categories: float) -> Column:
    """Return a column with its verdict, in the order of ``reports/drift.json``."""
    was, now = found["missing"]["reference"], found["missing"]["current"]
    reasons = {
        "score": found["score"] is not None and found["score"] >= it.threshold,
        "missing": now > was and now - was >= missing,
        "new categories": found["new_share"] > 0 and found["new_share"] >= new_categories,
    }
    why = [reason for reason, applies in reasons.items() if applies]
    return {
        "name": it.name,
        "kind": it.kind,
        "method": found["method"],
        "score": found["score"],
        "threshold": it.threshold,
        "drifted": bool(why),
        "why": why,
        **found,
    }


def _fingerprint(side: Survey) -> str:
    """Return the MD5 of what the pass counted: the same rows give the same, in any order."""
    counted: dict[str, Any] = {"rows": side.count}
    for name, numbers in side.numbers.items():
        exact = (None if it is None else f"{it:.9g}" for it in numbers.summary().values())
        counted[name] = [numbers.present, *exact]
    for name, categories in side.categories.items():
        counts = {str(value): count for value, count in (categories.counts or {}).items()}
        counted[name] = [categories.present, counts]
    text = json.dumps(counted, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
