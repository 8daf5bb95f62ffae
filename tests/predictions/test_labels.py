"""Labels that come later, and the log read back with them."""

import json
import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from projects import Project
from workbench import Workbench
from written_log import eventually, open_log

from mlops.predictions import label
from mlops.predictions import log as prediction_log
from mlops.project.errors import MlopsError
from mlops.serving.log_file import TIME

FIRST = datetime(2026, 11, 1, tzinfo=UTC)
FOREVER = (datetime(2026, 1, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC))


def record(name: str, time: datetime, **fields: Any) -> dict[str, Any]:
    return {
        "id": name,
        "time": time.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "model_version": "3",
        "score": 0.25,
        "features": {"when": "2026-11-01T05:00:00Z", "carrier": "UA", "seats": 5, "wind": None},
        **fields,
    }


def write(folder: Path, start: datetime, *records: dict[str, Any], process: str = "0" * 12) -> Path:
    """Write a file of the log whose process is gone."""
    folder.mkdir(exist_ok=True)
    number = len(list(folder.iterdir())) + 1
    path = folder / f"predictions-{start.strftime(TIME)}-{process}-{number}.jsonl"
    path.write_bytes(b"".join(json.dumps(one).encode() + b"\n" for one in records))
    last = max((datetime.fromisoformat(one["time"]) for one in records), default=start)
    os.utime(path, (last.timestamp(), last.timestamp()))
    return path


@pytest.fixture
def log(tmp_path: Path) -> Path:
    """A log of three days, ten predictions each: ids day-number."""
    for day in range(3):
        start = FIRST + timedelta(days=day)
        times = [start + timedelta(hours=hour) for hour in range(10)]
        write(
            tmp_path / "log", start, *(record(f"{day}-{n}", time) for n, time in enumerate(times))
        )
    return tmp_path / "log"


@pytest.fixture
def bench(trained: Project, tmp_path: Path) -> Workbench:
    """A project with the trained model's facts, and nothing else that takes time to copy."""
    folder = tmp_path / "project"
    (folder / "models").mkdir(parents=True)
    for path in (trained / "models").iterdir():
        (folder / "models" / path.name).symlink_to(path)
    (folder / "params.yaml").write_bytes((trained / "params.yaml").read_bytes())
    return Workbench(folder)


@pytest.fixture
def add(bench: Workbench, log: Path) -> Callable[..., str]:
    """Run ``mlops label`` on a CSV file; returns what it said."""

    def run(*rows: str, header: str = "id,label") -> str:
        path = bench.folder / "labels.csv"
        path.write_text("\n".join([header, *rows, ""]))
        return bench.do(f"label labels.csv --log {log}")

    return run


def labels_of(log: Path) -> dict[str, Any]:
    records = prediction_log.read(str(log), *FOREVER, labelled=True).records
    known = records[records["label"].notna()]
    return dict(zip(known["id"], known["label"], strict=True))


# Reading


