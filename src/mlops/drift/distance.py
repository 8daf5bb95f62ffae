"""Evidently's two distances from counts, and how far off the distance of samples can be."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlops.artifact.table import Array
from mlops.drift.tally import Numbers

# Evidently divides by this when the reference hardly varies (wasserstein_distance_norm.py).
LEAST_STD = 0.001

SURE = 3  # standard deviations


def norm(std: float) -> float:
    """Return what Evidently divides a Wasserstein distance by."""
    return max(std, LEAST_STD)


def jensenshannon(reference: Mapping[Any, int], current: Mapping[Any, int]) -> float:
    """Return the Jensen-Shannon distance of two counts, in nats: from 0 to 0.8326."""
    keys = list(reference.keys() | current.keys())
    p, q = (np.array([side.get(key, 0) for key in keys]) for side in (reference, current))
    return math.sqrt(divergence(p / p.sum(), q / q.sum()))


def divergence(p: Array, q: Array) -> float:
    """Return the Jensen-Shannon divergence of shares ``p`` and ``q``, or their part of it."""
    middle = (p + q) / 2
    parts = (side[side > 0] * np.log(side[side > 0] / middle[side > 0]) for side in (p, q))
    return max(sum(float(part.sum()) for part in parts) / 2, 0.0)


def between(
    reference: Array,
    current: Array,
    sizes: tuple[int, int],
    below: tuple[float, float],
    ends: tuple[float, float],
) -> float:
    """Return the area between two cumulative distributions F and G from one point to another.

    Parameters
    ----------
    reference, current : array of shape (n,), (m,)
        The values between the points, ascending.
    sizes : tuple of int
        Rows of each side, all of them.
    below : tuple of float
        F and G left of the first point.
    ends : tuple of float
        The two points.
    """
    points = np.unique(np.concatenate([reference, current, ends]))
    f, g = (
        height + np.searchsorted(values, points[:-1], side="right") / size
        for values, size, height in zip((reference, current), sizes, below, strict=True)
    )
    return float(np.abs(f - g) @ np.diff(points))


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
