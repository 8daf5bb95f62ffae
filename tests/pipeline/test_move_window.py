"""Moving the windows changes two lines of params.yaml, and nothing else of it."""

import difflib
import json
from pathlib import Path

import pytest
from workbench import Workbench

from mlops.pipeline import move_window
from mlops.project import params
from mlops.project.errors import MlopsError
from mlops.project.params import Data, Growth, Window

EXAMPLE = Path(__file__).parents[1] / "example" / "params.yaml"
SETTINGS = """\
name: churn # 名前
task: binary
seed: 1
data:
  target: "left"
  time: 'day'   # when
  window:              # rows that train
    start: {start}
    end: {end}
  holdout: # rows that judge
    end:   {holdout}      # | aligned
    start: {holdout}      # | with this
gate: {{metric: roc_auc,   margin: 0.005,
       calibration: 0.1, latency_ms: 2.0, size_mb: 20}}   # | and this
"""


def moved(window: str, holdout: str, newest: str, how: Growth = "sliding") -> tuple[str, str]:
    """Move windows that are written as their start and end."""

    def span(text: str) -> Window:
        start, _, end = text.partition(" to ")
        return Window(start=start, end=end or start)

    data = Data(target="late", time="day", window=span(window), holdout=span(holdout))
    now, then = move_window.moved(data, span(newest), how)
    return str(now), str(then)


def write_and_compare(path: Path, newest: Window, how: Growth = "sliding") -> list[str]:
    """Move to the newest window; returns the lines that differ, as a diff shows them."""
    before = path.read_text(encoding="utf-8")
    settings = params.load(path)
    window, holdout = move_window.moved(settings.data, newest, how)
    move_window.write(settings, window, holdout, path)
    after = params.load(path)
    assert (after.data.window, after.data.holdout) == (window, holdout)
    lines = difflib.unified_diff(
        before.split("\n"), path.read_text(encoding="utf-8").split("\n"), n=0, lineterm=""
    )
    return [line for line in lines if line[:2] not in ("--", "++", "@@")]


def settings_in(folder: Path, start: str = "2013-01", end: str = "2013-03") -> Path:
    path = folder / "params.yaml"
    text = SETTINGS.format(start=start, end=end, holdout="2013-04")
    path.write_text(text, encoding="utf-8")
    return path


# Where to


@pytest.mark.parametrize(
    ("window", "holdout", "newest", "then"),
    [
        ("2013-01 to 2013-03", "2013-04", "2013-06-01 to 2013-06-30", "2013-03 to 2013-05|2013-06"),
        ("2013-01 to 2013-03", "2013-04", "2013-05-01 to 2013-05-31", "2013-02 to 2013-04|2013-05"),
        ("2013-08 to 2013-10", "2013-12", "2014-02-01 to 2014-02-28", "2013-10 to 2013-12|2014-02"),
        ("2013-01", "2013-02 to 2013-03", "2013-06-01 to 2013-06-30", "2013-04|2013-05 to 2013-06"),
        (
            "2013-01 to 2013-03",
            "2013-04-01 to 2013-04-30",
            "2013-06",
            "2013-03 to 2013-05|2013-06",
        ),
        ("2001 to 2010", "2011 to 2012", "2013-01-01 to 2013-12-31", "2002 to 2011|2012 to 2013"),
    ],
)
def test_whole_months_move_by_months(window: str, holdout: str, newest: str, then: str) -> None:
    assert "|".join(moved(window, holdout, newest)) == then


@pytest.mark.parametrize(
    ("window", "holdout", "newest", "then"),
    [
        # A week that follows: the holdout keeps its 30 days and ends with it.
        (
            "2013-01 to 2013-03",
            "2013-04",
            "2013-05-06 to 2013-05-12",
            "2013-01-13 to 2013-04-12|2013-04-13 to 2013-05-12",
        ),
        # The gap of three days stays.
        (
            "2013-03-01 to 2013-03-28",
            "2013-04-01 to 2013-04-07",
            "2013-04-08 to 2013-04-14",
            "2013-03-08 to 2013-04-04|2013-04-08 to 2013-04-14",
        ),
        (
            "2012-02-01 to 2012-02-27",
            "2012-02-28",
            "2012-03-01",
            "2012-02-03 to 2012-02-29|2012-03-01",
        ),
    ],
)
def test_otherwise_they_move_by_days(window: str, holdout: str, newest: str, then: str) -> None:
    assert "|".join(moved(window, holdout, newest)) == then


