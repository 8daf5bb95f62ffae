"""A sketch of the rows that trained, kept with the model: which of other rows did it train on?

Of the 64-bit hashes of all rows it keeps the smallest distinct ones, a bottom-k sketch (Broder, "On
the resemblance and containment of documents", 1997): whether a row below the largest of them
trained, it knows. Times are not hashed: where ``load_data`` makes them up, as from the places in a
shuffle, a row that comes again has another one.
"""

from pathlib import Path

import numpy as np
import pandas as pd

from mlops.artifact.split import Hashes, hashes, sides
from mlops.artifact.table import read
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Data

NAME = "rows.npy"
SIZE = 4096
FEWEST = 100  # rows; a share of fewer says too little
NOTABLE = 0.05  # share of rows; some come twice by chance


def training(data: Data, columns: list[str]) -> Hashes:
    """Return a hash of each row that trains."""
    table = _read(data, columns)
    return hashes(table[sides(table, data)[0]], columns)


def judging(data: Data, columns: list[str]) -> tuple[Hashes, Hashes]:
    """Return a hash of each row that judges, and of each other row."""
    table = _read(data, columns)
    hashed, judges = hashes(table, columns), sides(table, data)[1]
    return hashed[judges], hashed[~judges]


def _read(data: Data, columns: list[str]) -> pd.DataFrame:
    """Read these columns, and those that the split is made by."""
    if data.hashed:
        return read(files.CHECKED, list(dict.fromkeys([*data.by, *columns])) if data.by else None)
    assert data.time
    return read(files.CHECKED, list(dict.fromkeys([data.time, *columns])))


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
