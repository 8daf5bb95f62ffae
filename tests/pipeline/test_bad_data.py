"""Bad data stops at the schema, and says what is wrong to people and to machines."""

import json
import sys
from pathlib import Path
from typing import Any

import bad_data
import pytest
from projects import Project

# Column, what the check is called, bad rows, and part of the example.
EXPECTED: dict[str, list[tuple[str, str, int | None, str | None]]] = {
    "missing column": [("distance", "column is there", None, None)],
    "column too many": [("arr_time", "column is in the schema", None, None)],
    "wrong type": [("distance", "type is int64, not str", None, None)],
    "out of range": [("humid", "between 0 and 100", 7, "400.0")],
    "missing value": [("carrier", "no missing value", 5, None)],
    "unknown category": [("dest", "one of 104 values: ABQ, ACK", 3, "XYZ")],
    "duplicate key": [("time_hour, carrier, flight", "no duplicate key", 4, "2013-01-01")],
    "three at once": [
        ("seats", "column is there", None, None),
        ("dest", "one of 104 values: ABQ, ACK", 3, "XYZ"),
        ("humid", "between 0 and 100", 2, "-1.0"),
    ],
    "hostile value": [("dest", "one of 104 values: ABQ, ACK", 1, "[red]`$(id)`|<b>")],
    "empty window": [("time_hour", "none in 2013-02", 0, None)],
    "future window": [("time_hour", "none in 2013-04; the data runs from 2013-01-01", 0, None)],
    "one class": [("late", "two classes, not 1", None, None)],
    "no rows": [("time_hour", "none in 2013-01, 2013-02, 2013-03", 0, None)],
}


@pytest.fixture(scope="module")
def found(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    project = trained.copy(tmp_path_factory.mktemp("bad") / "project")
    return json.loads(project.run(sys.executable, bad_data.__file__).stdout)


def test_good_data_passes_and_leaves_reports_alone(found: dict[str, Any]) -> None:
    good = found["good"]
    assert good["error"] == ""
    assert good["report"]["passed"]
    assert good["report"]["failures"] == []
    assert len(good["left"]) == 3


def test_every_case_is_expected() -> None:
    assert set(EXPECTED) == set(bad_data.CASES)


@pytest.mark.parametrize("case", EXPECTED)
def test_bad_data_is_refused(found: dict[str, Any], case: str) -> None:
    outcome = found[case]
    assert outcome["error"].startswith("data/raw.parquet is refused: ")
    assert not outcome["report"]["passed"]
    assert outcome["left"] == []  # what older data led to would look fresh
    failures = outcome["report"]["failures"]
    for column, check, bad_rows, example in EXPECTED[case]:
        failure = next(
            (f for f in failures if f["column"].startswith(column) and check in f["check"]), None
        )
        assert failure, f"no failure of {column}, {check} in {failures}"
        if bad_rows is not None:
            assert failure["bad_rows"] == bad_rows
        if example is not None:
            assert any(example in value for value in map(str, failure["example"].values()))
        # The same for people: one table with every column, check, count and example.
        assert column.split(",")[0] in outcome["printed"]
        assert f"{failure['bad_rows']:,}" in outcome["printed"]


def test_example_names_row_and_key(found: dict[str, Any]) -> None:
    (failure,) = found["unknown category"]["report"]["failures"]
    assert set(failure["example"]) == {
        *("row", "dest", "time_hour", "carrier", "flight", "origin", "sched_dep_time")
    }


def test_hostile_value_is_printed_as_it_is(found: dict[str, Any]) -> None:
    assert "dest=[red]`$(id)`|<b>" in found["hostile value"]["printed"]


def test_nothing_after_a_refusal_runs(trained: Project, tmp_path: Path) -> None:
    project = trained.copy(tmp_path / "copy")
    project.replace(
        "src/model/data.py",
        "    return table[",
        '    table.loc[:9, "dest"] = "XYZ"\n    return table[',
    )
    model = (project / "models/model.onnx").stat().st_mtime_ns
    done = project.run("dvc", "repro", fails=True)
    assert "Running stage 'validate'" in done.stdout
    assert "Running stage 'features'" not in done.stdout
    assert "Data refused" in done.stderr
    assert "XYZ" in done.stderr
    assert "mlops: data/raw.parquet is refused: 1 check failed" in done.stderr
    assert "Traceback" not in done.stderr
    assert (project / "models/model.onnx").stat().st_mtime_ns == model
    assert not (project / "reports/metrics.json").exists()

    refused = project.run("mlops", "compare", fails=True)
    assert "the data was refused" in refused.stderr
    project.run("mlops", "report")
    report = (project / "reports/report.md").read_text()
    assert report.startswith("## ⛔ Data refused")
    assert "| dest | one of 104 values" in report
    assert "dest=XYZ" in report

    project.replace("src/model/data.py", '    table.loc[:9, "dest"] = "XYZ"\n', "")
    project.run("dvc", "repro")
    assert (project / "reports/metrics.json").exists()
