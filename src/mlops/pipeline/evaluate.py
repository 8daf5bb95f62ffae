"""Stage ``evaluate``: the trained model on the holdout, in numbers and plots."""

import shutil
from collections.abc import Sequence
from functools import partial
from pathlib import Path

import pandas as pd

from mlops.artifact import calibration, model_folder
from mlops.artifact.model_folder import Array, ModelArtifact
from mlops.artifact.table import read, to_columns
from mlops.judgement import metrics, plots
from mlops.project import files
from mlops.project.params import Params


def run(params: Params) -> None:
    """Write ``reports/metrics.json`` and ``reports/plots/``."""
    model = model_folder.load(files.MODEL)
    holdout = read(files.HOLDOUT)
    y = holdout[params.data.target].to_numpy()
    prediction = model.predict(to_columns(holdout))

    scores = evaluate(params, model, y, prediction)
    drawn = plots.tables(
        params.task,
        y,
        prediction,
        model.facts.classes,
        holdout[params.data.time],
        metrics.resolve(params.gate.metric, params.task),
    )
    write_plots(drawn, files.PLOTS)
    base_rate = evaluate(params, model, y, model.predict_base_rate(len(y)))
    files.write_json(files.METRICS, {**scores, "rows": len(y), "baseline": base_rate})

    for name, value in scores.items():
        print(f"{name}: {value:.4f} (base rate: {base_rate[name]:.4f})")


def evaluate(params: Params, model: ModelArtifact, y: Array, prediction: Array) -> dict[str, float]:
    """Return the task's metrics, the gate's and the floors', and the calibration error."""
    wanted = [*metrics.defaults(params.task), params.gate.metric, *params.gate.floors]
    return score(model, y, prediction, wanted)


def score(
    model: ModelArtifact, y: Array, prediction: Array, wanted: Sequence[str]
) -> dict[str, float]:
    """Return the metrics in ``wanted``, each under its own name, and the calibration error."""
    task, classes = model.facts.task, model.facts.classes
    resolved = {metric.name: metric for metric in (metrics.resolve(name, task) for name in wanted)}
    scores = {name: metric(y, prediction, classes) for name, metric in resolved.items()}
    return {**scores, "calibration": calibration.error(task, y, prediction, classes)}


def write_plots(drawn: dict[str, pd.DataFrame], folder: Path) -> None:
    """Write each table of a plot into ``folder``, which holds nothing else afterwards."""
    shutil.rmtree(folder, ignore_errors=True)
    for name, table in drawn.items():
        files.write_atomic(folder / f"{name}.csv", partial(table.to_csv, index=False))
