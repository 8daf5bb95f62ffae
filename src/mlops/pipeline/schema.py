"""The schema of the raw data: what it makes of a table, and what it finds wrong.

A schema may do more than check. It may turn types (``coerce``), clean values (``parsers``), and
drop rows (``drop_invalid_rows``): what comes out is what trains, judges, serves and is watched.
"""

import contextlib
import copy
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
from pandera.errors import SchemaError, SchemaErrors
from pandera.pandas import Check, Column, DataFrameModel, DataFrameSchema

from mlops.pipeline.ingest import check_table
from mlops.project.errors import MlopsError
from mlops.project.user_code import running, shortened

Failure = dict[str, Any]

WHERE = "src/model/schema.py"
SHOWN = 10  # allowed values in an error; more would drown the row that is wrong
LONGEST = 200  # characters of a value in an error

WHAT_FAILED = {
    "column_in_dataframe": "column is there",
    "column_in_schema": "column is in the schema",
    "not_nullable": "no missing value",
    "multiple_fields_uniqueness": "no duplicate key",
    "field_uniqueness": "no value twice",
}


@dataclass(frozen=True)
class Checked:
    """What a schema made of a table.

    ``table`` is what it returned; with ``failures``, the table as far as it came. ``columns`` are
    the rules of each column that is there. ``dropped`` says why rows were dropped, one entry for
    each check, as ``failures`` does. ``changed``: for each column that is not as it came, its type
    before and after, and in how many rows the value differs. ``rows`` came in, ``gone`` of them did
    not come out.
    """

    table: pd.DataFrame
    columns: dict[str, Column]
    rows: int
    gone: int
    failures: list[Failure] = field(default_factory=list)
    dropped: list[Failure] = field(default_factory=list)
    changed: list[dict[str, Any]] = field(default_factory=list)


def load() -> DataFrameSchema:
    """Return the project's ``SCHEMA``, of either form that Pandera knows.

    Raises
    ------
    MlopsError
        When it is neither a ``DataFrameSchema`` nor a ``DataFrameModel``.
    """
    with running("SCHEMA"):
        import model  # not from it: an AttributeError in the user's file would become another error

        schema = model.SCHEMA
        if isinstance(schema, type) and issubclass(schema, DataFrameModel):
            return schema.to_schema()
    if not isinstance(schema, DataFrameSchema):
        raise MlopsError(
            f"{WHERE}: SCHEMA is {shortened(repr(schema), 60)}; expected a pandera.pandas."
            "DataFrameSchema, or a class derived from DataFrameModel"
        )
    return schema


def check(table: pd.DataFrame, schema: DataFrameSchema) -> Checked:
    """Hold a table, whose rows are numbered from 0, against a schema."""
    checked, cases = _apply(table, schema)
    check_table(checked.reset_index(drop=True), f"{WHERE}: SCHEMA")
    columns, rows = columns_of(checked, schema), len(table)
    gone = int((~table.index.isin(checked.index)).sum())
    if cases is not None:
        return Checked(checked, columns, rows, gone, _failures(checked, schema, cases))
    dropped = []
    if len(checked) < len(table) and (strict := _keeping_rows(schema)):
        _, cases = _apply(table, strict)
        dropped = [] if cases is None else _failures(table, strict, cases)
    changed = _changed(table, checked)
    return Checked(checked, columns, rows, gone, dropped=dropped, changed=changed)


def _apply(
    table: pd.DataFrame, schema: DataFrameSchema
) -> tuple[pd.DataFrame, pd.DataFrame | None]:
    """Return the table that comes out, and Pandera's failure cases when there are some."""
    with running("SCHEMA"):
        try:
            return schema.validate(table, lazy=True), None
        except SchemaErrors as errors:
            came = errors.data
            return came if isinstance(came, pd.DataFrame) else table, errors.failure_cases


def _keeping_rows(schema: DataFrameSchema) -> DataFrameSchema:
    """Return the schema without the wish to drop rows, so that it says which are wrong."""
    strict = copy.deepcopy(schema)
    strict.drop_invalid_rows = False
    for column in strict.columns.values():
        column.drop_invalid_rows = False
    return strict


def columns_of(table: pd.DataFrame, schema: DataFrameSchema) -> dict[str, Column]:
    """Return the rules of each column, also of those that a pattern (``regex=True``) names."""
    found: dict[str, Column] = {}
    for name, rules in schema.columns.items():
        if not rules.regex:
            found[name] = rules
            continue
        with contextlib.suppress(SchemaError):  # it names none
            for column in rules.get_regex_columns(table):
                found.setdefault(str(column), rules)
    order = [*map(str, table.columns), *found]
    return {name: found[name] for name in dict.fromkeys(order) if name in found}


def _changed(before: pd.DataFrame, after: pd.DataFrame) -> list[dict[str, Any]]:
    changed = []
    same_rows = after.index.isin(before.index).all() and after.index.is_unique
    for name, now in after.items():
        was = before.get(name)
        kinds = {"from": None if was is None else str(was.dtype), "to": str(now.dtype)}
        rows = None
        if was is not None and same_rows:
            rows = _differing(was.loc[now.index], now)
        if rows or kinds["from"] != kinds["to"]:
            changed.append({"column": str(name), **kinds, "rows": rows})
    return changed


