"""What `mlops export` wrote, as the smoke test and the canary hold it against a running service."""

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mlops.artifact import model_folder
from mlops.artifact.model_folder import Facts
from mlops.project import files
from mlops.project.errors import MlopsError

MODEL = "model"
VERSION = "version.json"
SAMPLE = "sample.json"
UNREGISTERED = "0"  # the version that a service says it serves when there is no version.json


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
    sample = _json(folder / SAMPLE, again)
    try:
        number = UNREGISTERED if version is None else str(version["version"])
        return Exported(folder, loaded.facts, number, _sample(sample))
    except (KeyError, TypeError, ValueError) as error:
        raise MlopsError(
            f"{folder}: {VERSION} or {SAMPLE} is damaged ({type(error).__name__}: {error}); {again}"
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
