"""Too good to be true: one feature that knows the answer, or a gain that nobody would believe.

A feature may hold what is known only afterwards: the delay itself, a status, a date of closing. A
model that learned from it is perfect on every holdout, and useless in service.
"""

from collections.abc import Collection
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlops.artifact.features import Asked
from mlops.judgement.blocks import Blocks
from mlops.judgement.metric import Array, Classes, Metrics, resolve
from mlops.project.params import Task

Float = npt.NDArray[np.float64]
Groups = npt.NDArray[np.int64]

# Rows of a group, on average: few follow a feature that knows the answer, many a vague one.
ROWS = (5, 50, 500)
PRIOR = 1.0  # rows of the base rate that each group is mixed with
LEARNED = 20_000  # training rows; more make no group's mean surer than it needs to be
SURE = 2  # standard errors
# Of what the base rate leaves open. With less, a feature knows more than a poor model, such as a
# line through what bends, and not the answer.
LEAST = 0.5
PERFECT = (
    0.98  # of an order of rows; then the size of errors, which few rows may rule, says no more
)


@dataclass(frozen=True)
class Alone:
    """What the strongest feature knows by itself.

    ``share`` of the model's gain over the base rate, on the holdout; NaN where none is sure.
    ``enough``: it reaches that limit for sure, leaves less than half open, and orders the rows as
    well as the model does.
    ``believed``: a feature that is trusted knows no less.
    """

    name: str
    share: float
    enough: bool
    believed: bool


def alone(
    training: pd.DataFrame,
    learned: Array,
    holdout: Array,
    y: Array,
    prediction: Array,
    base_rate: Array,
    classes: Classes,
    metrics: Metrics,
    blocks: Blocks,
    *,
    task: Task,
    limit: float,
    trusted: Collection[str] = (),
) -> Alone | None:
    """Compare the model with its strongest feature; None where all of them are trusted.

    Parameters
    ----------
    training : DataFrame of shape (m, k)
        The features of the rows that train; the strongest is found on these.
    learned : array of shape (m,)
        Their target, as values of ``classes``.
    holdout : array of shape (n, k)
        The features of the rows that judge.
    y, prediction, base_rate : arrays of ``n`` rows
        The holdout's target, what the model predicts, and what the base rate alone does.
    """
    rows = np.random.default_rng(0).permutation(len(learned))[:LEARNED]
    wanted = targets(learned[rows], classes)
    features = training.to_numpy(np.float64)[rows]
    skills = {
        name: max((skill(features[:, k], wanted, size), size) for size in ROWS)
        for k, name in enumerate(training.columns)
    }
    asked = [name for name in skills if name not in trusted]
    if not asked:
        return None
    name = max(asked, key=lambda one: skills[one])
    believed = any(skills[one] >= skills[name] for one in skills if one in trusted)
    place, size = training.columns.get_loc(name), skills[name][1]
    single = predict(features[:, place], wanted, holdout[:, place].astype(np.float64), size)
    single = single[:, -1] if task == "binary" else single[:, 0] if classes is None else single
    base, ours, theirs = (
        metrics.proper.rows(y, one, classes) for one in (base_rate, prediction, single)
    )
    ordered, by_model = (order(task, y, one, classes) for one in (single, prediction))
    perfect = classes is None and ordered >= PERFECT
    sure = lowest((base - theirs) - limit * (base - ours), blocks) > 0 or perfect
    if lowest(base - ours, blocks) <= 0:
        return Alone(name, float("nan"), perfect, believed)
    share = float((base - theirs).mean() / (base - ours).mean())
    knows = perfect or (base - theirs).mean() >= LEAST * base.mean()
    return Alone(name, share, bool(sure and knows and ordered >= limit * by_model), believed)


def as_numbers(training: pd.DataFrame, asked: Asked) -> tuple[pd.DataFrame, Array]:
    """Return features of shape (m, k) and (n, k) as numbers: a text is its place in the alphabet.

    One that no training row has is a place of its own.
    """
    if not isinstance(asked, dict):
        return training, asked
    columns, holdout = {}, []
    for name, values in training.items():
        given = asked[str(name)]
        if given.dtype == object:
            known = pd.Index(sorted(set(values)))
            values, given = known.get_indexer(values), known.get_indexer(given)
        columns[name] = np.asarray(values, np.float64)
        holdout.append(np.asarray(given, np.float64))
    return pd.DataFrame(columns), np.stack(holdout, axis=1)


def targets(y: Array, classes: Classes) -> Float:
    """Return what is to be predicted: shape (n, 1), or a column of 0 and 1 for each class."""
    if classes is None:
        return np.asarray(y, np.float64)[:, None]
    return np.stack([y == label for label in classes], axis=1).astype(np.float64)


def skill(values: Float, wanted: Float, size: int) -> float:
    """Return the share of the squared error that a feature takes away by itself.

    Each half of the rows is predicted from the other, so that no row predicts itself.
    """
    half = np.arange(len(values)) % 2 == 0
    wrong, whole = 0.0, 0.0
    for learn, judge in ((half, ~half), (~half, half)):
        predicted = predict(values[learn], wanted[learn], values[judge], size)
        wrong += float(((wanted[judge] - predicted) ** 2).sum())
        whole += float(((wanted[judge] - wanted[learn].mean(axis=0)) ** 2).sum())
    return 1 - wrong / whole if whole else 0.0


def predict(values: Float, wanted: Float, asked: Float, size: int) -> Float:
    """Predict from one feature: the mean of what was wanted in the group of its value.

    Groups are its values where these are few, else about ``size`` rows each; missing values are
    one of their own.
    """
    number = max(len(values) // size, 2)
    edges = np.unique(values[~np.isnan(values)])[1:]
    if len(edges) >= number:
        known = values[~np.isnan(values)]
        edges = np.unique(np.quantile(known, np.linspace(0, 1, number + 1)[1:-1]))

    def group(one: Float) -> Groups:
        inside = np.searchsorted(edges, one, side="right") + 1
        return np.where(np.isnan(one), 0, inside)

    learned, most = group(values), len(edges) + 2
    sums = np.stack([np.bincount(learned, one, most) for one in wanted.T], axis=1)
    rows = np.bincount(learned, minlength=most)[:, None]
    means = (sums + PRIOR * wanted.mean(axis=0)) / (rows + PRIOR)
    return np.asarray(means[group(asked)])


def lowest(values: Float, blocks: Blocks) -> float:
    """Return what the mean of ``values`` is at least, for sure.

    The standard error is that of blocks (Liang and Zeger 1986, Longitudinal data analysis using
    generalized linear models).
    """
    mean = values.mean()
    apart = np.bincount(blocks.codes, values - mean, blocks.number)
    error = np.sqrt((apart**2).sum() * blocks.number / (blocks.number - 1)) / len(values)
    return float(mean - SURE * error)


def order(task: Task, y: Array, prediction: Array, classes: Classes) -> float:
    """Return how well predictions order the rows: 1 perfectly, 0 as chance does."""
    if task == "regression":
        ranks = (pd.Series(one).rank() for one in (y, prediction))
        return float(next(ranks).corr(next(ranks)))
    name = "roc_auc" if task == "binary" else "roc_auc_ovr"
    return 2 * resolve(name, task)(y, prediction, classes) - 1
