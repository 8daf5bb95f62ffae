"""A table of many rows against the schema, column by column: memory never holds all of them.

A column is checked as it is in a whole table, by all of its rows, so the verdict is the same. What
looks at rows as a whole, such as a check of the table or ``drop_invalid_rows``, wants the table.
"""

import copy
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from pandera.pandas import Column, DataFrameSchema

from mlops.artifact.parts import Writer, parts
from mlops.artifact.table import read
from mlops.pipeline import schema
from mlops.pipeline.schema import Checked, Failure
from mlops.project import files


def check(path: Path, rules: DataFrameSchema, needed: Iterable[str]) -> Checked | None:
    """Hold a stored table against a schema; None where the schema looks at whole rows.

    Of what passes, ``table`` has the ``needed`` columns only.
    """
    file = pq.ParquetFile(path)
    rows, nothing = file.metadata.num_rows, file.schema_arrow.empty_table().to_pandas()
    if _wants_rows(rules):
        return None
    odd = schema.check(nothing, _structure(rules)).failures
    failures = [{**it, "bad_rows": rows} for it in odd]
    columns = schema.columns_of(nothing, rules)
    changed: list[dict[str, Any]] = []
    replaced: dict[str, Any] = {}
    for name in columns:
        if name not in nothing:
            continue  # it may be absent, or that was told
        one = read(path, [name])
        only = DataFrameSchema({name: _alone(columns[name])}, coerce=rules.coerce)
        checked = schema.check(one, only)
        failures += checked.failures
        changed += checked.changed
        if not checked.table[name].equals(one[name]):
            replaced[name] = pa.Table.from_pandas(checked.table[[name]], preserve_index=False)[name]
    if rules.unique and not odd:  # else a part of the key may be missing
        failures += _twice(path, rules, replaced)
    if failures:
        return Checked(pd.DataFrame(), columns, rows, 0, failures)
    _write(path, replaced)
    kept = [name for name in needed if name in nothing]
    return Checked(read(files.CHECKED, kept), columns, rows, 0, changed=changed)


def _wants_rows(rules: DataFrameSchema) -> bool:
    of_table: tuple[Any, ...] = (rules.checks, rules.parsers, rules.index, rules.drop_invalid_rows)
    of_table += (rules.add_missing_columns, rules.dtype, rules.strict == "filter")
    return any(of_table) or any(
        column.drop_invalid_rows or any(check.groupby for check in column.checks)
        for column in rules.columns.values()
    )


def _structure(rules: DataFrameSchema) -> DataFrameSchema:
    """Return the schema without what it says of values."""
    plain = {
        name: Column(None, required=it.required, regex=it.regex, nullable=True)
        for name, it in rules.columns.items()
    }
    return DataFrameSchema(plain, strict=rules.strict, ordered=rules.ordered)


def _alone(column: Column) -> Column:
    one = copy.deepcopy(column)
    one.regex = False
    return one


def _twice(path: Path, rules: DataFrameSchema, replaced: dict[str, Any]) -> list[Failure]:
    keys = [*rules.unique] if isinstance(rules.unique, list) else [str(rules.unique)]
    table = read(path, keys)
    for name in keys:
        if name in replaced:
            table[name] = replaced[name].to_pandas()
    only = DataFrameSchema(unique=keys, report_duplicates=rules.report_duplicates)
    return schema.check(table, only).failures


def _write(path: Path, replaced: dict[str, Any]) -> None:
    """Write ``data/checked.parquet``: the table with these columns in place of its own."""
    if not replaced:
        files.write_atomic(files.CHECKED, lambda temporary: shutil.copyfile(path, temporary))
        return

    def write(temporary: Path) -> None:
        with Writer(temporary, str(files.CHECKED)) as writer:
            for part in parts(path):
                first = int(part.index[0])
                for name, values in replaced.items():
                    part[name] = values.slice(first, len(part)).to_pandas().array
                writer.add(part)

    files.write_atomic(files.CHECKED, write)
