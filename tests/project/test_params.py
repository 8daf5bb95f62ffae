"""Wrong settings get one line that names the key, the value and what is allowed."""

import inspect
from pathlib import Path
from typing import Any

import pytest
import yaml

from mlops.project import params
from mlops.project.errors import MlopsError
from mlops.project.params import Window, check_estimator_arguments, load

EXAMPLE = Path(__file__).parents[1] / "example" / "params.yaml"


# As projects were generated: with the first version, and what the next ones added to it.
FIRST = """\
name: flight-delays
task: binary
seed: 2013
data:
  target: late
  time: time_hour
  window: { start: 2013-01, end: 2013-03 }
  holdout: { start: 2013-04, end: 2013-04 }
estimator: { learning_rate: 0.1, max_iter: 100, max_leaf_nodes: 31, l2_regularization: 0.0 }
gate:
  metric: roc_auc
  margin: 0.005
  confidence: 0.95
  resamples: 2000
  floors: { roc_auc: 0.6 }
  slices: { columns: [carrier, origin], min_rows: 500, margin: 0.03 }
  calibration: 0.1
  latency_ms: 2.0
  size_mb: 20.0
"""
SERVED = f"""\
{FIRST}
tracking_uri: ""
serving:
  runtime: onnx
  target: image
  latency_ms: 50.0
  canary: {{ requests: 500, error_rate: 0.01, latency_ratio: 1.5, shift: 0.25 }}
"""
WATCHED = f"""\
{SERVED}
drift:
  replay: true
  period: month
  min_rows: 500
  columns: {{ numeric: 0.1, categorical: 0.1, own: {{ humid: 0.5 }}, at_least: 1 }}
  new_categories: 0.01
  missing: 0.1
  predictions: 0.1
  concept: 0.02
  stale_days: 180
  retrain: {{ violations: 2, of: 3 }}
  sample_rows: 20000
"""


def load_with(folder: Path, key: str, value: Any) -> None:
    """Load the example's settings with one of them changed; a value of None takes the key away."""
    settings = yaml.safe_load(EXAMPLE.read_text())
    *sections, last = key.split(".")
    section = settings
    for name in sections:
        section = section[name]
    if value is None:
        del section[last]
    else:
        section[last] = value
    path = folder / "params.yaml"
    path.write_text(yaml.safe_dump(settings))
    load(path)


def test_the_example_is_valid() -> None:
    params = load(EXAMPLE)
    assert params.data.window == Window(start="2013-01", end="2013-03")
    assert params.gate.resamples == 2000


