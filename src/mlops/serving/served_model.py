"""The model that is served, with what is known about where it came from."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from mlops.artifact import model_folder
from mlops.artifact.model_folder import Facts, ModelArtifact
from mlops.project import files
from mlops.project.errors import MlopsError

VERSION = "version.json"
UNREGISTERED = "unregistered"


@dataclass(frozen=True)
class ServedModel:
    """A model and its identity; ``version`` says so when it comes from no registry."""

    artifact: ModelArtifact
    name: str
    version: str
    lineage: dict[str, Any]

    @property
    def facts(self) -> Facts:
        return self.artifact.facts

    def describe(self) -> dict[str, Any]:
        """Return what ``GET /model`` says: the lineage, and what the model is asked with."""
        facts = self.facts
        return {
            "commit": None,
            "metrics": {},
            **self.lineage,
            "name": self.name,
            "version": self.version,
            "model_md5": facts.model_md5,
            "task": facts.task,
            "target": facts.target,
            **({} if facts.threshold is None else {"threshold": facts.threshold}),
            "classes": None if facts.classes is None else [str(one) for one in facts.classes],
            "window": facts.trained_on,
            "rows": facts.rows,
            "data_md5": facts.data_md5,
            "features": facts.features,
            "columns": [column.model_dump() for column in facts.columns],
        }


def load(folder: Path, name: str = "") -> ServedModel:
    """Load a model folder, refusing one that cannot be served.

    ``name`` is that of a model which comes from no registry; by default, that of its folder.

    Raises
    ------
    MlopsError
        When the folder is incomplete, damaged or from before models described their columns.
    """
    loaded = model_folder.load(folder)
    if (md5 := files.md5(loaded.model_path)) != loaded.facts.model_md5:
        raise MlopsError(
            f"{loaded.model_path} is damaged: its MD5 is {md5}, "
            f"{model_folder.FACTS} says {loaded.facts.model_md5}"
        )
    if not loaded.facts.columns:
        raise MlopsError(
            f"{folder / model_folder.FACTS} does not say what a request may hold (columns), "
            "because the model is from before the service; train it again"
        )
    lineage = _lineage(folder / VERSION)
    name = str(lineage.get("name", name or folder.resolve().name))
    return ServedModel(loaded, name, str(lineage.get("version", UNREGISTERED)), lineage)


def _lineage(path: Path) -> dict[str, Any]:
    try:
        lineage: dict[str, Any] = msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
    except FileNotFoundError:
        return {}
    except msgspec.MsgspecError as error:
        raise MlopsError(f"{path} is damaged: {error}; export the version again") from None
    return lineage
