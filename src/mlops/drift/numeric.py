"""Numeric columns: by Evidently's score of the samples, or by all rows where that is in doubt.

The Wasserstein distance of all rows takes bounded memory, between two bounds that close in. A first
pass counts the values of both windows in 16,384 bins and sums them. Where one cumulative
distribution is above the other throughout a bin, the sums give the area between them exactly;
where they may cross, they bound it. While the threshold lies between the bounds of the whole, a
further pass reads the values of the bins that matter most, whose area is exact then, too.
"""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pyarrow as pa

from mlops.artifact.table import Array
from mlops.drift.rows import Rows
from mlops.drift.survey import Numbers, Survey, finite

METHOD = "wasserstein"  # as Evidently calls it
BINS = 16_384  # with so many, the first pass or one more mostly suffices
HELD = 500_000  # values of a column that a pass may keep of each window: 4 MB
PRECISE = 0.001  # distance of the bounds at which a score is good enough to be shown
# Evidently divides by this when the reference hardly varies (wasserstein_distance_norm.py).
LEAST_STD = 0.001
SURE = 3  # standard deviations


def judge(
    before: Survey, after: Survey, thresholds: Mapping[str, float]
) -> dict[str, dict[str, Any]]:
    """Judge columns by their thresholds.

    All rows count where the windows are no larger than the samples, and where the threshold is
    within the sampling error of the score.
    """
    found: dict[str, dict[str, Any]] = {}
    doubtful: dict[str, Bounds] = {}
    for name, threshold in thresholds.items():
        numbers = before.numbers[name], after.numbers[name]
        samples = [side.sample[name].dropna().to_numpy() for side in (before, after)]
        score, judged, error = None, "all rows", None
        if all(len(values) for values in samples):
            score = wasserstein(*samples)
        if (before.sampled or after.sampled) and numbers[0].present and numbers[1].present:
            judged = "sample"
            if score is not None:
                sampled = before.sampled, after.sampled
                error = sampling_error(samples, numbers, sampled, score)
            if score is None or abs(score - threshold) <= (error or 0.0):
                computed = name in before.rows.computed or name in after.rows.computed
                # A sample may lack the ends, or all of the values that a window has.
                ends = [[side.minimum, side.maximum] for side in numbers]
                values = np.concatenate([*samples, *ends])
                doubtful[name] = Bounds(values, threshold, None if computed else numbers)
        found[name] = _judged(numbers, score, judged, error)
    if doubtful:
        bound(before.rows, after.rows, doubtful)
    for name, bounds in doubtful.items():
        sides = bounds.sides
        # Bins in which the distributions do cross are few: the lower bound is mostly nearer.
        numbers = sides[0].numbers, sides[1].numbers
        found[name] = _judged(numbers, bounds.score[0], "all rows", None)
    return found


def _judged(
    numbers: tuple[Numbers, Numbers], score: float | None, judged: str, error: float | None
) -> dict[str, Any]:
    was, now = numbers
    return {
        "method": METHOD,
        "score": score,
        "judged": judged,
        "sampling_error": error,
        "missing": {"reference": was.missing, "current": now.missing},
        "new_categories": [],
        "new_share": 0.0,
        "reference": was.summary(),
        "current": now.summary(),
    }


def wasserstein(reference: Array, current: Array) -> float:
    """Return the area between two cumulative distributions, in deviations of the reference."""
    points = np.sort(np.concatenate([reference, current]))
    f, g = (
        np.searchsorted(np.sort(values), points[:-1], side="right") / len(values)
        for values in (reference, current)
    )
    return float(np.abs(f - g) @ np.diff(points)) / norm(float(reference.std()))


