"""``mlops predict``: what the service says, for whole tables, or nothing at all."""

import csv
import json
from collections.abc import Iterator
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import handmade_model
import msgspec
import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest
import sqlalchemy
from projects import Project
from running_service import JSON, Answer, RunningService
from s3_server import BUCKET, WRITER, s3_server
from toy_project import ToyProject, refused
from workbench import Workbench

from mlops.predictions import batch
from mlops.predictions import log as prediction_log
from mlops.predictions.tables import Source, Target
from mlops.project.params import Batch
from mlops.registry import promotion, tracking, versions
from mlops.serving import served_model
from mlops.serving.settings import Settings

# A column of each type, as training may have had it; only the first three are read.
COLUMNS: list[dict[str, Any]] = [
    handmade_model.X | {"nullable": True, "maximum": 10.0},
    handmade_model.TEXT,
    handmade_model.SEEN,
    {"name": "count", "type": "integer", "dtype": "int32", "nullable": False, "minimum": 0},
    {"name": "stock", "type": "integer", "dtype": "float64", "nullable": True},
    {"name": "when", "type": "datetime", "dtype": "datetime64[ns]", "nullable": True}
    | {"maximum": "2030-01-01T00:00:00Z"},
    {"name": "day", "type": "datetime", "dtype": "datetime64[us]", "nullable": False}
    | {"zoned": False},
    {"name": "paid", "type": "boolean", "dtype": "object", "nullable": True},
    {"name": "size", "type": "number", "dtype": "float32", "nullable": False},
]
NOON = datetime(2013, 1, 1, 12, tzinfo=UTC)
GOOD: dict[str, Any] = {
    **{"x": 0.5, "a text": "ab", "seen": True, "count": 3, "stock": None, "when": NOON},
    **{"day": NOON.replace(tzinfo=None), "paid": None, "size": 1.5},
}
# What a service tries itself with.
EXAMPLES = {**GOOD, "when": None, "day": "2013-01-01T12:00:00"}
INF = float("inf")


def array(*values: Any, kind: pa.DataType | None = None) -> pa.Array:
    return pa.array(values, kind)


# Values of a column as a Parquet file may hold them, good ones and bad ones.
PLANTED: list[tuple[str, pa.Array]] = [
    ("x", array(0.1, None, 10.0, 10.1, -1e301, float("nan"), INF, -INF)),
    ("x", array(0.1, 3.0, 11.0, kind=pa.float32())),
    ("x", array(3, None, 11, 2**53 + 1)),
    ("x", array("0.5", None)),
    ("x", array(Decimal("2.5"), Decimal("11.5"))),
    ("x", array(None, None)),
    ("a text", array("ab", None, "a", "abcde", "a1", "äö", "abcd")),
    ("a text", array("ab", "a", None).dictionary_encode()),
    ("a text", array("ab", "a", kind=pa.large_string())),
    ("a text", array(1, None)),
    ("a text", array(b"ab", b"a")),
    ("seen", array(True, None, False)),
    ("seen", array(1, 0)),
    ("count", array(0, -1, None, 2**31 - 1, 2**31)),
    ("count", array(2.0, 2.5, float("nan"), 1e300, INF, 3.0)),
    ("count", array(2**63, 5, kind=pa.uint64())),
    ("count", array(True, False)),
    ("count", array("3")),
    ("stock", array(1, None, 2**62)),
    ("stock", array(1.0, None, 1.5, float(2**60))),
    ("when", array(NOON, None, datetime(2031, 1, 1, tzinfo=UTC), datetime(1500, 1, 1, tzinfo=UTC))),
    ("when", array(NOON, kind=pa.timestamp("ns", "America/New_York"))),
    ("when", array(NOON.replace(tzinfo=None), None)),
    ("when", array("2013-01-01T05:00:00Z", "2013-01-01 05:00:00.25+05:30", None, "2013-01-01")),
    ("when", array("2013-02-30T05:00:00Z", "2013-01-01T05:00:00", "x", "2013-01-01t05:00:00z")),
    ("when", array("2013-01-01T05:00:00+24:00", "2013-01-01T05:00:60Z", "0000-01-01T05:00:00Z")),
    ("when", array(date(2013, 1, 1), None)),
    ("day", array(NOON.replace(tzinfo=None), None)),
    ("day", array(NOON)),
    ("day", array("2013-01-01T05:00:00", "2013-01-01 05:00:00.123456", "2013-01-01T05:00:00Z")),
    ("paid", array(True, None, False)),
    ("paid", array("true")),
    ("size", array(1.5, None, 0.1)),
]


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return handmade_model.write_model(
        tmp_path_factory.mktemp("models") / "model",
        *("regression", 1, False),
        columns=[{"example": EXAMPLES[column["name"]]} | column for column in COLUMNS],
        inputs=[column["name"] for column in COLUMNS],
    )