def test_a_span_of_time_is_read_from_the_files_that_hold_it(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    read: list[str] = []
    parse = prediction_log._parse

    def noted(path: str, *rest: Any) -> Any:
        read.append(Path(path).name[12:20])
        return parse(path, *rest)

    monkeypatch.setattr(prediction_log, "_parse", noted)
    start = FIRST + timedelta(days=1, hours=3)
    found = prediction_log.read(str(log), start, start + timedelta(hours=4))
    assert list(found.records["id"]) == ["1-3", "1-4", "1-5", "1-6"]
    assert list(found.records["time"]) == [start + timedelta(hours=hour) for hour in range(4)]
    assert read == ["20261102"]
    assert found.skipped == 0


def test_what_trials_asked_is_not_read(tmp_path: Path) -> None:
    asked = [record(f"{n}", FIRST, **({"trial": True} if n % 2 else {})) for n in range(4)]
    write(tmp_path / "log", FIRST, *asked)
    found = prediction_log.read(str(tmp_path / "log"), *FOREVER)
    assert list(found.records["id"]) == ["0", "2"]
    assert len(found.scores) == len(found.features) == 2
    assert list(found.features) == list(asked[0]["features"])
    assert found.skipped == 0


def test_another_processs_file_does_not_end_this_ones(tmp_path: Path) -> None:
    late = FIRST + timedelta(days=2)
    write(tmp_path / "log", FIRST, record("a", FIRST), record("b", late), process="a" * 12)
    write(tmp_path / "log", FIRST + timedelta(days=1), process="b" * 12)
    found = prediction_log.read(str(tmp_path / "log"), late, late + timedelta(hours=1))
    assert list(found.records["id"]) == ["b"]


def test_features_have_the_types_of_the_schema(tmp_path: Path) -> None:
    given = {"when": "2026-11-01T05:00:00+02:00", "carrier": None, "seats": 5.0, "wind": 3}
    write(tmp_path / "log", FIRST, record("a", FIRST), record("b", FIRST, features=given))
    dtypes = {
        "wind": "float64; may be missing",
        "seats": "int64; in_range {'min_value': 1}",
        "when": "datetime64[us, UTC]",
        "carrier": "string[pyarrow]; isin {}",
        "target": "int64",
    }
    features = prediction_log.read(str(tmp_path / "log"), *FOREVER, dtypes=dtypes).features
    assert list(features.columns) == ["wind", "seats", "when", "carrier"]
    types = ["float64", "int64", "datetime64[us, UTC]", "string"]
    assert [str(dtype) for dtype in features.dtypes] == types
    assert list(features["when"].dt.hour) == [5, 3]
    assert features["wind"].isna().tolist() == [True, False]
    assert features["carrier"].isna().tolist() == [False, True]


def test_without_a_schema_features_are_what_json_says(log: Path) -> None:
    found = prediction_log.read(str(log), *FOREVER)
    assert set(found.features.columns) == {"when", "carrier", "seats", "wind"}
    assert found.features["seats"].dtype == "int64"
    assert found.features.index.equals(found.records.index)
    assert list(found.records.columns) == ["id", "time", "model_version"]
    assert (found.scores["score"] == 0.25).all()


def test_a_score_for_each_class(tmp_path: Path) -> None:
    scores = {"id": 0.25, "none": 0.75}
    lines = record("a", FIRST, scores=scores)
    del lines["score"]
    write(tmp_path / "log", FIRST, lines)
    found = prediction_log.read(str(tmp_path / "log"), *FOREVER)
    assert found.scores.to_dict("records") == [scores]


def test_torn_and_damaged_lines_are_skipped_and_counted(log: Path) -> None:
    first, second, _ = sorted(log.iterdir())
    with first.open("ab") as file:
        file.write(b'{"id":"torn","ti')
    lines = second.read_bytes().splitlines(keepends=True)
    second.write_bytes(b"".join([b"   \n", lines[0], b'{"id":\n', b"\0\0\n", b"[]\n", *lines[1:]]))
    found = prediction_log.read(str(log), *FOREVER)
    assert len(found.records) == 30
    assert found.skipped == 4


def test_a_record_that_is_there_twice_counts_once(log: Path) -> None:
    write(log, FIRST, record("0-0", FIRST), record("0-1", FIRST))
    found = prediction_log.read(str(log), *FOREVER)
    assert len(found.records) == len(found.scores) == len(found.features) == 30


def test_what_the_service_wrote_last_is_there_while_it_writes(tmp_path: Path) -> None:
    running = open_log(tmp_path / "log")
    now = datetime.now(UTC)
    running.append(json.dumps(record("a", now)).encode() + b"\n", 1)
    eventually(lambda: running.status().written)
    (path,) = (tmp_path / "log").iterdir()
    os.utime(path, (now.timestamp(), now.timestamp()))  # a file system may have a clock of its own
    found = prediction_log.read(str(tmp_path / "log"), now, now + timedelta(hours=1))
    assert list(found.records["id"]) == ["a"]
    running.close(5)


def test_a_file_that_its_service_removes_meanwhile_is_no_error(
    add: Callable[..., str], log: Path
) -> None:
    (log / f"predictions-20261101T000000Z-{'f' * 12}-1.jsonl").symlink_to("removed")
    assert len(prediction_log.read(str(log), *FOREVER).records) == 30
    assert "id that the log does not know, such as stranger" in add("0-1,1", "stranger,1")


def test_nothing_in_the_span_is_an_empty_table(log: Path) -> None:
    later = FOREVER[1]
    found = prediction_log.read(str(log), later, later + timedelta(days=1), labelled=True)
    assert list(found.records.columns) == ["id", "time", "model_version", "label"]
    assert len(found.records) == len(found.features) == len(found.scores) == 0


def test_no_log_is_said(tmp_path: Path) -> None:
    with pytest.raises(MlopsError, match=r"there is no prediction log in .*nowhere"):
        prediction_log.read(str(tmp_path / "nowhere"), *FOREVER)


# Labels


def test_labels_join_by_id(add: Callable[..., str], log: Path) -> None:
    said = add("0-1,1", "2-3,0", "1-1,1")
    (path,) = (log / "labels").iterdir()
    assert said == f"labels.csv: 3 labels, now in labels/{path.name}\n"
    assert labels_of(log) == {"0-1": 1, "2-3": 0, "1-1": 1}
    found = prediction_log.read(str(log), *FOREVER, labelled=True)
    assert str(found.records["label"].dtype) == "Int64"
    assert len(found.records) == 30
    assert str(pd.read_parquet(path)["label"].dtype) == "int64"


def test_the_same_labels_again_are_nothing_new(add: Callable[..., str], log: Path) -> None:
    add("0-1,1", "2-3,0")
    before = {path: path.read_bytes() for path in (log / "labels").iterdir()}
    (name,) = (path.name for path in before)
    said = add("2-3,0", "0-1,1", "0-1,1")  # in another order, and one of them twice
    assert said == f"labels.csv: these labels are there already, in {name}\n"
    assert {path: path.read_bytes() for path in (log / "labels").iterdir()} == before


def test_the_later_label_counts(
    add: Callable[..., str], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Clock(datetime):
        @classmethod
        def now(cls, tz: Any = None) -> datetime:
            return datetime(2026, 12, 1 + len(list(log.glob("labels/*"))), tzinfo=tz)

    monkeypatch.setattr(label, "datetime", Clock)
    add("0-1,0", "0-2,0", "0-3,0")
    add("0-1,1")  # added later
    header = "id,label,time"
    add("0-2,1,2026-11-30", "0-3,1,2026-12-24T18:00:00+01:00", header=header)
    add("0-4,1,2026-12-02", "0-4,0,2026-12-01", header=header)
    assert labels_of(log) == {"0-1": 1, "0-2": 0, "0-3": 1, "0-4": 1}


def test_ids_that_the_log_does_not_know_are_said(add: Callable[..., str], log: Path) -> None:
    said = add("0-1,1", "zzz,0", "yyy,0").splitlines()
    assert said[1] == (
        "2 of them have an id that the log does not know, such as yyy; they join as soon as it does"
    )
    assert labels_of(log) == {"0-1": 1}
    write(log, FIRST, record("zzz", FIRST))
    assert labels_of(log) == {"0-1": 1, "zzz": 0}


def test_a_folder_that_is_no_log_is_refused(bench: Workbench, tmp_path: Path) -> None:
    (bench.folder / "labels.csv").write_text("id,label\na,1\n")
    there = tmp_path / "typo"
    said = bench.refused("label", "labels.csv", "--log", str(there))
    assert said == f"there is no prediction log in {there}"
    assert not there.exists()
    assert bench.refused("label", "labels.csv") == (
        "say where the prediction log is: set PREDICTION_LOG_URI, or pass --log"
    )


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("id,value\na,1\n", "labels.csv has no column label; it has id, value"),
        ("a,1\n", "labels.csv has no column id, label; it has a, 1"),
        ("id,label\n0-1,1\n,0\n", "labels.csv: row 2 (id '', label '0') has no id"),
        (
            "id,label\n0-1,\n0-2,\n0-3,1\n",
            "labels.csv: row 1 (id '0-1', label '') has no label; so it is with 1 other rows",
        ),
        (
            "id,label\n0-1,1\n0-2,2\n",
            "labels.csv: row 2 (id '0-2', label '2') is no class of the model (0, 1)",
        ),
        (
            "id,label\n0-1,1\n0-1,0\n",
            "labels.csv: row 2 (id '0-1', label '0') has two labels; "
            "add a column time that says which is the later",
        ),
        ("id,label,time\n0-1,1,soon\n", "labels.csv: column time: "),
        ("", "labels.csv cannot be read: No columns to parse from file"),
    ],
)
def test_labels_that_are_refused(bench: Workbench, log: Path, text: str, sentence: str) -> None:
    (bench.folder / "labels.csv").write_text(text)
    assert bench.refused("label", "labels.csv", "--log", str(log)).startswith(sentence)
    assert not (log / "labels").exists()


