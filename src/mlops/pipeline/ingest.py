"""Stage ``ingest``: what ``load_data`` returns, as one Parquet file."""

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq

from mlops.artifact.parts import Writer
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.progress import working
from mlops.project.user_code import running, shortened

WHERE = "src/model/data.py"
# What to do about an error while data is read, by its class.
ADVICE = {
    "UnicodeDecodeError": "the file is not UTF-8: say what it is, as in pd.read_csv(..., "
    "encoding='cp1252')",
    "ParserError": "is its separator a comma? Else say so, as in pd.read_csv(..., sep=';')",
    "OperationalError": "check that the database is up, its address, and your credentials",
    "URLError": "check the address and the network",
    "ConnectionError": "check the address and the network",
}


def run() -> None:
    """Write the raw table to ``data/raw.parquet``."""
    with working("Loading the raw data"), advising(), running("load_data"):
        import model  # not from it: an AttributeError in the user's file would become another error

        table = model.load_data()
        if isinstance(table, Iterator):
            files.write_atomic(files.RAW, lambda path: write_parts(table, path))
    if not isinstance(table, Iterator):
        check_table(table, f"{WHERE}: load_data")
        files.write_atomic(files.RAW, lambda path: table.to_parquet(path, index=False))
    written = pq.read_metadata(files.RAW)
    print(f"{files.RAW}: {written.num_rows:,} rows, {len(pq.read_schema(files.RAW))} columns")


def write_parts(tables: Iterator[Any], path: Path) -> None:
    """Write a table that comes in parts, of which memory holds one."""
    with Writer(path, f"{WHERE}: load_data,") as writer:
        for number, table in enumerate(tables, 1):
            check_table(table, f"{WHERE}: load_data (part {number})")
            writer.add(table)
        if not writer.rows:
            raise MlopsError(f"{WHERE}: load_data yields no rows")


@contextmanager
def advising() -> Iterator[None]:
    """Say what to do about a file that is not there, or that cannot be read as it is."""
    try:
        yield
    except MlopsError as error:
        cause = error.__cause__
        if isinstance(cause, FileNotFoundError) and cause.filename:
            advice = _about_missing(Path(str(cause.filename)))
        else:
            kinds = [kind.__name__ for kind in type(cause).__mro__]
            advice = next((ADVICE[kind] for kind in kinds if kind in ADVICE), "")
        raise MlopsError(f"{error}; {advice}" if advice else str(error)) from cause


def _about_missing(path: Path) -> str:
    kept = [it for it in (path, *path.parents) if it.parent.joinpath(f"{it.name}.dvc").is_file()]
    if kept:
        return f"DVC keeps {kept[0]}: run `mlops pull-data`"
    return f"put the file into {files.SOURCE}, and into git or DVC ({files.SOURCE}/README.md)"


def check_table(table: Any, source: str) -> None:
    """Refuse what is no table of named columns, each of one type that Parquet can hold.

    Parameters
    ----------
    source : str
        Where it comes from, as "src/model/data.py: load_data".

    Raises
    ------
    MlopsError
        Naming the first column that is wrong, and what would be right.
    """
    if not isinstance(table, pd.DataFrame) or not len(table.columns):
        got = "a table without columns" if isinstance(table, pd.DataFrame) else type(table).__name__
        raise MlopsError(f"{source} returns {got}; expected a pandas DataFrame")
    if odd := [name for name in table.columns if not isinstance(name, str)]:
        raise MlopsError(
            f"{source} returns a column named {odd[0]!r}; expected names that are text: "
            "set table.columns = [...]"
        )
    if len(table.columns) == 1 and (found := re.search(r"[;\t|]", table.columns[0])):
        raise MlopsError(
            f"{source} returns one column, named {shortened(table.columns[0], 60)!r}; the "
            f"separator is {found[0]!r}: say so, as in pd.read_csv(..., sep={found[0]!r})"
        )
    if table.columns.has_duplicates:
        twice = table.columns[table.columns.duplicated()][0]
        raise MlopsError(f"{source} returns column {twice!r} more than once")
    index = table.index
    if any(name is not None for name in index.names) or not pd.api.types.is_integer_dtype(index):
        named = ", ".join(repr(name) for name in index.names if name is not None) or index.dtype
        raise MlopsError(
            f"{source} returns a table whose index ({named}) would be lost; make it a "
            "column: table.reset_index(), or drop it: table.reset_index(drop=True)"
        )
    for name, values in table.items():
        _check_column(str(name), values, source)


def _check_column(name: str, values: "pd.Series[Any]", source: str) -> None:
    try:
        kind = pa.Schema.from_pandas(values.to_frame()).field(0).type
        if values.dtype == object:
            kind = pa.array(values, from_pandas=True).type
    except (pa.ArrowException, OverflowError, TypeError, ValueError) as error:
        raise MlopsError(
            f"{source}: column {name!r} {_what_is_mixed(values) or shortened(str(error))}; "
            "expected one type that Parquet can hold"
        ) from None
    if pa.types.is_nested(kind):
        raise MlopsError(
            f"{source}: column {name!r} holds {kind}, such as dictionaries or lists; make each "
            "entry a column of its own, as pd.json_normalize does"
        )


def _what_is_mixed(values: "pd.Series[Any]") -> str:
    """Say which types a column holds, with the first row of the rarest; nothing if only one."""
    known = values[values.notna()]
    kinds = known.map(lambda value: type(value).__name__)
    counts = kinds.value_counts()
    if len(counts) < 2:
        return ""
    row = kinds.index[kinds == counts.index[-1]][0]
    mixed = " and ".join(counts.index)
    return f"holds {mixed} (row {row}: {shortened(repr(known[row]), 60)})"
