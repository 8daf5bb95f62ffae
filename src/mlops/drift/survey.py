"""One pass over a window: exact numbers of every column, and a sample of the rows."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc

from mlops.artifact.table import Array
from mlops.drift.rows import Places, Rows, is_text, plain
from mlops.project.errors import MlopsError

# So many are counted one by one, at some 100 bytes each; with more, by hash: categorical.py.
MOST_CATEGORIES = 50_000
TOO_LARGE = 1e150
LONGEST_NAME = 100  # characters; whoever may ask the service may send any text


class Tally:
    """Rows of a column, and how many of them have a value."""

    rows = present = 0

    @property
    def missing(self) -> float:
        """Share of the rows without a value."""
        return (self.rows - self.present) / self.rows if self.rows else 0.0


class Numbers(Tally):
    """Count, missing values, range, mean and standard deviation of a numeric column.

    Infinite values are missing values, as they are for Evidently, whose definitions these follow;
    so are those from 1e150 on, of whose squares no standard deviation can be had.
    """

    def __init__(self) -> None:
        self.minimum, self.maximum = math.inf, -math.inf
        self.mean = self._squares = 0.0

    def add(self, column: pa.Array) -> None:
        values = finite(column)
        self.rows += len(column)
        if not len(values):
            return
        self.minimum = min(self.minimum, float(values.min()))
        self.maximum = max(self.maximum, float(values.max()))
        # Chan, Golub & LeVeque, Algorithms for computing the sample variance, 1983, eq. 1.5:
        # sums of squares lose all digits where the mean is large.
        mean, before = float(values.mean()), self.present
        self.present += len(values)
        moved = mean - self.mean
        self.mean += moved * len(values) / self.present
        away = values - mean
        away *= away  # not away @ away: BLAS starts threads for it, at ten times the work
        self._squares += float(away.sum()) + moved**2 * before * len(values) / self.present

    @property
    def std(self) -> float:
        """Of the population, not the sample: what Evidently divides by."""
        return math.sqrt(self._squares / self.present) if self.present else 0.0

    def summary(self) -> dict[str, Any]:
        if not self.present:
            return dict.fromkeys(("min", "max", "mean", "std"))
        return {"min": self.minimum, "max": self.maximum, "mean": self.mean, "std": self.std}


class Categories(Tally):
    """Count, missing values and the number of rows of each category.

    ``counts`` is None when there are more than 50,000 categories.
    """

    def __init__(self) -> None:
        self.counts: dict[Any, int] | None = {}

    def add(self, column: pa.Array) -> None:
        self.rows += len(column)
        column = present(column)
        self.present += len(column)
        if self.counts is None or not len(column):
            return
        found = pc.value_counts(column)
        if len(found) > MOST_CATEGORIES:
            self.counts = None
            return
        values, counts = found.field("values").to_pylist(), found.field("counts").to_pylist()
        for value, count in zip(values, counts, strict=True):
            self.counts[value] = self.counts.get(value, 0) + count
        if len(self.counts) > MOST_CATEGORIES:
            self.counts = None


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
    # Identifiers of 64 bits are rounded: a distance does not need their last digits.
    values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
    return np.where(np.abs(values) < TOO_LARGE, values, np.nan)


def finite(column: pa.Array) -> Array:
    """Return the values of a column that are finite numbers."""
    values = _floats(plain(column))
    kept = np.isfinite(values)
    return values if kept.all() else values[kept]


def named(value: Any) -> Any:
    """Return a category as a report names it: cut, if it is a long text."""
    long = isinstance(value, str) and len(value) > LONGEST_NAME
    return f"{value[: LONGEST_NAME - 1]}…" if long else value


def present(column: pa.Array) -> pa.Array:
    """Return the categories of a column that are not missing."""
    column = column if is_text(column.type) else plain(column)
    if pa.types.is_floating(column.type):
        return column.filter(pc.is_finite(column))
    return column.drop_null()
