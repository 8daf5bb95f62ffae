"""What the schema returns is what trains; how it is said when it returns something else."""

import sys
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pandas as pd
import pandera.pandas as pa
import pytest
from pandera.pandas import Check, Column, DataFrameSchema, Parser

from mlops.pipeline import schema
from mlops.project.errors import MlopsError


def table(**columns: Any) -> pd.DataFrame:
    return pd.DataFrame(columns)


def test_types_are_turned_and_values_cleaned() -> None:
    checked = schema.check(
        table(weight=["1.5", "2", "3"], kind=["Box ", "bag", "bag"], stops=[1, 2, 3]),
        DataFrameSchema(
            {
                "weight": Column(float, Check.le(3), coerce=True),
                "kind": Column(
                    str,
                    Check.isin(["box", "bag"]),
                    parsers=Parser(lambda values: values.str.strip().str.lower()),
                ),
                "stops": Column(int),
            }
        ),
    )
    assert checked.failures == checked.dropped == []
    assert checked.table["weight"].tolist() == [1.5, 2.0, 3.0]
    assert checked.table["kind"].tolist() == ["box", "bag", "bag"]
    assert checked.changed == [
        {"column": "weight", "from": "str", "to": "float64", "rows": None},
        {"column": "kind", "from": "str", "to": "str", "rows": 1},
    ]


def test_a_number_cut_by_its_new_type_is_a_changed_value() -> None:
    rules = DataFrameSchema({"stops": Column(int, coerce=True)})
    checked = schema.check(table(stops=[1.0, 2.5, 3.0]), rules)
    assert checked.changed == [{"column": "stops", "from": "float64", "to": "int64", "rows": 1}]


def test_dropped_rows_are_counted_by_check() -> None:
    rules = DataFrameSchema({"weight": Column(float, Check.ge(0))}, drop_invalid_rows=True)
    checked = schema.check(table(weight=[-999.0, 1.0, 2.0, -999.0]), rules)
    assert checked.table["weight"].tolist() == [1.0, 2.0]
    assert checked.dropped == [
        {
            "column": "weight",
            "check": "greater_than_or_equal_to(0)",
            "bad_rows": 2,
            "example": {"row": 0, "weight": "-999.0"},
        }
    ]
    assert checked.changed == []


def test_columns_named_by_a_pattern_keep_their_rules() -> None:
    rules = DataFrameSchema(
        {
            "late": Column(int),
            "^(rain|snow)_": Column(float, Check.in_range(0, 9), nullable=True, regex=True),
        }
    )
    checked = schema.check(table(rain_mm=[1.0, np.nan], snow_cm=[0.0, 2.0], late=[0, 1]), rules)
    assert list(checked.columns) == ["rain_mm", "snow_cm", "late"]
    assert schema.describe(checked.columns["snow_cm"]).startswith("float64; may be missing; in_r")
    refused = schema.check(table(rain_mm=[10.0], snow_cm=[0.0], late=[0]), rules)
    assert [it["column"] for it in refused.failures] == ["rain_mm"]
    assert refused.failures[0]["check"] == "between 0 and 9"


CASES: dict[str, tuple[pd.DataFrame, DataFrameSchema, str]] = {
    "a type that cannot be turned": (
        table(a=["1", "b"]),
        DataFrameSchema({"a": Column(float, Check.ge(0), coerce=True)}),
        "can be turned into float64, as coerce demands",
    ),
    "a check that stops": (
        table(a=[1.0]),
        DataFrameSchema({"a": Column(float, Check(lambda values: 1 / 0, name="odd"))}),
        "odd, but the check itself stops: ZeroDivisionError",
    ),
    "a check of the row numbers": (
        table(a=[1.0, 2.0]),
        DataFrameSchema({"a": Column(float)}, index=pa.Index(int, Check.gt(0))),
        "greater_than(0)",
    ),
    "two columns that are a key": (
        table(a=[1.0, 1.0], b=[2.0, 2.0]),
        DataFrameSchema({"a": Column(float), "b": Column(float)}, unique=["a", "b"]),
        "no duplicate key",
    ),
    "a pattern that names nothing": (
        table(a=[1.0]),
        DataFrameSchema({"a": Column(float), "^x": Column(float, regex=True)}),
        "",
    ),
    "rows known by their time": (
        table(a=[1.0, 2.0], at=pd.to_datetime(["2023-01-01", "2023-01-02"])),
        DataFrameSchema(
            {"a": Column(float, Check.gt(5))}, parsers=Parser(lambda rows: rows.set_index("at"))
        ),
        "greater_than(5)",
    ),
    "a check of the whole table": (
        table(a=[1.0, 2.0], b=[2.0, 1.0]),
        DataFrameSchema(
            {"a": Column(float), "b": Column(float)},
            checks=Check(lambda rows: rows["a"] < rows["b"], name="in order"),
        ),
        "in order",
    ),
}