@pytest.fixture(scope="module")
def service(model: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    one = RunningService(model, tmp_path_factory.mktemp("service"))
    yield one.wait()
    one.kill()


def predict(
    model: Path, table: Path | str, out: Path | str, rejects: Any = "100%", **options: Any
) -> list[str]:
    """Predict, as the command does; options in capitals are variables of the environment."""
    settings = Settings(
        **{name.lower(): options.pop(name) for name in [*options] if name.isupper()}
    )
    source = Source(str(table), options.pop("query", ""))
    limits = Batch(rejects=rejects)
    return batch.run(
        served_model.load(model), limits, settings, source, Target(str(out)), **options
    )


def rejects(out: Path) -> list[dict[str, str]]:
    path = out.with_suffix(".rejects.csv")
    return list(csv.DictReader(path.open(encoding="utf-8"))) if path.exists() else []


def table_of(name: str, values: pa.Array) -> pa.Table:
    """Return rows that are good but for one column."""
    rows = pa.Table.from_pylist([GOOD] * len(values))
    rows = rows.set_column(rows.column_names.index(name), name, values)
    return rows.append_column("row", pa.array(range(len(values))))


def answers(service: RunningService, rows: list[dict[str, Any]]) -> list[float | str]:
    """Return a score for each row, or the message with which the service refuses it."""
    said: list[float | str] = []
    for row in rows:
        answer = ask(service, {name: as_json(value) for name, value in row.items()})
        if answer.status == 200:
            said.append(answer.json()["predictions"][0]["score"])
        else:
            assert answer.status == 422, answer.body
            said.append(answer.error["message"])
    return said


def ask(service: RunningService, rows: Any) -> Answer:
    return service.request("POST", "/predict", msgspec.json.encode(rows), JSON)


def as_json(value: Any) -> Any:
    """Return what a client sends for what a file holds."""
    if isinstance(value, float) and abs(value) == INF:
        return msgspec.Raw(b"1e999")
    if isinstance(value, Decimal):
        return float(value)
    if isinstance(value, pd.Timestamp):
        return value.to_pydatetime()
    return list(value) if isinstance(value, bytes) else value


def batch_answers(out: Path, rows: int) -> list[float | str]:
    """Return the same, from what a batch has written."""
    said: list[float | str] = [""] * rows
    for row in pq.read_table(out).to_pylist():
        said[int(row["row"])] = row["score"]
    for row in rejects(out):
        assert row["file"] == "in.parquet" or row["file"] == "in.csv"
        column = f", column {row['column']}" if row["column"] else ""
        said[int(row["row"]) - 1] = f"row 0{column}: {row['reason']}"
    return said


@pytest.mark.parametrize(
    ("name", "values"),
    PLANTED,
    ids=[f"{name}-{it.type}-{n}" for n, (name, it) in enumerate(PLANTED)],
)
def test_a_row_gets_what_the_service_says(
    model: Path, service: RunningService, tmp_path: Path, name: str, values: pa.Array
) -> None:
    table = table_of(name, values)
    pq.write_table(table, tmp_path / "in.parquet")
    predict(model, tmp_path / "in.parquet", tmp_path / "out.parquet")
    rows = table.drop_columns("row").to_pylist()
    found = batch_answers(tmp_path / "out.parquet", len(rows))
    assert found == answers(service, rows)


@pytest.mark.parametrize(
    ("name", "cells"),
    [
        ("x", {"1": 1, "1e1": 10.0, "": None, "NA": None, "11": 11, "much": "much", "1e999": INF}),
        ("a text", {"ab": "ab", "": None, "abcde": "abcde", "12": "12"}),
        ("count", {"3": 3, "4.0": 4.0, "4.5": 4.5, "-1": -1, "9" * 20: int("9" * 20), "x": "x"}),
        ("stock", {"3": 3, "": None}),
        ("seen", {"true": True, "False": False, "1": True, "yes": "yes", "": None}),
        ("when", {"2013-01-01T05:00:00Z": NOON.replace(hour=5), "": None, "noon": "noon"}),
        ("day", {"2013-01-01 05:00:00": NOON.replace(hour=5, tzinfo=None), "": None}),
    ],
)
def test_a_row_of_a_csv_file_gets_it_for_what_its_cells_mean(
    model: Path, service: RunningService, tmp_path: Path, name: str, cells: dict[str, Any]
) -> None:
    base = {**GOOD, "when": "2013-01-01T12:00:00Z", "day": "2013-01-01T12:00:00", "seen": "true"}
    with (tmp_path / "in.csv").open("w", newline="") as file:
        writer = csv.DictWriter(file, [*base, "row"])
        writer.writeheader()
        writer.writerows({**base, name: cell, "row": n} for n, cell in enumerate(cells))
    predict(model, tmp_path / "in.csv", tmp_path / "out.parquet")
    found = batch_answers(tmp_path / "out.parquet", len(cells))
    assert found == answers(service, [{**GOOD, name: value} for value in cells.values()])


def test_the_real_model_scores_real_rows_as_the_service_does_to_the_bit(
    trained: Project, tmp_path: Path
) -> None:
    holdout = pq.read_table(trained / "data/holdout.parquet")
    pq.write_table(holdout.slice(0, 2000), tmp_path / "in.parquet", row_group_size=300)
    said = predict(trained / "models", tmp_path / "in.parquet", tmp_path / "out.csv")
    assert said[0].startswith(f"{tmp_path}/out.csv: 2,000 rows, predicted by models version unreg")
    found = pyarrow.csv.read_csv(tmp_path / "out.csv")["score"].to_pylist()
    sample = json.loads((trained / "models/sample.json").read_text())
    with_service = RunningService(trained / "models", tmp_path / "service")
    try:
        inputs = sample["columns"]
        rows = [{name: row[name] for name in inputs} for row in holdout.slice(0, 2000).to_pylist()]
        answer = ask(with_service.wait(), rows[:1000])
        assert answer.status == 200, answer.body
        assert [it["score"] for it in answer.json()["predictions"]] == found[:1000]
        assert answers(with_service, rows[1000:1020]) == found[1000:1020]
    finally:
        with_service.kill()


def test_labels_and_classes_are_as_the_service_answers_them(tmp_path: Path) -> None:
    facts: dict[str, Any] = {"classes": ["no", "yes"], "base_rate": [0.5, 0.5], "threshold": 0.9}
    two = handmade_model.write_model(tmp_path / "two", "binary", 2, True, **facts)
    three = handmade_model.write_model(
        *(tmp_path / "three", "multiclass", 3, True), classes=[1, 2, 3], base_rate=[0.3, 0.3, 0.4]
    )
    pq.write_table(pa.Table.from_pylist(handmade_model.ROWS), tmp_path / "in.parquet")
    for model in (two, three):
        predict(
            model,
            tmp_path / "in.parquet",
            tmp_path / "out.parquet",
            PREDICTION_LOG_URI=str(tmp_path / "log"),
        )
        running = RunningService(model, tmp_path / f"service-{model.name}")
        told = ask(running.wait(), handmade_model.ROWS).json()["predictions"]
        running.kill()
        rows = pq.read_table(tmp_path / "out.parquet").to_pylist()
        if model == two:
            assert [(it["score"], it["label"]) for it in rows] == [
                (it["score"], it["label"]) for it in told
            ]
        else:
            scores = [{name: it[f"score_{name}"] for name in ("1", "2", "3")} for it in rows]
            assert scores == [it["scores"] for it in told]
    start, end = datetime(2020, 1, 1, tzinfo=UTC), datetime(2100, 1, 1, tzinfo=UTC)
    logged = prediction_log.read(str(tmp_path / "log"), start, end)
    assert set(logged.scores) == {"score", "1", "2", "3"}


# The prediction log


def test_the_log_has_what_the_service_would_have_logged(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows = [GOOD, {**GOOD, "x": 99.0}, {**GOOD, "stock": 4, "paid": True, "when": None}]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    settings: dict[str, Any] = {"PREDICTION_LOG_EXCLUDE": "a text,count:hash"}
    settings["PREDICTION_LOG_HASH_KEY"] = "pepper"
    log = tmp_path / "log"
    said = predict(
        *(model, tmp_path / "in.parquet", tmp_path / "out.parquet"),
        **{"PREDICTION_LOG_URI": str(log)} | settings,
    )
    assert said[2] == f"{log}: the same predictions, for `mlops drift` and `mlops label`"
    served = {"prediction_log_uri": tmp_path / "served", "prediction_log_flush_seconds": 0.01}
    one = RunningService(model, tmp_path / "service", **served | settings).wait()
    for row in (rows[0], rows[2]):
        assert ask(one, row).status == 200
    one.stop()
    ours, theirs = (
        [json.loads(line) for path in folder.iterdir() for line in path.read_text().splitlines()]
        for folder in (log, tmp_path / "served")
    )
    ids = pq.read_table(tmp_path / "out.parquet")["prediction_id"].to_pylist()
    assert [it.pop("id") for it in ours] == ids
    for it in (*ours, *theirs):
        it.pop("time")
        it.pop("id", None)
    assert ours == theirs
    assert ours[0]["features"].keys() == {*GOOD} - {"a text"}


def test_a_log_keeps_to_its_size_and_a_misspelt_column_is_refused(
    model: Path, tmp_path: Path
) -> None:
    pq.write_table(pa.Table.from_pylist([GOOD] * 100_000), tmp_path / "in.parquet")
    log = tmp_path / "log"
    options: dict[str, Any] = {"PREDICTION_LOG_URI": str(log), "PREDICTION_LOG_ROTATE_MB": 1.0}
    predict(
        *(model, tmp_path / "in.parquet", tmp_path / "out.parquet"),
        **options | {"PREDICTION_LOG_KEEP_MB": 16.0},
    )
    held = sum(path.stat().st_size for path in log.iterdir())
    assert 5 * 2**20 < held < 16 * 2**20
    said = refused(
        lambda: predict(
            *(model, tmp_path / "in.parquet", tmp_path / "new.parquet"),
            **options | {"PREDICTION_LOG_EXCLUDE": "cuont"},
        )
    )
    assert said == "PREDICTION_LOG_EXCLUDE: the model has no column 'cuont'; did you mean count?"
    assert not (tmp_path / "new.parquet").exists()


# Refused as a whole


EXPECTED = "expected a .parquet or .csv file, or a folder"


def left(folder: Path) -> set[str]:
    return {str(path.relative_to(folder)) for path in folder.rglob("*")}


@pytest.mark.parametrize(
    ("change", "limit", "sentence"),
    [
        (
            {"x": 99.0},
            "10%",
            "more rows are bad than serving.batch.rejects in params.yaml allows (10% of 10), and "
            "nothing was written; most often: column x: Expected `float` <= 10.0; allowed: a "
            "number from -1e+300 up to 10.0 or null (2)",
        ),
        (
            {"x": 99.0},
            1,
            "more rows are bad than serving.batch.rejects in params.yaml allows (1 of",
        ),
    ],
)
def test_more_bad_rows_than_allowed_leave_nothing(
    model: Path, tmp_path: Path, change: dict[str, Any], limit: Any, sentence: str
) -> None:
    rows = [GOOD] * 8 + [GOOD | change] * 2
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    out, log = tmp_path / "out.parquet", str(tmp_path / "log")
    places = tmp_path / "in.parquet", out
    said = refused(lambda: predict(model, *places, limit, PREDICTION_LOG_URI=log))
    assert said.startswith(sentence)
    assert left(tmp_path) == {"in.parquet", "log"}
    predict(model, *places, 2, PREDICTION_LOG_URI=log)
    assert len(rejects(out)) == 2
    pq.write_table(pa.Table.from_pylist(rows[:8]), tmp_path / "in.parquet")
    predict(model, tmp_path / "in.parquet", out)
    assert rejects(out) == []  # the old list is gone


def test_a_missing_column_is_one_sentence(model: Path, tmp_path: Path) -> None:
    table = pa.Table.from_pylist([GOOD] * 3)
    (tmp_path / "in").mkdir()
    pq.write_table(table, tmp_path / "in/a.parquet")
    pq.write_table(table.drop_columns("stock"), tmp_path / "in/b.parquet")
    for out in ("out.parquet", "out"):
        said = refused(lambda out=out: predict(model, tmp_path / "in", tmp_path / out))
        assert said == (
            "b.parquet has no column 'stock'; it has x, a text, seen, count, when, day, paid, size"
        )
    assert left(tmp_path) == {"in", "in/a.parquet", "in/b.parquet"}


@pytest.mark.parametrize(
    ("make", "sentence"),
    [
        (lambda it: None, "in is not there; expected a .parquet or .csv file, or a folder"),
        (
            lambda it: it.mkdir(),
            "in holds no such file; expected a .parquet or .csv file, or a folder",
        ),
        (
            lambda it: (it.mkdir(), (it / "notes.txt").touch()),
            "in holds no such file; expected a .parquet or .csv file, or a folder",
        ),
        (
            lambda it: (it.mkdir(), (it / "a.parquet").write_bytes(b"PAR1 no, not at all PAR1")),
            "in/a.parquet cannot be read (",
        ),
    ],
)
def test_a_place_that_holds_nothing_readable(
    model: Path, tmp_path: Path, make: Any, sentence: str
) -> None:
    make(tmp_path / "in")
    said = refused(lambda: predict(model, tmp_path / "in", tmp_path / "out.parquet"))
    assert said.removeprefix(f"{tmp_path}/").startswith(sentence)
    assert not (tmp_path / "out.parquet").exists()


def test_what_the_result_cannot_hold_is_refused(model: Path, tmp_path: Path) -> None:
    table = pa.Table.from_pylist([{**GOOD, "score": 1}])
    pq.write_table(table, tmp_path / "in.parquet")
    out = tmp_path / "out.parquet"
    said = refused(lambda: predict(model, tmp_path / "in.parquet", out))
    assert said == (
        "in.parquet has a column 'score', as the result shall; name those of its columns that you "
        "need there with --keep"
    )
    predict(model, tmp_path / "in.parquet", out, keep=["count"])
    assert pq.read_table(out).column_names == ["count", "prediction_id", "score", "model_version"]
    said = refused(lambda: predict(model, tmp_path / "in.parquet", out, keep=["key"]))
    assert said.startswith("in.parquet has no column 'key'; it has x, a text, ")


# Places


def test_no_rows_are_no_error(model: Path, tmp_path: Path) -> None:
    pq.write_table(pa.Table.from_pylist([GOOD]).slice(0, 0), tmp_path / "in.parquet")
    (tmp_path / "in.csv").write_text(",".join(GOOD) + "\n")
    (tmp_path / "nothing.csv").touch()
    for name in ("in.parquet", "in.csv"):
        (said,) = predict(model, tmp_path / name, tmp_path / "out.parquet", 0)
        assert ": 0 rows, predicted by " in said
        assert pq.read_table(tmp_path / "out.parquet").column_names[-2:] == [
            "score",
            "model_version",
        ]
    (said,) = predict(model, tmp_path / "nothing.csv", tmp_path / "none.parquet", 0)
    assert ": 0 rows, " in said


def test_a_folder_becomes_a_folder(model: Path, tmp_path: Path) -> None:
    days = tmp_path / "in"
    (days / "day=2").mkdir(parents=True)
    pq.write_table(pa.Table.from_pylist([GOOD]), days / "a.parquet")
    pq.write_table(pa.Table.from_pylist([GOOD, GOOD | {"count": -1}]), days / "day=2/b.parquet")
    (days / "_SUCCESS.csv").touch()
    predict(model, days, tmp_path / "out")
    assert left(tmp_path / "out") == {"a.parquet", "day=2", "day=2/b.parquet"}
    assert [(it["file"], it["row"], it["column"]) for it in rejects(tmp_path / "out")] == [
        ("day=2/b.parquet", "2", "count")
    ]
    predict(model, days, tmp_path / "all.csv")
    assert pyarrow.csv.read_csv(tmp_path / "all.csv").num_rows == 2


def test_lines_with_too_few_columns_are_rejects_and_do_not_move_the_numbers(
    model: Path, tmp_path: Path
) -> None:
    header = ",".join(GOOD)
    row = '0.5,"a\nb",true,3,,2013-01-01T12:00:00Z,2013-01-01T12:00:00,,1.5'
    good, short, bad = row.replace("\n", ""), "1,2", row.replace(",3,", ",-3,").replace("\n", "")
    (tmp_path / "in.csv").write_text("\n".join([header, good, short, row, bad, short, good, ""]))
    predict(model, tmp_path / "in.csv", tmp_path / "out.parquet")
    found = {(int(it["row"]), it["column"]) for it in rejects(tmp_path / "out.parquet")}
    assert found == {(2, ""), (3, "a text"), (4, "count"), (5, "")}
    assert pq.read_table(tmp_path / "out.parquet").num_rows == 2


def test_a_row_without_a_finite_prediction_is_a_reject(model: Path, tmp_path: Path) -> None:
    rows = [GOOD, GOOD | {"x": -1e299}, GOOD]
    pq.write_table(pa.Table.from_pylist(rows), tmp_path / "in.parquet")
    predict(model, tmp_path / "in.parquet", tmp_path / "out.parquet")
    assert rejects(tmp_path / "out.parquet") == [
        {
            **{"file": "in.parquet", "row": "2", "column": ""},
            "reason": "the model has no finite prediction for it",
        }
    ]


def test_a_database_is_asked_as_mlops_start_does(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    said = refused(lambda: predict(model, "", tmp_path / "out.csv", query="SELECT * FROM rows"))
    assert said.startswith("the variable DATABASE_URL is not set; ")
    address = f"sqlite:///{tmp_path}/rows.db"
    frame = pd.DataFrame(
        [GOOD | {"when": "2013-01-01T12:00:00Z", "day": "2013-01-01T12:00:00"}] * 3
    )
    frame.assign(seen=True, key=["a", "b", "c"], count=[1, -1, 2]).to_sql(
        "rows", sqlalchemy.create_engine(address), index=False, dtype={"seen": sqlalchemy.Boolean()}
    )
    monkeypatch.setenv("DATABASE_URL", address)
    # SQLite gives 1 for true, which is none to the service.
    query = "SELECT * FROM rows"
    predict(model, "", tmp_path / "out.csv", query=query, keep=["key"])
    assert [it["column"] for it in rejects(tmp_path / "out.csv")] == ["seen"] * 3
    said = refused(lambda: predict(model, "", tmp_path / "out.csv", query="SELECT * FROM nowhere"))
    assert said.startswith("the database does not answer the query (OperationalError: ")


def test_a_bucket_is_read_and_written(
    model: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pq.write_table(pa.Table.from_pylist([GOOD, GOOD | {"count": -1}]), tmp_path / "in.parquet")
    with s3_server(tmp_path / "s3") as s3:
        for name, value in {**WRITER, "AWS_ENDPOINT_URL": s3.address}.items():
            monkeypatch.setenv(name, value)
        s3.client.upload_file(str(tmp_path / "in.parquet"), BUCKET, "in/a/b.parquet")
        place = f"s3://{BUCKET}"
        too_many = refused(lambda: predict(model, f"{place}/in", f"{place}/out", 0))
        assert too_many.startswith("more rows are bad than ")
        assert s3.keys() == ["in/a/b.parquet"]
        log = f"{place}/log"
        predict(model, f"{place}/in", f"{place}/out", PREDICTION_LOG_URI=log)
        predict(model, f"{place}/in/a/b.parquet", f"{place}/one.csv")
        logged, *others = sorted(s3.keys(), key=lambda it: (not it.startswith("log/"), it))
        assert others == [
            *("in/a/b.parquet", "one.csv", "one.rejects.csv", "out.rejects.csv"),
            "out/a/b.parquet",
        ]
        assert logged.startswith("log/predictions-")
        body = s3.client.get_object(Bucket=BUCKET, Key="one.rejects.csv")["Body"].read().decode()
        assert body.splitlines()[1].startswith("b.parquet,2,count,Expected `int` >= 0; allowed: ")


# The command


def test_the_champion_predicts_or_the_trained_model_where_nothing_is_registered(
    project: ToyProject, tmp_path: Path
) -> None:
    """Of the registry, a version by its number or alias."""
    columns = [
        {"name": name, "type": "number", "dtype": "float64", "nullable": False, "example": 0.0}
        for name in ("a", "b")
    ]
    project.train(5, columns=columns)
    project.judge("better", True, 1)
    client = tracking.connect()
    number = versions.register(project.params, client)
    promotion.promote(client, project.params)
    chosen = batch.choose(client, project.params, "champion")
    assert (chosen.name, chosen.version) == ("flight-delays", str(number))
    said = refused(lambda: batch.choose(client, project.params, "99"))
    assert "99" in said
    empty = project.params.model_copy(update={"name": "another"})
    assert batch.choose(client, empty, "champion").version == "unregistered"


def test_the_command(trained: Project, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    bench = Workbench(tmp_path / "project")
    bench.folder.mkdir()
    for path in ("models", "params.yaml"):
        (bench / path).symlink_to(trained / path)
    table = pq.read_table(trained / "data/holdout.parquet").slice(0, 200)
    distance = table["distance"].to_numpy().copy()
    distance[7] = -7
    table = table.set_column(table.column_names.index("distance"), "distance", pa.array(distance))
    pq.write_table(table, bench / "in.parquet")
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(tmp_path / "summary.md"))
    said = bench.do("predict in.parquet scores.csv --keep flight,tailnum").splitlines()
    assert said[0].startswith("scores.csv: 199 rows, predicted by flight-delays version unregist")
    assert said[1:] == ["scores.rejects.csv: 1 bad rows, and why"]
    scores = pd.read_csv(bench / "scores.csv")
    assert [*scores] == ["flight", "tailnum", "prediction_id", "score", "model_version"]
    assert np.isfinite(scores["score"]).all()
    summary = (tmp_path / "summary.md").read_text()
    assert summary.startswith("## 199 rows predicted\n")
    assert "| 1 | column distance: Expected `int` &gt;= " in summary
    assert "| the model&#x27;s holdout |" in summary or "| the model's holdout |" in summary
    assert bench.mlops("predict", "in.parquet").err == (
        "mlops: name IN and OUT, or OUT and a --query, as in `mlops predict in.csv out.csv`\n"
    )
    said = bench.mlops("predict", "in.parquet", "new.csv", "--version", "champion", "--export", "x")
    assert said.code == 1
    assert not (bench / "new.csv").exists()
