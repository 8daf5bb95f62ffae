"""What is said of one model in a comparison: its numbers on the holdout, its cost, its origin."""

import time
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops.artifact.model_folder import Array, ModelArtifact
from mlops.artifact.table import to_columns
from mlops.judgement import metrics, plots
from mlops.pipeline import evaluate
from mlops.project import files
from mlops.project.params import Params

LATENCY_CALLS = 300


def scorecard(
    params: Params, model: ModelArtifact, holdout: pd.DataFrame, y: Array, prediction: Array
) -> dict[str, Any]:
    """Return one model's numbers on the holdout, its cost and where it came from."""
    facts = model.facts
    scores = evaluate.evaluate(params, model, y, prediction)
    metric = metrics.resolve(params.gate.metric, params.task)
    tables = plots.tables(
        params.task, y, prediction, facts.classes, holdout[params.data.time], metric
    )
    return {
        "calibration": scores.pop("calibration"),
        "metrics": scores,
        "predicted": np.mean(prediction, axis=0).tolist(),
        "window": str(facts.window),
        "rows": facts.rows,
        "features": len(facts.features),
        "data_md5": facts.data_md5,
        "model_md5": facts.model_md5,
        "requirements_md5": facts.requirements_md5,
        "plots": {name: table.to_dict("list") for name, table in tables.items()},
        "cost": {
            "latency_ms": single_row_ms(model, holdout),
            "size_mb": model.model_path.stat().st_size / 1e6,
        },
    }


def single_row_ms(model: ModelArtifact, holdout: pd.DataFrame) -> float:
    """Return the median time, in milliseconds, of a prediction for one raw row."""
    columns = to_columns(holdout.head(LATENCY_CALLS))
    seconds = []
    for at in range(min(LATENCY_CALLS, len(holdout))):
        row = {name: values[at : at + 1] for name, values in columns.items()}
        started = time.perf_counter()
        model.predict(row)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds)) * 1000


def mean_outcome(model: ModelArtifact, y: Array) -> Any:
    """Return the share of the second class, of each class, or the mean target, as predicted is."""
    classes = model.facts.classes
    if classes is None:
        return float(np.mean(y))
    shares = [float(np.mean(y == label)) for label in classes]
    return shares[1] if model.facts.task == "binary" else shares


def training_facts(path: Path) -> dict[str, Any]:
    """Return commit, run and cost of a training."""
    written = files.read_json(path, "dvc repro")
    kept = ("commit", "dirty", "run_id", "started", "seconds", "peak_memory_mb", "python")
    return {name: written.get(name) for name in kept}
