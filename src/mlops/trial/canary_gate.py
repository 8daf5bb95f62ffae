"""Champion and candidate beside each other: what a canary measures, finds and lets pass.

The finding is what the measurement shows beyond its noise: ``failing`` (the candidate fails
requests that the champion answers), ``shifted`` (its predictions are distributed otherwise),
``slower``, or ``equal``; the gravest when several hold. The policy (``serving.canary`` in
``params.yaml``) says how much of it is too much. A check stops the candidate when all of its
interval is beyond the limit, and passes when none of it is; between the two it is not judged, and
the canary is *inconclusive*: an interval that is too wide lets nobody pass.

**Errors**: share of requests without a valid prediction, candidate minus champion.
**Latency**: candidate's p50 and p99 divided by the champion's. A p99 whose ratio is uncertain, as
where a busy machine delays one answer of a hundred, is good enough when it is surely below what is
promised (``serving.latency_ms``).
**Predictions**: the Kolmogorov-Smirnov distance: of the rows whose score is below some threshold,
the share differs between the two by this much at most, whatever the threshold. 0 is the same
distribution, 1 is no overlap; the number of rows and the unit of the scores do not matter. With
several classes it is the largest distance of any class.

A candidate was reviewed because its predictions differ, so some distance is expected. On the
flights, a candidate of April to June is 0.08 to 0.11 away from the champion of January to March,
depending on the month asked about; the champion with 0.1 added to every score is 0.48 to 0.51 away
from itself, and its mean for every row 0.61 to 0.63 (``python template/bench/shift.py``, in the
template, prints it). The default limit, 0.25, is between the two.

Intervals are percentile intervals of a bootstrap over pairs: both sides of a pair were the same row
within milliseconds. On few rows, that of the distance errs towards a larger distance.

References
----------
Efron and Tibshirani (1993). An Introduction to the Bootstrap, chapter 13 (percentile interval).
Smirnov (1939). On the estimation of the discrepancy between empirical curves of distribution for
two independent samples.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import numpy.typing as npt

from mlops.artifact.onnx_graph import TOLERANCE
from mlops.judgement.gate import Check
from mlops.project.params import Canary
from mlops.project.words import percent

Finding = Literal["equal", "slower", "shifted", "failing"]
Outcome = Literal["passed", "stopped", "inconclusive"]
Float = npt.NDArray[np.float64]
Rows = npt.NDArray[np.int64]

RESAMPLES = 2000
AT_ONCE = 1_000_000  # row numbers in memory
CONFIDENCE = 0.99  # there are four intervals, and at 95% one of them would often be off
GIVEN_UP = 20  # failures of one service, at least; asking on would tell no more
FEWEST = 50  # requests that both answered; with fewer, their p99 is the slowest one
# There, but too little to call it a finding; a limit that is smaller still comes first.
SLIGHTLY_SLOWER = 1.2
SLIGHTLY_SHIFTED = 0.1

ERRORS, P50, P99, PREDICTIONS = "errors", "latency p50", "latency p99", "predictions"  # the checks


@dataclass
class Side:
    """What one service did: for each request, whether and how fast it answered, and what."""

    answered: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    scores: list[list[float]] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    def __add__(self, other: "Side") -> "Side":
        return Side(
            self.answered + other.answered,
            self.seconds + other.seconds,
            self.scores + other.scores,
            self.failures + other.failures,
        )

    @property
    def failed(self) -> int:
        return self.failures.total()

    @property
    def most_often(self) -> str:
        """The failure that was met most often."""
        return max(self.failures, key=lambda reason: self.failures[reason], default="")


@dataclass(frozen=True)
class Window:
    """Request ``i`` of both sides was the same row, at about the same time."""

    champion: Side
    candidate: Side

    def __add__(self, other: "Window") -> "Window":
        pairs = (self.champion, other.champion), (self.candidate, other.candidate)
        return Window(*(one + two for one, two in pairs))

    @property
    def requests(self) -> int:
        return len(self.champion.answered)

    @property
    def both(self) -> npt.NDArray[np.bool_]:
        """Which of the ``n`` requests both have answered."""
        return np.logical_and(self.champion.answered, self.candidate.answered)

    def seconds(self, side: Side) -> Float:
        """Return the latency of the requests that both answered, shape (m,)."""
        return np.array(side.seconds)[self.both]

    def scores(self, side: Side) -> Float:
        """Return the scores of the requests that both answered, shape (m, k)."""
        rows = [one for one, both in zip(side.scores, self.both, strict=True) if both]
        return np.array(rows, np.float64)


@dataclass(frozen=True)
class Measured:
    """A value with its interval."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{percent(CONFIDENCE)} interval {self.low:.2f} to {self.high:.2f}"


