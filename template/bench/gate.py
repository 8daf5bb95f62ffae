"""What the gate lets through: how often a candidate passes that truly is better, or worse.

The example's days are the world: champion and candidate are asked for each flight from April on,
and holdouts of some length are drawn from these days. What the two differ by on all days becomes a
true difference of so many margins, overall and in every slice; what days do to it stays.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlops.artifact.feature_code import Inputs
from mlops.artifact.model_folder import to_matrix
from mlops.artifact.table import in_window, to_columns
from mlops.judgement import blocks, bootstrap, finding
from mlops.judgement.metric import resolve
from mlops.project import params
from mlops.project.params import Params, Window
from model import build_estimator, load_data

Array = npt.NDArray[Any]

BLOCKS = (30, 61, 92)
MARGINS = (-2, -1, 0, 1, 2)
HOLDOUTS = 400
RESAMPLES = 500
AGAINST = {
    "a setting changed": {"learning_rate": 0.1},
    "a month less to learn from": {"window": Window(start="2013-02", end="2013-03")},
}


@dataclass(frozen=True)
class World:
    """The rows of many days with both models' scores; ``groups`` are the slices."""

    y: Array
    candidate: Array
    champion: Array
    days: Array
    groups: list[finding.Group]


def run() -> Iterator[str]:
    settings = params.load()
    table = load_data()
    for name, change in AGAINST.items():
        world = make(settings, table, change)
        yield f"{name} ({len(world.y):,} rows of {world.days.max() + 1} days):"
        for number in BLOCKS:
            yield from measure(settings, world, number)


def make(settings: Params, table: pd.DataFrame, change: dict[str, Any]) -> World:
    """Train both on the example's window, and ask them for all days after it."""
    after = Window(start=settings.data.window.first_day_after.isoformat(), end="2013-12-31")
    rows = table[in_window(table[settings.data.time], after)].reset_index(drop=True)
    champion = scores(settings, table, rows, {})
    candidate = scores(settings, table, rows, dict(change))
    groups = finding.by_size(rows, settings.gate.slices.columns)
    y = rows[settings.data.target].to_numpy()
    return World(y, candidate, champion, blocks.of_rows(rows, settings).codes, groups)


def scores(
    settings: Params, table: pd.DataFrame, rows: pd.DataFrame, change: dict[str, Any]
) -> Array:
    from model import build_features

    window = change.pop("window", settings.data.window)
    training = table[in_window(table[settings.data.time], window)]
    x, asked = (
        to_matrix(build_features(Inputs(to_columns(part), settings.data.target)))
        for part in (training, rows)
    )
    estimator = build_estimator(seed=settings.seed, **settings.estimator | change)
    estimator.fit(x, training[settings.data.target].to_numpy())
    return np.asarray(estimator.predict_proba(asked)[:, 1])


def measure(settings: Params, world: World, number: int) -> Iterator[str]:
    """Draw holdouts of ``number`` days; yield how often each true difference passes."""
    classes = [0, 1]
    metric = resolve(settings.gate.metric, settings.task)
    score = metric(world.y, world.champion, classes)
    gate = settings.gate.in_units(score, score)
    margin, of_slices = float(gate.margin), float(gate.slices.margin)
    days = int(world.days.max()) + 1
    parts = [np.arange(len(world.y)), *(rows for _, _, rows in world.groups)]
    judged = [len(rows) * number / days >= gate.slices.min_rows for rows in parts]
    judged[0] = True
    parts = [rows for rows, enough in zip(parts, judged, strict=True) if enough]
    differences = []
    for rows in parts:
        ours, theirs = (
            bootstrap.scored(metric, world.y[rows], model[rows], classes, world.days[rows], days)
            for model in (world.candidate, world.champion)
        )
        differences.append(lambda drawn, a=ours, b=theirs: a(drawn) - b(drawn))
    everything = np.ones((1, days), np.int64)
    truth = [float(difference(everything)[0]) for difference in differences]
    rng = np.random.default_rng(settings.seed)
    confidence = [gate.confidence] + [1 - (1 - gate.confidence) / (len(parts) - 1)] * (
        len(parts) - 1
    )
    passed = {policy: dict.fromkeys(MARGINS, 0) for policy in ("better", "not_worse")}
    alone = {policy: dict.fromkeys(MARGINS, 0) for policy in ("better", "not_worse")}
    half = []
    for _ in range(HOLDOUTS):
        holdout = rng.integers(0, days, number)
        again = holdout[rng.integers(0, number, (RESAMPLES, number))]
        counts = np.stack([np.bincount(drawn, minlength=days) for drawn in [holdout, *again]])
        found = []
        for difference, sure in zip(differences, confidence, strict=True):
            value, *resampled = difference(counts)
            defined = np.array(resampled)[~np.isnan(resampled)]
            found.append((value, *bootstrap.interval(defined, sure, number)))
        half.append((found[0][2] - found[0][1]) / 2)
        for times in MARGINS:
            shifted = [
                [bound + times * margin - true for bound in one]
                for one, true in zip(found, truth, strict=True)
            ]
            (_, low, _), *slices = shifted
            fine = not any(high < 0 and value < -of_slices for value, _, high in slices)
            for policy, limit in (("better", 0.0), ("not_worse", -margin)):
                alone[policy][times] += low > limit
                passed[policy][times] += low > limit and fine
    told = f"{number} days, margin {margin:.4f}, interval ±{np.mean(half):.4f}"
    yield f"  {told}, {len(parts) - 1} slices judged"
    for policy, counted in passed.items():
        told = ", ".join(
            f"{times:+d}: {count / HOLDOUTS:.1%} ({alone[policy][times] / HOLDOUTS:.1%})"
            for times, count in counted.items()
        )
        yield f"    {policy}: passes at a true difference in margins of {told}"


if __name__ == "__main__":
    for line in run():
        print(line, flush=True)