@pytest.mark.parametrize("text", [FIRST, SERVED, WATCHED])
def test_what_older_settings_do_not_say_has_a_default(tmp_path: Path, text: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_text(text)
    read = load(path)
    assert read.tracking_uri == ""
    assert (read.gate.calibration, read.gate.slices.columns) == (0.1, ["carrier", "origin"])
    serving, drift = read.serving, read.drift
    assert (serving.runtime, serving.target, serving.latency_ms) == ("onnx", "image", 50.0)
    assert (serving.canary.requests, serving.canary.seconds) == (500, 0)
    assert (drift.replay, drift.min_rows) == ((True, 500) if text == WATCHED else (False, 2000))
    assert (drift.period, drift.columns.numeric) == ("month", 0.1)
    assert (drift.retrain.violations, drift.retrain.of, drift.retrain.window) == (2, 3, "growing")


def test_a_renamed_key_gets_one_sentence(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    renamed = {"target": "data.target", "serving.slowest_ms": "serving.latency_ms"}
    monkeypatch.setattr(params, "RENAMED", renamed)
    path = tmp_path / "params.yaml"
    text = SERVED.replace("  target: late\n", "") + "target: late\n"
    path.write_text(text.replace("  latency_ms: 50.0", "  slowest_ms: 50.0"))
    with pytest.raises(MlopsError) as refused:
        load(path)
    assert set(str(refused.value).splitlines()) == {
        f"{path}: target: this key is now data.target; move its value ('late') there",
        f"{path}: serving.slowest_ms: this key is now serving.latency_ms; move its value (50.0)"
        " there",
    }


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("task", "ranking", "got 'ranking'; Input should be 'binary', 'multiclass' or"),
        ("gate.margins", 1, "unknown key (value 1); allowed here: metric, margin, change,"),
        ("gate.margin", "wide", "got 'wide'; expected a share of the champion's score, such as"),
        ("gate.margin", "-1%", "got '-1%'; expected a share of the champion's score, such as 1%"),
        ("gate.margin", -0.1, "got -0.1; expected a share of the champion's score, such as 1%, or"),
        ("gate.margin", True, "got True; expected a share of the champion's score"),
        ("data.dropped", "101%", "got 1.01; Input should be less than or equal to 1"),
        ("data.dropped", "few", "got 'few'; Input should be a valid number"),
        ("gate.confidence", 95, "got 95; Input should be less than 1"),
        ("gate.resamples", 10, "got 10; Input should be greater than or equal to 100"),
        ("gate.floors.roc_auc", "high", "got 'high'; Input should be a valid number"),
        ("serving.threshold", 1, "got 1; expected a probability between 0 and 1, or what a wrong"),
        ("serving.threshold", True, "got True; expected a probability between 0 and 1, or what a"),
        ("serving.threshold", {"false_positive": 1}, "expected a probability between 0 and 1, or"),
        ("serving.threshold", {"false_positive": 1, "false_negative": 0}, "expected a probability"),
        ("serving.runtime", "pickle", "got 'pickle'; Input should be 'onnx' or 'skops'"),
        ("serving.target", "docker", "got 'docker'; Input should be 'image', 'compose' or"),
        ("serving.latency_ms", 0, "got 0; Input should be greater than 0"),
        ("serving.canary.requests", 10, "got 10; Input should be greater than or equal to 100"),
        ("serving.canary.error_rate", 1, "got 1; Input should be less than 1"),
        ("serving.canary.latency_ratio", 1, "got 1; Input should be greater than 1"),
        ("serving.canary.shift", 0, "got 0; Input should be greater than 0"),
        ("serving.canary.shfit", 1, "unknown key (value 1); allowed here: requests, seconds,"),
        ("drift.period", "hour", "got 'hour'; Input should be 'year', 'month', 'week' or 'day'"),
        ("drift.min_rows", 0, "got 0; Input should be greater than or equal to 1"),
        ("drift.missing", 10, "got 10; Input should be less than or equal to 1"),
        ("drift.concept", -0.01, "got -0.01; expected a share of the champion's score, such"),
        ("drift.stale_days", 1.5, "got 1.5; Input should be a valid integer"),
        ("drift.colums", 1, "unknown key (value 1); allowed here: replay, period, min_rows,"),
        ("drift.columns.humid", 1, "unknown key (value 1); allowed here: numeric, categorical,"),
        ("drift.retrain.violations", 4, "violations 4 of 3 windows can never be; violations must"),
        ("seed", -1, "got -1; Input should be greater than or equal to 0"),
        ("seed", True, "got True; Input should be a valid integer"),
        ("name", "flight delays", "got 'flight delays'; String should match pattern"),
        (
            "data.window.start",
            "March",
            "got 'March'; expected a year, a month such as 2013-03 or a day",
        ),
        ("data.window.start", "2013-13", "got '2013-13'; expected a year, a month such as 2013-03"),
        ("data.window.start", "2013-05", "start 2013-05 is after end 2013-03"),
        ("data.timezone", "Mars/Olympus", "got 'Mars/Olympus'; expected a time zone such as"),
        ("data.holdout.start", "2013-03", "window 2013-01 to 2013-03 overlaps holdout"),
        ("data.target", None, "missing; this key is required"),
    ],
)
def test_one_line_names_key_value_and_what_is_allowed(
    tmp_path: Path, key: str, value: Any, said: str
) -> None:
    with pytest.raises(MlopsError) as refused:
        load_with(tmp_path, key, value)
    (line,) = str(refused.value).splitlines()
    of_section = said.startswith(("start", "window", "violations"))
    named = key.rpartition(".")[0] if of_section else key
    shown = named if "overlaps" not in said else "data"
    assert line.startswith(f"{tmp_path / 'params.yaml'}: {shown}: {said}"), line


@pytest.mark.parametrize(
    ("own", "said"),
    [
        (0, "humid.distance: got 0; Input should be greater than 0"),
        ({"missing": 2}, "humid.missing: got 2; Input should be less than or equal to 1"),
        ({"far": 1}, "humid.far: unknown key (value 1); allowed here: distance, missing, new_cat"),
    ],
)
def test_a_column_s_own_thresholds_are_named_with_it(tmp_path: Path, own: Any, said: str) -> None:
    with pytest.raises(MlopsError) as refused:
        load_with(tmp_path, "drift.columns.own.humid", own)
    assert str(refused.value).startswith(f"{tmp_path / 'params.yaml'}: drift.columns.own.{said}")


