"""Stage ``train``: fit, write the model as skops and ONNX, prove that they agree, log it."""

import inspect
import platform
import resource
import shutil
import sys
import tempfile
import time
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import skops.io  # noqa: F401  before MLflow: it searches all modules that are there by then

from mlops.artifact import boosters, model_folder, row_sketch, sample, skops_model
from mlops.artifact.agreement import check_agreement
from mlops.artifact.features import Array, Asked, count, to_features, to_table
from mlops.artifact.model_folder import Facts, ModelArtifact
from mlops.artifact.onnx_graph import split_as_onnx, to_onnx
from mlops.artifact.sandbox import FeatureCode, SandboxedModel
from mlops.artifact.split import sides
from mlops.artifact.table import read, to_columns, to_target
from mlops.judgement import metric, scorecard
from mlops.pipeline import features as built
from mlops.pipeline import threshold
from mlops.pipeline.features import source
from mlops.project import files, git
from mlops.project.errors import MlopsError, first_line
from mlops.project.params import Data, Params, Task, check_estimator_arguments
from mlops.project.progress import working
from mlops.project.user_code import running
from mlops.registry.training_run import TrainingRun


def run(params: Params) -> None:
    """Train on ``data/train.parquet`` and write ``models/``.

    Beside it, ``reports/training.json`` says what is not the model's: when, how long, at which
    commit. That is no output for DVC, so that the same model is the same lock on every machine.
    """
    started, commit = datetime.now(UTC), git.head()
    unfitted = build(params)
    x, names, texts, y = built.learned()
    classes, learned = encode(y, params, unfitted)
    holdout = read(files.HOLDOUT)
    code = FeatureCode(source(), params.data.target)
    unseen = to_features(code.build(to_columns(holdout)), texts)

    with TrainingRun(params, commit) as mlflow_run:
        clock = time.perf_counter()
        with working(f"Training on {count(x):,} rows x {len(names)} features"):
            estimator, limit = learn(unfitted, to_table(x), learned, params)
            split_as_onnx(estimator)
        seconds = time.perf_counter() - clock

        check_probabilities(params.task, estimator)
        facts = describe(params, names, code.read, classes, y)
        facts |= {"texts": texts, "threshold": limit}
        rows = row_sketch.training(params.data, [*code.read, params.data.target])
        row_sketch.write(files.MODEL, rows)
        model = write_model(estimator, facts, code, x, unseen)
        sample.write(files.MODEL / sample.NAME, model, holdout, params.seed)

        cost = {"seconds": seconds, "peak_memory_mb": peak_memory_mb()}
        mlflow_run.log_metrics(cost)
        mlflow_run.log_files()
        log_holdout(mlflow_run, params.data, model, holdout)
        files.write_json(
            files.TRAINING,
            {
                "run_id": mlflow_run.id,
                "commit": commit.sha,
                "dirty": commit.dirty,
                "started": started.isoformat(timespec="seconds"),
                **{name: round(value, 2) for name, value in cost.items()},
                "python": platform.python_version(),
                "platform": f"{platform.system()} {platform.machine()}",
                "requirements_md5": files.md5(files.LOCK),
                "model_md5": model.facts.model_md5,
                "threshold": limit,
            },
        )


def build(params: Params) -> Any:
    """Return the project's unfitted estimator, refusing settings that it does not take."""
    with running("build_estimator"):
        import model  # not from it: an AttributeError in the user's file would become another error

        check_estimator_arguments(params.estimator, inspect.signature(model.build_estimator))
        return model.build_estimator(seed=params.seed, **params.estimator)


def encode(y: Array, params: Params, unfitted: Any) -> tuple[list[Any] | None, Array]:
    """Return the classes, None for a regression, and the target as the estimator learns it.

    Of two classes the positive one is second, and learned as 1: so it is the second column of
    ``predict_proba``, whatever the alphabet says. Of more, an estimator learns the labels; one of
    XGBoost, which takes nothing else, their positions.
    """
    if params.task == "regression":
        return None, y
    classes = np.unique(y).tolist()
    if params.task == "binary":
        positive = classes[-1] if params.data.positive is None else params.data.positive
        classes.sort(key=lambda label: bool(label == positive))
        y = (y == positive).astype(np.int64)
    elif "xgboost" in boosters.used(unfitted):
        y = np.searchsorted(classes, y)
    return classes, y


def fit(unfitted: Any, x: Any, y: Array) -> Any:
    """Return the fitted estimator; that it stops is for its author to see, not for us to trace."""
    try:
        return unfitted.fit(x, y)
    except Exception as error:
        raise MlopsError(f"src/model/estimator.py: fit stopped: {first_line(error)}") from error


def learn(unfitted: Any, x: Any, y: Array, params: Params) -> tuple[Any, float | None]:
    """Return the fitted estimator and its threshold: none, a number, or the one of least cost."""
    asked = params.serving.threshold
    if not isinstance(asked, dict):
        return fit(unfitted, x, y), asked
    check_probabilities(params.task, unfitted)
    table = read(files.CHECKED)
    rows = table[sides(table, params.data)[0]]
    tuned = fit(threshold.by_costs(unfitted, asked, rows, y, params), x, y)
    return tuned.estimator_, float(f"{tuned.best_threshold_:.4g}")


