"""The paired bootstrap of blocks: how fast, how equal to the naive one, how honest.

For one core: ``OMP_NUM_THREADS=1 taskset -c 0 python template/bench/bootstrap.py``.
"""

from collections.abc import Callable, Iterator
from math import sqrt
from time import process_time
from typing import Any

import numpy as np
import numpy.typing as npt
from sklearn.metrics import average_precision_score, f1_score, roc_auc_score

from mlops.judgement import bootstrap
from mlops.judgement.bootstrap import paired_difference
from mlops.judgement.metric import resolve

Array = npt.NDArray[Any]
Simulate = Callable[[np.random.Generator, Array], Any]

ROWS, DAYS = 28_293, 31  # about a month of flights
RESAMPLES = 2_000
NAIVE_RESAMPLES = 100  # all would take minutes, and every resample costs the same
ROUNDS = 3
REPEATS = 2_000  # the share itself then varies by half a point
REPEAT_RESAMPLES = 500
BLOCKS = (10, 30, 90)
CONFIDENCE = 0.95
SEED = 2013


def run() -> Iterator[str]:
    """Measure everything; yield one line of text for each result as soon as it is there."""
    yield from speed("roc_auc", roc_auc_score)
    yield from speed("average_precision", average_precision_score)
    yield from speed("f1", lambda y, score: float(f1_score(y, score > 0.5)), 200)
    for name, task, simulate in (
        ("mean_squared_error", "regression", squared_errors),
        ("roc_auc", "binary", ranking),
    ):
        truth = true_difference(name, task, simulate)
        for number in BLOCKS:
            for equal in (True, False):
                yield coverage(name, task, simulate, truth, number, equal)


def speed(
    name: str, sklearn_metric: Callable[[Array, Array], float], resamples: int = RESAMPLES
) -> Iterator[str]:
    """Time our resamples, and the naive method per resample; compare interval ends."""
    rng = np.random.default_rng(SEED)
    rows = ranking(rng, np.sort(rng.permutation(np.arange(ROWS) % DAYS)))
    metric = resolve(name, "binary")

    def ours(resamples: int) -> tuple[float, float]:
        found = paired_difference(
            metric, *rows, resamples=resamples, confidence=CONFIDENCE, seed=SEED
        )
        return found.low, found.high

    seconds = naive_seconds = float("inf")
    for _ in range(ROUNDS):  # in turns, so that a busy machine is busy for both
        start = process_time()
        ours(resamples)
        seconds = min(seconds, process_time() - start)
        start = process_time()
        naive = naive_interval(sklearn_metric, *rows)
        naive_seconds = min(naive_seconds, process_time() - start)
    apart = np.abs(np.subtract(naive, ours(NAIVE_RESAMPLES))).max()
    ratio = (naive_seconds / NAIVE_RESAMPLES) / (seconds / resamples)
    yield (
        f"{name}: {ROWS:,} rows of {DAYS} days x {resamples:,} resamples, both models: "
        f"{seconds:.2f} s of CPU; naive scikit-learn {naive_seconds:.2f} s for {NAIVE_RESAMPLES} "
        f"resamples; {ratio:.1f} x faster per resample (best of {ROUNDS})"
    )
    yield (
        f"{name}: interval ends on the same {NAIVE_RESAMPLES} resamples differ by <= {apart:.1e}"
    )


def naive_interval(
    sklearn_metric: Callable[[Array, Array], float],
    y: Array,
    candidate: Array,
    champion: Array,
    _: Any,
    blocks: Array,
) -> tuple[float, float]:
    rng, number = np.random.default_rng(SEED), int(blocks.max()) + 1
    rows_of = [np.flatnonzero(blocks == block) for block in range(number)]
    differences = np.empty(NAIVE_RESAMPLES)
    for place in range(NAIVE_RESAMPLES):
        rows = np.concatenate([rows_of[block] for block in rng.integers(0, number, number)])
        differences[place] = sklearn_metric(y[rows], candidate[rows]) - sklearn_metric(
            y[rows], champion[rows]
        )
    return bootstrap.interval(differences, CONFIDENCE, number)


def coverage(
    name: str, task: Any, simulate: Simulate, truth: float, number: int, equal: bool
) -> str:
    """Count the intervals that hold the true difference, by blocks and by single rows."""
    metric, rng = resolve(name, task), np.random.default_rng(SEED)
    covered = singly = 0
    for seed in range(REPEATS):
        sizes = np.full(number, 20) if equal else rng.integers(4, 60, number)
        *rows, blocks = simulate(rng, np.repeat(np.arange(number), sizes))
        options = {"resamples": REPEAT_RESAMPLES, "confidence": CONFIDENCE, "seed": seed}
        found = paired_difference(metric, *rows, blocks, **options)
        covered += found.low <= truth <= found.high
        if seed < REPEATS // 10:
            single = paired_difference(metric, *rows, np.arange(len(blocks)), **options)
            singly += single.low <= truth <= single.high
    error = sqrt(CONFIDENCE * (1 - CONFIDENCE) / REPEATS)
    return (
        f"{name}, {number} days of {'20' if equal else '4 to 59'} rows: {covered / REPEATS:.1%} "
        f"(standard error {error:.1%}) of {REPEATS:,} intervals at {CONFIDENCE:.0%} cover the true "
        f"{truth:+.4f}; of single rows, {singly / (REPEATS // 10):.0%}"
    )


def squared_errors(
    rng: np.random.Generator, blocks: Array
) -> tuple[Array, Array, Array, None, Array]:
    """Errors of two models, 1.0 and 1.1 in size, half of which a day has in common."""
    shock = rng.normal(size=(2, blocks.max() + 1))[:, blocks]
    errors = sqrt(0.5) * shock + sqrt(0.5) * rng.normal(size=(2, len(blocks)))
    return np.zeros(len(blocks)), errors[0], 1.1 * errors[1], None, blocks


def ranking(
    rng: np.random.Generator, blocks: Array
) -> tuple[Array, Array, Array, list[int], Array]:
    """Scores that tell the classes apart by 1.0 and 0.8, better on some days and worse on others.

    How often the positive class occurs differs by day, too, as the share of late flights does.
    """
    shares = rng.beta(3, 7, blocks.max() + 1)[blocks]
    y = (rng.random(len(blocks)) < shares).astype(np.int64)
    luck = rng.normal(0, 0.3, (2, blocks.max() + 1))[:, blocks]
    shared = rng.normal(size=len(blocks))
    noise = sqrt(0.5) * shared + sqrt(0.5) * rng.normal(size=(2, len(blocks)))
    scores = noise + (np.array([[1.0], [0.8]]) + luck) * y
    candidate, champion = 1 / (1 + np.exp(-scores))
    return y, candidate, champion, [0, 1], blocks


def true_difference(name: str, task: Any, simulate: Simulate) -> float:
    """Return what the two truly differ by, on days without end: 200,000 of them."""
    rng = np.random.default_rng(SEED)
    y, candidate, champion, classes, _ = simulate(rng, np.repeat(np.arange(200_000), 20))
    metric = resolve(name, task)
    return metric(y, candidate, classes) - metric(y, champion, classes)


if __name__ == "__main__":
    for line in run():
        print(line, flush=True)