def test_a_file_that_is_not_there(bench: Workbench, log: Path) -> None:
    assert bench.refused("label", "x.csv", "--log", str(log)) == "x.csv is not there"
    said = bench.refused("label", "x.xlsx", "--log", str(log))
    assert said == "x.xlsx: expected a file that ends in .csv, .parquet, .jsonl"


@pytest.mark.parametrize("suffix", ["parquet", "jsonl"])
def test_other_formats(bench: Workbench, log: Path, suffix: str) -> None:
    table = pd.DataFrame({"id": ["0-1", "0-2", "0-3"], "label": [1.0, 0.0, 1.0]})
    path = bench.folder / f"labels.{suffix}"
    if suffix == "parquet":
        table.to_parquet(path)
    else:
        table.to_json(path, orient="records", lines=True)
    bench.do(f"label {path.name} --log {log}")
    assert labels_of(log) == {"0-1": 1, "0-2": 0, "0-3": 1}


def test_a_regression_takes_numbers_only() -> None:
    def check(*values: str) -> list[float]:
        table = pd.DataFrame({"id": [f"id-{value}" for value in values], "label": values})
        return list(label.check(table, Path("x.csv"), "regression", None)["label"])

    assert check("1", "-2.5", "1e3") == [1.0, -2.5, 1000.0]
    for wrong in ("late", "inf", "nan"):
        with pytest.raises(MlopsError, match=f"row 2 .id 'id-{wrong}', .* is no number"):
            check("1", wrong)


def test_classes_are_the_models_own() -> None:
    table = pd.DataFrame({"id": ["a", "b"], "label": [True, False]})
    checked = label.check(table, Path("x.parquet"), "binary", [0, 1])
    assert list(checked["label"]) == [1, 0]
    table = pd.DataFrame({"id": ["a", "b"], "label": ["red", "blue"]})
    checked = label.check(table, Path("x.parquet"), "multiclass", ["blue", "red"])
    assert list(checked["label"]) == ["red", "blue"]
    unknown = label.check(table, Path("x.parquet"), "multiclass", None)  # no model is there
    assert list(unknown["label"]) == ["red", "blue"]


def test_adding_labels_is_whole_or_not_at_all(
    add: Callable[..., str], log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def cut_short(table: pd.DataFrame, path: Path, **_: Any) -> None:
        path.write_bytes(b"PAR1 and no")
        raise OSError("No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(pd.DataFrame, "to_parquet", cut_short)
        with pytest.raises(OSError, match="No space left"):
            add("0-1,1")
    assert list((log / "labels").iterdir()) == []
    add("0-1,1")
    assert labels_of(log) == {"0-1": 1}
