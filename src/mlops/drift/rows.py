"""A window of a Parquet file, read in batches: memory holds a few of them, never the window."""

import functools
import operator
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.dataset

from mlops.artifact.table import Array, to_columns
from mlops.project import files
from mlops.project.errors import DamagedError, MlopsError

BATCH_ROWS = 65_536  # half a megabyte a column: it stays in the processor's cache
READ_AHEAD = 4  # batches
# Reading whole row groups at once, PyArrow's default for slow networks, holds twice the memory.
SCAN = pyarrow.dataset.ParquetFragmentScanOptions(pre_buffer=False)


@dataclass(frozen=True)
class Rows:
    """Rows from ``start`` up to, not including, ``after``; all of them without a ``time`` column.

    Days begin at midnight in the column's zone, as they do for ``data.window``; times without a
    zone are UTC.

    Attributes
    ----------
    path : pathlib.Path
        A Parquet file.
    time : str or None
        The column that says when a row happened, a timestamp.
    start, after : datetime.date or None
        Bounds of the window; None is no bound.
    present : str or None
        Only rows that have a value in this column, such as the target.
    computed : mapping of str to function
        More columns, each a function of the file's columns, as
        :func:`~mlops.artifact.table.to_columns` gives them, to an array of shape (n,). Evaluated
        batch by batch, only where asked for; all of them get the same mapping, so that a function
        may keep what it has worked out for another.

    Raises
    ------
    MlopsError
        By every method, when the file is not there or lacks a column.
    """

    path: Path
    time: str | None = None
    start: date | None = None
    after: date | None = None
    computed: Mapping[str, Callable[[dict[str, Array]], Array]] = field(default_factory=dict)
    present: str | None = None

    @property
    def names(self) -> list[str]:
        """The file's columns."""
        return list(self._dataset.schema.names)

    def count(self) -> int:
        """Return the number of rows; only the time column is read."""
        return int(self._dataset.count_rows(filter=self._filter))

    def batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield the rows in the file's order, in batches with these columns."""
        for batch in self.raw_batches(columns):
            yield self.select(batch, columns)

    def raw_batches(self, columns: Sequence[str]) -> Iterator[pa.RecordBatch]:
        """Yield batches with what these columns are made from, texts as dictionaries.

        :meth:`select` makes the columns.
        """
        for batch in self._dataset.to_batches(
            columns=self._made_from(columns),
            filter=self._filter,
            batch_size=BATCH_ROWS,
            batch_readahead=READ_AHEAD,
            fragment_scan_options=SCAN,
        ):
            if batch.num_rows:
                yield batch

    def select(self, batch: pa.RecordBatch, columns: Sequence[str]) -> pa.RecordBatch:
        """Return a batch with these columns, computing those that the file does not have."""
        computed = [name for name in columns if name in self.computed]
        raw = to_columns(batch.to_pandas()) if computed else {}
        arrays = [
            pa.array(np.asarray(self.computed[name](raw), np.float64), from_pandas=True)
            if name in self.computed
            else plain(batch.column(name))
            for name in columns
        ]
        return pa.RecordBatch.from_arrays(arrays, list(columns))

    def expect_numbers(self, columns: Sequence[str]) -> None:
        """Refuse columns of the file that hold something else."""
        for name in columns:
            kind = None if name in self.computed else self._type(name)
            if kind and (is_text(kind) or pa.types.is_temporal(kind)):
                raise MlopsError(
                    f"column {name} of {self.path} is {kind}; the champion was trained on numbers: "
                    "repair the data"
                )

    def sample(self, columns: Sequence[str], n: int, seed: int) -> pd.DataFrame:
        """Return up to ``n`` rows, one from each of ``n`` equal stretches of the window.

        So every part of the file has its share of the sample, and where the file is in the order
        of time, every day. The same seed gives the same rows.
        """
        places = Places(self.count(), n, seed)
        for batch in self.raw_batches(columns):
            places.look(batch)
        table: pd.DataFrame = self.select(places.taken(), columns).to_pandas()
        return table

    @cached_property
    def _dataset(self) -> Any:
        try:
            schema = pyarrow.dataset.dataset(self.path, format="parquet").schema
            text = {it.name for it in schema if is_text(it.type)}
            # As dictionaries, texts are decoded once a page, and counted by number.
            form = pyarrow.dataset.ParquetFileFormat(read_options={"dictionary_columns": text})
            return pyarrow.dataset.dataset(self.path, format=form)
        except FileNotFoundError:
            raise MlopsError(f"{self.path} is not there; run `dvc repro`") from None
        except pa.ArrowInvalid as error:
            raise DamagedError(f"{self.path} is damaged ({error}); {files.MEND}") from None

    @cached_property
    def _filter(self) -> Any:
        kept = [] if self.time is None else [self._of_time(self.time)]
        if self.present is not None:
            self._type(self.present)
            kept.append(~pyarrow.dataset.field(self.present).is_null(nan_is_null=True))
        return functools.reduce(operator.and_, kept) if kept else None

    def _of_time(self, time: str) -> Any:
        kind = self._type(time)
        if not pa.types.is_timestamp(kind):
            raise MlopsError(
                f"column {time} of {self.path} is {kind}; params.yaml: data.time has to name "
                "a column of times"
            )
        asked = pyarrow.dataset.field(time)
        bounds = [
            compare(pa.scalar(pd.Timestamp(day, tz=kind.tz), kind))
            for day, compare in ((self.start, asked.__ge__), (self.after, asked.__lt__))
            if day is not None
        ]
        return bounds[0] & bounds[-1] if bounds else asked.is_valid()

    def _made_from(self, columns: Sequence[str]) -> list[str]:
        """Return the file's columns that these need; a function may read any."""
        if any(name in self.computed for name in columns):
            return self.names
        for name in columns:
            self._type(name)
        return list(columns)

    def _type(self, name: str) -> Any:
        schema = self._dataset.schema
        if name not in schema.names:
            raise MlopsError(f"{self.path} has no column {name}; it has {', '.join(schema.names)}")
        return schema.field(name).type


class Places:
    """Which rows of a window are in the sample, picked from its batches as they pass.

    One row at random from each of ``n`` stretches of equal length (stratified sampling: Cochran,
    Sampling Techniques, 1977, section 5A.1), so neither batches nor their sizes matter.
    """

    def __init__(self, rows: int, n: int, seed: int) -> None:
        if rows <= n:
            self._rows = np.arange(rows)
        else:
            within = np.random.default_rng(seed).random(n)
            self._rows = ((np.arange(n) + within) * (rows / n)).astype(np.int64)
        self._seen = 0
        self._taken: list[pa.RecordBatch] = []

    def look(self, batch: pa.RecordBatch) -> None:
        """Take the rows that are in the sample from the next batch."""
        first, after = np.searchsorted(self._rows, (self._seen, self._seen + batch.num_rows))
        if after > first or not self._taken:
            self._taken.append(batch.take(pa.array(self._rows[first:after] - self._seen)))
        self._seen += batch.num_rows

    def taken(self) -> pa.RecordBatch:
        return pa.concat_batches(self._taken)


def plain(column: pa.Array) -> pa.Array:
    """Return a column without a dictionary."""
    return column.dictionary_decode() if pa.types.is_dictionary(column.type) else column


def is_text(kind: pa.DataType) -> bool:
    """Return whether a type is that of texts, in a dictionary or not."""
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return bool(pa.types.is_string(kind) or pa.types.is_large_string(kind))
