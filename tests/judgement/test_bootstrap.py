"""The fast interval is the naive one, pairs blocks exactly, and covers the true difference."""

from math import erf, sqrt

import numpy as np
import pytest
from scipy.stats import norm, t

from mlops.judgement.bootstrap import (
    MATRIX_BLOCKS,
    Difference,
    independent_difference,
    paired_difference,
)
from mlops.judgement.metric import resolve

SAME = {"rel": 0, "abs": 1e-9}


def rows_of(drawn, blocks):
    return np.concatenate([np.flatnonzero(blocks == block) for block in drawn])


def expanded(differences, confidence, blocks):
    """Hesterberg's expanded percentile interval."""
    reach = sqrt(blocks / (blocks - 1)) * t.ppf((1 + confidence) / 2, blocks - 1)
    return np.quantile(differences, [norm.cdf(-reach), norm.cdf(reach)])


def naive_interval(metric, y, candidate, champion, classes, blocks, resamples, confidence, seed):
    """What the method is, in as many words: call the metric on the rows of the drawn blocks."""
    rng, number, differences = np.random.default_rng(seed), blocks.max() + 1, []
    while len(differences) < resamples:
        rows = rows_of(rng.integers(0, number, number), blocks)
        ours, theirs = (metric(y[rows], it[rows], classes) for it in (candidate, champion))
        differences += [] if np.isnan(ours - theirs) else [ours - theirs]
    return expanded(differences, confidence, number)


