"""Bootstrap: how sure is the difference of one metric between two models, or two windows?

Rows that share a day share its weather, its prices, its outages: they are not so many independent
observations. So whole blocks of rows are resampled, by default days (``gate.blocks``).
"""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from mlops.judgement.metric import Array, Classes, Metric, Predictions

Float = npt.NDArray[np.float64]
Counts = npt.NDArray[np.int64]
# The metric in each of r resamples, from how often each of b blocks was drawn: (r, b) to (r,).
Score = Callable[[Counts], Float]

# With more undefined resamples the others are a selection, and their spread is not the metric's.
MOST_UNDEFINED = 0.1
# Up to so many blocks, a matrix of all pairs of them is faster than weighing each row.
MATRIX_BLOCKS = 300
AT_ONCE = 2**21  # counts, of all resamples that are scored together: 16 MB


@dataclass(frozen=True)
class Difference:
    """Candidate minus champion, in the metric's own units (not turned so that greater is better).

    ``low`` and ``high`` are NaN when the metric is undefined in more than a tenth of the resamples,
    as it is on rows that hold (almost) only one class. ``redrawn`` resamples were undefined.
    """

    candidate: float
    champion: float
    difference: float
    low: float
    high: float
    redrawn: int = 0


def paired_difference(
    metric: Metric,
    y: Array,
    candidate: Array | Predictions,
    champion: Array | Predictions,
    classes: Classes,
    blocks: Counts,
    *,
    resamples: int,
    confidence: float,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> Difference:
    """Return the difference between two models on the same rows, with its interval.

    Each resample draws as many blocks as there are, with replacement and the same for both models,
    so that what makes a block hard for both cancels out. One in which the metric is undefined is
    drawn again.

    Parameters
    ----------
    y : array of shape (n,)
        Raw target values.
    candidate, champion : Predictions, or their scores of shape (n,) or (n, k)
        As the metric takes them.
    classes : sequence of length k, or None for regression
    blocks : array of shape (n,)
        The block of each row, as numbers from 0 to b - 1, each of which occurs. With as many blocks
        as rows, rows are resampled.
    resamples : int
    confidence : float
        Such as 0.95; the interval leaves out half of the rest on either side.
    seed : int
        The same seed draws the same blocks.
    progress : callable, optional
        Called now and then with the number of resamples done.

    References
    ----------
    Davison and Hinkley (1997). Bootstrap Methods and their Application, section 3.8 (clusters).
    Hesterberg (2015). What Teachers Should Know About the Bootstrap, section 4.4 (the expanded
    percentile interval, for few blocks). https://arxiv.org/abs/1411.5279
    """
    ours, theirs = metric(y, candidate, classes), metric(y, champion, classes)
    number = int(blocks.max()) + 1
    sides = [scored(metric, y, it, classes, blocks, number) for it in (candidate, champion)]

    def differences(rng: np.random.Generator, size: int) -> Float:
        drawn = _draw(rng, number, size)
        return sides[0](drawn) - sides[1](drawn)

    values, redrawn = _resample(differences, number, resamples, seed, progress)
    low, high = interval(values, confidence, number)
    return Difference(ours, theirs, ours - theirs, low, high, redrawn)


@dataclass(frozen=True)
class Change:
    """Newest minus reference, in the metric's own units; the others as those above."""

    newest: float
    reference: float
    difference: float
    low: float
    high: float
    redrawn: int = 0


def independent_difference(
    metric: Metric,
    newest: tuple[Array, Array | Predictions, Counts],
    reference: tuple[Array, Array | Predictions, Counts],
    classes: Classes,
    *,
    resamples: int,
    confidence: float,
    seed: int,
    progress: Callable[[int], None] | None = None,
) -> Change:
    """Return the difference of one model between two sets of rows, with its interval.

    Nothing pairs the blocks of one side with those of the other, so each resample draws from both
    on its own.

    Parameters
    ----------
    newest, reference : tuple of arrays of shape (n,), (n,) or (n, k), and (n,)
        Raw target values, predictions as the metric takes them, and blocks; ``n`` may differ.
    metric, classes, resamples, confidence, seed, progress
        As for :func:`paired_difference`.

    References
    ----------
    Efron and Tibshirani (1993). An Introduction to the Bootstrap, section 8.3 (two samples).
    """
    now, then = metric(*newest[:2], classes), metric(*reference[:2], classes)
    numbers = [int(side[2].max()) + 1 for side in (newest, reference)]
    sides = [
        scored(metric, *side[:2], classes, side[2], number)
        for side, number in zip((newest, reference), numbers, strict=True)
    ]

    def differences(rng: np.random.Generator, size: int) -> Float:
        mine, others = (_draw(rng, number, size) for number in numbers)
        return sides[0](mine) - sides[1](others)

    values, redrawn = _resample(differences, max(numbers), resamples, seed, progress)
    low, high = interval(values, confidence, min(numbers))
    return Change(now, then, now - then, low, high, redrawn)


def _resample(
    differences: Callable[[np.random.Generator, int], Float],
    blocks: int,
    resamples: int,
    seed: int,
    progress: Callable[[int], None] | None,
) -> tuple[Float, int]:
    """Return differences of so many resamples in which both are defined, and how many were not.

    Where too many are undefined, what is returned is empty.
    """
    rng = np.random.default_rng(seed)
    # The same chunks whatever the machine: the seed decides the interval.
    chunk = max(1, min(resamples // 50, AT_ONCE // blocks))
    found: list[Float] = []
    done = redrawn = 0
    while done < resamples:
        drawn = differences(rng, min(chunk, resamples - done))
        defined = drawn[~np.isnan(drawn)]
        redrawn += len(drawn) - len(defined)
        if redrawn > MOST_UNDEFINED * resamples:
            return np.empty(0), redrawn
        found.append(defined)
        done += len(defined)
        if progress is not None and len(defined):
            progress(done)
    return np.concatenate(found), redrawn


def _draw(rng: np.random.Generator, blocks: int, resamples: int) -> Counts:
    """Draw ``blocks`` of them with replacement, and count each; shape (resamples, blocks)."""
    drawn = rng.integers(0, blocks, (resamples, blocks))
    drawn += blocks * np.arange(resamples)[:, None]
    return np.bincount(drawn.ravel(), minlength=resamples * blocks).reshape(resamples, blocks)


def interval(differences: Float, confidence: float, blocks: int) -> tuple[float, float]:
    """Return the expanded percentile interval, NaN for no differences.

    The plain one is too narrow for few blocks, as a sample's spread is smaller than what it was
    drawn from: as the t interval does, it takes quantiles further out.
    """
    if not len(differences) or blocks < 2:
        return float("nan"), float("nan")
    from scipy.stats import norm, t

    reach = np.sqrt(blocks / (blocks - 1)) * t.ppf((1 + confidence) / 2, blocks - 1)
    low, high = np.quantile(differences, [norm.cdf(-reach), norm.cdf(reach)])
    return float(low), float(high)


def scored(
    metric: Metric,
    y: Array,
    prediction: Array | Predictions,
    classes: Classes,
    blocks: Counts,
    number: int,
) -> Score:
    """Prepare one model's predictions, so that scoring a resample of ``number`` blocks is cheap."""
    truth, given = metric.prepare(y, prediction, classes)  # once, not in every resample
    codes = None if classes is None else range(len(classes))
    if metric.kind == "mean":
        return _score_means(metric, metric.rows(truth, given, codes), blocks, number)
    if metric.name == "roc_auc" and metric.kind == "rank" and number <= MATRIX_BLOCKS:
        return _score_pairs(truth, given.scores, blocks, number)
    if metric.kind == "rank":
        return _score_ranks(metric.name == "average_precision", truth, given.scores, blocks)

    def score(drawn: Counts) -> Float:
        rows = (np.repeat(np.arange(len(truth)), counts[blocks]) for counts in drawn)
        return np.array([metric(truth[these], given[these], codes) for these in rows])

    return score


def _score_means(metric: Metric, rows: Float, blocks: Counts, number: int) -> Score:
    """Score resamples by sums: of the rows' scores in each block, and of the rows."""
    totals = np.stack([np.bincount(blocks, it, number) for it in (rows, None)], axis=1)

    def score(drawn: Counts) -> Float:
        sums, sizes = (drawn.astype(np.float64) @ totals).T
        return metric.finish(sums / sizes)

    return score


def _score_pairs(truth: Array, prediction: Float, blocks: Counts, number: int) -> Score:
    """Score ROC AUC, the share of pairs in which the positive ranks above the negative.

    How many pairs of a block's positives and another's negatives do, is counted once; each resample
    is a quadratic form in how often the blocks were drawn.
    """
    positive = truth == 1
    order = np.argsort(prediction[~positive], kind="stable")
    negatives, of_negative = prediction[~positive][order], blocks[~positive][order]
    above = np.zeros((number, number))
    for block in np.unique(blocks[positive]):
        scores = np.sort(prediction[positive & (blocks == block)])
        lower, not_higher = (np.searchsorted(scores, negatives, it) for it in ("left", "right"))
        ranked = len(scores) - (lower + not_higher) / 2  # a tie is half a pair
        above[block] = np.bincount(of_negative, ranked, minlength=number)
    sizes = np.stack([np.bincount(it, minlength=number) for it in (blocks[positive], of_negative)])

    def score(drawn: Counts) -> Float:
        weights = drawn.astype(np.float64)
        pairs = (weights @ sizes.T.astype(np.float64)).prod(axis=1)
        with np.errstate(invalid="ignore"):  # no pairs: undefined
            return np.asarray(((weights @ above) * weights).sum(axis=1) / pairs)

    return score


def _score_ranks(average: bool, truth: Array, prediction: Float, blocks: Counts) -> Score:
    """Score average precision, or ROC AUC: sort once, then rows weigh what their blocks do.

    Both are means over the positives: of the precision down to a positive's score, and of the share
    of negatives that rank below it, where a tie is half a negative.
    """
    order = np.argsort(-prediction, kind="stable")
    scores, block, positive = prediction[order], blocks[order], truth[order] == 1
    of_positive, mine = block[positive], scores[positive]
    # How many rows, and positives, score above each positive, and how many at least as high.
    rows_above, rows = (np.searchsorted(-scores, -mine, side) for side in ("left", "right"))
    above, found = (np.searchsorted(-mine, -mine, side) for side in ("left", "right"))

    def score(drawn: Counts) -> Float:
        means = np.full(len(drawn), np.nan)
        for place, counts in enumerate(drawn):
            weights = counts.take(of_positive)
            all_rows = np.concatenate(([0], counts.take(block).cumsum()))
            positives = np.concatenate(([0], weights.cumsum()))
            negatives = all_rows[-1] - positives[-1]
            if not positives[-1] or not negatives:
                continue
            found_rows, found_positives = all_rows.take(rows), positives.take(found)
            if average:
                each = found_positives / np.maximum(found_rows, 1)
            else:
                before = all_rows.take(rows_above) - positives.take(above)
                each = 1 - (before + found_rows - found_positives) / (2 * negatives)
            means[place] = weights @ each / positives[-1]
        return means

    return score
