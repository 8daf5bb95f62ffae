"""From four questions and a history to none, watch or retrain."""

from typing import Any

import pytest

from mlops.drift.decision import IMPORTANCE, checked, decide, unanswered
from mlops.project.params import Retrain

JULY = {"start": "2013-07-01", "end": "2013-07-31", "window": "2013-07", "fingerprint": "f7"}


def questions(*violated: str, at_once: bool = False) -> dict[str, dict[str, Any]]:
    asked = {
        name: {
            "state": "violated" if name in violated else "ok",
            "sentence": f"{name} {'moved' if name in violated else 'stayed'}",
        }
        for name in IMPORTANCE
    }
    asked["concept"]["at_once"] = at_once
    return asked


def entry(month: int, *violated: str, champion: int = 1, **more: Any) -> dict[str, Any]:
    return {
        "champion": champion,
        "start": f"2013-{month:02}-01",
        "end": f"2013-{month:02}-28",
        "violated": list(violated),
        "decision": "watch" if violated else "none",
        "drifted_share": 0.5,
        "fingerprint": f"f{month}",
        "checked": "2013-09-01T07:00:00Z",
        **more,
    }


def decision(*recorded: dict[str, Any], violations: int = 2, of: int = 3) -> str:
    """Decide on a July that violates."""
    retrain = Retrain(violations=violations, of=of)
    return decide(questions("data"), JULY, 1, recorded, retrain).decision


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        ([], "watch"),
        ([entry(6, "data")], "retrain"),
        ([entry(5, "data"), entry(6)], "retrain"),
        ([entry(4, "data"), entry(5), entry(6)], "watch"),  # too long ago
        ([entry(6, "data"), entry(5), entry(4)], "retrain"),  # in the order of their ends
        ([entry(6, "data", champion=2)], "watch"),
        ([entry(6), entry(6, "data")], "retrain"),  # checked again: the newest check counts
        ([entry(6, "data"), entry(6)], "watch"),
        ([entry(7, "data", end="2013-07-31")], "watch"),  # this very window
        ([entry(8, "data")], "watch"),  # comes later; this is a look back
        ([entry(5, "data"), entry(6, drifted_share=None), entry(4)], "retrain"),  # too few rows
    ],
)
def test_two_of_the_last_three_windows_retrain(
    recorded: list[dict[str, Any]], expected: str
) -> None:
    assert decision(*recorded) == expected


def test_how_many_windows_is_a_setting() -> None:
    assert decision(violations=1, of=1) == "retrain"
    assert decision(entry(5, "data"), entry(6, "data"), violations=3) == "retrain"
    assert decision(entry(5, "data"), entry(6), violations=3) == "watch"


def test_a_newest_window_without_a_violation_is_none_whatever_came_before() -> None:
    before = [entry(5, "data"), entry(6, "concept", "data")]
    made = decide(questions(), JULY, 1, before, Retrain())
    assert (made.decision, made.reasons) == ("none", [])
    assert made.sentence.startswith("Nothing to do for champion v1 in 2013-07: nothing has moved")
    assert [window["violated"] for window in made.windows] == [["data"], ["concept", "data"], []]
    assert made.windows[-1]["decision"] == "none"


def test_staleness_counts_as_the_others() -> None:
    made = decide(questions("staleness"), JULY, 1, [entry(6, "data")], Retrain())
    assert made.decision == "retrain"


@pytest.mark.parametrize(("at_once", "expected"), [(True, "retrain"), (False, "watch")])
def test_concept_drift_that_is_sure_does_not_wait(at_once: bool, expected: str) -> None:
    made = decide(questions("concept", at_once=at_once), JULY, 1, [], Retrain())
    assert made.decision == expected
    assert made.windows == [
        {"start": JULY["start"], "end": JULY["end"], "violated": ["concept"], "decision": expected}
    ]


def test_one_sentence_names_the_worst_and_says_why_now() -> None:
    made = decide(questions("data", "concept", "staleness"), JULY, 3, [], Retrain())
    assert made.sentence == (
        "Watch champion v3 in 2013-07: concept moved (and 2 more); "
        "1 of the last 3 windows violates, and drift.retrain asks for 2"
    )
    assert made.reasons[:3] == ["concept moved", "data moved", "staleness moved"]


def test_the_very_same_is_judged_once() -> None:
    again = {**JULY, "start": "2013-07-01", "end": "2013-07-28"}
    assert checked(again, 1, [entry(7)]) == "2013-09-01"
    assert not checked(again, 2, [entry(7)])
    assert not checked({**again, "fingerprint": "other rows"}, 1, [entry(7)])
    assert not checked({**again, "end": "2013-07-31"}, 1, [entry(7)])


def test_windows_that_no_check_had_labels_for_are_asked_about_later() -> None:
    recorded = [
        entry(3, labels_of="2013-03-28"),
        entry(4, labels_of=None),
        entry(5, labels_of=None),
        entry(6, labels_of="2013-04-28"),  # its own labels were late, those of April had come
        entry(6, labels_of=None, champion=2),
        entry(8, labels_of=None),
    ]
    waiting = [it["end"] for it in unanswered(JULY, 1, recorded)]
    assert waiting == ["2013-06-28", "2013-05-28"]
