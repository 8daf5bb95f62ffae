"""The user's ``build_features``: loaded from its file, given raw columns, held to its contract."""

import ast
import sys
import types
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from mlops.artifact.features import Array
from mlops.project.errors import MlopsError
from mlops.project.user_code import running, shortened

BuildFeatures = Callable[[Mapping[str, Array]], dict[str, Array]]


def load_features(path: Path) -> BuildFeatures:
    """Load ``build_features`` from a file, which must stand on its own.

    Raises
    ------
    MlopsError
        When the file imports more than NumPy and the standard library: it would not run in the
        service, nor beside another version of the project.
    """
    text = path.read_text(encoding="utf-8")
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            names = ["." * node.level + (node.module or "")]
        else:
            continue
        for name in names:
            if name.split(".")[0] not in {"numpy", *sys.stdlib_module_names}:
                raise MlopsError(
                    f"{path}:{node.lineno} imports {name}; features may import only numpy and the "
                    "standard library, because the file travels with the model"
                )
    # Not imported: that would leave bytecode beside the file, in a folder whose content is hashed.
    module = types.ModuleType("model_features")
    exec(compile(text, str(path), "exec"), module.__dict__)  # noqa: S102 - by whoever trusts it
    build: BuildFeatures = module.build_features
    return build


class Inputs(Mapping[str, Array]):
    """The raw columns without the target, remembering which of them ``build_features`` reads.

    Parameters
    ----------
    columns : mapping of str to array of shape (n,)
        May lack the ``unfit``: those that a request to the service cannot hold.
    """

    def __init__(
        self, columns: Mapping[str, Array], target: str, unfit: Collection[str] = ()
    ) -> None:
        self._columns = {name: values for name, values in columns.items() if name != target}
        self._target, self._unfit = target, unfit
        self._read: set[str] = set()

    def __getitem__(self, name: str) -> Array:
        if name == self._target:
            raise MlopsError(
                f"src/model/features.py reads {name!r}, the target (params.yaml: data.target); "
                "when a prediction is asked for, nobody knows it yet"
            )
        if name in self._unfit:
            raise MlopsError(
                f"src/model/features.py reads column {name!r}, whose values a request to the "
                "service cannot hold as JSON; make it text, numbers or times in src/model/data.py"
            )
        if name not in self._columns:
            raise MlopsError(
                f"src/model/features.py reads column {name!r}, which the raw data does not have; "
                f"it has {', '.join(self._columns)}"
            )
        self._read.add(name)
        return self._columns[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)

    @property
    def read(self) -> list[str]:
        """Names of the columns read so far, in the table's order."""
        return [name for name in self._columns if name in self._read]


def build(path: Path, inputs: Mapping[str, Array], rows: int) -> dict[str, Array]:
    """Return what ``build_features`` makes of ``rows`` rows: arrays of numbers, or of texts.

    Raises
    ------
    MlopsError
        When it stops, or a feature is not one number or one text for each row.
    """
    with running("build_features"):
        built = load_features(path)(inputs)
    where = f"{path.parent.name}/{path.name}: build_features returns"
    if not isinstance(built, dict) or not built:
        got = f"{type(built).__name__}" if not isinstance(built, dict) else "no features"
        raise MlopsError(f"src/{where} {got}; expected a dict of arrays by feature")
    for name, values in built.items():
        if not isinstance(name, str):
            raise MlopsError(f"src/{where} a feature named {name!r}; expected a text as its name")
        if problem := _problem(values, rows):
            raise MlopsError(
                f"src/{where} {problem} for feature {name!r}; expected {rows:,} numbers, or as "
                "many texts, one for each row"
            )
    return {name: _plain(np.asarray(values)) for name, values in built.items()}


def is_text(values: Array) -> bool:
    """Return whether a feature is text."""
    if values.dtype.kind != "O":
        return values.dtype.kind == "U"
    return any(isinstance(value, str) for value in values.tolist())


def _plain(values: Array) -> Array:
    """Return texts as objects, whatever type they came in, and other objects as numbers."""
    if is_text(values):
        return values.astype(object)
    return values.astype(np.float64) if values.dtype == object else values


def _problem(values: Any, rows: int) -> str | None:
    """Say what makes of a feature something else than one number, or text, for each row."""
    try:
        array = np.asarray(values)
    except ValueError as error:
        return shortened(str(error), 80)
    if array.shape != (rows,):
        return f"an array of shape {array.shape}"
    if array.dtype.kind in "biufU":
        return None
    if array.dtype.kind != "O":
        return f"{array.dtype}"
    if is_text(array):
        odd = [it for it in array.tolist() if not (it is None or it != it or isinstance(it, str))]
        return f"texts, and {shortened(repr(odd[0]), 60)} among them," if odd else None
    try:
        array.astype(np.float32)
    except (TypeError, ValueError) as error:
        return f"{array.dtype} ({shortened(str(error), 80)})"
    return None
