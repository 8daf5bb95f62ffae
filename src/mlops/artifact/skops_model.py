"""``model.skops``: the estimator in a file that runs no code, the same bytes each time.

With ``serving.runtime: skops`` it is also what predicts, for estimators that ONNX cannot express.
"""

import io
import json
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlops.project.errors import MlopsError
from mlops.project.params import Task

LOCK = "requirements-serve-skops.txt"
# Binds arguments to a function, which is listed and judged on its own.
HARMLESS = {"functools.partial"}

Predict = Callable[[npt.NDArray[np.float32]], npt.NDArray[Any]]


def dump(estimator: Any) -> bytes:
    """Return the estimator as a skops file.

    skops names arrays and objects by where they lie in memory, and the archive's entries carry the
    time; here they are counted, and the time is the zip format's first.
    """
    import skops.io

    content = skops.io.dumps(estimator)
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        entries = {name: archive.read(name) for name in archive.namelist()}
    schema = json.loads(entries.pop("schema.json"))
    names: dict[str, str] = {}
    _count(schema, {}, names)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for old, new in names.items():
            archive.writestr(_entry(new), entries.pop(old))
        for left in sorted(entries):
            archive.writestr(_entry(left), entries[left])
        archive.writestr(_entry("schema.json"), json.dumps(schema, indent=2))
    return buffer.getvalue()


def _count(node: Any, ids: dict[int, int], names: dict[str, str]) -> None:
    """Replace the ids and file names in a schema by numbers, in the order in which they occur."""
    if isinstance(node, list):
        for part in node:
            _count(part, ids, names)
    if not isinstance(node, dict):
        return
    if isinstance(node.get("__id__"), int):
        node["__id__"] = ids.setdefault(node["__id__"], len(ids))
    if isinstance(node.get("file"), str):
        counted = f"{len(names)}{Path(node['file']).suffix}"
        node["file"] = names.setdefault(node["file"], counted)
    for part in node.values():
        _count(part, ids, names)


def _entry(name: str) -> zipfile.ZipInfo:
    entry = zipfile.ZipInfo(name)  # as of 1980
    entry.create_system = 3  # Unix, wherever this runs
    return entry


def trusted_types(path: Path) -> list[str]:
    """Return the types that loading the file needs beyond those that skops trusts.

    Raises
    ------
    MlopsError
        When one is from outside scikit-learn, which nobody could load safely.
    """
    import skops.io

    types: list[str] = skops.io.get_untrusted_types(file=path)
    if foreign := [one for one in types if not one.startswith("sklearn.") and one not in HARMLESS]:
        raise MlopsError(
            f"{path} needs {', '.join(foreign)}; only scikit-learn's own types can be loaded "
            "without running code from the file: build the estimator from those "
            "(src/model/estimator.py)"
        )
    return types


def load(path: Path) -> Any:
    """Load the estimator, refusing types that could run code.

    Raises
    ------
    MlopsError
        Also when scikit-learn and skops are not installed, as in an image for ONNX.
    """
    try:
        import skops.io
    except ModuleNotFoundError as error:
        raise MlopsError(
            f"{path} is a model of scikit-learn (serving.runtime: skops), but {error.name} is not "
            f"installed here; install what {LOCK} locks, as `make image` does for such a model"
        ) from None
    return skops.io.load(path, trusted=trusted_types(path))


def predictor(path: Path, task: Task) -> Predict:
    """Return what predicts a float32 matrix of shape (n, k), on one thread.

    The predictions have the shapes of :meth:`mlops.artifact.model_folder.ModelArtifact.predict`.
    """
    estimator = load(path)
    from threadpoolctl import ThreadpoolController

    # Sums keep their order, and one row is too small to share.
    alone = {name: 1 for name in estimator.get_params() if name.split("__")[-1] == "n_jobs"}
    estimator.set_params(**alone)
    threads = ThreadpoolController()

    def predict(matrix: npt.NDArray[np.float32]) -> npt.NDArray[Any]:
        with threads.limit(limits=1):
            if task == "regression":
                return np.asarray(estimator.predict(matrix), np.float64).reshape(len(matrix))
            output = np.asarray(estimator.predict_proba(matrix), np.float64)
        return output[:, 1] if task == "binary" else output

    return predict