def sampling_error(
    samples: Sequence[Array],
    exact: Sequence[Numbers],
    sampled: Sequence[bool],
    score: float,
) -> float:
    """Return how far the score of samples can be from the score of all rows.

    The distance of a sample to its window, which the triangle inequality adds for both sides, is
    on average at most the integral of sqrt(F(1-F)) / sqrt(n) (Bobkov & Ledoux, One-dimensional
    empirical measures, order statistics, and Kantorovich transport distances, 2019, theorem 3.2),
    and its standard deviation is at most that of the values / sqrt(n) (Efron & Stein, 1981: one
    other value moves it by their difference / n). A stratified sample is nearer still. The mean
    and the standard deviation are those of all rows, so that a tail or an outlier that the sample
    missed counts: what fewer than 9 of n rows hold is at most 3 standard deviations / sqrt(n).
    """
    expected = variance = moved = 0.0
    for values, numbers, some in zip(samples, exact, sampled, strict=True):
        if some:
            ordered, n = np.sort(values), len(values)
            share = np.arange(1, n) / n
            expected += float(np.sqrt(share * (1 - share)) @ np.diff(ordered)) / math.sqrt(n)
            variance += numbers.std**2 / n
            moved += abs(float(values.mean()) - numbers.mean)
    divided, right = norm(float(samples[0].std())), norm(exact[0].std)
    error = (expected + SURE * math.sqrt(variance) + moved) / right
    return error + score * abs(divided / right - 1)


@dataclass
class Side:
    """One window's part of a column: rows and sums of values in each bin."""

    edges: Array
    numbers: Numbers
    known: bool
    counts: Array = field(init=False)
    sums: Array = field(init=False)
    held: list[Array] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.counts = np.zeros(len(self.edges) - 1, np.int64)
        self.sums = np.zeros(len(self.edges) - 1)

    def add(self, column: pa.Array) -> None:
        if not self.known:
            self.numbers.add(column)
        values, places = self._sorted(column)
        counts = np.diff(places)
        sums = np.add.reduceat(np.append(values, 0.0), places[:-1])
        self.counts += counts
        self.sums += np.where(counts, sums, 0.0)

    def hold(self, column: pa.Array, chosen: Array) -> None:
        """Keep the values in the chosen bins."""
        values, places = self._sorted(column)
        self.held.append(values[np.repeat(chosen, np.diff(places))])

    def below(self) -> Array:
        """Return the share of the rows left of each edge."""
        return np.asarray(np.append(0, np.cumsum(self.counts)) / self.counts.sum())

    def _sorted(self, column: pa.Array) -> tuple[Array, Array]:
        values = np.sort(finite(column))
        return values, np.searchsorted(values, self.edges)


