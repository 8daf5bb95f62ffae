"""The scorecard of one model: its numbers and plots on the holdout, its cost, its origin."""

import shutil
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops.artifact.model_folder import Columns, ModelArtifact
from mlops.artifact.sandbox import SandboxedModel
from mlops.judgement.metric import (
    Array,
    Classes,
    Metric,
    Metrics,
    Predictions,
    encode,
    resolve,
)
from mlops.project import files
from mlops.project.params import Task

BINS = 10
LATENCY_CALLS = 300
POINTS = 50  # of a curve: enough for the eye, few enough for a chart in a comment


def scorecard(
    model: SandboxedModel,
    prediction: Predictions,
    *,
    columns: Columns,
    y: Array,
    times: "pd.Series[Any] | None",
    metrics: Metrics,
) -> dict[str, Any]:
    """Return one model's numbers on the holdout, its cost and where it came from.

    Parameters
    ----------
    prediction : Predictions
        Of this model for ``columns``, the raw columns of the holdout.
    y : array of shape (n,)
        Raw target values.
    times : Series of shape (n,)
        When each row happened, if that is known.
    """
    facts = model.facts
    scored = scores(metrics.shown, y, prediction, facts.classes)
    drawn = tables(metrics.gate, y, prediction, facts.classes, times)
    return {
        "calibration": scored.pop("calibration"),
        "metrics": scored,
        "predicted": np.mean(prediction.scores, axis=0).tolist(),
        "window": facts.trained_on,
        "rows": facts.rows,
        "features": len(facts.features),
        "data_md5": facts.data_md5,
        "model_md5": facts.model_md5,
        "requirements_md5": facts.requirements_md5,
        "threshold": facts.threshold,
        "labels": said(y, prediction, facts.classes) if facts.threshold is not None else None,
        "plots": {name: table.to_dict("list") for name, table in drawn.items()},
        "classes": by_class(y, prediction.scores, facts.classes)
        if facts.task == "multiclass"
        else [],
        "cost": {
            "latency_ms": single_row_ms(model, columns, min(LATENCY_CALLS, len(y))),
            "size_mb": model.model_path.stat().st_size / 1e6,
        },
    }


def predictions(model: ModelArtifact, columns: Columns) -> Predictions:
    """Return what a model predicts for rows with these raw columns."""
    return Predictions(model.predict(columns), model.facts.threshold, columns)


def base_rate(model: ModelArtifact, given: Predictions) -> Predictions:
    """Return what the base rate alone would predict for the rows of ``given``."""
    return replace(given, scores=model.predict_base_rate(len(given.scores)))


def mean_outcome(y: Array, classes: Classes, task: Task) -> Any:
    """Return the share of the second class, of each class, or the mean target, as predicted is."""
    if classes is None:
        return float(np.mean(y))
    shares = [float(np.mean(y == label)) for label in classes]
    return shares[1] if task == "binary" else shares


def single_row_ms(model: SandboxedModel, columns: Columns, calls: int) -> float:
    """Return the median time, in milliseconds, of a prediction for one raw row."""
    first = {name: values[:calls] for name, values in columns.items()}
    return float(np.median(model.row_seconds(first))) * 1000


def scores(
    metrics: Iterable[Metric], y: Array, prediction: Predictions, classes: Classes
) -> dict[str, float]:
    """Return each metric under its name, and the calibration error."""
    scored = {metric.name: metric(y, prediction, classes) for metric in metrics}
    return {**scored, "calibration": calibration_error(y, prediction.scores, classes)}


def calibration_error(y: Array, prediction: Array, classes: Classes) -> float:
    """Return the expected calibration error; 0 is perfect.

    Classification: the mean gap between predicted and seen share over groups of equal size (Guo et
    al. 2017, https://arxiv.org/abs/1706.04599, with equal-count bins), the worst class deciding.
    Regression: the same gap in units of the target's standard deviation.
    """
    if classes is None:
        spread = float(np.std(y))
        return _gap(prediction, y) / spread if spread else _gap(prediction, y)
    if prediction.ndim == 1:
        return _gap(prediction, (y == classes[1]).astype(float))
    return max(
        _gap(prediction[:, column], (y == label).astype(float))
        for column, label in enumerate(classes)
    )


def _gap(predicted: Array, seen: Array) -> float:
    mean_predicted, mean_seen, rows = reliability(predicted, seen)
    return float(np.average(np.abs(mean_predicted - mean_seen), weights=rows))


def reliability(predicted: Array, seen: Array) -> tuple[Array, Array, Array]:
    """Group rows by prediction and compare the means: do predictions mean what they say?

    Parameters
    ----------
    predicted, seen : array of shape (n,)
        Probability and 0/1 outcome, or predicted and true value.

    Returns
    -------
    predicted, seen, rows : arrays of shape (m,)
        Means and row counts of up to 10 groups of equal size, by rising prediction.
    """
    order = np.argsort(predicted, kind="stable")
    groups = [group for group in np.array_split(order, BINS) if len(group)]
    return (
        np.array([predicted[group].mean() for group in groups]),
        np.array([seen[group].mean() for group in groups]),
        np.array([len(group) for group in groups]),
    )