def two_models(task, n=250, seed=4, number=20):
    """Targets as words or numbers, two models' predictions with ties, classes and blocks."""
    rng = np.random.default_rng(seed)
    blocks = np.append(np.arange(number), rng.integers(0, number, n - number))
    if task == "regression":
        y = rng.gamma(2, 10, n)
        return y, y + rng.normal(0, 4, n).round(), y + rng.normal(1, 4, n).round(), None, blocks
    if task == "binary":
        codes = (rng.random(n) < 0.3).astype(int)
        models = [(rng.integers(0, 15, n) + 5 * codes) / 20 for _ in range(2)]
        return np.array(["no", "yes"], dtype=object)[codes], *models, ["no", "yes"], blocks
    codes = rng.integers(0, 3, n)
    models = [rng.dirichlet([1, 1, 1], n) * 0.8 + 0.2 * np.eye(3)[codes] for _ in range(2)]
    return np.array(["x", "a", "m"])[codes], *models, ["x", "a", "m"], blocks


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("binary", "roc_auc"),
        ("binary", "average_precision"),
        ("binary", "log_loss"),
        ("binary", "brier_score"),
        ("binary", "accuracy"),
        ("binary", "f1"),
        ("multiclass", "log_loss"),
        ("multiclass", "brier_score"),
        ("multiclass", "roc_auc_ovr"),
        ("regression", "mean_absolute_error"),
        ("regression", "root_mean_squared_error"),
        ("regression", "median_absolute_error"),
    ],
)
def test_the_interval_is_the_naive_one(task, name):
    metric, rows = resolve(name, task), two_models(task)
    found = paired_difference(metric, *rows, resamples=100, confidence=0.95, seed=5)
    y, candidate, champion, classes, _ = rows
    assert found.candidate == metric(y, candidate, classes)
    assert found.champion == metric(y, champion, classes)
    assert found.difference == found.candidate - found.champion
    low, high = naive_interval(metric, *rows, resamples=100, confidence=0.95, seed=5)
    assert (found.low, found.high) == (pytest.approx(low, **SAME), pytest.approx(high, **SAME))
    assert found.low < found.high


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_the_interval_is_the_naive_one_where_every_score_is_tied_or_none_is(name):
    rng = np.random.default_rng(6)
    y = rng.integers(0, 2, 200)
    rows = (y, rng.random(200), np.full(200, 0.5), [0, 1], np.arange(200) // 7)
    metric = resolve(name, "binary")
    found = paired_difference(metric, *rows, resamples=100, confidence=0.9, seed=7)
    low, high = naive_interval(metric, *rows, resamples=100, confidence=0.9, seed=7)
    assert (found.low, found.high) == (pytest.approx(low, **SAME), pytest.approx(high, **SAME))


@pytest.mark.parametrize(
    ("task", "name"), [("binary", "roc_auc"), ("binary", "f1"), ("regression", "r2")]
)
def test_identical_predictions_differ_by_exactly_nothing(task, name):
    y, prediction, _, classes, blocks = two_models(task)
    metric = resolve(name, task)
    found = paired_difference(
        metric, y, prediction, prediction.copy(), classes, blocks,
        resamples=50, confidence=0.95, seed=1,
    )  # fmt: skip
    score = metric(y, prediction, classes)
    assert found == Difference(score, score, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("name", ["mean_absolute_error", "max_error"])
def test_both_models_get_the_same_rows(name):
    """A champion always off by one more has an interval of no width, however the rows vary."""
    y = np.zeros(300)
    errors = np.random.default_rng(8).gamma(1, 20, 300)
    found = paired_difference(
        resolve(name, "regression"), y, errors, errors + 1, None, np.arange(300) // 9,
        resamples=100, confidence=0.95, seed=2,
    )  # fmt: skip
    assert found.low == pytest.approx(-1, **SAME)
    assert found.high == pytest.approx(-1, **SAME)


def test_swapping_the_models_turns_the_interval_round():
    y, candidate, champion, *rest = two_models("binary")
    metric, options = resolve("roc_auc", "binary"), {"resamples": 101, "confidence": 0.9, "seed": 3}
    one = paired_difference(metric, y, candidate, champion, *rest, **options)
    other = paired_difference(metric, y, champion, candidate, *rest, **options)
    assert (one.low, one.high) == (pytest.approx(-other.high), pytest.approx(-other.low))


def test_the_seed_decides_the_interval():
    metric, rows = resolve("roc_auc", "binary"), two_models("binary")
    first, again, other = (
        paired_difference(metric, *rows, resamples=100, confidence=0.95, seed=seed)
        for seed in (1, 1, 2)
    )
    assert first == again
    assert (first.low, first.high) != (other.low, other.high)


def test_progress_counts_up_to_the_last_resample():
    seen = []
    paired_difference(
        resolve("roc_auc", "binary"), *two_models("binary"),
        resamples=250, confidence=0.95, seed=1, progress=seen.append,
    )  # fmt: skip
    assert seen == sorted(set(seen))
    assert seen[-1] == 250
    assert len(seen) >= 50


def test_resamples_without_a_class_are_drawn_again_and_counted():
    """4 positives in 60 blocks: about one resample in 60 has none."""
    rng = np.random.default_rng(9)
    y = np.array(["no"] * 56 + ["yes"] * 4)
    rows = (y, rng.random(60), rng.random(60), ["no", "yes"], np.arange(60))
    metric = resolve("roc_auc", "binary")
    drawn = np.random.default_rng(3)
    empty = sum((y[drawn.integers(0, 60, 60)] == "no").all() for _ in range(300))
    found = paired_difference(metric, *rows, resamples=300 - empty, confidence=0.95, seed=3)
    assert found.redrawn == empty > 0
    low, high = naive_interval(metric, *rows, resamples=300 - empty, confidence=0.95, seed=3)
    assert (found.low, found.high) == (pytest.approx(low, **SAME), pytest.approx(high, **SAME))


@pytest.mark.parametrize("number", [MATRIX_BLOCKS, MATRIX_BLOCKS + 1])
def test_roc_auc_of_many_blocks_is_the_same_by_pairs_and_by_weights(number):
    metric, rows = resolve("roc_auc", "binary"), two_models("binary", 2 * number, number=number)
    found = paired_difference(metric, *rows, resamples=100, confidence=0.95, seed=5)
    low, high = naive_interval(metric, *rows, resamples=100, confidence=0.95, seed=5)
    assert (found.low, found.high) == (pytest.approx(low, **SAME), pytest.approx(high, **SAME))


@pytest.mark.parametrize("name", ["log_loss", "roc_auc", "average_precision", "f1"])
def test_rows_of_a_block_are_never_drawn_apart(name):
    """Rows said twice, in the same blocks, say nothing more: the interval stays as it is."""
    metric, (*rows, classes, blocks) = resolve(name, "binary"), two_models("binary")
    twice = [np.repeat(column, 2) for column in (*rows, blocks)]
    options = {"resamples": 100, "confidence": 0.95, "seed": 5}
    once = paired_difference(metric, *rows, classes, blocks, **options)
    again = paired_difference(metric, *twice[:3], classes, twice[3], **options)
    assert (again.low, again.high) == pytest.approx((once.low, once.high), **SAME)
    # Drawn singly, they would seem to be twice as much evidence.
    singly = paired_difference(metric, *twice[:3], classes, np.arange(len(twice[0])), **options)
    assert singly.high - singly.low < 0.9 * (once.high - once.low)


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_no_interval_when_too_many_resamples_are_undefined(name):
    """One positive of 60: more than a third of the resamples miss it."""
    rng = np.random.default_rng(10)
    found = paired_difference(
        resolve(name, "binary"), np.eye(60)[0].astype(int), rng.random(60), rng.random(60), [0, 1],
        np.arange(60), resamples=200, confidence=0.95, seed=3,
    )  # fmt: skip
    assert not np.isnan(found.difference)
    assert np.isnan([found.low, found.high]).all()


def test_nothing_is_defined_on_one_class():
    found = paired_difference(
        resolve("roc_auc", "binary"), np.zeros(60, int), np.linspace(0, 1, 60), np.full(60, 0.5),
        [0, 1], np.arange(60), resamples=100, confidence=0.95, seed=3,
    )  # fmt: skip
    assert np.isnan([found.difference, found.low, found.high]).all()


def clusters(rng, number, equal):
    """The block of each row: 12 rows a block, or from 2 to 40."""
    sizes = np.full(number, 12) if equal else rng.integers(2, 40, number)
    return np.repeat(np.arange(number), sizes)


def simulate_squared_error(rng, blocks):
    """Errors of two models, 1.0 and 1.1 in size, that share a shock for each block."""
    shock = rng.normal(size=(2, blocks.max() + 1))[:, blocks]
    errors = sqrt(0.5) * shock + sqrt(0.5) * rng.normal(size=(2, len(blocks)))
    return np.zeros(len(blocks)), errors[0], 1.1 * errors[1], None, blocks


def simulate_ranking(rng, blocks):
    """Two binormal models, 1.0 and 0.8 apart, each of which errs in its way on each block."""
    y = (rng.random(len(blocks)) < 0.4).astype(int)
    sign = np.where(rng.random(blocks.max() + 1) < 0.5, -1, 1)[blocks] * (y - 0.5)
    shift = 0.5 * sign * np.array([[1.0], [-1.0]])  # good for one model is bad for the other
    scores = rng.normal(size=(2, len(blocks))) + shift + np.array([[1.0], [0.8]]) * y
    return y, *(1 / (1 + np.exp(-scores))), [0, 1], blocks


def binormal_auc(separation):
    """P(positive outranks negative) is Phi(separation / sqrt 2)."""
    return (1 + erf(separation / 2)) / 2


def truth_of(simulate):
    """The mean difference of the metric on a sample that is large enough to tell it."""
    if simulate is simulate_squared_error:
        return 1.0 - 1.1**2
    rng = np.random.default_rng(1)
    y, candidate, champion, classes, _ = simulate(rng, clusters(rng, 20_000, True))
    metric = resolve("roc_auc", "binary")
    return metric(y, candidate, classes) - metric(y, champion, classes)


@pytest.mark.parametrize("equal", [True, False])
@pytest.mark.parametrize(("number", "least"), [(10, 0.90), (30, 0.93)])
@pytest.mark.parametrize(
    ("task", "name", "simulate"),
    [
        ("regression", "mean_squared_error", simulate_squared_error),
        ("binary", "roc_auc", simulate_ranking),
    ],
)
def test_the_interval_covers_the_true_difference(task, name, simulate, number, least, equal):
    """Of 200 intervals, 3.6 to 6.4 points, three binomial standard deviations, are forgiven."""
    metric, rng, truth = resolve(name, task), np.random.default_rng(2013), truth_of(simulate)
    covered = by_rows = 0
    for seed in range(200):
        *rows, blocks = simulate(rng, clusters(rng, number, equal))
        options = {"resamples": 250, "confidence": 0.95, "seed": seed}
        found = paired_difference(metric, *rows, blocks, **options)
        covered += found.low <= truth <= found.high
        if seed < 100:
            single = paired_difference(metric, *rows, np.arange(len(blocks)), **options)
            by_rows += single.low <= truth <= single.high
    assert covered / 200 >= least - 3 * sqrt(least * (1 - least) / 200)
    assert covered / 200 <= 0.97 + 3 * sqrt(0.97 * 0.03 / 200)
    assert by_rows <= 88  # what single rows would make one believe


def windows(task, seed=4):
    """The rows of one model in two windows of different length."""
    now, now_predicted, _, classes, blocks = two_models(task, 150, seed)
    then, then_predicted, _, _, others = two_models(task, 250, seed + 1, 30)
    return (now, now_predicted, blocks), (then, then_predicted, others), classes


@pytest.mark.parametrize(
    ("task", "name"),
    [
        ("binary", "roc_auc"),
        ("binary", "log_loss"),
        ("binary", "f1"),
        ("multiclass", "log_loss"),
        ("regression", "root_mean_squared_error"),
    ],
)
def test_each_window_is_resampled_on_its_own(task, name):
    metric, (newest, reference, classes) = resolve(name, task), windows(task)
    found = independent_difference(
        metric, newest, reference, classes, resamples=120, confidence=0.9, seed=7
    )
    rng, differences = np.random.default_rng(7), []
    for _ in range(60):  # of two resamples, first both draws of the one side
        drawn = [rng.integers(0, number, (2, number)) for number in (20, 30)]
        for pair in zip(*drawn, strict=True):
            scores = []
            for (y, predicted, blocks), these in zip((newest, reference), pair, strict=True):
                rows = rows_of(these, blocks)
                scores.append(metric(y[rows], predicted[rows], classes))
            differences.append(scores[0] - scores[1])
    assert [found.low, found.high] == pytest.approx(expanded(differences, 0.9, 20))
    assert (found.newest, found.reference) == (
        metric(*newest[:2], classes),
        metric(*reference[:2], classes),
    )
    assert found.difference == found.newest - found.reference


def test_the_interval_between_windows_covers_the_true_difference():
    """As above, of 200 intervals; the windows' true ROC AUCs are those of the two models."""
    metric, rng, covered = resolve("roc_auc", "binary"), np.random.default_rng(2013), 0
    for seed in range(200):
        sides = []
        for separation, rows in ((1.0, 250), (0.8, 400)):
            y = (rng.random(rows) < 0.3).astype(int)
            sides.append((y, 1 / (1 + np.exp(-rng.normal(separation * y))), np.arange(rows)))
        found = independent_difference(
            metric, *sides, [0, 1], resamples=250, confidence=0.95, seed=seed
        )
        covered += found.low <= binormal_auc(1.0) - binormal_auc(0.8) <= found.high
    assert 190 - 3 * 3.1 <= covered <= 190 + 3 * 3.1


def test_a_window_of_one_class_has_no_interval():
    newest = (np.zeros(60, int), np.linspace(0, 1, 60), np.arange(60))
    reference = (np.arange(60) % 2, np.linspace(0, 1, 60), np.arange(60))
    found = independent_difference(
        resolve("roc_auc", "binary"), newest, reference, [0, 1],
        resamples=100, confidence=0.95, seed=3,
    )  # fmt: skip
    assert np.isnan([found.newest, found.difference, found.low, found.high]).all()
