"""Bootstrap: how sure is the difference of one metric between two models, or two windows?"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlops.judgement.metric import Array, Classes, Metric

Counts = npt.NDArray[np.int64]
ScoreRows = Callable[[npt.NDArray[np.int64]], float]

# With fewer defined resamples the rest are a selection, and their spread is not the metric's.
LEAST_DEFINED = 0.9


@dataclass(frozen=True)
class Difference:
    """Candidate minus champion, in the metric's own units (not turned so that greater is better).

    ``low`` and ``high`` are NaN when the metric is undefined in more than a tenth of the resamples,
    as it is on rows that hold (almost) only one class.
    """

    candidate: float
    champion: float
    difference: float
    low: float
    high: float


def paired_difference(
    metric: Metric,
    y: Array,
    candidate: Array,
    champion: Array,
    classes: Classes,
    *,
    resamples: int,
    confidence: float,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> Difference:
    """Return the difference between two models on the same rows, with its percentile interval.

    Each resample draws ``n`` rows with replacement, the same for both models, so that what makes a
    row hard for both cancels out. Resamples in which the metric is undefined are left out.

    Parameters
    ----------
    y : array of shape (n,)
        Raw target values.
    candidate, champion : array of shape (n,) or (n, k)
        Predictions, as the metric takes them.
    classes : sequence of length k, or None for regression
    confidence : float
        Such as 0.95; the interval leaves out half of the rest on either side.
    seed : int
        The same seed draws the same rows.
    progress : callable, optional
        Called now and then with the number of resamples done.

    References
    ----------
    Efron and Tibshirani (1993). An Introduction to the Bootstrap, chapter 13 (percentile interval).
    """
    ours, theirs = metric(y, candidate, classes), metric(y, champion, classes)
    truth, candidate = metric.prepare(y, candidate, classes)  # once, not in every resample
    truth, champion = metric.prepare(y, champion, classes)
    classes = None if classes is None else range(len(classes))
    score_candidate = _score_rows(metric, truth, candidate, classes)
    score_champion = _score_rows(metric, truth, champion, classes)
    rng = np.random.default_rng(seed)
    differences = np.empty(resamples)
    step = max(1, resamples // 100)
    for done in range(resamples):
        rows = rng.integers(0, len(truth), len(truth))
        differences[done] = score_candidate(rows) - score_champion(rows)
        if progress is not None and ((done + 1) % step == 0 or done + 1 == resamples):
            progress(done + 1)
    low, high = _percentile_interval(differences, confidence)
    return Difference(ours, theirs, ours - theirs, low, high)


@dataclass(frozen=True)
class Change:
    """Newest minus reference, in the metric's own units; ``low`` and ``high`` as those above."""

    newest: float
    reference: float
    difference: float
    low: float
    high: float


def independent_difference(
    metric: Metric,
    newest: tuple[Array, Array],
    reference: tuple[Array, Array],
    classes: Classes,
    *,
    resamples: int,
    confidence: float,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> Change:
    """Return the difference of one model between two sets of rows, with its percentile interval.

    Nothing pairs the rows of one side with those of the other, so each resample draws from both on
    its own. Resamples in which the metric is undefined are left out.

    Parameters
    ----------
    newest, reference : tuple of array of shape (n,) and array of shape (n,) or (n, k)
        Raw target values and predictions, as the metric takes them; ``n`` may differ.
    metric, classes, resamples, confidence, seed, progress
        As for :func:`paired_difference`.

    References
    ----------
    Efron and Tibshirani (1993). An Introduction to the Bootstrap, section 8.3 (two samples) and
    chapter 13 (percentile interval).
    """
    now, then = metric(*newest, classes), metric(*reference, classes)
    sides = [metric.prepare(*side, classes) for side in (newest, reference)]
    codes = None if classes is None else range(len(classes))
    sizes = [len(truth) for truth, _ in sides]
    score_newest, score_reference = (_score_rows(metric, *side, codes) for side in sides)
    rng = np.random.default_rng(seed)
    differences = np.empty(resamples)
    step = max(1, resamples // 100)
    for done in range(resamples):
        rows, others = (rng.integers(0, size, size) for size in sizes)
        differences[done] = score_newest(rows) - score_reference(others)
        if progress is not None and ((done + 1) % step == 0 or done + 1 == resamples):
            progress(done + 1)
    low, high = _percentile_interval(differences, confidence)
    return Change(now, then, now - then, low, high)


def _percentile_interval(
    differences: npt.NDArray[np.float64], confidence: float
) -> tuple[float, float]:
    defined = differences[~np.isnan(differences)]
    if len(defined) < LEAST_DEFINED * len(differences):
        return float("nan"), float("nan")
    low, high = np.quantile(defined, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def _score_rows(metric: Metric, truth: Array, prediction: Array, classes: Classes) -> ScoreRows:
    """Prepare one model's predictions, so that scoring a resample of row numbers is cheap."""
    if metric.kind == "mean":
        scores = metric.rows(truth, prediction, classes)
        return lambda rows: metric.finish(scores.take(rows).mean())
    if metric.kind == "rank":
        return _score_ranks(_FROM_COUNTS[metric.name], truth, prediction)
    return lambda rows: metric(truth[rows], prediction[rows], classes)


def _score_ranks(
    from_counts: Callable[[Counts, Counts], float], truth: Array, prediction: Array
) -> ScoreRows:
    """Sort once, then count in each resample the negatives and positives of every rank.

    Parameters
    ----------
    from_counts : callable
        The metric from the number of negatives and positives at each distinct score, best first.
    truth : array of shape (n,)
        1 for the positive class, 0 for the other.
    prediction : array of shape (n,)
    """
    scores, ranks = np.unique(-prediction, return_inverse=True)
    codes = ranks + len(scores) * truth

    def score(rows: npt.NDArray[np.int64]) -> float:
        counts = np.bincount(codes.take(rows), minlength=2 * len(scores))
        negatives, positives = counts[: len(scores)], counts[len(scores) :]
        if not negatives.any() or not positives.any():
            return float("nan")
        return from_counts(negatives, positives)

    return score


def _roc_auc(negatives: Counts, positives: Counts) -> float:
    """Share of pairs in which the positive ranks above the negative; a tie is half a pair."""
    above = positives.cumsum()
    pairs = 2 * (negatives @ above) - negatives @ positives
    return float(pairs / (2 * above[-1] * negatives.sum()))


def _average_precision(negatives: Counts, positives: Counts) -> float:
    """Sum of precision at each distinct score, weighted by the recall gained there."""
    gains = positives.nonzero()[0]
    gained = positives[gains]
    found, drawn = gained.cumsum(), (negatives + positives).cumsum()[gains]
    return float(gained @ (found / drawn) / found[-1])


_FROM_COUNTS = {"roc_auc": _roc_auc, "average_precision": _average_precision}
