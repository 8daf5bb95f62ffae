"""Stage ``train``: fit, write the model as ONNX and skops, prove that they agree, log it."""

import inspect
import platform
import resource
import shutil
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from mlops import artifact, files, git
from mlops.artifact import Array, Facts, load_features, to_matrix
from mlops.errors import MlopsError
from mlops.features import TARGET, source
from mlops.params import Params, check_estimator_arguments
from mlops.progress import working
from mlops.table import Inputs, read, to_columns
from mlops.training_run import TrainingRun

TOLERANCE = 1e-5  # largest difference between skops and ONNX; float32 rounding stays under 1e-6
OPSET = 21  # the newest that skl2onnx 1.20 writes; fixed, so that an upgrade is a reviewed change


def run(params: Params) -> None:
    """Train on ``data/train.parquet`` and write ``models/`` and ``reports/training.json``."""
    training = read(files.TRAIN)
    y = training.pop(TARGET).to_numpy()
    x = training.to_numpy(dtype=np.float32)
    holdout = to_columns(read(files.HOLDOUT))
    inputs = Inputs(holdout, params.data.target)
    matrix = to_matrix(load_features(source())(inputs))

    started, commit = datetime.now(UTC), git.head()
    with TrainingRun(params, commit) as mlflow_run:
        clock = time.perf_counter()
        with working(f"Training on {len(x):,} rows x {x.shape[1]} features"):
            estimator = fit(params, x, y)
        seconds = time.perf_counter() - clock

        graph = to_onnx(estimator, x.shape[1])
        facts = describe(params, [str(name) for name in training], inputs.read, estimator, y)
        write_model(estimator, graph, facts)
        check_agreement(estimator, artifact.load(files.MODEL), matrix)

        peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (
            2**20 if sys.platform == "darwin" else 2**10  # macOS counts bytes, Linux KiB
        )
        mlflow_run.log_training(seconds=seconds, peak_memory_mb=peak_mb)
        files.write_json(
            files.TRAINING,
            {
                "run_id": mlflow_run.id,
                "commit": commit.sha,
                "dirty": commit.dirty,
                "started": started.isoformat(timespec="seconds"),
                "seconds": round(seconds, 2),
                "peak_memory_mb": round(peak_mb),
                "python": platform.python_version(),
                "platform": f"{platform.system()} {platform.machine()}",
                "requirements_md5": files.md5(files.LOCK),
                "model_md5": files.md5(files.MODEL / artifact.ONNX),
            },
        )


def fit(params: Params, x: Array, y: Array) -> Any:
    """Return the project's estimator, fitted to ``x`` of shape (n, k) and ``y`` of shape (n,)."""
    from model import build_estimator

    check_estimator_arguments(params.estimator, inspect.signature(build_estimator))
    return build_estimator(seed=params.seed, **params.estimator).fit(x, y)


def to_onnx(estimator: Any, n_features: int) -> bytes:
    """Convert a fitted estimator to an ONNX graph with one float matrix as its input.

    Raises
    ------
    MlopsError
        Naming the step that ONNX cannot express.
    """
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from skl2onnx.common.exceptions import MissingConverter, MissingShapeCalculator
    from sklearn.base import is_classifier

    # Without zipmap the probabilities are a matrix, not a list of dictionaries.
    options = {id(estimator): {"zipmap": False}} if is_classifier(estimator) else None
    try:
        graph = convert_sklearn(
            estimator,
            name="model",  # the default is a random name, and the bytes would differ on every run
            initial_types=[("features", FloatTensorType([None, n_features]))],
            options=options,
            target_opset=OPSET,
        )
    except (MissingConverter, MissingShapeCalculator) as error:
        step = str(error).split("class '")[-1].split("'")[0]
        raise MlopsError(
            f"src/model/estimator.py: ONNX cannot express {step}; "
            "choose an estimator that skl2onnx supports (https://onnx.ai/sklearn-onnx/supported.html)"
        ) from None
    # skl2onnx collects the operator sets in a set of strings, whose order differs from run to run.
    operator_sets = sorted(graph.opset_import, key=lambda operators: str(operators.domain))
    del graph.opset_import[:]
    graph.opset_import.extend(operator_sets)
    content: bytes = graph.SerializeToString(deterministic=True)
    return content


def describe(
    params: Params, features: list[str], inputs: list[str], estimator: Any, y: Array
) -> dict[str, Any]:
    """Return the facts for ``model.json``, but for the hash of a graph not yet written."""
    data = files.read_json(files.DATA_REPORT, "dvc repro")
    if params.task == "regression":
        classes, base_rate = None, [float(np.mean(y))]
    else:
        classes = estimator.classes_.tolist()
        base_rate = [float(np.mean(y == label)) for label in classes]
    from model import build_estimator

    code = [source(), Path(inspect.getfile(build_estimator))]
    return {
        "task": params.task,
        "target": params.data.target,
        "classes": classes,
        "features": features,
        "inputs": inputs,
        "base_rate": base_rate,
        "window": params.data.window,
        "rows": len(y),
        "params": params.model_dump(include={"task", "seed", "data", "estimator"}),
        "schema_columns": data["schema"],
        "code": {path.name: files.md5(path) for path in code},
        "data_md5": data["md5"],
        "requirements_md5": files.md5(files.LOCK),
    }


def write_model(estimator: Any, graph: bytes, facts: dict[str, Any]) -> None:
    """Write the model folder, ``model.json`` last: a folder without it is not a model."""
    import skops.io

    (files.MODEL / artifact.FACTS).unlink(missing_ok=True)
    onnx = files.MODEL / artifact.ONNX
    files.write_atomic(onnx, lambda path: path.write_bytes(graph))
    files.write_atomic(files.MODEL / artifact.SKOPS, lambda path: skops.io.dump(estimator, path))
    files.write_atomic(
        files.MODEL / artifact.FEATURES, lambda path: shutil.copyfile(source(), path)
    )
    whole = Facts.model_validate({**facts, "model_md5": files.md5(onnx)})
    files.write_text(files.MODEL / artifact.FACTS, whole.model_dump_json(indent=2) + "\n")


def check_agreement(estimator: Any, model: artifact.ModelArtifact, matrix: Array) -> None:
    """Refuse a graph that does not predict what the estimator predicts, on any holdout row."""
    if model.facts.task == "regression":
        expected = estimator.predict(matrix)
    else:
        expected = estimator.predict_proba(matrix)
        expected = expected[:, 1] if model.facts.task == "binary" else expected
    scale = max(1.0, float(np.abs(expected).max()))  # a regression predicts in the target's units
    gap = np.abs(model.predict_matrix(matrix) - expected) / scale
    if gap.max() > TOLERANCE:
        row = int(np.argmax(gap if gap.ndim == 1 else gap.max(axis=1)))
        raise MlopsError(
            f"ONNX and scikit-learn disagree by {gap.max():.2g} (allowed {TOLERANCE}) on holdout "
            f"row {row}; a step of src/model/estimator.py does not survive conversion to float32"
        )