@pytest.mark.parametrize("case", CASES)
def test_each_way_to_fail_is_one_sentence(case: str) -> None:
    rows, rules, said = CASES[case]
    (failure,) = schema.check(rows, rules).failures
    assert failure["check"].startswith(said)


@pytest.mark.parametrize(
    ("parse", "said"),
    [
        (lambda rows: rows.assign(z=[{}] * len(rows)), "column 'z' "),
        (lambda rows: rows.assign(z=[1, "a"]), "column 'z' holds int and str"),
        (lambda rows: pd.concat([rows, rows], axis=1), "returns column 'a' more than once"),
        (lambda rows: rows.rename(columns={"a": 7}), "returns a column named 7; expected names"),
    ],
)
def test_a_parser_returns_no_table_that_could_be_kept(
    parse: Callable[[pd.DataFrame], pd.DataFrame], said: str
) -> None:
    with pytest.raises(MlopsError) as refused:
        schema.check(table(a=[1.0, 2.0]), DataFrameSchema({}, parsers=Parser(parse)))
    assert str(refused.value).startswith("src/model/schema.py: SCHEMA")
    assert said in str(refused.value)


def test_rows_added_and_values_that_were_missing_are_counted() -> None:
    raw = table(flag=np.array([True, None, False], dtype=object))
    coerced = schema.check(raw, DataFrameSchema({"flag": Column(bool, coerce=True)}))
    assert coerced.changed == [{"column": "flag", "from": "object", "to": "bool", "rows": 1}]
    twice = Parser(lambda rows: pd.concat([rows, rows.tail(1)]))
    added = schema.check(table(a=[1.0, 2.0]), DataFrameSchema({}, parsers=twice))
    assert (len(added.table), added.gone) == (3, 0)


def test_a_page_of_text_is_no_page_of_error() -> None:
    rules = DataFrameSchema({"note": Column(str, Check.isin(["ok"]))})
    (failure,) = schema.check(table(note=["ok", "x\x1b[31m " * 100_000]), rules).failures
    assert len(failure["example"]["note"]) < 210
    assert "\x1b" not in failure["example"]["note"]
    rules = DataFrameSchema({"note": Column(str, Check.str_length(max_value=1000))})
    (failure,) = schema.check(table(note=["ok", "x" * 5000]), rules).failures
    assert failure["check"] == "a text of 0 to 1,000 characters"


class Parcels(pa.DataFrameModel):
    weight: float = pa.Field(ge=0, nullable=True)

    @pa.check("weight")
    def plausible(cls, values: pd.Series) -> pd.Series:  # noqa: N805  a method of the class
        return values < 100


def test_a_class_is_a_schema_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "model", SimpleNamespace(SCHEMA=Parcels))
    checked = schema.check(table(weight=[1.0, 200.0]), schema.load())
    assert [it["check"] for it in checked.failures] == ["plausible"]
    assert checked.columns["weight"].nullable


def test_anything_else_is_none(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "model", SimpleNamespace(SCHEMA={"a": float}))
    with pytest.raises(MlopsError, match=r"SCHEMA is .*; expected a pandera.pandas.DataFrameSch"):
        schema.load()