def by_class(y: Array, prediction: Array, classes: Classes) -> list[dict[str, Any]]:
    """Return how well each of several classes is found, and told from the rest (ROC AUC).

    ``recall`` is the share of its rows that are found, ``precision`` the share of what is taken for
    it that is. NaN where the holdout has no such row, or none is taken for one.
    """
    from sklearn.metrics import precision_recall_fscore_support

    codes, labels = encode(y, classes or ()), range(len(classes or ()))
    roc_auc = resolve("roc_auc", "binary")
    precision, recall, _, rows = precision_recall_fscore_support(
        codes, prediction.argmax(axis=1), labels=labels, zero_division=np.nan
    )
    return [
        {
            "class": label,
            "rows": int(rows[code]),
            "recall": float(recall[code]),
            "precision": float(precision[code]),
            "roc_auc": roc_auc(codes == code, prediction[:, code], (0, 1)),
        }
        for code, label in enumerate(classes or ())
    ]


def said(y: Array, prediction: Predictions, classes: Classes) -> dict[str, float]:
    """Return how the labels of two classes come out: ``share`` of rows said to be positive.

    ``precision``: of these, the share that is; ``recall``: the share of the positive that is said.
    """
    truth, label = encode(y, classes or ()) == 1, prediction.labels == 1
    right, share = float((truth & label).mean()), float(label.mean())
    return {
        "share": share,
        "precision": right / share if share else float("nan"),
        "recall": right / float(truth.mean()) if truth.any() else float("nan"),
    }


def tables(
    metric: Metric,
    y: Array,
    prediction: Predictions,
    classes: Classes,
    times: "pd.Series[Any] | None",
) -> dict[str, pd.DataFrame]:
    """Return the plots of one model by file name, as tables for DVC, MLflow and the report to draw.

    ``calibration``: predicted and seen, for every task (multiclass: of the most frequent class).
    ``over_time``: ``metric`` by week of the holdout, empty where there are no times. ``curve``: the
    task's own picture (binary: ROC; multiclass: confusion; regression: quantiles of the error).
    """
    return {
        "calibration": _calibration(y, prediction.scores, classes),
        "over_time": _over_time(metric, y, prediction, classes, times),
        "curve": _curve(y, prediction.scores, classes),
    }


def _calibration(y: Array, prediction: Array, classes: Classes) -> pd.DataFrame:
    if classes is None:
        columns = reliability(prediction, y)
    elif prediction.ndim == 1:
        columns = reliability(prediction, (y == classes[1]).astype(float))
    else:
        shown = int(np.argmax([np.sum(y == label) for label in classes]))
        columns = reliability(prediction[:, shown], (y == classes[shown]).astype(float))
    return pd.DataFrame(dict(zip(("predicted", "seen", "rows"), columns, strict=True)))


def _over_time(
    metric: Metric,
    y: Array,
    prediction: Predictions,
    classes: Classes,
    times: "pd.Series[Any] | None",
) -> pd.DataFrame:
    rows: list[tuple[str, float, int]] = []
    weeks = None if times is None else times.dt.tz_localize(None).dt.to_period("W")
    by_week: dict[Any, Any] = {} if weeks is None else weeks.groupby(weeks).indices
    for week, at in by_week.items():
        if len(np.unique(y[at])) > 1:  # most metrics are undefined on a single class
            rows.append(
                (f"{week.start_time:%Y-%m-%d}", metric(y[at], prediction[at], classes), len(at))
            )
    return pd.DataFrame(rows, columns=["week", metric.name, "rows"])


def _curve(y: Array, prediction: Array, classes: Classes) -> pd.DataFrame:
    if classes is None:
        share = np.linspace(0.01, 0.99, POINTS)
        return pd.DataFrame({"share_of_rows": share, "error": np.quantile(prediction - y, share)})
    if prediction.ndim == 1:
        from sklearn.metrics import roc_curve

        false_positive, true_positive, _ = roc_curve(y == classes[1], prediction)
        grid = np.linspace(0, 1, POINTS)
        curve = np.interp(grid, false_positive, true_positive)
        return pd.DataFrame({"false_positive_rate": grid, "true_positive_rate": curve})
    guessed = np.asarray(classes, dtype=object)[prediction.argmax(axis=1)]
    counts = pd.crosstab(pd.Series(y, name="actual"), pd.Series(guessed, name="predicted"))
    counts = counts.reindex(index=list(classes), columns=list(classes), fill_value=0)
    return counts.stack().reset_index().rename(columns={0: "rows"})


def write_tables(drawn: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write each table of a plot into ``folder``, which holds nothing else afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, table in drawn.items():
        files.write_atomic(folder / f"{name}.csv", partial(table.to_csv, index=False))


def draw(drawn: dict[str, pd.DataFrame], path: Path) -> None:
    """Draw the tables side by side into one PNG, for MLflow."""
    from matplotlib.figure import Figure  # without pyplot, which looks for a screen

    figure = Figure(figsize=(5 * len(drawn), 4), layout="constrained")
    axes = figure.subplots(1, len(drawn))
    for axis, (name, table) in zip(axes, drawn.items(), strict=True):
        horizontal, vertical = table.columns[:2]
        axis.plot(table[horizontal], table[vertical], marker=".")
        axis.set(title=name.replace("_", " "), xlabel=horizontal, ylabel=vertical)
        axis.tick_params(axis="x", labelrotation=30)
    figure.savefig(path, format="png", dpi=100)
