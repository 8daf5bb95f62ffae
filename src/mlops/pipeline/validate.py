"""Stage ``validate``: the raw data against the schema and the windows. Bad data stops here."""

import json
import shutil
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
from rich.markup import escape
from rich.table import Table

from mlops.artifact import request_columns
from mlops.artifact.parts import deciding, many
from mlops.artifact.split import sides
from mlops.artifact.table import read, to_target
from mlops.judgement import blocks
from mlops.pipeline import by_column, schema
from mlops.pipeline.schema import SHOWN, Checked, Failure
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Params, Task
from mlops.project.progress import console
from mlops.project.user_code import shortened

# What older data led to. Left in place beside refused data, it would look fresh.
STALE = [
    *(files.CHECKED, files.METRICS, files.TRAINING, files.PLOTS),
    *(files.COMPARISON, files.REPORT),
]
NUMBERS = [0, 1]  # labels of which nobody asks which is the positive one


def run(params: Params) -> None:
    """Check ``data/raw.parquet``; write ``data/checked.parquet`` and ``reports/data.json``.

    What is written is what the schema returns: everything after this stage reads nothing else.

    Raises
    ------
    MlopsError
        When any check fails, after printing every column, check, count of bad rows and an example.
    """
    rules, checked = schema.load(), None
    files.CHECKED.unlink(missing_ok=True)
    if many(files.RAW) and (needed := deciding(params)):
        checked = by_column.check(files.RAW, rules, needed)
    if checked is None:
        raw = read(files.RAW)
        checked = schema.check(raw, rules)
        if not checked.failures:
            write(raw, checked.table)
    failures = checked.failures or check_dropped(checked, params)
    if not failures:
        failures = check_split(checked.table, params) or check_target(checked.table, params)
    failures = failures or check_blocks(checked.table, params)
    files.write_json(files.DATA_REPORT, report(checked, params, failures))
    if failures:
        for path in STALE:
            shutil.rmtree(path) if path.is_dir() else path.unlink(missing_ok=True)
        console.print(failure_table(failures))
        counted = "1 check" if len(failures) == 1 else f"{len(failures)} checks"
        raise MlopsError(
            f"{files.RAW} is refused: {counted} failed (also in {files.DATA_REPORT}); "
            "correct the data, or src/model/schema.py if the data is right"
        )
    print(f"{files.RAW}: {checked.rows:,} rows pass {len(checked.columns)} columns' checks")
    for line in made_of_it(checked, params):
        print(line)


def write(raw: pd.DataFrame, table: pd.DataFrame) -> None:
    """Write what the schema returned; where that is what came in, the very same file."""
    # The same bytes are kept once, in DVC's cache and on its remote.
    keep = partial(shutil.copyfile, files.RAW)
    save = partial(table.reset_index(drop=True).to_parquet, index=False)
    files.write_atomic(files.CHECKED, keep if table.equals(raw) else save)


def made_of_it(checked: Checked, params: Params) -> list[str]:
    """Say what the schema changed, and what is taken for granted of the times."""
    lines = []
    if added := len(checked.table) - checked.rows + checked.gone:
        lines.append(f"the schema adds {added:,} rows")
    times = None if params.data.hashed else checked.table[params.data.time]
    if times is not None and (untimed := int(times.isna().sum())):
        lines.append(f"{untimed:,} rows have no {params.data.time}, and so lie in no window")
    if dropped := checked.gone:
        why = "; ".join(f"{it['column']}: {it['check']}" for it in checked.dropped)
        lines.append(f"the schema drops {dropped:,} of them{f' ({why})' if why else ''}")
    for it in checked.changed:
        rows = "" if it["rows"] is None else f", {it['rows']:,} values differ"
        kinds = "" if it["from"] == it["to"] else f" from {it['from'] or 'nothing'} to {it['to']}"
        lines.append(f"the schema changes {it['column']}{kinds}{rows}")
    if times is not None and times.dt.tz is None:
        lines.append(
            f"{params.data.time} has no time zone: days begin as it is written, and the service "
            "takes such times without a zone; with dt.tz_localize in src/model/data.py they get one"
        )
    return lines


def check_dropped(checked: Checked, params: Params) -> list[Failure]:
    """Return a failure for each reason to drop rows when the schema drops more than allowed."""
    dropped, most = checked.gone, params.data.dropped
    if dropped <= most * checked.rows:
        return []
    said = (
        f"the schema drops {dropped:,} of {checked.rows:,} rows, more than {100 * most:g}% "
        "(params.yaml: data.dropped)"
    )
    reasons = checked.dropped or [{"column": "the whole table", "check": "", "example": None}]
    return [
        {"bad_rows": dropped, **it, "check": f"{it['check']}; {said}".removeprefix("; ")}
        for it in reasons
    ]


def check_split(table: pd.DataFrame, params: Params) -> list[Failure]:
    """Return a failure when no row trains, or none judges.

    With windows of time, one for each in which a month, or a year, has no row.
    """
    column = params.data.time
    if column is not None and (
        column not in table or not pd.api.types.is_datetime64_any_dtype(table[column])
    ):
        check = f"times are there (params.yaml: data.time is {column!r})"
        return [{"column": column, "check": check, "bad_rows": len(table), "example": None}]
    if params.data.hashed:
        trains, judges = sides(table, params.data)
        if trains.any() and judges.any():
            return []
        check = f"rows on both sides of the split (params.yaml: data.share is {params.data.share})"
        return [{"column": "the whole table", "check": check, "bad_rows": 0, "example": None}]
    windows = params.data.windows
    unit, name_of = ("Y", "year") if all(it.in_years for it in windows) else ("M", "month")
    times = table[column]
    seen = set(times.dropna().dt.tz_localize(None).dt.to_period(unit).unique())
    runs = "the data has no rows"
    if seen:
        runs = f"the data runs from {str(times.min()).split()[0]} to {str(times.max()).split()[0]}"
    failures = []
    for name, window in zip(("window", "holdout"), windows, strict=True):
        span = pd.period_range(str(window.first_day), str(window.last_day), freq=unit)
        if empty := [str(period) for period in span if period not in seen]:
            check = (
                f"rows in every {name_of} of data.{name} ({window}): none in {', '.join(empty)}; "
                f"{runs}"
            )
            failures.append({"column": column, "check": check, "bad_rows": 0, "example": None})
    return failures


