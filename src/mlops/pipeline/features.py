"""Stage ``features``: the rows that train as features, the rows that judge as they came."""

import inspect
from collections.abc import Mapping
from pathlib import Path

import pandas as pd
import pyarrow.parquet as pq

from mlops.artifact.feature_code import is_text
from mlops.artifact.features import Array, Asked, to_features
from mlops.artifact.parts import Writer, deciding, many, parts
from mlops.artifact.sandbox import FeatureCode
from mlops.artifact.split import sides
from mlops.artifact.table import read, to_columns, to_target
from mlops.project import files
from mlops.project.params import Params
from mlops.project.user_code import running

TARGET = "target"  # the last column of data/train.parquet


def run(params: Params, path: Path | None = None) -> None:
    """Write ``data/train.parquet`` (features and target) and ``data/holdout.parquet``.

    The holdout keeps its raw columns: a champion is asked with the features of its own time.
    ``path`` is the file with ``build_features``, by default the project's.
    """
    code = FeatureCode(path or source(), params.data.target)
    if many(files.CHECKED) and (needed := deciding(params)):
        learns, features, judging = by_part(params, code, [it for it in needed if it in _names()])
    else:
        table = read(files.CHECKED)
        trains, judges = sides(table, params.data)
        training, holdout = (
            featured(table[trains], params, code),
            table[judges].reset_index(drop=True),
        )
        files.write_atomic(files.TRAIN, lambda path: training.to_parquet(path, index=False))
        files.write_atomic(files.HOLDOUT, lambda path: holdout.to_parquet(path, index=False))
        learns, features, judging = len(training), len(training.columns) - 1, len(holdout)
    print(
        f"{learns:,} rows of {params.data.training} train with {features} features, "
        f"{judging:,} rows of {params.data.judging} judge"
    )


def featured(
    rows: pd.DataFrame, params: Params, code: FeatureCode, named: list[str] | None = None
) -> pd.DataFrame:
    """Return the features of rows that train, and their target last.

    ``named`` are the texts among them, by default as they look.
    """
    built = code.build(to_columns(rows))
    asked = to_features(built, texts(built) if named is None else named)
    features = pd.DataFrame(asked, columns=list(built))
    name = TARGET
    while name in built:  # a feature may be called so
        name += "_"
    features[name] = to_target(rows[params.data.target], params.task)
    return features


def by_part(params: Params, code: FeatureCode, needed: list[str]) -> tuple[int, int, int]:
    """Write both for a table of many rows; returns rows that train, features, rows that judge."""
    trains, judges = sides(read(files.CHECKED, needed), params.data)
    named: list[str] | None = None
    width = 0

    def fill(training: Path, holdout: Path) -> tuple[int, int]:
        nonlocal named, width
        with Writer(training, "build_features:") as learns, Writer(holdout, "the data:") as unseen:
            for part in parts(files.CHECKED):
                if (here := trains[part.index]).any():
                    features = featured(part[here], params, code, named)
                    named, width = _not_numbers(features.iloc[:, :-1]), len(features.columns) - 1
                    learns.add(features)
                if (here := judges[part.index]).any():
                    unseen.add(part[here])
            return learns.rows, unseen.rows

    rows: list[int] = []

    def both(training: Path) -> None:
        files.write_atomic(files.HOLDOUT, lambda holdout: rows.extend(fill(training, holdout)))

    files.write_atomic(files.TRAIN, both)
    return rows[0], width, rows[1]


def _names() -> list[str]:
    return list(pq.read_schema(files.CHECKED).names)


def learned() -> tuple[Asked, list[str], list[str], Array]:
    """Read ``data/train.parquet``: features, their names, the names of texts, and the target."""
    training = read(files.TRAIN)
    y = training.pop(training.columns[-1]).to_numpy()
    named = _not_numbers(training)
    features = {str(name): values.to_numpy() for name, values in training.items()}
    return to_features(features, named), list(features), named, y


def _not_numbers(table: pd.DataFrame) -> list[str]:
    return [str(name) for name in table if not pd.api.types.is_numeric_dtype(table[name])]


def texts(built: Mapping[str, Array]) -> list[str]:
    """Name the features that are texts."""
    return [name for name, values in built.items() if is_text(values)]


def source() -> Path:
    """Return the file that holds the project's ``build_features``; it travels with the model."""
    with running("build_features"):
        import model  # not from it: an AttributeError in the user's file would become another error

        return Path(inspect.getfile(model.build_features))