def _differing(was: "pd.Series[Any]", now: "pd.Series[Any]") -> int | None:
    """Return in how many rows the values differ; None where nobody can tell, by their types."""
    if was.dtype != now.dtype:
        if not all(pd.api.types.is_numeric_dtype(side) for side in (was, now)):
            return int((was.isna() != now.isna()).sum()) or None
        was, now = was.astype("Float64"), now.astype("Float64")
    differs = (was != now).fillna(True) & ~(was.isna() & now.isna())
    return int(differs.sum())


def _failures(table: pd.DataFrame, schema: DataFrameSchema, cases: pd.DataFrame) -> list[Failure]:
    """Return one failure for each column and check that the table does not pass."""
    # A check of the whole table fails for every column; the row that is wrong is said once.
    context, unique = cases["schema_context"], cases["check"].eq("multiple_fields_uniqueness")
    named = cases["check"].isin(("column_in_dataframe", "column_in_schema"))
    whole = (context == "DataFrameSchema") & ~named & (cases["index"].notna() | unique)
    columns = cases["column"].mask(whole, "the whole table")
    columns = columns.mask(context.isin(("Index", "MultiIndex")), "the row numbers")
    cases = cases.assign(column=columns.fillna("the whole table").astype(str))
    # A type that could not be turned is told by what follows from it, too.
    turned = cases["check"].astype(str).str.startswith("coerce_dtype(")
    hopeless = cases["column"].isin(cases.loc[turned, "column"]) & ~turned
    groups = cases[~hopeless].groupby(["column", "check"], sort=False, dropna=False)
    return [
        _failure(table, schema, str(column), str(check), group) for (column, check), group in groups
    ]


def _failure(
    table: pd.DataFrame, schema: DataFrameSchema, column: str, check: str, cases: pd.DataFrame
) -> Failure:
    rows = cases["index"].dropna().unique()
    key = [name for name in schema.unique or [] if name in table.columns]
    shown = [column, *key]
    if check == "multiple_fields_uniqueness":
        column, shown = ", ".join(key), key
    elif check in ("column_in_dataframe", "column_in_schema"):
        column = str(cases["failure_case"].iloc[0])
    example = None
    if len(rows) and pd.api.types.is_integer_dtype(table.index) and table.index.is_unique:
        values = table.loc[rows[0], [name for name in dict.fromkeys(shown) if name in table]]
        example = {"row": int(rows[0]), **{name: _value(value) for name, value in values.items()}}
    rules = columns_of(table, schema).get(column)
    sentence = _sentence(check, rules, cases["failure_case"].iloc[0])
    # A check on the column as a whole (missing, wrong type) makes every row a bad one.
    bad = len(rows) if len(rows) else len(table)
    return {"column": column, "check": sentence, "bad_rows": bad, "example": example}


def _sentence(check: str, rules: Column | None, case: Any) -> str:
    if check in WHAT_FAILED:
        return WHAT_FAILED[check]
    if check.startswith("dtype("):
        return f"type is {rules.dtype if rules else check}, not {_value(case)}"
    if check.startswith("coerce_dtype("):
        return f"can be turned into {rules.dtype if rules else check}, as coerce demands"
    known = rules.checks if rules else []
    said = next((in_words(rule) for rule in known if str(rule.error) == check), check)
    if isinstance(case, str) and case.partition("(")[0].endswith(("Error", "Exception")):
        return f"{said}, but the check itself stops: {_value(case)}"
    return said


def in_words(rule: Check) -> str:
    """Say what a check of Pandera demands; what is not known here keeps Pandera's words."""
    values = rule.statistics or {}
    if rule.name == "isin":
        allowed = [_value(value) for value in values["allowed_values"]]
        shown = ", ".join(allowed[:SHOWN]) + (", …" if len(allowed) > SHOWN else "")
        return f"one of {len(allowed)} values: {shown}"
    if rule.name == "in_range":
        return f"between {values['min_value']} and {values['max_value']}"
    if rule.name == "str_length" and values.get("max_value") is not None:
        return f"a text of {values['min_value'] or 0:,} to {values['max_value']:,} characters"
    return shortened(str(rule.error or rule.name), LONGEST)


def describe(rules: Column) -> str:
    """Return a column's rules in words, so that two schemas can be compared line by line."""
    checks = [
        f"{check.name} {check.statistics}" if check.statistics else check.name
        for check in rules.checks
    ]
    categories = list(getattr(rules.dtype, "categories", None) or [])
    said = {
        "may be missing": bool(rules.nullable),
        "may be absent": not rules.required,
        "coerced": bool(rules.coerce),
        "unique": bool(rules.unique),
        f"default {rules.default}": rules.default is not None,
        f"{len(rules.parsers or [])} parsers": bool(rules.parsers),
        f"categories {categories}": bool(categories),
    }
    return "; ".join([str(rules.dtype), *(text for text, so in said.items() if so), *checks])


def _value(value: object) -> str:
    return shortened(str(value), LONGEST)
