"""What the schema of the raw data becomes for requests."""

import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
import yaml
from pandera.pandas import Check, Column
from projects import Project

from mlops.artifact import model_folder
from mlops.artifact.request_columns import describe
from mlops.artifact.table import to_columns
from mlops.pipeline import train
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Params

TIMES = pd.to_datetime(["2013-01-01 00:00", "2013-01-02 12:00", "2013-01-09 00:00"], utc=True)


def described(values: Any, *checks: Check, nullable: bool = False) -> dict[str, Any]:
    """Return what becomes of one column, without what it says nothing about."""
    table = pd.DataFrame({"it": values, "y": 0})
    rules = {"it": Column(None, list(checks), nullable=nullable), "y": Column(int)}
    (column,) = describe(table, rules, "y")
    assert column.name == "it"
    return column.model_dump(exclude_none=True, exclude={"name", "zoned"})


@pytest.mark.parametrize(
    ("checks", "bounds"),
    [
        ([Check.in_range(1, 9)], {"minimum": 1, "maximum": 9}),
        (
            [Check.in_range(1, 9, include_min=False, include_max=False)],
            {"minimum": 2, "maximum": 8},
        ),
        ([Check.ge(2), Check.le(7)], {"minimum": 2, "maximum": 7}),
        ([Check.gt(2), Check.lt(7)], {"minimum": 3, "maximum": 6}),
        ([Check.gt(1.5)], {"minimum": 2}),
        ([Check.in_range(1, 9), Check.le(5), Check.ge(0)], {"minimum": 1, "maximum": 5}),
        ([Check.isin([3, 1, 2])], {"categories": [3, 1, 2]}),
        ([Check(lambda values: values > 0)], {}),
    ],
)
def test_bounds_of_integers(checks: list[Check], bounds: dict[str, Any]) -> None:
    assert described([1, 3, 2], *checks) == {
        "type": "integer",
        "dtype": "int64",
        "nullable": False,
        "example": 2,
        **bounds,
    }


def test_an_open_bound_of_a_number_excludes_it_and_nothing_else() -> None:
    column = described([0.5, 0.7], Check.gt(0.1), Check.lt(1))
    assert column["minimum"] == np.nextafter(0.1, 1)
    assert column["maximum"] == np.nextafter(1, 0)


def test_texts() -> None:
    checks = Check.str_matches("[A-Z]+"), Check.str_length(1, 3), Check.isin(["UA", "AA"])
    assert described(["UA", "AA", "UA", None], *checks, nullable=True) == {
        "type": "string",
        "dtype": "object",
        "nullable": True,
        "min_length": 1,
        "max_length": 3,
        "pattern": "^(?:[A-Z]+)",
        "categories": ["UA", "AA"],
        "example": "UA",
    }


def test_a_text_without_a_limit_has_one() -> None:
    assert described(["a", "bb"])["max_length"] == 1000
    assert described(["a", "b" * 1500])["max_length"] == 1500
    assert described(["a", "bb"], Check.str_length(max_value=9))["max_length"] == 9


def test_times_in_utc() -> None:
    bounds = Check.in_range(
        pd.Timestamp("2013-01-01", tz="UTC"), pd.Timestamp("2014-01-01", tz="UTC")
    )
    column = described(TIMES.tz_convert("America/New_York"), bounds)
    assert column["type"] == "datetime"
    assert column["dtype"].startswith("datetime64[")
    assert column["minimum"] == "2013-01-01T00:00:00Z"
    assert column["maximum"] == "2014-01-01T00:00:00Z"
    assert column["example"] == "2013-01-02T12:00:00Z"


def test_times_without_a_zone() -> None:
    bounds = Check.in_range(pd.Timestamp("2013-01-01"), pd.Timestamp("2014-01-01"))
    table = pd.DataFrame({"it": TIMES.tz_localize(None), "y": 0})
    (column,) = describe(table, {"it": Column(None, bounds)}, "y")
    assert not column.zoned
    assert (column.minimum, column.maximum) == ("2013-01-01T00:00:00", "2014-01-01T00:00:00")
    assert column.example == "2013-01-02T12:00:00"


@pytest.mark.parametrize(
    ("values", "kind", "dtype", "nullable"),
    [
        (pd.array([1, 2, None], "Int64"), "integer", "float64", True),
        (pd.array([True, False, None], "boolean"), "boolean", "float64", True),
        (pd.array([1.5, None], "Float64"), "number", "float64", True),
        (pd.array([1, 2, 3], "int8"), "integer", "int8", False),  # holds no missing value
        (pd.array([1, 2, 3], "float32"), "number", "float32", True),
        (pd.Categorical(["a", "b", "a"]), "string", "object", True),
        (pd.Categorical([1, 2, 1]), "integer", "object", True),
        ([True, False, True], "boolean", "bool", False),
    ],
)
def test_types_are_those_that_training_had(
    values: Any, kind: str, dtype: str, nullable: bool
) -> None:
    column = described(values, nullable=True)
    assert (column["type"], column["dtype"], column["nullable"]) == (kind, dtype, nullable)


def test_what_json_cannot_hold_is_left_out_and_refused_as_an_input(
    tmp_path: Any, monkeypatch: pytest.MonkeyPatch, trained: Project
) -> None:
    table = pd.DataFrame({"spans": pd.to_timedelta([1, 2], "h"), "both": ["a", 1], "y": 0})
    assert describe(table, {}, "y") == []
    monkeypatch.chdir(tmp_path)
    files.write_json(files.DATA_REPORT, {"columns": [], "schema": {}, "md5": "da7a"})
    params = Params.model_validate_json(_params(trained))
    with pytest.raises(MlopsError, match=r"features\.py reads column 'spans', whose values"):
        train.describe(params, ["a"], ["spans"], None, np.array([1.0]))


def _params(trained: Project) -> str:
    settings = yaml.safe_load((trained / "params.yaml").read_text())
    return json.dumps(settings | {"task": "regression"})


def test_missing_is_nan_in_training_whatever_pandas_called_it() -> None:
    columns = to_columns(
        pd.DataFrame(
            {
                "text": pd.array(["a", pd.NA], "string"),
                "none": pd.Series(["a", None], dtype=object),
                "number": pd.array([1, pd.NA], "Int64"),
                "truth": pd.array([True, pd.NA], "boolean"),
            }
        )
    )
    assert all(isinstance(values[1], float) and np.isnan(values[1]) for values in columns.values())
    assert columns["number"].dtype == columns["truth"].dtype == np.float64


def test_a_trained_model_describes_its_inputs_in_their_order(trained: Project) -> None:
    facts = model_folder.load(trained / "models").facts
    assert [column.name for column in facts.columns] == facts.inputs
    columns = {column.name: column for column in facts.columns}
    assert (columns["sched_dep_time"].minimum, columns["sched_dep_time"].maximum) == (0, 2400)
    assert columns["seats"].nullable
    assert columns["carrier"].categories == [*sorted(columns["carrier"].categories or [])]
    assert facts.target_quantiles == []