@dataclass(frozen=True)
class Measures:
    """``errors`` is a difference, ``p50`` and ``p99`` are ratios, ``shift`` is a distance.

    ``slowest`` is the candidate's own p99, in seconds. Those but ``errors`` are None when too few
    requests were answered by both, or what they need is not there.
    """

    errors: Measured
    p50: Measured | None
    p99: Measured | None
    slowest: Measured | None
    shift: Measured | None


def measure(window: Window, seed: int, *, comparable: bool = True, timed: bool = True) -> Measures:
    """Measure the window; the same seed gives the same intervals.

    Parameters
    ----------
    comparable, timed : bool
        Whether the scores of both are there to be compared, and the seconds.
    """
    rng = np.random.default_rng(seed)
    failed = [1.0 - np.array(side.answered) for side in (window.champion, window.candidate)]
    only = failed[1] - failed[0]
    (errors,) = _bootstrap(lambda rows: only[rows].mean(axis=1), len(only), rng)
    if window.both.sum() < FEWEST:
        return Measures(errors, None, None, None, None)
    champion, candidate = window.seconds(window.champion), window.seconds(window.candidate)

    def latencies(rows: Rows) -> Float:
        ours, theirs = (
            np.quantile(seconds[rows], [0.5, 0.99], axis=1) for seconds in (candidate, champion)
        )
        return np.vstack([ours / theirs, ours[1:]]).T

    p50 = p99 = slowest = shift = None
    if timed:
        p50, p99, slowest = _bootstrap(latencies, len(champion), rng)
    if comparable:
        scores = window.scores(window.champion), window.scores(window.candidate)
        (shift,) = _bootstrap(lambda rows: _distances(*scores, rows), len(champion), rng)
    return Measures(errors, p50, p99, slowest, shift)


def distance(champion: Float, candidate: Float) -> float:
    """Return the distance between two models' scores of the same rows, arrays of shape (m, k).

    The largest one of any of the ``k`` classes.
    """
    return float(_distances(champion, candidate, np.arange(len(champion))[None])[0])


def _distances(champion: Float, candidate: Float, rows: Rows) -> Float:
    """Return the distance on each of ``b`` resamples, given as row numbers of shape (b, m)."""
    # Rounding is no difference: a tree gives many rows the same score, and rounding orders them.
    rounding = TOLERANCE * max(1.0, float(np.abs(champion).max()))
    candidate = np.where(np.abs(candidate - champion) <= rounding, champion, candidate)
    largest = np.zeros(len(rows))
    for scores in np.concatenate([champion, candidate]).T:
        distinct, ranks = np.unique(scores, return_inverse=True)
        shape = len(rows), len(distinct)
        offsets = len(distinct) * np.arange(len(rows))[:, None]  # counts every resample apart
        theirs, ours = (
            np.bincount((offsets + rank[rows]).ravel(), minlength=shape[0] * shape[1])
            for rank in (ranks[: len(champion)], ranks[len(champion) :])
        )
        gaps = np.abs((ours - theirs).reshape(shape).cumsum(axis=1)).max(axis=1)
        largest = np.maximum(largest, gaps / rows.shape[1])
    return largest


