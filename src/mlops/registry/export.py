"""``mlops export``: a registered version as a folder, with all that a service needs of it.

The smoke test and the canary read it back, to hold it against a running service.

``model/``
    What predicts, ``features.py``, ``model.json`` and ``version.json``, the lineage.
``sample.json``
    Rows and the scores they must get (:mod:`mlops.artifact.sample`).
``model_card.md``
    What the model is for, how good it is, and how it came to be (:mod:`mlops.registry.card`).
"""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from mlops.artifact import model_folder, sample
from mlops.artifact.model_folder import Facts
from mlops.project import actions, files, folders, images
from mlops.project.errors import MlopsError
from mlops.project.params import Params
from mlops.registry import card, model_version, tracking

if TYPE_CHECKING:
    from mlflow import MlflowClient

MODEL = "model"
VERSION = "version.json"
UNREGISTERED = "unregistered"  # what a service says where there is no version.json


def run(client: "MlflowClient", params: Params, directory: Path, version: int | str) -> list[str]:
    """Write a version to ``directory``, which is replaced as a whole or not at all.

    Returns what was done, and what is missing, in sentences.

    Raises
    ------
    MlopsError
        When the version does not exist, its model is not what was registered, its image is, in a
        workflow, not one of this repository, or ``directory`` holds something that no export wrote.
    """
    folders.finish_replacing(directory)
    _check_target(directory)
    with tracking.answers(client.tracking_uri):
        record = model_version.resolve(client, params.name, version)
        model = model_version.load(client, record)
    if image := record.tags.get("image"):
        images.check(image, params.serving.former_images)
    on_card = card.collect(client, params, int(record.version))
    told = {name: value for name, value in on_card["told"].items() if name != "audit"}

    def fill(folder: Path) -> None:
        (folder / MODEL).mkdir()
        for name in (model.facts.model_file, model_folder.FEATURES, model_folder.FACTS):
            shutil.copyfile(model.folder / name, folder / MODEL / name)
        files.write_json(folder / MODEL / VERSION, told)
        files.write_text(folder / files.MODEL_CARD.name, card.render(on_card))
        if (model.folder / sample.NAME).is_file():
            shutil.copyfile(model.folder / sample.NAME, folder / sample.NAME)

    folders.replace(directory, folders.fill_beside(directory, fill))
    shutil.rmtree(folders.aside(directory), ignore_errors=True)
    actions.outputs(
        version=str(told["version"]), image=told["image"] or "", compared_with=told["compared_with"]
    )
    sentences = [f"{record.name} version {record.version} is in {directory}"]
    if not (directory / sample.NAME).is_file():
        sentences.append(
            f"it has no {sample.NAME}, because it was trained before models had one; "
            "`mlops smoke` cannot compare scores"
        )
    return sentences


def _check_target(directory: Path) -> None:
    if directory.exists() and not directory.is_dir():
        raise MlopsError(f"{directory} is a file; name a folder to export to")
    held = {path.name for path in directory.iterdir()} if directory.exists() else set()
    if others := held - {MODEL, sample.NAME, files.MODEL_CARD.name}:
        raise MlopsError(
            f"{directory} holds {min(others)}, which is no part of an export; name another folder"
        )
    # A folder named model may be anything; only an export's holds the lineage.
    if MODEL in held and not (directory / MODEL / VERSION).is_file():
        raise MlopsError(f"{directory / MODEL} is not from an export; name another folder")


@dataclass(frozen=True)
class Sample:
    """Rows of the holdout, and the ``k`` offline scores of each (one, but for multiclass)."""

    rows: list[dict[str, Any]]
    scores: list[list[float]]


@dataclass(frozen=True)
class Exported:
    """A version in a folder; ``sample`` is None for one registered before there were samples."""

    folder: Path
    facts: Facts
    version: str
    sample: Sample | None

    @property
    def classes(self) -> list[str] | None:
        """The classes whose scores a service gives by name; None when it gives one score."""
        if self.facts.task != "multiclass":
            return None
        return [str(name) for name in self.facts.classes or ()]


def read(folder: Path) -> Exported:
    """Read an export.

    Raises
    ------
    MlopsError
        When ``folder`` is no export, or its files are not those that were exported.
    """
    again = f"make it with `mlops export {folder}`"
    model = folder / MODEL
    if not (model / model_folder.FACTS).is_file():
        raise MlopsError(
            f"{folder} is not an export: {model / model_folder.FACTS} is not there; {again}"
        )
    loaded = model_folder.load(model)
    if files.md5(loaded.model_path) != loaded.facts.model_md5:
        raise MlopsError(f"{loaded.model_path} is not the model that was exported; {again}")
    version = _json(model / VERSION, again)
    rows = _json(folder / sample.NAME, again)
    try:
        number = UNREGISTERED if version is None else str(version["version"])
        return Exported(folder, loaded.facts, number, _sample(rows))
    except (KeyError, TypeError, ValueError) as error:
        raise MlopsError(
            f"{folder}: {VERSION} or {sample.NAME} is damaged ({type(error).__name__}: {error}); "
            f"{again}"
        ) from None


def _sample(content: Any) -> Sample | None:
    if content is None:
        return None
    scores = [score if isinstance(score, list) else [score] for score in content["scores"]]
    if len(scores) != len(content["rows"]):
        raise ValueError(f"{len(content['rows'])} rows have {len(scores)} scores")
    return Sample(content["rows"], scores) if scores else None


def _json(path: Path, again: str) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return None
    except ValueError as error:
        raise MlopsError(f"{path} is damaged ({error}); {again}") from None