@pytest.mark.parametrize(
    ("holdout", "newest", "then"),
    [
        ("2013-04", "2013-06-01 to 2013-06-30", "2013-01 to 2013-05|2013-06"),
        ("2013-05", "2013-06", "2013-01 to 2013-04|2013-06"),  # the gap of a month stays
        ("2013-04", "2013-05-12", "2013-01-01 to 2013-04-12|2013-04-13 to 2013-05-12"),
    ],
)
def test_a_growing_window_keeps_its_start(holdout: str, newest: str, then: str) -> None:
    assert "|".join(moved("2013-01 to 2013-03", holdout, newest, "growing")) == then


@pytest.mark.parametrize("newest", ["2013-04", "2013-03", "2013-04-24 to 2013-04-30"])
def test_they_never_move_back_nor_stay(newest: str) -> None:
    with pytest.raises(MlopsError, match=r"data.holdout ends with 2013-04 already, and the newest"):
        moved("2013-01 to 2013-03", "2013-04", newest)


# How it is written


JUNE = Window(start="2013-06-01", end="2013-06-30")
WEEK = Window(start="2013-05-06", end="2013-05-12")


def test_the_diff_of_the_example_is_two_lines(tmp_path: Path) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes(EXAMPLE.read_bytes())
    assert write_and_compare(path, JUNE, "growing") == [
        "-  window: { start: 2013-01, end: 2013-03 } # rows that train; both ends included",
        "-  holdout: { start: 2013-04, end: 2013-04 } # rows that judge; never trained on",
        "+  window: { start: 2013-01, end: 2013-05 } # rows that train; both ends included",
        "+  holdout: { start: 2013-06, end: 2013-06 } # rows that judge; never trained on",
    ]


def test_blocks_quotes_and_columns_stay(tmp_path: Path) -> None:
    path = settings_in(tmp_path, start='"2013-01"', end="'2013-03'")
    assert write_and_compare(path, JUNE) == [
        '-    start: "2013-01"',
        "-    end: '2013-03'",
        '+    start: "2013-03"',
        "+    end: '2013-05'",
        "-    end:   2013-04      # | aligned",
        "-    start: 2013-04      # | with this",
        "+    end:   2013-06      # | aligned",
        "+    start: 2013-06      # | with this",
    ]
    # A day in quotes: without them it is a date to YAML, and DVC takes none.
    assert write_and_compare(path, WEEK.model_copy(update={"end": "2013-07-03"}))[4:] == [
        "-    end:   2013-06      # | aligned",
        "-    start: 2013-06      # | with this",
        '+    end:   "2013-07-03" # | aligned',
        '+    start: "2013-06-04" # | with this',
    ]


def test_line_ends_of_windows_stay(tmp_path: Path) -> None:
    path = settings_in(tmp_path)
    path.write_bytes(path.read_bytes().replace(b"\n", b"\r\n"))
    before = path.read_bytes()
    write_and_compare(path, JUNE)
    after = path.read_bytes()
    assert after != before
    assert after.count(b"\r\n") == after.count(b"\n") == before.count(b"\n")


def test_what_cannot_be_written_so_is_left_alone(tmp_path: Path) -> None:
    path = settings_in(tmp_path, start="&same 2013-02", end="*same")  # one text for two values
    before = path.read_bytes()
    settings = params.load(path)
    window, holdout = move_window.moved(settings.data, JUNE, "sliding")
    with pytest.raises(MlopsError) as refused:
        move_window.write(settings, window, holdout, path)
    assert str(refused.value) == (
        f"{path}: data.window and data.holdout are not four values of their own, a start and an "
        "end each; set them by hand, to 2013-04 and 2013-06"
    )
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


# The command


def write_drift(project: Workbench, **changed: object) -> None:
    drift = {"new_data": True, "sentence": "It has drifted.", "current": JUNE.model_dump()}
    path = project.folder / "reports/drift.json"
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(drift | changed))


def test_the_command_moves_to_where_drift_looked(tmp_path: Path) -> None:
    project = Workbench(tmp_path)
    path = tmp_path / "params.yaml"
    path.write_bytes(EXAMPLE.read_bytes())
    assert project.refused("move-window") == (
        "reports/drift.json is not there; run `mlops drift` first"
    )
    write_drift(project, new_data=False, current=None, sentence="No rows of June yet.")
    assert project.refused("move-window") == (
        "there is no newer window to move to: No rows of June yet."
    )
    assert path.read_bytes() == EXAMPLE.read_bytes()
    write_drift(project)
    assert project.do("move-window") == (
        "params.yaml: data.window 2013-01 to 2013-03 -> 2013-01 to 2013-05, "
        "data.holdout 2013-04 -> 2013-06\n"
    )
    assert params.load(path).data.holdout == Window(start="2013-06", end="2013-06")
    moved_once = path.read_bytes()
    assert "if a retraining on it has been merged, deploy it" in project.refused("move-window")
    assert path.read_bytes() == moved_once
