"""The history of drift checks: each window once, never lost to a torn line, shown and drawn."""

import json
import re
import sys
import xml.etree.ElementTree
from pathlib import Path
from typing import Any

import matplotlib
import pytest
from monthly_checks import HOLDOUT, YEAR, check, nothing_new, too_few

from mlops import cli
from mlops.drift import history
from mlops.project import files

LINES = files.STORE / "drift.jsonl"


@pytest.fixture(autouse=True)
def _in_a_project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "params.yaml").touch()
    monkeypatch.chdir(tmp_path)


def mlops(monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr("sys.argv", ["mlops", *arguments])
    monkeypatch.setattr("sys.path", [*sys.path])
    with pytest.raises(SystemExit) as stopped:
        cli.main()
    assert not stopped.value.code


def test_a_window_is_recorded_with_all_that_is_needed_later() -> None:
    said = history.record(check())
    window = "2013-06-01 to 2013-06-30 for champion 1"
    assert said == f"{window} is recorded in .store/drift.jsonl, decision retrain"
    (line,) = LINES.read_text().splitlines()
    (entry,) = history.read()
    assert json.loads(line) == entry
    assert re.fullmatch(r"[0-9a-f-]{36}", entry.pop("id"))
    assert entry == {
        "checked": "2026-11-01T07:00:00Z",
        "champion": 1,
        "window": "2013-01 to 2013-03",
        "start": "2013-06-01",
        "end": "2013-06-30",
        "source": "data",
        "rows": 27075,
        "labelled": 27075,
        "fingerprint": "0f" * 16,
        "violated": ["data", "predictions", "concept"],
        "decision": "retrain",
        "labels_of": None,
        "metric": "roc_auc",
        "greater_is_better": True,
        "newest": 0.689,
        "holdout": HOLDOUT,
        "low": pytest.approx(-0.048),
        "high": pytest.approx(-0.031),
        "drifted_share": 2 / 3,
        "drifted": ["temp", "dewp"],
        "prediction_distance": 0.14,
        "challenger": {
            **{"state": "better", "champion": 0.691, "candidate": 0.728, "low": 0.03, "high": 0.04},
            "end": "2013-06-30",
        },
        "thresholds": {"data": 1, "predictions": 0.1, "concept": 0.02, "staleness": 180},
    }


def test_the_same_window_of_the_same_champion_is_recorded_once() -> None:
    history.record(check())
    said = history.record(check(day=2))
    assert said == "2013-06-01 to 2013-06-30 for champion 1 is on record already"
    assert [entry["checked"] for entry in history.read()] == ["2026-11-01T07:00:00Z"]
    later = check(day=3)
    later["current"]["fingerprint"] = "labels have come"
    for other in (check(version=2), check(month=7), later):
        assert " is recorded in " in history.record(other)
    assert len(history.read()) == len({entry["id"] for entry in history.read()}) == 4


@pytest.mark.parametrize("version", [1, None])
def test_a_check_without_new_data_leaves_no_record(version: int | None) -> None:
    said = history.record(nothing_new(version))
    assert said == "there is nothing to record: No new data: nothing after June"
    assert not files.STORE.exists()


def test_a_window_with_too_few_rows_is_recorded_unanswered() -> None:
    history.record(too_few())
    (entry,) = history.read()
    assert (entry["violated"], entry["drifted"]) == ([], [])
    for unanswered in ("drifted_share", "prediction_distance", "newest", "low"):
        assert entry[unanswered] is None


def test_a_torn_line_costs_neither_its_neighbours_nor_what_comes_after() -> None:
    history.record(check(month=5))
    history.record(check(month=6))
    whole = LINES.read_bytes()
    LINES.write_bytes(whole[:-40])  # the power went
    assert [entry["end"] for entry in history.read()] == ["2013-05-31"]
    assert " is recorded in " in history.record(check(month=6))
    history.record(check(month=7))
    ends = [entry["end"] for entry in history.read()]
    assert ends == ["2013-05-31", "2013-06-30", "2013-07-31"]
    assert LINES.read_bytes().startswith(whole[:-40] + b"\n"), "what is there stays"


def test_entries_come_in_the_order_of_their_checks() -> None:
    for made in (check(month=7, day=9), check(month=5, day=3), check(month=6, day=20)):
        history.record(made)
    assert [entry["end"][5:7] for entry in history.read()] == ["05", "07", "06"]


def test_without_a_history_there_is_a_sentence(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    mlops(monkeypatch, "drift", "--history")
    assert capsys.readouterr().out == (
        "no drift check is on record in .store/drift.jsonl yet; `mlops store pull` brings the "
        "record of the workflow, `mlops drift --record` begins one\n"
    )
    assert not files.DRIFT_HISTORY.exists()


def test_the_commands_record_print_and_draw(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    for made in YEAR:
        files.write_json(files.DRIFT, made)
        mlops(monkeypatch, "drift", "--record")
    recorded = capsys.readouterr().out.splitlines()
    assert [line.rpartition(" ")[2] for line in recorded] == [it["decision"] for it in YEAR]
    monkeypatch.setenv("COLUMNS", "80")
    mlops(monkeypatch, "drift", "--history")
    headings, *lines, plot = capsys.readouterr().out.splitlines()
    assert headings.split() == list(history.HEADINGS)
    cells = [line.split() for line in lines if line.startswith("2013")]
    assert [row[0] for row in cells] == [it["current"]["end"] for it in YEAR]
    assert cells[0][1:] == ["1", "–", "0.050", "0.712", "–", "–", "none"]
    assert cells[2][1:7] == ["1", "temp,", "dewp", "0.090", "–", "+0.037"]
    assert cells[4][1:] == ["2", "–", "0.120", "0.700", "–", "predictions", "watch"]
    assert plot == "the plot is reports/drift_history.svg"
    xml.etree.ElementTree.parse(files.DRIFT_HISTORY)


# The plot


def drawn(checks: list[dict[str, Any]]) -> str:
    """Return the SVG, with its text as text."""
    with matplotlib.rc_context({"svg.fonttype": "none"}):
        history.draw([history.entry(made) for made in checks], Path("plot.svg"))
    return Path("plot.svg").read_text()


def dots(svg: str, colour: str) -> int:
    """Count markers of a colour, without those in a legend."""
    without_legends = re.sub(r'<g id="legend_\d+">.*?\n   </g>', "", svg, flags=re.DOTALL)
    return len(re.findall(rf"<use [^>]*fill: {colour}", without_legends, re.IGNORECASE))


@pytest.mark.filterwarnings("error")
def test_the_plot_shows_scores_decisions_violations_and_champions() -> None:
    svg = drawn(YEAR)
    texts = re.findall(r"<text[^>]*>([^<]*)</text>", svg)
    assert {" version 1", " version 2", "ROC AUC of the champion"} <= set(texts)
    assert {"score on its own holdout", "share of columns that drifted"} <= set(texts)
    # Each decision is a dot below, and one on the score where there is a score.
    colours = history.DECISIONS
    assert {name: dots(svg, colour) for name, colour in colours.items()} == {
        "none": 4,
        "watch": 4,
        "retrain": 1,
    }
    assert dots(svg, "#404040") == 3 + 1 + 2, "violations of June, July and September"


@pytest.mark.filterwarnings("error")
@pytest.mark.parametrize("checks", [[too_few()], YEAR[:1], [YEAR[2]], [too_few(), *YEAR]])
def test_a_history_may_be_short_or_without_answers(checks: list[dict[str, Any]]) -> None:
    assert " version 1" in drawn(checks)


def test_a_window_that_was_checked_again_is_drawn_as_it_was_found_last() -> None:
    again = check(6, newest=0.72, drifted=(), moved=0.05, decision="none", day=9)
    svg = drawn([check(6, decision="retrain"), again])
    assert (dots(svg, history.DECISIONS["retrain"]), dots(svg, "#404040")) == (0, 0)
    assert dots(svg, history.DECISIONS["none"]) == 2