def check_target(table: pd.DataFrame, params: Params) -> list[Failure]:
    """Return a failure when the target does not fit ``params.yaml: task``, or has gaps."""
    target = params.data.target
    if target not in table:
        check = f"column is there (params.yaml: data.target is {target!r})"
        return [{"column": target, "check": check, "bad_rows": len(table), "example": None}]
    failures, found = [], []
    where = ("data.window", "data.holdout")
    if params.data.hashed:
        where = ("the rows that train", "those that judge")
    for name, side in zip(where, sides(table, params.data), strict=True):
        values = table.loc[side, target]
        if unknown := int(values.isna().sum()):
            check = (
                f"no missing value in {name}: such rows teach and judge nothing; "
                "leave them out in src/model/data.py"
            )
            failures.append(_of_target(params, check, unknown))
        elif problem := _target_problem(values, params.task):
            check = f"{problem} in {name} (params.yaml: task is {params.task})"
            failures.append(_of_target(params, check, len(values)))
        else:
            found.append(np.unique(to_target(values, params.task)).tolist())
    if params.task == "regression" or failures:
        return failures
    learned, judged = found
    if strange := [label for label in judged if label not in learned]:
        check = f"in {where[1]} only classes that {where[0]} has, not {_listed(strange)}"
        failures.append(_of_target(params, check, len(table)))
    elif params.task == "binary" and (problem := _positive_problem(learned, params.data.positive)):
        failures.append(_of_target(params, problem, len(table)))
    return failures


def _listed(labels: list[Any]) -> str:
    return ", ".join(json.dumps(label, ensure_ascii=False) for label in labels[:SHOWN])


def _of_target(params: Params, check: str, rows: int) -> Failure:
    return {"column": params.data.target, "check": check, "bad_rows": rows, "example": None}


def check_blocks(table: pd.DataFrame, params: Params) -> list[Failure]:
    """Return a failure when the holdout has too few blocks to say how sure a difference is."""
    holdout = table[sides(table, params.data)[1]]
    if problem := blocks.too_few(blocks.of_rows(holdout, params), params):
        column = params.gate.blocks
        if column not in table:
            column = params.data.time or "the whole table"
        return [{"column": column, "check": problem, "bad_rows": len(holdout), "example": None}]
    return []


def _target_problem(values: "pd.Series[Any]", task: Task) -> str | None:
    if task == "regression":
        if not pd.api.types.is_numeric_dtype(values) or pd.api.types.is_bool_dtype(values):
            return f"a number, not {values.dtype},"
        if infinite := int(np.isinf(to_target(values, task)).sum()):
            return f"finite numbers, not infinity in {infinite:,} row{'s' * (infinite > 1)},"
        return "a number that varies, not always the same," if values.nunique() < 2 else None
    target = to_target(values, task)
    if target.dtype.kind not in "iu" and not all(isinstance(label, str) for label in target):
        return f"text or whole numbers as classes, not {shortened(str(target[0]), 40)},"
    classes = values.nunique()
    if task == "binary" and classes != 2:
        return f"two classes, not {classes},"
    return f"two or more classes, not {classes}," if classes < 2 else None


def _positive_problem(classes: list[Any], positive: str | int | None) -> str | None:
    """Say what is wrong with ``data.positive``, which need not be set where labels are 0 and 1."""
    both = " or ".join(json.dumps(label, ensure_ascii=False) for label in classes)
    if positive is None and classes != NUMBERS:
        return (
            f"one class to look for: which of {both}? Set data.positive in params.yaml "
            f"(until now it was the last one, {both.rpartition(' or ')[2]})"
        )
    if positive is not None and positive not in classes:
        quoted = " (without quotes, YAML reads yes, no, on and off as true and false)"
        hint = quoted if isinstance(positive, bool) else ""
        return f"data.positive in params.yaml is {positive!r}{hint}; expected {both}"
    return None


def report(checked: Checked, params: Params, failures: list[Failure]) -> dict[str, Any]:
    """Return what ``reports/data.json`` says.

    ``md5`` is that of the rows that go on, ``raw_md5`` that of what came in.
    """
    return {
        "passed": not failures,
        "md5": files.md5(files.RAW if failures else files.CHECKED),
        "raw_md5": files.md5(files.RAW),
        "rows": checked.rows,
        "dropped": {"rows": checked.gone, "checks": checked.dropped},
        "changed": checked.changed,
        "schema": {name: schema.describe(rules) for name, rules in checked.columns.items()},
        "columns": [] if failures else _request_columns(checked, params),
        "failures": failures,
    }


def _request_columns(checked: Checked, params: Params) -> list[dict[str, Any]]:
    trains, described = sides(checked.table, params.data)[0], []
    for name in pq.read_schema(files.CHECKED).names:
        values = checked.table[[name]] if name in checked.table else read(files.CHECKED, [name])
        described += request_columns.describe(values[trains], checked.columns, params.data.target)
    return [column.model_dump() for column in described]


def failure_table(failures: list[Failure]) -> Table:
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
