"""The model registry: versions go in here, and are told about; ``promotion`` picks the champion."""

import json
import tempfile
import uuid
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.artifact import model_folder, training
from mlops.artifact.model_folder import Facts, ModelArtifact
from mlops.project import files, images
from mlops.project.errors import DamagedError, MlopsError
from mlops.project.params import Params
from mlops.registry import audit, model_version, tracking, training_run
from mlops.registry.model_version import APPROVED_BY, CHALLENGER, NONE, fetch

if TYPE_CHECKING:
    from mlflow import MlflowClient

__all__ = ["fetch", "field", "lineage", "record_image", "register"]

NOT_COMPARED: dict[str, Any] = {"finding": "not compared", "passed": False, "champion": None}
TRAIN = "dvc repro"


def register(params: Params, client: "MlflowClient") -> int:
    """Make the trained model a new version, with alias ``challenger``; returns its number.

    The version appears with its files uploaded and its tags set, or not at all. No code of the
    model is run.

    Raises
    ------
    MlopsError
        When there is no trained model, or its files and reports are not of one training.
    """
    model = _trained()
    facts = model.facts
    trained = training.of_model(facts)
    metrics = files.read_json(files.METRICS, TRAIN)
    comparison = model_version.judgement(files.REPORTS, facts) or NOT_COMPARED
    tags = _tags(facts, trained, metrics, comparison)
    with tracking.answers(client.tracking_uri):
        run = training_run.resume(client, params, trained)
        # A folder of its own: the next registration from this run must not change this one.
        folder = f"versions/{uuid.uuid4().hex}"
        with tempfile.TemporaryDirectory(prefix="mlops-") as temporary:
            built = Path(temporary) / "model"
            model_version.build_folder(built)
            registered = datetime.now(UTC).isoformat(timespec="seconds")
            files.write_json(built / files.TRAINING.name, trained | {"registered": registered})
            client.log_artifacts(run, str(built), folder)
        source = f"{client.get_run(run).info.artifact_uri}/{folder}"
        with tracking.store_lock():
            _ensure_model(client, params.name)
            version = int(client.create_model_version(params.name, source, run, tags).version)
            client.set_registered_model_alias(params.name, CHALLENGER, str(version))
    return version


def lineage(client: "MlflowClient", params: Params, version: int | str) -> dict[str, Any]:
    """Return where a version came from and what became of it, ready for JSON.

    ``version`` is a number, or an alias such as ``champion``.
    """
    with tracking.answers(client.tracking_uri):
        record = model_version.resolve(client, params.name, version)
        folder = model_version.folder_of(client, record)
        aliases = model_version.aliases(client, params.name)
    facts = model_folder.load(folder).facts
    trained = training.of_version(folder)
    number = int(record.version)
    return {
        "name": params.name,
        "version": number,
        "aliases": sorted(alias for alias, target in aliases.items() if target == number),
        "commit": trained["commit"],
        "dirty": trained["dirty"],
        "data_md5": facts.data_md5,
        "window": facts.trained_on,
        "rows": facts.rows,
        "runtime": facts.runtime,
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
        "trained": trained["started"],
        "seconds": trained["seconds"],
        "peak_memory_mb": trained["peak_memory_mb"],
        "registered_by": record.tags["registered_by"],
        "approved_by": record.tags.get(APPROVED_BY) or None,
        "image": record.tags.get("image"),
        "audit": [
            line
            for line in audit.read()
            if line["model"] == params.name and number in (line["from"], line["to"])
        ],
    }


def field(told: dict[str, Any], params: Params, name: str) -> str:
    """Return one field of :func:`lineage` as text, empty when its value is unknown.

    In a workflow, an image is refused that is not one of this repository: it would be deployed.
    """
    if name not in told:
        raise MlopsError(f"a version has no field {name!r}; it has {', '.join(told)}")
    value = told[name]
    if name == "image" and value:
        images.check(value, params.serving.former_images)
    return value if isinstance(value, str) else "" if value is None else json.dumps(value)


def record_image(client: "MlflowClient", params: Params, version: int | str, image: str) -> int:
    """Note on a version which container image serves it, and return the version's number.

    ``image`` is ``host/path@sha256:...``: a tag would mean another image tomorrow.
    """
    images.check(image, params.serving.former_images)
    with tracking.answers(client.tracking_uri), tracking.store_lock():
        record = model_version.resolve(client, params.name, version)
        client.set_model_version_tag(record.name, record.version, "image", image)
    return int(record.version)


def _trained() -> ModelArtifact:
    """Return the trained model, after checking that its files are of one training."""
    model = model_folder.load(files.MODEL)
    whole = (files.MODEL / model_folder.SKOPS).is_file()
    if not whole or files.md5(model.model_path) != model.facts.model_md5:
        raise DamagedError(f"{files.MODEL} is not what one training wrote; {files.MEND}")
    return model


def _tags(
    facts: Facts, trained: dict[str, Any], metrics: dict[str, Any], comparison: dict[str, Any]
) -> dict[str, str]:
    champion = comparison["champion"]
    scores = {name: value for name, value in metrics.items() if isinstance(value, float)}
    return {
        "git_commit": trained["commit"] or NONE,
        "git_dirty": str(trained["dirty"]).lower(),
        "data_md5": facts.data_md5,
        "model_md5": facts.model_md5,
        "window": facts.trained_on,
        "rows": str(facts.rows),
        "finding": comparison["finding"],
        "passed": str(comparison["passed"]).lower(),
        "compared_with": str(champion["version"]) if champion else NONE,
        "registered_by": audit.who(),
        **{f"metric.{name}": str(value) for name, value in scores.items()},
    }


def _ensure_model(client: "MlflowClient", name: str) -> None:
    from mlflow.exceptions import MlflowException

    try:
        client.create_registered_model(name)
    except MlflowException as error:
        if error.error_code != "RESOURCE_ALREADY_EXISTS":
            raise