def test_several_wrong_keys_are_several_lines(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("task: binary\nseed: x\n")
    with pytest.raises(MlopsError) as refused:
        load(path)
    lines = str(refused.value).splitlines()
    assert [line.split(": ")[1] for line in lines] == ["name", "seed", "data", "gate"]


def test_broken_yaml_is_one_line(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_text("task: [binary\nseed: 1\n")
    with pytest.raises(MlopsError, match=r"params.yaml is not YAML: .*line 2") as refused:
        load(path)
    assert "\n" not in str(refused.value)


def test_no_file_is_one_line(tmp_path: Path) -> None:
    with pytest.raises(MlopsError, match=r"params\.yaml is not there"):
        load(tmp_path / "params.yaml")


def test_days_are_quoted_because_dvc_takes_no_dates(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    text = EXAMPLE.read_text().replace("end: 2013-03 }", "end: 2013-03-14 }")
    path.write_text(text)
    with pytest.raises(MlopsError, match=r'data.window.end: got 2013-03-14 .*write "2013-03-14"'):
        load(path)
    path.write_text(text.replace("2013-03-14", '"2013-03-14"'))
    window = load(path).data.window
    assert window.end == "2013-03-14"
    assert str(window.first_day_after) == "2013-03-15"


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"seed: 1\nseed: 2\n", "line 2: seed is there already, in line 1"),
        (b"data: {target: a,\n  target: b}\n", "line 2: target is there already"),
        ("seed: 1\n".encode("utf-16"), "is not UTF-8"),
        ("name: Köln\n".encode("latin-1"), "is not UTF-8 (invalid"),
        (b"<<<<<<< HEAD\nseed: 1\n=======\nseed: 2\n>>>>>>> other\n", "merge conflict"),
        (b"", "is empty; expected sections"),
        (b"- 1\n", "holds list; expected sections"),
        (b"data:\n\ttarget: a\n", "is not YAML: while scanning"),
    ],
)
def test_a_file_as_editors_and_merges_leave_it(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(content)
    with pytest.raises(MlopsError) as refused:
        load(path)
    assert said in str(refused.value)


def test_a_byte_order_mark_is_no_part_of_a_key(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(b"\xef\xbb\xbf" + EXAMPLE.read_bytes())
    assert load(path) == load(EXAMPLE)


@pytest.mark.parametrize(
    ("first", "second", "overlap"),
    [
        (("2013-01", "2013-03"), ("2013-04", "2013-04"), False),
        (("2013-01", "2013-03"), ("2013-03-31", "2013-04"), True),
        (("2013-12", "2013-12"), ("2014-01-01", "2014-01-01"), False),
        (("2013-02-28", "2013-02-28"), ("2013-02", "2013-02"), True),
    ],
)
def test_windows_include_both_ends(
    first: tuple[str, str], second: tuple[str, str], overlap: bool
) -> None:
    one, other = (Window(start=start, end=end) for start, end in (first, second))
    assert one.overlaps(other) is overlap
    assert other.overlaps(one) is overlap


def test_estimator_keys_are_the_arguments_of_build_estimator() -> None:
    def build_estimator(*, seed: int, max_iter: int = 100) -> None: ...

    signature = inspect.signature(build_estimator)
    check_estimator_arguments({"max_iter": 5}, signature)
    with pytest.raises(MlopsError) as refused:
        check_estimator_arguments({"max_itr": 5}, signature)
    assert str(refused.value) == (
        "params.yaml: estimator.max_itr: unknown key (value 5); "
        "allowed here: max_iter (src/model/estimator.py)"
    )


@pytest.mark.parametrize(
    ("margin", "score", "units"),
    [("1%", 0.7, 0.007), ("2.5 %", -40.0, 1.0), (0.005, 0.7, 0.005), (3, 180.0, 3)],
)
def test_a_margin_is_a_number_or_a_share_of_a_score(
    margin: float | str, score: float, units: float
) -> None:
    assert params.amount(margin, score) == pytest.approx(units)
