"""One pass over a window: exact numbers of every column, and a sample of the rows."""

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd
import pyarrow as pa

from mlops.artifact.table import Array
from mlops.drift.rows import Places, Rows
from mlops.drift.tally import Categories, Numbers
from mlops.project.errors import MlopsError


@dataclass(frozen=True)
class Survey:
    """What is known of a window after one pass.

    ``sampled``: whether ``sample`` has only some of the ``count`` rows. Its numbers are float64,
    NaN where they are infinite; its categories are objects, None where there is none. ``numbers``
    of computed columns are those of the sample.
    """

    rows: Rows
    count: int
    numbers: dict[str, Numbers]
    categories: dict[str, Categories]
    sample: pd.DataFrame

    @property
    def sampled(self) -> bool:
        return self.count > len(self.sample)


def survey(
    rows: Rows, numeric: Sequence[str], categorical: Sequence[str], sample_rows: int, seed: int
) -> Survey:
    """Read a window once.

    Raises
    ------
    MlopsError
        When it has no rows, or its file lacks a column or has texts for numbers.
    """
    count = rows.count()
    if not count:
        raise MlopsError(f"{rows.path} has no rows from {rows.start} to before {rows.after}")
    rows.expect_numbers(numeric)
    names = [*numeric, *categorical]
    numbers = {name: Numbers() for name in numeric}
    categories = {name: Categories() for name in categorical}
    tallies: dict[str, Numbers | Categories] = {**numbers, **categories}
    places = Places(count, sample_rows, seed)
    for batch in rows.raw_batches(names):
        for name, tally in tallies.items():
            if name not in rows.computed:
                tally.add(batch.column(name))
        places.look(batch)
    sample = rows.select(places.taken(), names)
    for name, tally in tallies.items():
        if name in rows.computed:
            tally.add(sample.column(name))
    table = {name: _floats(sample.column(name)) for name in numeric}
    text = {name: pd.Series(sample.column(name).to_pylist(), dtype=object) for name in categorical}
    return Survey(rows, count, numbers, categories, pd.DataFrame({**table, **text}))


def _floats(column: pa.Array) -> Array:
    values = column.cast(pa.float64()).to_numpy(zero_copy_only=False)
    return np.where(np.isfinite(values), values, np.nan)
