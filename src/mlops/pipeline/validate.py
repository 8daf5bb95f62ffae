"""Stage ``validate``: the raw data against the schema and the windows. Bad data stops here."""

import shutil
from typing import Any

import pandas as pd
from pandera.errors import SchemaErrors
from pandera.pandas import Check, DataFrameSchema
from rich.markup import escape
from rich.table import Table

from mlops.artifact import request_columns
from mlops.artifact.table import in_window, read
from mlops.judgement import blocks
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Params, Window
from mlops.project.progress import console

# What older data led to. Left in place beside refused data, it would look fresh.
STALE = [files.METRICS, files.TRAINING, files.PLOTS, files.COMPARISON, files.REPORT]

SHOWN = 10  # allowed values in an error; more would drown the row that is wrong

WHAT_FAILED = {
    "column_in_dataframe": "column is there",
    "column_in_schema": "column is in the schema",
    "not_nullable": "no missing value",
    "multiple_fields_uniqueness": "no duplicate key",
}


def run(params: Params) -> None:
    """Check ``data/raw.parquet`` and write ``reports/data.json``.

    Raises
    ------
    MlopsError
        When any check fails, after printing every column, check, count of bad rows and an example.
    """
    from model import SCHEMA

    table = read(files.RAW)
    failures = [*check_schema(table, SCHEMA), *check_windows(table, params)]
    if not failures:
        failures = [*check_target(table, params), *check_blocks(table, params)]
    files.write_json(files.DATA_REPORT, report(table, SCHEMA, params, failures))
    if failures:
        for path in STALE:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        console.print(failure_table(failures))
        raise MlopsError(
            f"{files.RAW} is refused: {len(failures)} checks failed (also in {files.DATA_REPORT}); "
            "correct the data, or src/model/schema.py if the data is right"
        )
    print(f"{files.RAW}: {len(table):,} rows pass {len(SCHEMA.columns)} columns' checks")


def check_schema(table: pd.DataFrame, schema: DataFrameSchema) -> list[dict[str, Any]]:
    """Return one failure for each column and check of ``schema`` that ``table`` does not pass."""
    try:
        schema.validate(table, lazy=True)
    except SchemaErrors as errors:
        cases = errors.failure_cases
    else:
        return []
    failures = []
    for (column, check), group in cases.groupby(["column", "check"], sort=False, dropna=False):
        failures.append(_failure(table, schema, str(column), str(check), group))
    return failures


def _failure(
    table: pd.DataFrame, schema: DataFrameSchema, column: str, check: str, cases: pd.DataFrame
) -> dict[str, Any]:
    rows = cases["index"].dropna().astype(int).unique()
    key = [name for name in schema.unique or [] if name in table.columns]
    if check == "multiple_fields_uniqueness":
        column = ", ".join(key)
    elif check in ("column_in_dataframe", "column_in_schema"):
        column = str(cases["failure_case"].iloc[0])
    rules = schema.columns[column].checks if column in schema.columns else []
    sentence = WHAT_FAILED.get(check) or next(
        (in_words(rule) for rule in rules if str(rule.error) == check), check
    )
    if check.startswith("dtype("):
        sentence = f"type is {schema.columns[column].dtype}, not {cases['failure_case'].iloc[0]}"
    example = None
    if len(rows):
        shown = list(dict.fromkeys([*(column.split(", ")), *key]))
        values = table.loc[rows[0], [name for name in shown if name in table.columns]]
        example = {"row": int(rows[0]), **{name: str(value) for name, value in values.items()}}
    # A check on the column as a whole (missing, wrong type) makes every row a bad one.
    bad = len(rows) if len(rows) else len(table)
    return {"column": column, "check": sentence, "bad_rows": bad, "example": example}


def in_words(rule: Check) -> str:
    """Say what a check of Pandera demands; what is not known here keeps Pandera's words."""
    values = rule.statistics or {}
    if rule.name == "isin":
        allowed = [str(value) for value in values["allowed_values"]]
        shown = ", ".join(allowed[:SHOWN]) + (", …" if len(allowed) > SHOWN else "")
        return f"one of {len(allowed)} values: {shown}"
    if rule.name == "in_range":
        return f"between {values['min_value']} and {values['max_value']}"
    return str(rule.error or rule.name)


