"""The raw table: its rows by time, its columns as arrays."""

from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd
import pyarrow

from mlops.project import files
from mlops.project.errors import DamagedError, MlopsError
from mlops.project.params import Task, Window

Array = npt.NDArray[Any]
Nullable = pd.api.extensions.ExtensionDtype


def read(path: Path, columns: list[str] | None = None) -> pd.DataFrame:
    """Read a table that an earlier stage wrote, or some columns of it."""
    try:
        return pd.read_parquet(path, columns=columns)
    except FileNotFoundError:
        raise MlopsError(f"{path} is not there; run `dvc repro`") from None
    except pyarrow.ArrowInvalid as error:
        raise DamagedError(f"{path} is damaged ({error}); {files.MEND}") from None


def in_window(times: "pd.Series[Any]", window: Window) -> "pd.Series[bool]":
    """Return a mask of the rows whose time lies in ``window``; times without a zone are UTC."""
    zone = times.dt.tz
    after = pd.Timestamp(window.first_day_after, tz=zone)
    return (times >= pd.Timestamp(window.first_day, tz=zone)) & (times < after)


def to_columns(table: pd.DataFrame) -> dict[str, Array]:
    """Split ``table`` into arrays of shape (n,): times as UTC ``datetime64``, text as ``object``.

    A missing number or text is NaN, a missing time NaT; numbers of pandas' nullable types become
    floats. This is the form that ``build_features`` gets, in training and in the service.
    """
    columns: dict[str, Array] = {}
    for name, series in table.items():
        if isinstance(series.dtype, pd.DatetimeTZDtype):
            columns[str(name)] = series.dt.tz_convert("UTC").dt.tz_localize(None).to_numpy()
        elif pd.api.types.is_numeric_dtype(series) and isinstance(series.dtype, Nullable):
            columns[str(name)] = series.to_numpy(dtype=np.float64, na_value=np.nan)
        elif pd.api.types.is_numeric_dtype(series) or series.dtype.kind == "M":
            columns[str(name)] = series.to_numpy()
        else:
            columns[str(name)] = series.to_numpy(dtype=object, na_value=np.nan)
    return columns


def to_target(values: "pd.Series[Any]", task: Task) -> Array:
    """Return target values of shape (n,) as models learn them, whatever type a database gave.

    Numbers for a regression. Classes as integers where they are whole numbers or true and false,
    else as text; where some are missing, as they are.
    """
    if task == "regression":
        return values.to_numpy(dtype=np.float64, na_value=np.nan)
    if isinstance(values.dtype, pd.CategoricalDtype):
        values = values.astype(values.cat.categories.dtype)
    plain = to_columns(values.to_frame())[str(values.name)]
    whole = plain.dtype.kind in "biuf" and not (plain != np.floor(plain)).any()
    return plain.astype(np.int64) if whole else plain