def check_probabilities(task: Task, estimator: Any) -> None:
    """Refuse a classifier that only names a class: it could not be calibrated, nor its AUC told."""
    if task != "regression" and not hasattr(estimator, "predict_proba"):
        raise MlopsError(
            f"src/model/estimator.py: {type(estimator).__name__} gives no probabilities "
            f"(predict_proba), which task {task} needs; wrap it in "
            "sklearn.calibration.CalibratedClassifierCV, or choose another"
        )


def peak_memory_mb() -> float:
    """Return the most memory that this process has held, in MB of 2**20 bytes."""
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak / (2**20 if sys.platform == "darwin" else 2**10)  # macOS counts bytes, Linux KiB


def log_holdout(
    mlflow_run: TrainingRun, data: Data, model: ModelArtifact, holdout: pd.DataFrame
) -> None:
    """Log the task's metrics and plots on the holdout, also as one picture."""
    task, classes = model.facts.task, model.facts.classes
    metrics = [metric.resolve(name, task) for name in metric.defaults(task)]
    y = to_target(holdout[data.target], task)
    times = None if data.time is None else holdout[data.time]
    prediction = scorecard.predictions(model, to_columns(holdout))
    try:
        mine = [one.tried(y, prediction, classes) for one in metric.own(task)]
        mlflow_run.log_metrics({one.name: one(y, prediction, classes) for one in mine})
    except MlopsError as error:  # the model is not at fault; `evaluate` will be the one to stop
        print(f"not logged to MLflow: {error}")
    mlflow_run.log_metrics(scorecard.scores(metrics, y, prediction, classes))
    drawn = scorecard.tables(metrics[0], y, prediction, classes, times)
    with tempfile.TemporaryDirectory() as folder:
        scorecard.write_tables(drawn, Path(folder))
        scorecard.draw(drawn, Path(folder, "plots.png"))
        mlflow_run.log_plots(Path(folder))


def describe(
    params: Params, features: list[str], inputs: list[str], classes: list[Any] | None, y: Array
) -> dict[str, Any]:
    """Return the facts for ``model.json``, but for the hash of a model not yet written."""
    data = files.read_json(files.DATA_REPORT, "dvc repro")
    if classes is None:
        base_rate = [float(np.mean(y))]
        target_quantiles = np.quantile(y, np.arange(1, 20) / 20).tolist()
    else:
        base_rate = [float(np.mean(y == label)) for label in classes]
        target_quantiles = []
    columns = [column for column in data["columns"] if column["name"] in inputs]
    if odd := sorted(set(inputs) - {column["name"] for column in columns}):
        raise MlopsError(
            f"src/model/features.py reads column {odd[0]!r}, whose values a request to the service "
            "cannot hold as JSON; make it text, numbers or times in src/model/data.py"
        )
    code = sorted(source().parent.glob("*.py"))
    return {
        "format": model_folder.FORMAT,
        "task": params.task,
        "runtime": params.serving.runtime,
        "target": params.data.target,
        "classes": classes,
        "features": features,
        "inputs": inputs,
        "columns": columns,
        "base_rate": base_rate,
        "target_quantiles": target_quantiles,
        "window": params.data.window,
        "rows": len(y),
        "params": params.of_the_model(),
        "schema_columns": data["schema"],
        "code": {path.name: files.md5(path) for path in code},
        "data_md5": data["md5"],
        "requirements_md5": files.md5(files.LOCK),
    }


def write_model(
    estimator: Any, facts: dict[str, Any], code: FeatureCode, training: Asked, holdout: Asked
) -> ModelArtifact:
    """Write the model folder, ``model.json`` last: a folder without it is not a model.

    It comes when the other files are known to serve what was trained.

    Parameters
    ----------
    code
        The file with ``build_features``, which travels with the model.
    training, holdout
        Rows to prove it on, as features.

    Raises
    ------
    MlopsError
        When the estimator cannot be written, cannot be read again, or then predicts otherwise.
    """
    (files.MODEL / model_folder.FACTS).unlink(missing_ok=True)
    (files.MODEL / model_folder.ONNX).unlink(missing_ok=True)

    def write(name: str, content: bytes) -> None:
        files.write_atomic(files.MODEL / name, partial(Path.write_bytes, data=content))

    write(model_folder.SKOPS, skops_model.dump(estimator))
    # As `mlops register` and MLflow will; and first, because no other runtime helps out here.
    skops_model.load(files.MODEL / model_folder.SKOPS)
    if facts["runtime"] == "onnx":
        write(model_folder.ONNX, to_onnx(estimator, training))
    files.write_atomic(
        files.MODEL / model_folder.FEATURES, lambda path: shutil.copyfile(code.path, path)
    )
    predicts = files.MODEL / (
        model_folder.ONNX if facts["runtime"] == "onnx" else model_folder.SKOPS
    )
    whole = Facts.model_validate({**facts, "model_md5": files.md5(predicts)})
    model = SandboxedModel(files.MODEL, whole)
    check_agreement(estimator, model, code.build, training, holdout)
    files.write_text(files.MODEL / model_folder.FACTS, whole.model_dump_json(indent=2) + "\n")
    return model
