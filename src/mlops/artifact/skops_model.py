"""``model.skops``: the estimator in a file that runs no code, the same bytes each time.

With ``serving.runtime: skops`` it is also what predicts, for estimators that ONNX cannot express.
"""

import io
import json
import zipfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt

from mlops.artifact.features import Asked, to_table
from mlops.project.errors import MlopsError, first_line
from mlops.project.params import Task

LOCK = "requirements-serve-skops.txt"
# Where scikit-learn keeps what tests, downloads, prints and starts processes: no part of a model.
NOT_OF_A_MODEL = {"callback", "conftest", "datasets", "externals", "tests", "utils"}
# What loading a file may make, with arguments of the file's own, besides estimators: no function.
TYPES = {
    "collections.OrderedDict",  # of LightGBM's scores in training
    "functools.partial",  # binds arguments to a function that is judged by its own name
    "numpy.dtype",
    "scipy.interpolate._bsplines.BSpline",  # of a SplineTransformer
    "sklearn.utils._bunch.Bunch",
    "sklearn.utils._metadata_requests.MetadataRequest",  # of a scorer, as is the next
    "sklearn.utils._metadata_requests.MethodMetadataRequest",
}
# What a file may name, for the estimator to call on what it is given in turn; loading calls none of
# them. They compute from their arguments and do nothing else.
HELD = {
    *(f"numpy.{name}" for name in ("clip", "max", "mean", "median", "min", "nan_to_num")),
    "scipy._lib.array_api_compat.numpy._aliases.asarray",  # within a BSpline
    "sklearn.utils.validation.check_array",  # what HistGradientBoosting does before it bins
}
# Of LightGBM and XGBoost, the estimators and what holds their trees. It gets these from the
# library's own reader, as text (LightGBM) or UBJSON (XGBoost), which looks up no Python; what else
# it holds is judged by its own name. Other classes would take an address in memory as it stands in
# a file. The reader is C++: as with ONNX, who loads trees relies on it to survive forged ones.
TREES = {
    "lightgbm.basic.Booster",
    "lightgbm.sklearn.LGBMClassifier",
    "lightgbm.sklearn.LGBMRegressor",
    "xgboost.core.Booster",
    "xgboost.sklearn.XGBClassifier",
    "xgboost.sklearn.XGBRegressor",
}
# These publish functions that score features and predictions.
SCORES = ("sklearn.feature_selection", "sklearn.metrics")

Predict = Callable[[Asked], npt.NDArray[Any]]


def dump(estimator: Any) -> bytes:
    """Return the estimator as a skops file.

    skops names arrays and objects by where they lie in memory, and the archive's entries carry the
    time; here they are counted, and the time is the zip format's first.
    """
    import skops.io

    try:
        content = skops.io.dumps(estimator)
    except Exception as error:  # UnsupportedTypeException, or what the estimator's own state raises
        raise MlopsError(
            f"src/model/estimator.py: skops cannot write {type(estimator).__name__} "
            f"({first_line(error)}), and the registry keeps models in its files; choose other steps"
        ) from None
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
        When one could run code, which nobody should load.
    """
    import skops.io

    types: list[str] = skops.io.get_untrusted_types(file=path)
    with zipfile.ZipFile(path) as archive:
        schema = json.loads(archive.read("schema.json"))
    if foreign := [one for one in types if not _is_trusted(one)] or sorted(_called(schema)):
        raise MlopsError(
            f"{path} needs {', '.join(foreign)}; only types of scikit-learn, LightGBM and XGBoost "
            "can be loaded without running code from the file: build the estimator from those "
            "(src/model/estimator.py)"
        )
    return types


def _called(node: Any) -> set[str]:
    """Return what a file calls and may only restore, or hold.

    A booster could read any other file; a function would get arguments that nobody has looked at.
    """
    if isinstance(node, list):
        return set[str]().union(*map(_called, node))
    if not isinstance(node, dict):
        return set()
    found = set[str]().union(*map(_called, node.values()))
    name = f"{node.get('__module__')}.{node.get('__class__')}"
    only = "ObjectNode" if name in TREES else "FunctionNode" if _is_held(name) else None
    if only and node.get("__loader__") != only:
        found.add(f"{name}()")
    return found


def _is_trusted(name: str) -> bool:
    """Whether ``name`` is a class that a model consists of, or a function that it may hold.

    Such a class of scikit-learn computes nothing before it is asked to predict. (Its arrays may be
    forged, so that a tree reads beyond them: a file can still crash who predicts with it, but not
    command them.)
    """
    module, _, attribute = name.rpartition(".")
    parts = module.split(".")
    if name in TYPES or name in TREES or _is_held(name):
        return True
    if parts[0] != "sklearn" or NOT_OF_A_MODEL.intersection(parts):
        return False
    found = _found(module, attribute)
    return isinstance(found, type) and f"{found.__module__}.{found.__qualname__}" == name


def _is_held(name: str) -> bool:
    """Whether ``name`` is a function that a model may hold: one of ours, or a published score."""
    module, _, attribute = name.rpartition(".")
    for scores in SCORES:
        if module.startswith(f"{scores}."):
            found = _found(module, attribute)
            published = getattr(import_module(scores), attribute, None)
            return found is not None and found is published and not isinstance(found, type)
    return name in HELD


def _found(module: str, attribute: str) -> Any:
    """Return what a module has under a name; None where there is no such thing."""
    try:
        return getattr(import_module(module), attribute)
    except (ImportError, AttributeError):  # such as a method, whose class is no module
        return None


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
    trusted = trusted_types(path)
    try:
        return skops.io.load(path, trusted=trusted)
    except Exception as error:  # what skops writes and cannot read again; the types tell little
        raise MlopsError(f"{path} cannot be loaded ({first_line(error)})") from None


def predictor(path: Path, task: Task) -> Predict:
    """Return what predicts from features, on one thread.

    The predictions have the shapes of :meth:`mlops.artifact.model_folder.ModelArtifact.predict`.
    """
    estimator = load(path)
    from threadpoolctl import ThreadpoolController

    # Sums keep their order, and one row is too small to share.
    alone = {name: 1 for name in estimator.get_params() if name.split("__")[-1] == "n_jobs"}
    estimator.set_params(**alone)
    threads = ThreadpoolController()

    def predict(asked: Asked) -> npt.NDArray[Any]:
        with threads.limit(limits=1):
            return predictions(estimator, task, asked)

    return predict


def predictions(estimator: Any, task: Task, asked: Asked) -> npt.NDArray[Any]:
    """Ask a fitted estimator; returns what :meth:`ModelArtifact.ask` does."""
    table = to_table(asked)
    if task == "regression":
        return np.asarray(estimator.predict(table), np.float64).reshape(len(table))
    output = np.asarray(estimator.predict_proba(table), np.float64)
    return output[:, 1] if task == "binary" else output