def _bootstrap(
    statistic: Callable[[Rows], Float], n: int, rng: np.random.Generator
) -> list[Measured]:
    """Return each value of a statistic of ``n`` rows, with its interval.

    Parameters
    ----------
    statistic : callable
        Takes row numbers of shape (b, n); returns one value for each of ``b`` resamples, or ``q``.
    """
    at_once = max(1, AT_ONCE // n)
    resampled = np.concatenate(
        [
            _table(statistic(rng.integers(0, n, (min(at_once, RESAMPLES - done), n))))
            for done in range(0, RESAMPLES, at_once)
        ]
    )
    tails = [(1 - CONFIDENCE) / 2, (1 + CONFIDENCE) / 2]
    (values,), bounds = _table(statistic(np.arange(n)[None])), np.quantile(resampled, tails, axis=0)
    return [Measured(*map(float, one)) for one in zip(values, *bounds, strict=True)]


def _table(values: Float) -> Float:
    return values.reshape(len(values), -1)


def hopeless(side: Side, requests: int, limits: Canary) -> bool:
    """Return whether a service fails so often that the rest of its requests are not needed."""
    return side.failed >= max(GIVEN_UP, 2 * limits.error_rate * requests)


def findings(measures: Measures, limits: Canary) -> list[Finding]:
    """Return all that is found, the gravest first; ``equal`` when nothing is."""
    slower = min(SLIGHTLY_SLOWER, limits.latency_ratio)
    shifted = min(SLIGHTLY_SHIFTED, limits.shift)
    found: dict[Finding, bool] = {
        "failing": measures.errors.low > 0,
        "shifted": measures.shift is not None and measures.shift.low > shifted,
        "slower": any(one and one.low > slower for one in (measures.p50, measures.p99)),
    }
    return [name for name, holds in found.items() if holds] or ["equal"]


def checks(window: Window, measures: Measures, limits: Canary, promised: float) -> list[Check]:
    """Return the policy's checks of what was measured, each with its sentence.

    Parameters
    ----------
    promised : float
        Seconds that 99 of 100 answers take at most.
    """
    done = [_errors(window, measures.errors, limits.error_rate)]
    if measures.p50:
        done.append(_latency(window, P50, 0.5, "half of its", measures.p50, limits))
    if measures.p99 and measures.slowest:
        kept = measures.slowest.high <= promised
        done.append(_latency(window, P99, 0.99, "99 of 100", measures.p99, limits, kept=kept))
    if measures.shift:
        done.append(_predictions(window, measures.shift, limits.shift))
    return done


def outcome(checks: Sequence[Check]) -> Outcome:
    """Return what follows from the checks: one that failed counts more than one not judged."""
    failed = [check for check in checks if not check.passed]
    if not failed:
        return "passed"
    return "stopped" if any(check.judged for check in failed) else "inconclusive"


def _errors(window: Window, errors: Measured, limit: float) -> Check:
    ours, theirs, n = window.candidate.failed, window.champion.failed, window.requests
    why = f" ({window.candidate.most_often})" if ours else ""
    reason = f"it fails {ours} of {n} requests{why}, the champion {theirs}"
    more = f"; {percent(limit)} may fail"
    shown = ERRORS, f"{ours / n:.2%}", f"≤ {percent(limit)}"
    if ours / n > limit and errors.low > 0:
        return Check(*shown, False, reason + more)
    if errors.high <= limit:
        return Check(*shown, True, reason)
    doubt = f"{reason}, which may be {errors.high:.1%} more of all{more}"
    return Check(*shown, False, doubt, judged=False)


def _latency(
    window: Window,
    name: str,
    quantile: float,
    said: str,
    ratio: Measured,
    limits: Canary,
    *,
    kept: bool = False,
) -> Check:
    ours, theirs = (
        1000 * np.quantile(window.seconds(side), quantile)
        for side in (window.candidate, window.champion)
    )
    reason = (
        f"{said} answers take up to {ours:.1f} ms, {ratio.value:.2f} times the champion's "
        f"{theirs:.1f} ms"
    )
    shown = name, f"{ratio.value:.2f}x", f"≤ {limits.latency_ratio:g}x"
    return _held(shown, reason, ratio, limits.latency_ratio, enough=kept)


def _predictions(window: Window, shift: Measured, limit: float) -> Check:
    ours, theirs = (
        window.scores(side).mean(axis=0) for side in (window.candidate, window.champion)
    )
    mean = f", {ours[0]:.3g} on average instead of {theirs[0]:.3g}" if len(ours) == 1 else ""
    reason = (
        f"its scores are at a Kolmogorov-Smirnov distance of {shift.value:.2f} from the champion's"
        f"{mean}"
    )
    return _held((PREDICTIONS, f"{shift.value:.2f}", f"≤ {limit:g}"), reason, shift, limit)


def _held(
    shown: tuple[str, str, str],
    reason: str,
    measured: Measured,
    limit: float,
    *,
    enough: bool = False,
) -> Check:
    """Hold an interval against a limit; where it is on both sides, ``enough`` decides."""
    if measured.low <= limit and (enough or measured.high <= limit):
        return Check(*shown, True, f"{reason} ({measured})")
    reason = f"{reason} ({measured}; {limit:g} is allowed)"
    return Check(*shown, False, reason, judged=measured.low > limit)
