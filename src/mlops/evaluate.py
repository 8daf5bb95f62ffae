"""Stage ``evaluate``: the trained model on the holdout, in numbers and plots."""

import shutil
import tempfile
from functools import partial
from pathlib import Path

import pandas as pd

from mlops import artifact, calibration, files, metrics, plots
from mlops.artifact import Array, ModelArtifact
from mlops.params import Params
from mlops.table import read, to_columns
from mlops.training_run import log_evaluation


def run(params: Params) -> None:
    """Write ``reports/metrics.json`` and ``reports/plots/``, and add them to the MLflow run."""
    model = artifact.load(files.MODEL)
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
    write_plots(drawn)
    base_rate = evaluate(params, model, y, model.predict_base_rate(len(y)))
    files.write_json(files.METRICS, {**scores, "rows": len(y), "baseline": base_rate})

    run_id = files.read_json(files.TRAINING, "dvc repro")["run_id"]
    with tempfile.TemporaryDirectory() as folder:
        shutil.copytree(files.PLOTS, folder, dirs_exist_ok=True)
        plots.draw(drawn, Path(folder, "plots.png"))
        log_evaluation(params, run_id, scores, Path(folder))
    for name, value in scores.items():
        print(f"{name}: {value:.4f} (base rate: {base_rate[name]:.4f})")


def evaluate(params: Params, model: ModelArtifact, y: Array, prediction: Array) -> dict[str, float]:
    """Return the task's metrics, the gate's and the floors', and the calibration error."""
    wanted = [*metrics.defaults(params.task), params.gate.metric, *params.gate.floors]
    classes = model.facts.classes
    resolved = {metric.name: metric for metric in (metrics.resolve(n, params.task) for n in wanted)}
    scores = {name: metric(y, prediction, classes) for name, metric in resolved.items()}
    return {**scores, "calibration": calibration.error(params.task, y, prediction, classes)}


def write_plots(drawn: dict[str, pd.DataFrame]) -> None:
    shutil.rmtree(files.PLOTS, ignore_errors=True)
    for name, table in drawn.items():
        files.write_atomic(files.PLOTS / f"{name}.csv", partial(table.to_csv, index=False))