def check_windows(table: pd.DataFrame, params: Params) -> list[dict[str, Any]]:
    """Return a failure for each window of ``params.yaml`` with a month in which no row lies."""
    column = params.data.time
    if column not in table or not pd.api.types.is_datetime64_any_dtype(table[column]):
        check = f"times are there (params.yaml: data.time is {column!r})"
        return [{"column": column, "check": check, "bad_rows": len(table), "example": None}]
    times = table[column]
    seen = set(times.dropna().dt.tz_localize(None).dt.to_period("M").unique())
    runs = "the data has no rows"
    if seen:
        runs = f"the data runs from {times.min():%Y-%m-%d} to {times.max():%Y-%m-%d}"
    failures = []
    for name, window in (("window", params.data.window), ("holdout", params.data.holdout)):
        span = pd.period_range(str(window.first_day), str(last_day(window)), freq="M")
        if empty := [str(month) for month in span if month not in seen]:
            check = (
                f"rows in every month of data.{name} ({window}): none in {', '.join(empty)}; {runs}"
            )
            failures.append({"column": column, "check": check, "bad_rows": 0, "example": None})
    return failures


def check_target(table: pd.DataFrame, params: Params) -> list[dict[str, Any]]:
    """Return a failure when the target does not fit ``params.yaml: task``."""
    target = params.data.target
    if target not in table:
        check = f"column is there (params.yaml: data.target is {target!r})"
        return [{"column": target, "check": check, "bad_rows": len(table), "example": None}]
    failures = []
    for name, window in (("window", params.data.window), ("holdout", params.data.holdout)):
        values = table.loc[in_window(table[params.data.time], window), target]
        if problem := _target_problem(values, params.task):
            check = f"{problem} in data.{name} (params.yaml: task is {params.task})"
            failures.append(
                {"column": target, "check": check, "bad_rows": len(values), "example": None}
            )
    return failures


def check_blocks(table: pd.DataFrame, params: Params) -> list[dict[str, Any]]:
    """Return a failure when the holdout has too few blocks to say how sure a difference is."""
    holdout = table[in_window(table[params.data.time], params.data.holdout)]
    if problem := blocks.too_few(blocks.of_rows(holdout, params), params):
        column = params.gate.blocks if params.gate.blocks in table else params.data.time
        return [{"column": column, "check": problem, "bad_rows": len(holdout), "example": None}]
    return []


def _target_problem(values: "pd.Series[Any]", task: str) -> str | None:
    distinct = values.nunique()
    if task == "binary" and distinct != 2:
        return f"two classes, not {distinct},"
    if task == "multiclass" and distinct < 2:
        return f"two or more classes, not {distinct},"
    if task == "regression" and not pd.api.types.is_numeric_dtype(values):
        return f"a number, not {values.dtype},"
    return None


def last_day(window: Window) -> Any:
    return (pd.Timestamp(window.first_day_after) - pd.Timedelta(days=1)).date()


def report(
    table: pd.DataFrame,
    schema: DataFrameSchema,
    params: Params,
    failures: list[dict[str, Any]],
) -> dict[str, Any]:
    """Return what ``reports/data.json`` says."""
    return {
        "passed": not failures,
        "md5": files.md5(files.RAW),
        "rows": len(table),
        "schema": {name: describe(column) for name, column in schema.columns.items()},
        "columns": [] if failures else _request_columns(table, schema, params),
        "failures": failures,
    }


def _request_columns(
    table: pd.DataFrame, schema: DataFrameSchema, params: Params
) -> list[dict[str, Any]]:
    training = table[in_window(table[params.data.time], params.data.window)]
    described = request_columns.describe(training, schema, params.data.target)
    return [column.model_dump() for column in described]


def describe(column: Any) -> str:
    """Return a column's rules in words, so that two schemas can be compared line by line."""
    checks = [
        f"{check.name} {check.statistics}" if check.statistics else check.name
        for check in column.checks
    ]
    nullable = ["may be missing"] if column.nullable else []
    return "; ".join([str(column.dtype), *nullable, *checks])


def failure_table(failures: list[dict[str, Any]]) -> Table:
    """Return the failures as a table for a terminal."""
    table = Table("column", "check", "bad rows", "example", title="Data refused", show_lines=True)
    for failure in failures:
        example = failure["example"] or {}
        shown = "\n".join(f"{name}={value}" for name, value in example.items())
        table.add_row(
            escape(failure["column"]),
            escape(failure["check"]),
            f"{failure['bad_rows']:,}",
            escape(shown),
        )
    return table
