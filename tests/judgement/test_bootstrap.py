"""The fast interval is the naive one, pairs rows exactly, and covers the true difference."""

from math import erf, sqrt

import numpy as np
import pytest

from mlops.judgement.bootstrap import Difference, independent_difference, paired_difference
from mlops.judgement.metric import resolve

SAME = {"rel": 0, "abs": 1e-9}


def naive_interval(metric, y, candidate, champion, classes, resamples, confidence, seed):
    """What the method is, in as many words: call the metric on every resample of both models."""
    rng = np.random.default_rng(seed)
    differences = []
    for _ in range(resamples):
        rows = rng.integers(0, len(y), len(y))
        differences.append(
            metric(y[rows], candidate[rows], classes) - metric(y[rows], champion[rows], classes)
        )
    differences = [difference for difference in differences if not np.isnan(difference)]
    tail = (1 - confidence) / 2
    return np.quantile(differences, [tail, 1 - tail])


def two_models(task, n=250, seed=4):
    """Targets as words or numbers, and two models' predictions with ties."""
    rng = np.random.default_rng(seed)
    if task == "regression":
        y = rng.gamma(2, 10, n)
        return y, y + rng.normal(0, 4, n).round(), y + rng.normal(1, 4, n).round(), None
    if task == "binary":
        codes = (rng.random(n) < 0.3).astype(int)
        models = [(rng.integers(0, 15, n) + 5 * codes) / 20 for _ in range(2)]
        return np.array(["no", "yes"], dtype=object)[codes], *models, ["no", "yes"]
    codes = rng.integers(0, 3, n)
    models = [rng.dirichlet([1, 1, 1], n) * 0.8 + 0.2 * np.eye(3)[codes] for _ in range(2)]
    return np.array(["x", "a", "m"])[codes], *models, ["x", "a", "m"]


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
    y, candidate, champion, classes = rows
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
    rows = (y, rng.random(200), np.full(200, 0.5), [0, 1])
    metric = resolve(name, "binary")
    found = paired_difference(metric, *rows, resamples=100, confidence=0.9, seed=7)
    low, high = naive_interval(metric, *rows, resamples=100, confidence=0.9, seed=7)
    assert (found.low, found.high) == (pytest.approx(low, **SAME), pytest.approx(high, **SAME))


