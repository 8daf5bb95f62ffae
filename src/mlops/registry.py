"""The model registry: versions go in here, and are told about; ``promotion`` picks the champion."""

import tempfile
import uuid
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops import artifact, audit, files, model_version, tracking, training_run
from mlops.artifact import Facts
from mlops.errors import MlopsError
from mlops.model_version import CHALLENGER, NONE, fetch
from mlops.params import Params

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["fetch", "lineage", "register"]

NOT_COMPARED: dict[str, Any] = {"finding": "not compared", "passed": False, "champion": None}
TRAIN = "dvc repro"


def register(params: Params, client: "MlflowClient") -> int:
    """Make the trained model a new version, with alias ``challenger``.

    The version appears with its files uploaded and its tags set, or not at all.

    Returns
    -------
    int
        The version's number.

    Raises
    ------
    MlopsError
        When there is no trained model, or its files and reports are not of one training.
    """
    facts = _trained()
    training = files.read_json(files.TRAINING, TRAIN)
    metrics = _metrics()
    if training["model_md5"] != facts.model_md5:
        raise MlopsError(
            f"{files.TRAINING} is about another model than {files.MODEL}; run `{TRAIN}` again"
        )
    tags = _tags(facts, training, metrics, _comparison(facts))
    with tracking.answers(client.tracking_uri):
        run = training_run.resume(client, params, training)
        # A folder of its own: the next registration from this run must not change this one.
        folder = f"versions/{uuid.uuid4().hex}"
        with tempfile.TemporaryDirectory(prefix="mlops-") as temporary:
            model_version.build_folder(Path(temporary) / "model")
            client.log_artifacts(run, str(Path(temporary) / "model"), folder)
        source = f"{client.get_run(run).info.artifact_uri}/{folder}"
        with tracking.store_lock():
            _ensure_model(client, params.name)
            version = int(client.create_model_version(params.name, source, run, tags).version)
            client.set_registered_model_alias(params.name, CHALLENGER, str(version))
    return version


def lineage(client: "MlflowClient", params: Params, version: int | str) -> dict[str, Any]:
    """Return where a version came from and what became of it, ready for JSON.

    Parameters
    ----------
    version : int or str
        A number, or an alias such as ``champion``.
    """
    with tracking.answers(client.tracking_uri):
        found = fetch(client, params.name, version)
        if found is None and not str(version).isdigit():
            raise MlopsError(f"{params.name} has no version with the alias {version}")
        record, folder = found or (model_version.find(client, params.name, int(version)), Path())
        aliases = model_version.aliases(client, params.name)
    facts = artifact.load(folder).facts
    training = files.read_json(folder / files.TRAINING.name, TRAIN)
    number = int(record.version)
    return {
        "name": params.name,
        "version": number,
        "aliases": sorted(alias for alias, target in aliases.items() if target == number),
        "commit": training["commit"],
        "dirty": training["dirty"],
        "data_md5": facts.data_md5,
        "window": str(facts.window),
        "rows": facts.rows,
        "features": facts.features,
        "params": facts.params,
        "metrics": {
            key.removeprefix("metric."): float(value)
            for key, value in sorted(record.tags.items())
            if key.startswith("metric.")
        },
        "finding": record.tags["finding"],
        "passed": record.tags["passed"] == "true",
        "compared_with": record.tags["compared_with"],
        "model_md5": facts.model_md5,
        "requirements_md5": facts.requirements_md5,
        "run_id": record.run_id,
        "trained": training["started"],
        "seconds": training["seconds"],
        "peak_memory_mb": training["peak_memory_mb"],
        "registered_by": record.tags["registered_by"],
        "audit": [
            line
            for line in audit.read()
            if line["model"] == params.name and number in (line["from"], line["to"])
        ],
    }


def _trained() -> Facts:
    """Return the trained model's facts, after checking that its files are of one training."""
    facts = artifact.load(files.MODEL).facts
    onnx, skops_file = files.MODEL / artifact.ONNX, files.MODEL / artifact.SKOPS
    if not skops_file.is_file() or files.md5(onnx) != facts.model_md5:
        raise MlopsError(f"{files.MODEL} is not what one training wrote; run `{TRAIN}` again")
    return facts


def _metrics() -> dict[str, float]:
    metrics = files.read_json(files.METRICS, TRAIN)
    return {name: value for name, value in metrics.items() if isinstance(value, float)}


def _comparison(facts: Facts) -> dict[str, Any]:
    """Return the judgement of this very model, if there is one."""
    if not files.COMPARISON.is_file():
        return NOT_COMPARED
    comparison: dict[str, Any] = files.read_json(files.COMPARISON, "mlops compare")
    judged = comparison["candidate"]["model_md5"]
    return comparison if judged == facts.model_md5 else NOT_COMPARED


def _tags(
    facts: Facts, training: dict[str, Any], metrics: dict[str, float], comparison: dict[str, Any]
) -> dict[str, str]:
    champion = comparison["champion"]
    return {
        "git_commit": training["commit"] or NONE,
        "git_dirty": str(training["dirty"]).lower(),
        "data_md5": facts.data_md5,
        "model_md5": facts.model_md5,
        "window": str(facts.window),
        "rows": str(facts.rows),
        "finding": comparison["finding"],
        "passed": str(comparison["passed"]).lower(),
        "compared_with": str(champion["version"]) if champion else NONE,
        "registered_by": audit.who(),
        **{f"metric.{name}": str(value) for name, value in metrics.items()},
    }


def _ensure_model(client: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
