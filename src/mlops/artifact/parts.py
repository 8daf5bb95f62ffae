"""Tables of many rows, in parts: read and written by row group, never in memory as a whole."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlops.project.errors import MlopsError, first_line
from mlops.project.params import Params

MANY = 2_000_000  # rows; a table of more is never read as a whole
PART = 500_000  # rows


def many(path: Path) -> bool:
    """Return whether a table has too many rows; one that cannot be read has none."""
    try:
        return bool(pq.read_metadata(path).num_rows > MANY)
    except (OSError, pa.ArrowInvalid):
        return False


def deciding(params: Params) -> list[str]:
    """Return the columns that decide on side and block of a row; none where all of them do."""
    data = params.data
    split = data.by if data.hashed else [data.time]
    others = [data.target, params.gate.blocks, *([data.time] if data.time else [])]
    return [str(name) for name in dict.fromkeys([*split, *others])] if split else []


def parts(path: Path) -> Iterator[pd.DataFrame]:
    """Yield a table in parts, whose rows are numbered from 0 through all of them."""
    first = 0
    for batch in pq.ParquetFile(path).iter_batches(batch_size=PART):
        part = batch.to_pandas()
        part.index = pd.RangeIndex(first, first + len(part))
        yield part
        first += len(part)


class Writer:
    """Writes a table part by part, of the types that the first one has."""

    def __init__(self, path: Path, what: str) -> None:
        self._path, self._what = path, what
        self._writer: pq.ParquetWriter | None = None
        self._parts = self.rows = 0

    def __enter__(self) -> "Writer":
        return self

    def add(self, part: pd.DataFrame) -> None:
        """Raises MlopsError when the types, or the columns, are others than before."""
        self._parts += 1
        self.rows += len(part)
        known = self._writer.schema if self._writer else None
        try:
            if known is not None and list(part.columns) != known.names:
                raise KeyError(f"columns {', '.join(part.columns)}")
            table = pa.Table.from_pandas(part, schema=known, preserve_index=False)
        except (pa.ArrowException, KeyError, TypeError, ValueError) as error:
            raise MlopsError(
                f"{self._what} part {self._parts} is not like part 1 ({first_line(error)}); give "
                "all parts the same columns and types, as with astype"
            ) from None
        self._writer = self._writer or pq.ParquetWriter(self._path, table.schema)
        self._writer.write_table(table)

    def __exit__(self, *_: object) -> None:
        if self._writer:
            self._writer.close()
