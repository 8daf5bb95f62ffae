"""Stage ``features``: the rows that train as features, the rows that judge as they came."""

import inspect
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from mlops.artifact.features import Array, Asked, to_features
from mlops.artifact.model_folder import load_features
from mlops.artifact.split import sides
from mlops.artifact.table import Inputs, read, to_columns, to_target
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Params
from mlops.project.user_code import running, shortened

TARGET = "target"  # the last column of data/train.parquet


def run(params: Params) -> None:
    """Write ``data/train.parquet`` (features and target) and ``data/holdout.parquet``.

    The holdout keeps its raw columns: a champion is asked with the features of its own time.
    """
    table = read(files.CHECKED)
    trains, judges = sides(table, params.data)
    training, holdout = table[trains].reset_index(drop=True), table[judges].reset_index(drop=True)

    target = params.data.target
    built = build(Inputs(to_columns(training), target), len(training))
    asked = to_features(built, texts(built))
    features = pd.DataFrame(asked, columns=list(built))
    name = TARGET
    while name in built:  # a feature may be called so
        name += "_"
    features[name] = to_target(training[target], params.task)
    files.write_atomic(files.TRAIN, lambda path: features.to_parquet(path, index=False))
    files.write_atomic(files.HOLDOUT, lambda path: holdout.to_parquet(path, index=False))
    print(
        f"{len(training):,} rows of {params.data.training} train with {len(built)} features, "
        f"{len(holdout):,} rows of {params.data.judging} judge"
    )


def learned() -> tuple[Asked, list[str], list[str], Array]:
    """Read ``data/train.parquet``: features, their names, the names of texts, and the target."""
    training = read(files.TRAIN)
    y = training.pop(training.columns[-1]).to_numpy()
    named = [str(name) for name in training if not pd.api.types.is_numeric_dtype(training[name])]
    features = {str(name): values.to_numpy() for name, values in training.items()}
    return to_features(features, named), list(features), named, y


def texts(built: Mapping[str, Array]) -> list[str]:
    """Name the features that are texts."""
    return [name for name, values in built.items() if _is_text(np.asarray(values))]


def _is_text(values: Array) -> bool:
    if values.dtype.kind != "O":
        return values.dtype.kind == "U"
    return any(isinstance(value, str) for value in values.tolist())


def build(inputs: Mapping[str, Array], rows: int) -> dict[str, Array]:
    """Return what the project's ``build_features`` makes of ``rows`` rows.

    Raises
    ------
    MlopsError
        When it stops, or a feature is not one number or one text for each row.
    """
    with running("build_features"):
        built = load_features(source())(inputs)
    where = f"{source().parent.name}/{source().name}: build_features returns"
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
    return built


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
    if _is_text(array):
        odd = [it for it in array.tolist() if not (it is None or it != it or isinstance(it, str))]
        return f"texts, and {shortened(repr(odd[0]), 60)} among them," if odd else None
    try:
        array.astype(np.float32)
    except (TypeError, ValueError) as error:
        return f"{array.dtype} ({shortened(str(error), 80)})"
    return None


def source() -> Path:
    """Return the file that holds the project's ``build_features``; it travels with the model."""
    with running("build_features"):
        import model  # not from it: an AttributeError in the user's file would become another error

        return Path(inspect.getfile(model.build_features))