@pytest.mark.parametrize(
    ("task", "name"), [("binary", "roc_auc"), ("binary", "f1"), ("regression", "r2")]
)
def test_identical_predictions_differ_by_exactly_nothing(task, name):
    y, prediction, _, classes = two_models(task)
    metric = resolve(name, task)
    found = paired_difference(
        metric, y, prediction, prediction.copy(), classes, resamples=50, confidence=0.95, seed=1
    )
    score = metric(y, prediction, classes)
    assert found == Difference(score, score, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("name", ["mean_absolute_error", "max_error"])
def test_both_models_get_the_same_rows(name):
    """A champion always off by one more has an interval of no width, however the rows vary."""
    y = np.zeros(300)
    errors = np.random.default_rng(8).gamma(1, 20, 300)
    found = paired_difference(
        resolve(name, "regression"), y, errors, errors + 1, None,
        resamples=100, confidence=0.95, seed=2,
    )  # fmt: skip
    assert found.low == pytest.approx(-1, **SAME)
    assert found.high == pytest.approx(-1, **SAME)


def test_swapping_the_models_turns_the_interval_round():
    y, candidate, champion, classes = two_models("binary")
    metric, options = resolve("roc_auc", "binary"), {"resamples": 101, "confidence": 0.9, "seed": 3}
    one = paired_difference(metric, y, candidate, champion, classes, **options)
    other = paired_difference(metric, y, champion, candidate, classes, **options)
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
    assert len(seen) > 50


def test_resamples_without_a_class_are_left_out():
    """4 positives of 60: about one resample in 60 has none, and the interval is of the others."""
    rng = np.random.default_rng(9)
    y = np.array(["no"] * 56 + ["yes"] * 4)
    rows = (y, rng.random(60), rng.random(60), ["no", "yes"])
    metric = resolve("roc_auc", "binary")
    drawn = np.random.default_rng(3)
    empty = sum((y[drawn.integers(0, 60, 60)] == "no").all() for _ in range(300))
    assert 0 < empty < 30  # or the test would show nothing
    found = paired_difference(metric, *rows, resamples=300, confidence=0.95, seed=3)
    low, high = naive_interval(metric, *rows, resamples=300, confidence=0.95, seed=3)
    assert (found.low, found.high) == (pytest.approx(low, **SAME), pytest.approx(high, **SAME))


@pytest.mark.parametrize("name", ["roc_auc", "average_precision"])
def test_no_interval_when_too_many_resamples_are_undefined(name):
    """One positive of 60: more than a third of the resamples miss it."""
    rng = np.random.default_rng(10)
    found = paired_difference(
        resolve(name, "binary"), np.eye(60)[0].astype(int), rng.random(60), rng.random(60), [0, 1],
        resamples=200, confidence=0.95, seed=3,
    )  # fmt: skip
    assert not np.isnan(found.difference)
    assert np.isnan([found.low, found.high]).all()


def test_nothing_is_defined_on_one_class():
    found = paired_difference(
        resolve("roc_auc", "binary"), np.zeros(60, int), np.linspace(0, 1, 60), np.full(60, 0.5),
        [0, 1], resamples=100, confidence=0.95, seed=3,
    )  # fmt: skip
    assert np.isnan([found.difference, found.low, found.high]).all()


def simulate_squared_error(rng):
    """Two models whose errors have standard deviations 1.0 and 1.1 and share half of it."""
    shared, own = rng.normal(size=300), rng.normal(size=(2, 300))
    errors = sqrt(0.5) * shared + sqrt(0.5) * own
    return np.zeros(300), errors[0], 1.1 * errors[1], None


def simulate_ranking(rng):
    """Two binormal models with separations 1.0 and 0.8 whose noise is correlated at 0.5."""
    y = (rng.random(300) < 0.3).astype(int)
    shared, own = rng.normal(size=300), rng.normal(size=(2, 300))
    scores = sqrt(0.5) * shared + sqrt(0.5) * own + np.array([[1.0], [0.8]]) * y
    return y, *(1 / (1 + np.exp(-scores))), [0, 1]


def binormal_auc(separation):
    """P(positive outranks negative) is Phi(separation / sqrt 2)."""
    return (1 + erf(separation / 2)) / 2


@pytest.mark.parametrize(
    ("task", "name", "simulate", "true_difference"),
    [
        ("regression", "mean_squared_error", simulate_squared_error, 1.0 - 1.1**2),
        ("binary", "roc_auc", simulate_ranking, binormal_auc(1.0) - binormal_auc(0.8)),
    ],
)
def test_the_interval_covers_the_true_difference(task, name, simulate, true_difference):
    """Of 200 intervals at 95%, a correct method covers 190 +- 3.1 (binomial standard deviation)."""
    metric, rng = resolve(name, task), np.random.default_rng(2013)
    covered = 0
    for seed in range(200):
        found = paired_difference(metric, *simulate(rng), resamples=250, confidence=0.95, seed=seed)
        covered += found.low <= true_difference <= found.high
    assert 190 - 3 * 3.1 <= covered <= 190 + 3 * 3.1


def windows(task, seed=4):
    """The rows of one model in two windows of different length."""
    now, now_predicted, _, classes = two_models(task, 150, seed)
    then, then_predicted, _, _ = two_models(task, 250, seed + 1)
    return (now, now_predicted), (then, then_predicted), classes


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
    for _ in range(120):
        scores = []
        for y, prediction in (newest, reference):
            rows = rng.integers(0, len(y), len(y))
            scores.append(metric(y[rows], prediction[rows], classes))
        differences.append(scores[0] - scores[1])
    assert [found.low, found.high] == pytest.approx(np.quantile(differences, [0.05, 0.95]))
    assert (found.newest, found.reference) == (
        metric(*newest, classes),
        metric(*reference, classes),
    )
    assert found.difference == found.newest - found.reference


def test_the_interval_between_windows_covers_the_true_difference():
    """As above, of 200 intervals; the windows' true ROC AUCs are those of the two models."""
    metric, rng, covered = resolve("roc_auc", "binary"), np.random.default_rng(2013), 0
    for seed in range(200):
        sides = []
        for separation, rows in ((1.0, 250), (0.8, 400)):
            y = (rng.random(rows) < 0.3).astype(int)
            sides.append((y, 1 / (1 + np.exp(-rng.normal(separation * y)))))
        found = independent_difference(
            metric, *sides, [0, 1], resamples=250, confidence=0.95, seed=seed
        )
        covered += found.low <= binormal_auc(1.0) - binormal_auc(0.8) <= found.high
    assert 190 - 3 * 3.1 <= covered <= 190 + 3 * 3.1


def test_a_window_of_one_class_has_no_interval():
    newest = (np.zeros(60, int), np.linspace(0, 1, 60))
    reference = (np.arange(60) % 2, np.linspace(0, 1, 60))
    found = independent_difference(
        resolve("roc_auc", "binary"), newest, reference, [0, 1],
        resamples=100, confidence=0.95, seed=3,
    )  # fmt: skip
    assert np.isnan([found.newest, found.difference, found.low, found.high]).all()
