"""Which rows train, and which judge: by time, or by a hash that no other row changes."""

from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlops.artifact.table import in_window, to_columns
from mlops.project.errors import MlopsError
from mlops.project.files import PARAMS
from mlops.project.params import Data

Hashes = npt.NDArray[np.uint64]
Mask = npt.NDArray[np.bool_]


def sides(table: pd.DataFrame, data: Data) -> tuple[Mask, Mask]:
    """Return masks of the rows that train and of those that judge, as ``data.split`` says.

    Raises
    ------
    MlopsError
        When a column that the split is made by is not there, or has gaps.
    """
    if data.hashed:
        judges = place(table, data) < data.share
        return ~judges, judges
    times = table[data.time]
    window, holdout = data.windows
    return in_window(times, window).to_numpy(), in_window(times, holdout).to_numpy()


def place(table: pd.DataFrame, data: Data) -> npt.NDArray[np.float64]:
    """Return for each row a number from 0 to 1 that only its own values decide."""
    if unknown := [name for name in data.by if name not in table]:
        raise MlopsError(
            f"{PARAMS}: data.by: got {unknown[0]!r}; the data has no such column; it has "
            f"{', '.join(map(str, table.columns))}"
        )
    for name in data.by:
        if gaps := int(table[name].isna().sum()):
            raise MlopsError(
                f"{PARAMS}: data.by: {name!r} is missing in {gaps:,} rows, which so have no side; "
                "fill it, or leave them out, in src/model/data.py"
            )
    columns = data.by or [name for name in table.columns if name != data.target]
    return hashes(table, columns, times=True) / 2.0**64


def hashes(table: pd.DataFrame, columns: list[str], *, times: bool = False) -> Hashes:
    """Return a hash of each row, the same for 1, 1.0 and a category 1; of ``times`` if asked."""
    values = to_columns(table[columns])
    plain = {name: _plain(one) for name, one in values.items() if times or one.dtype.kind != "M"}
    return np.asarray(pd.util.hash_pandas_object(pd.DataFrame(plain), index=False), np.uint64)


def _plain(values: npt.NDArray[Any]) -> "pd.Series[Any]":
    if values.dtype.kind == "M":
        return pd.Series(values.astype("datetime64[us]").astype(np.int64))
    column = pd.Series(values).infer_objects()
    if pd.api.types.is_numeric_dtype(column):
        return column.astype(np.float64) + 0.0  # of -0.0 it makes 0.0
    return column.astype(str)
