"""What one pass over all rows says of a column, exactly and in bounded memory."""

import math
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops.artifact.table import Array

# So many are counted one by one, at some 100 bytes each; for a column with more see many.py.
MOST_CATEGORIES = 50_000


class Numbers:
    """Count, missing values, range, mean and standard deviation of a numeric column.

    Infinite values are missing values, as they are for Evidently, whose definitions these follow.
    """

    def __init__(self) -> None:
        self.rows = self.present = 0
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
        self._squares += float(away @ away) + moved**2 * before * len(values) / self.present

    @property
    def missing(self) -> float:
        """Share of the rows without a value."""
        return (self.rows - self.present) / self.rows if self.rows else 0.0

    @property
    def std(self) -> float:
        """Of the population, not the sample: what Evidently divides by."""
        return math.sqrt(self._squares / self.present) if self.present else 0.0

    def summary(self) -> dict[str, Any]:
        if not self.present:
            return dict.fromkeys(("min", "max", "mean", "std"))
        return {"min": self.minimum, "max": self.maximum, "mean": self.mean, "std": self.std}


class Categories:
    """Count, missing values and the number of rows of each category.

    ``counts`` is None when there are more than 50,000 categories.
    """

    def __init__(self) -> None:
        self.rows = self.present = 0
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

    @property
    def missing(self) -> float:
        """Share of the rows without a value."""
        return (self.rows - self.present) / self.rows if self.rows else 0.0


def finite(column: pa.Array) -> Array:
    """Return the values of a column that are finite numbers."""
    values = np.asarray(pc.cast(plain(column), pa.float64()).to_numpy(zero_copy_only=False))
    kept = np.isfinite(values)
    return values if kept.all() else values[kept]


def present(column: pa.Array) -> pa.Array:
    """Return the categories of a column that are not missing."""
    column = column if is_text(column.type) else plain(column)
    if pa.types.is_floating(column.type):
        return column.filter(pc.is_finite(column))
    return column.drop_null()


def plain(column: pa.Array) -> pa.Array:
    """Return a column without a dictionary."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type is that of texts, in a dictionary or not."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
