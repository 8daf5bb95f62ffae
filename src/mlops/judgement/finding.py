"""The finding: what the holdout says about a candidate. What follows from it is the gate's."""

import math
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
import pandas as pd

from mlops.judgement import blocks
from mlops.judgement.blocks import Blocks
from mlops.judgement.bootstrap import Difference, paired_difference
from mlops.judgement.metric import Array, Classes, Metric, Predictions
from mlops.judgement.too_good import Alone
from mlops.project.errors import MlopsError
from mlops.project.files import PARAMS

Finding = Literal["first", "same", "better", "equivalent", "inconclusive", "worse"]
Verdict = Literal["better", "worse", "unclear", "too few", "no champion"]

Group = tuple[str, str, Array]  # column, value and row numbers of a slice

LARGEST_COLUMN = 500  # distinct values; more is a number or a key, not a category


@dataclass(frozen=True)
class Pair:
    """Target and both models' predictions for the same ``n`` rows; the champion may be missing."""

    y: Array
    candidate: Predictions
    champion: Predictions | None
    classes: Classes
    blocks: Blocks

    def take(self, rows: Array) -> "Pair":
        champion = None if self.champion is None else self.champion[rows]
        candidate, of_rows = self.candidate[rows], self.blocks.take(rows)
        return Pair(self.y[rows], candidate, champion, self.classes, of_rows)

    @property
    def identical(self) -> bool:
        ours, theirs = self.candidate, self.champion
        if theirs is None or ours.threshold != theirs.threshold:
            return False
        return np.array_equal(ours.scores, theirs.scores)


@dataclass(frozen=True)
class Resampling:
    """How often blocks are drawn, from which seed on, for intervals of which confidence."""

    resamples: int
    confidence: float
    seed: int


@dataclass(frozen=True)
class Slice:
    """One value of one column; ``verdict`` speaks of the rows that have it."""

    column: str
    value: str
    rows: int
    blocks: int
    difference: Difference | None
    verdict: Verdict


@dataclass(frozen=True)
class Findings:
    """All that was found of a candidate on the holdout; without a champion, no ``differences``.

    ``base_rate`` is its difference from a model that knows only the training target, ``alone``
    what its strongest feature knows by itself. ``times``: how many times the champion's gain over
    the base rate its own is, in the gate's metric; None unless it is better for sure.
    """

    finding: Finding
    differences: dict[str, Difference]
    slices: list[Slice]
    base_rate: Difference
    alone: Alone | None = None
    times: float | None = None


def gain(metric: Metric, difference: Difference) -> tuple[float, float, float]:
    """Return the difference and its interval turned so that greater is better."""
    if metric.greater_is_better:
        return difference.difference, difference.low, difference.high
    return -difference.difference, -difference.high, -difference.low


def find(metric: Metric, pair: Pair, difference: Difference, margin: float) -> Finding:
    """Return the finding for a candidate that has a champion to be compared with.

    ``same``: identical predictions. ``better``, ``worse``: the interval of the difference excludes
    zero. ``equivalent``: it lies within the margin. ``inconclusive``: it is too wide to say.
    """
    if pair.identical:
        return "same"
    _, low, high = gain(metric, difference)
    if low > 0:
        return "better"
    if high < 0:
        return "worse"
    return "equivalent" if low >= -margin and high <= margin else "inconclusive"


def blocks_needed(number: int, metric: Metric, difference: Difference) -> int | None:
    """Return how many blocks would tell a difference of this size from zero; None if none is seen.

    The width of the interval falls with the square root of their ``number``.
    """
    value, low, high = gain(metric, difference)
    if not value or not math.isfinite(low) or not math.isfinite(high):
        return None
    return math.ceil(number * ((high - low) / 2 / abs(value)) ** 2)


def difference(
    metric: Metric,
    pair: Pair,
    resampling: Resampling,
    *,
    comparisons: int = 1,
    progress: Callable[[int], None] | None = None,
) -> Difference:
    """Return the paired difference with its interval, widened for several comparisons.

    Without a champion it is all NaN but for the candidate's score.

    References
    ----------
    Bonferroni's correction: Dunn (1961), Multiple comparisons among means.
    """
    if pair.champion is None or pair.identical:
        score = metric(pair.y, pair.candidate, pair.classes)
        none = (math.nan,) * 4 if pair.champion is None else (score, 0.0, 0.0, 0.0)
        return Difference(score, *none)
    return paired_difference(
        metric,
        pair.y,
        pair.candidate,
        pair.champion,
        pair.classes,
        pair.blocks.codes,
        resamples=resampling.resamples,
        confidence=1 - (1 - resampling.confidence) / comparisons,
        seed=resampling.seed,
        progress=progress,
    )


def differences(
    metrics: Iterable[Metric],
    pair: Pair,
    resampling: Resampling,
    progress: Callable[[int], None],
) -> dict[str, Difference]:
    """Return the difference in each metric, by its name."""
    found: dict[str, Difference] = {}
    for metric in metrics:
        before = resampling.resamples * len(found)

        def add(done: int, before: int = before) -> None:
            progress(before + done)

        found[metric.name] = difference(metric, pair, resampling, progress=add)
    return found


def slices(
    metric: Metric,
    pair: Pair,
    groups: Sequence[Group],
    min_rows: int,
    resampling: Resampling,
    progress: Callable[[float], None] = lambda done: None,
) -> list[Slice]:
    """Compare the models on each of ``groups``, see :func:`by_size`.

    A slice with fewer than ``min_rows`` rows, or of too few blocks, is named and not judged. The
    intervals of the others are widened, because among twenty slices one is worse by chance.
    """
    parts = [(column, value, pair.take(rows)) for column, value, rows in groups]
    judged = sum(_enough(part, min_rows) for _, _, part in parts)
    found = []
    for done, (column, value, part) in enumerate(parts):
        rows, number = len(part.y), part.blocks.number
        if not _enough(part, min_rows):
            found.append(Slice(column, value, rows, number, None, "too few"))
        else:
            result = difference(metric, part, resampling, comparisons=judged)
            low, high = gain(metric, result)[1:]
            verdict = "no champion" if pair.champion is None else _verdict(low, high)
            found.append(Slice(column, value, rows, number, result, verdict))
        progress((done + 1) / len(groups))
    return found


def _enough(part: Pair, min_rows: int) -> bool:
    return len(part.y) >= min_rows and part.blocks.number >= blocks.LEAST


def _verdict(low: float, high: float) -> Verdict:
    if math.isnan(low):
        return "too few"  # the metric is undefined on too many resamples
    if low > 0:
        return "better"
    return "worse" if high < 0 else "unclear"


def by_size(table: pd.DataFrame, columns: list[str]) -> list[Group]:
    """Return the slices by each value of ``columns``, the largest of a column first."""
    groups = [
        (column, str(value), np.asarray(rows))
        for column in columns
        for value, rows in _groups(table, column)
    ]
    return sorted(groups, key=lambda group: (columns.index(group[0]), -len(group[2]), group[1]))


def _groups(table: pd.DataFrame, column: str) -> list[tuple[Any, Any]]:
    if column not in table:
        raise MlopsError(
            f"{PARAMS}: gate.slices.columns: got {column!r}; the data has no such column; "
            f"it has {', '.join(table.columns)}"
        )
    groups = table.groupby(column, sort=True, dropna=False).indices
    if len(groups) > LARGEST_COLUMN:
        raise MlopsError(
            f"{PARAMS}: gate.slices.columns: {column!r} has {len(groups):,} distinct values "
            f"(at most {LARGEST_COLUMN}); slice by a category, such as a group of these values"
        )
    return list(groups.items())