class Bounds:
    """What the distance of a column is at least and at most.

    Parameters
    ----------
    sample : array of shape (n,)
        Values of both windows, by which the bins are placed.
    threshold : float
        Of the score, which is the distance in standard deviations of the reference.
    known : pair of Numbers, optional
        Of all rows; counted in the first pass where not known.
    """

    def __init__(
        self, sample: Array, threshold: float, known: tuple[Numbers, Numbers] | None = None
    ) -> None:
        pooled = np.sort(sample)
        edges = pooled[np.linspace(0, len(pooled) - 1, BINS + 1).astype(int)]
        # A value that is there for more than one edge gets a bin of its own, of no width.
        common = edges[1:][edges[1:] == edges[:-1]]
        edges = np.unique(np.concatenate([edges, np.nextafter(common, np.inf)]))
        edges = np.concatenate([[-np.inf], edges, [np.inf]])
        self.threshold = threshold
        numbers = known or (Numbers(), Numbers())
        self.sides = tuple(Side(edges, it, known is not None) for it in numbers)
        self.edges = edges.copy()
        self.chosen = np.zeros(len(edges) - 1, bool)

    def close(self) -> None:
        """Bound the area in each bin, after the first pass."""
        numbers = [side.numbers for side in self.sides]
        self.edges[0] = min(it.minimum for it in numbers)
        self.edges[-1] = max(it.maximum for it in numbers)
        left, right, width = self.edges[:-1], self.edges[1:], np.diff(self.edges)
        # In a bin, F of the reference runs from a to b and G of the newest rows from c to d.
        a, b = (below := self.sides[0].below())[:-1], below[1:]
        c, d = (below := self.sides[1].below())[:-1], below[1:]
        areas = []  # between F and a, b and F, G and c, d and G
        for side, low, high in zip(self.sides, (a, c), (b, d), strict=True):
            whole = (high - low) * width
            over = np.clip((high - low) * right - side.sums / side.counts.sum(), 0, whole)
            areas += [over, whole - over]
        self.low = np.abs((a - c) * width + areas[0] - areas[2])
        most = np.minimum.reduce(
            [
                np.maximum(b - c, d - a) * width,
                np.abs(a - c) * width + areas[0] + areas[2],
                np.abs(b - d) * width + areas[1] + areas[3],
            ]
        )
        exact = (a >= d) | (c >= b) | (width <= 2 * np.spacing(np.abs(left)))
        self.high = np.where(exact, self.low, np.maximum(most, self.low))
        self.below = a, c

    def choose(self) -> None:
        """Choose the bins whose values the next pass keeps: those that promise most a row."""
        rows = np.maximum(self.sides[0].counts, self.sides[1].counts)
        unsure = np.flatnonzero(self.high > self.low)
        promise = (self.high - self.low)[unsure] / np.maximum(rows[unsure], 1)
        order = unsure[np.argsort(-promise, kind="stable")]
        fit = np.cumsum(rows[order]) <= HELD
        fit[:1] = True  # also when it has more, as one of a window of a thousand million rows may
        self.chosen[:] = False
        self.chosen[order[fit]] = True

    def settle(self) -> None:
        """Make the area in the chosen bins exact, after a pass that kept their values."""
        held = [np.sort(np.concatenate(side.held)) for side in self.sides]
        bounds = self.edges[:-1][self.chosen], self.edges[1:][self.chosen]
        points = np.unique(np.concatenate([*held, *bounds]))
        left = points[:-1]
        bins = np.searchsorted(self.edges, left, side="right") - 1
        f, g = (
            below[bins]
            + (
                np.searchsorted(values, left, side="right")
                - np.searchsorted(values, self.edges[bins])
            )
            / side.counts.sum()
            for side, values, below in zip(self.sides, held, self.below, strict=True)
        )
        areas = np.bincount(bins, np.abs(f - g) * np.diff(points), len(self.chosen))
        self.low[self.chosen] = self.high[self.chosen] = areas[self.chosen]
        for side in self.sides:
            side.held.clear()

    @property
    def score(self) -> tuple[float, float]:
        """The least and the most that the score can be."""
        divide = norm(self.sides[0].numbers.std)
        return float(self.low.sum()) / divide, float(self.high.sum()) / divide

    @property
    def decided(self) -> bool:
        low, high = self.score
        sure = not low <= self.threshold <= high and high - low <= PRECISE
        return sure or not (self.high > self.low).any()


def bound(reference: Rows, current: Rows, columns: Mapping[str, Bounds]) -> int:
    """Read both windows until each column is on one side of its threshold; return the passes."""
    for side, rows in enumerate((reference, current)):
        for batch in rows.batches(list(columns)):
            for name, bounds in columns.items():
                bounds.sides[side].add(batch.column(name))
    for bounds in columns.values():
        bounds.close()
    passes = 1
    while unsure := {name: it for name, it in columns.items() if not it.decided}:
        for bounds in unsure.values():
            bounds.choose()
        for side, rows in enumerate((reference, current)):
            for batch in rows.batches(list(unsure)):
                for name, bounds in unsure.items():
                    bounds.sides[side].hold(batch.column(name), bounds.chosen)
        for bounds in unsure.values():
            bounds.settle()
        passes += 1
    return passes


def norm(std: float) -> float:
    """Return what Evidently divides a Wasserstein distance by."""
    return max(std, LEAST_STD)
