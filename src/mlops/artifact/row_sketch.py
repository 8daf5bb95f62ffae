"""A sketch of the rows that trained, kept with the model: which of other rows did it train on?

Of the 64-bit hashes of all rows it keeps the smallest distinct ones, a bottom-k sketch (Broder, "On
the resemblance and containment of documents", 1997): whether a row below the largest of them
trained, it knows. Times are not hashed: where ``load_data`` makes them up, as from the places in a
shuffle, a row that comes again has another one.
"""

from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlops.artifact.table import in_window, read, to_columns
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Data

Hashes = npt.NDArray[np.uint64]

NAME = "rows.npy"
SIZE = 4096
FEWEST = 100  # rows; a share of fewer says too little
NOTABLE = 0.05  # share of rows; some come twice by chance


def training(data: Data, columns: list[str]) -> Hashes:
    """Return a hash of each row of ``data.window``."""
    table = _read(data, columns)
    return hashes(table[in_window(table[data.time], data.window)], columns)


def judging(data: Data, columns: list[str]) -> tuple[Hashes, Hashes]:
    """Return a hash of each row of ``data.holdout``, and of each row outside of it."""
    table = _read(data, columns)
    hashed, inside = hashes(table, columns), in_window(table[data.time], data.holdout).to_numpy()
    return hashed[inside], hashed[~inside]


def _read(data: Data, columns: list[str]) -> pd.DataFrame:
    return read(files.CHECKED, list(dict.fromkeys([data.time, *columns])))


def hashes(table: pd.DataFrame, columns: list[str]) -> Hashes:
    """Return a hash of each row, the same for 1, 1.0 and a category 1."""
    values = to_columns(table[columns])
    plain = {name: _plain(one) for name, one in values.items() if one.dtype.kind != "M"}
    return np.asarray(pd.util.hash_pandas_object(pd.DataFrame(plain), index=False), np.uint64)


def _plain(values: npt.NDArray[np.generic]) -> "pd.Series[float] | pd.Series[str]":
    column = pd.Series(values).infer_objects()
    if pd.api.types.is_numeric_dtype(column):
        return column.astype(np.float64) + 0.0  # of -0.0 it makes 0.0
    return column.astype(str)


def write(folder: Path, hashed: Hashes) -> None:
    smallest = np.unique(hashed)[:SIZE]
    files.write_atomic(folder / NAME, lambda path: np.save(path, smallest))


def load(folder: Path) -> Hashes | None:
    """Return the sketch in a model folder, None for a model from before there were any."""
    path = folder / NAME
    try:
        return np.load(path, allow_pickle=False) if path.is_file() else None
    except ValueError as error:
        raise MlopsError(f"{path} is damaged ({error}); `mlops store restore DIR`") from None


def seen(sketch: Hashes, rows: Hashes, others: Hashes) -> float | None:
    """Return which share of ``rows`` is in what was sketched, None when too few can be told.

    Without those that are only equal by chance, as where all columns are categories. Were that all,
    ``others``, the rows of today that do not judge, would hold as many: no row having moved, those
    sketched are among them. What is not notable is 0.
    """
    if len(sketch) == SIZE:
        rows = rows[rows <= sketch[-1]]
        if len(rows) < FEWEST:
            return None
    equal, by_chance = (float(np.isin(rows, these).mean()) for these in (sketch, others))
    more = equal - by_chance
    return more / (1 - by_chance) if more > NOTABLE else 0.0
