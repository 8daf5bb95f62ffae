"""The plots of an evaluation, as tables for DVC, MLflow and the report to draw."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlops.artifact import calibration
from mlops.judgement.metric import Metric
from mlops.project.params import Task

Array = npt.NDArray[Any]

POINTS = 50  # of a curve: enough for the eye, few enough for a chart in a comment


def tables(
    task: Task,
    y: Array,
    prediction: Array,
    classes: list[Any] | None,
    times: "pd.Series[Any]",
    metric: Metric,
) -> dict[str, pd.DataFrame]:
    """Return the plot tables of one evaluation by file name.

    ``calibration``: predicted and seen, for every task (multiclass: of the most frequent class).
    ``over_time``: the gate's metric by week of the holdout. ``curve``: the task's own picture
    (binary: ROC; multiclass: confusion; regression: quantiles of the error).
    """
    return {
        "calibration": _calibration(task, y, prediction, classes),
        "over_time": _over_time(y, prediction, classes, times, metric),
        "curve": _curve(task, y, prediction, classes),
    }


def _calibration(
    task: Task, y: Array, prediction: Array, classes: list[Any] | None
) -> pd.DataFrame:
    if task == "regression":
        columns = calibration.reliability(prediction, y)
    else:
        assert classes is not None
        shown = 1 if task == "binary" else int(np.argmax([np.sum(y == label) for label in classes]))
        scores = prediction if task == "binary" else prediction[:, shown]
        columns = calibration.reliability(scores, (y == classes[shown]).astype(float))
    return pd.DataFrame(dict(zip(("predicted", "seen", "rows"), columns, strict=True)))


def _over_time(
    y: Array,
    prediction: Array,
    classes: list[Any] | None,
    times: "pd.Series[Any]",
    metric: Metric,
) -> pd.DataFrame:
    weeks = times.dt.tz_localize(None).dt.to_period("W")
    rows = []
    for week, at in weeks.groupby(weeks).indices.items():
        if len(np.unique(y[at])) > 1:  # most metrics are undefined on a single class
            rows.append(
                (f"{week.start_time:%Y-%m-%d}", metric(y[at], prediction[at], classes), len(at))
            )
    return pd.DataFrame(rows, columns=["week", metric.name, "rows"])


def _curve(task: Task, y: Array, prediction: Array, classes: list[Any] | None) -> pd.DataFrame:
    if task == "binary":
        from sklearn.metrics import roc_curve

        assert classes is not None
        false_positive, true_positive, _ = roc_curve(y == classes[1], prediction)
        grid = np.linspace(0, 1, POINTS)
        curve = np.interp(grid, false_positive, true_positive)
        return pd.DataFrame({"false_positive_rate": grid, "true_positive_rate": curve})
    if task == "multiclass":
        guessed = np.asarray(classes, dtype=object)[prediction.argmax(axis=1)]
        counts = pd.crosstab(pd.Series(y, name="actual"), pd.Series(guessed, name="predicted"))
        return counts.stack().reset_index().rename(columns={0: "rows"})
    share = np.linspace(0.01, 0.99, POINTS)
    return pd.DataFrame({"share_of_rows": share, "error": np.quantile(prediction - y, share)})


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
