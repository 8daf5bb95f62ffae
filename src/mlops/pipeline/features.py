"""Stage ``features``: the rows that train as features, the rows that judge as they came."""

import inspect
from pathlib import Path

import pandas as pd

from mlops.artifact.model_folder import load_features, to_matrix
from mlops.artifact.table import Inputs, in_window, read, to_columns
from mlops.project import files
from mlops.project.params import Params

TARGET = "target"  # in data/train.parquet, after the features


def run(params: Params) -> None:
    """Write ``data/train.parquet`` (float32 features and target) and ``data/holdout.parquet``.

    The holdout keeps its raw columns: a champion is asked with the features of its own time.
    """
    table = read(files.RAW)
    times = table[params.data.time]
    training = table[in_window(times, params.data.window)].reset_index(drop=True)
    holdout = table[in_window(times, params.data.holdout)].reset_index(drop=True)

    target = params.data.target
    built = load_features(source())(Inputs(to_columns(training), target))
    features = pd.DataFrame(to_matrix(built), columns=list(built))
    features.insert(len(built), TARGET, training[target], allow_duplicates=False)
    files.write_atomic(files.TRAIN, lambda path: features.to_parquet(path, index=False))
    files.write_atomic(files.HOLDOUT, lambda path: holdout.to_parquet(path, index=False))
    print(
        f"{len(training):,} rows of {params.data.window} train with {len(built)} features, "
        f"{len(holdout):,} rows of {params.data.holdout} judge"
    )


def source() -> Path:
    """Return the file that holds the project's ``build_features``; it travels with the model."""
    from model import build_features

    return Path(inspect.getfile(build_features))
