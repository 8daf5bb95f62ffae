"""From four questions and a history to none, watch or retrain."""

from typing import Any

import pytest

from mlops.drift.decision import IMPORTANCE, checked, decide, find, unanswered
from mlops.project.params import Retrain

JULY = {"start": "2013-07-01", "end": "2013-07-31", "window": "2013-07", "fingerprint": "f7"}


def questions(*violated: str) -> dict[str, dict[str, Any]]:
    return {
        name: {
            "state": "violated" if name in violated else "ok",
            "sentence": f"{name} {'moved' if name in violated else 'stayed'}",
        }
        for name in IMPORTANCE
    }


def challenger(state: str) -> dict[str, Any]:
    return {"state": state, "sentence": f"the challenger: {state}"}


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


def drifted(*recorded: dict[str, Any], violations: int = 2, of: int = 3) -> bool:
    """Tell whether the drift of a July that violates lasts."""
    retrain = Retrain(violations=violations, of=of)
    return find(questions("data"), JULY, 1, recorded, retrain).drifted


@pytest.mark.parametrize(
    ("recorded", "expected"),
    [
        ([], False),
        ([entry(6, "data")], True),
        ([entry(5, "data"), entry(6)], True),
        ([entry(4, "data"), entry(5), entry(6)], False),  # too long ago
        ([entry(6, "data"), entry(5), entry(4)], True),  # in the order of their ends
        ([entry(6, "data", champion=2)], False),
        ([entry(6), entry(6, "data")], True),  # checked again: the newest check counts
        ([entry(6, "data"), entry(6)], False),
        ([entry(7, "data", end="2013-07-31")], False),  # this very window
        ([entry(8, "data")], False),  # comes later; this is a look back
        ([entry(5, "data"), entry(6, drifted_share=None), entry(4)], True),  # too few rows
    ],
)
def test_data_has_drifted_when_two_of_the_last_three_windows_have(
    recorded: list[dict[str, Any]], expected: bool
) -> None:
    assert drifted(*recorded) is expected


def test_how_many_windows_is_a_setting() -> None:
    assert drifted(violations=1, of=1)
    assert drifted(entry(5, "data"), entry(6, "data"), violations=3)
    assert not drifted(entry(5, "data"), entry(6), violations=3)


def test_the_score_alone_is_no_drift_whatever_came_before() -> None:
    """From one month to the next it moves by more than models differ."""
    found = find(questions("concept"), JULY, 1, [entry(6, "data"), entry(5, "data")], Retrain())
    assert (found.moved, found.lasting, found.drifted) == (["concept moved"], "", False)
    assert not drifted(entry(5, "concept"), entry(6, "concept"))


def test_a_newest_window_without_a_violation_is_none_whatever_came_before() -> None:
    before = [entry(5, "data"), entry(6, "concept", "data")]
    found = find(questions(), JULY, 1, before, Retrain())
    assert (found.moved, found.drifted) == ([], False)
    assert [window["violated"] for window in found.windows] == [["data"], ["concept", "data"], []]
    made = decide(found, "champion v1 in 2013-07", challenger("not better"), "either")
    assert (made.decision, made.reasons) == ("none", [])
    assert made.sentence == (
        "Nothing to do for champion v1 in 2013-07: nothing has moved by more than params.yaml "
        "allows; the challenger: not better"
    )


def test_staleness_counts_as_the_others() -> None:
    assert find(questions("staleness"), JULY, 1, [entry(6, "data")], Retrain()).drifted


@pytest.mark.parametrize(
    ("when", "state", "lasting", "expected"),
    [
        ("either", "better", False, "retrain"),
        ("either", "not worse", True, "retrain"),
        ("either", "not worse", False, "watch"),
        ("either", "not better", True, "watch"),
        ("either", "same", True, "watch"),
        ("either", "wanted", True, "watch"),  # as long as it was not judged
        ("helps", "better", False, "retrain"),
        ("helps", "not worse", True, "watch"),
        ("drifts", "better", True, "retrain"),
        ("drifts", "not worse", True, "retrain"),
        ("drifts", "better", False, "watch"),
    ],
)
def test_a_challenger_decides(when: Any, state: str, lasting: bool, expected: str) -> None:
    before = [entry(6, "data")] if lasting else []
    found = find(questions("data"), JULY, 1, before, Retrain())
    made = decide(found, "champion v1 in 2013-07", challenger(state), when)
    assert made.decision == expected
    heard = state != "wanted"
    assert (f"the challenger: {state}" in made.sentence) is heard
    assert (f"the challenger: {state}" in made.reasons) is heard


def test_one_sentence_names_the_worst_and_says_why_now() -> None:
    found = find(questions("data", "concept", "staleness"), JULY, 3, [], Retrain())
    made = decide(found, "champion v3 in 2013-07", challenger("wanted"), "either")
    assert made.sentence == (
        "Watch champion v3 in 2013-07: concept moved (and 2 more); "
        "1 of the last 3 windows has drifted, and drift.retrain asks for 2"
    )
    assert made.reasons[:3] == ["concept moved", "data moved", "staleness moved"]


def test_the_very_same_is_judged_once() -> None:
    again = {**JULY, "start": "2013-07-01", "end": "2013-07-28"}
    assert checked(again, 1, [entry(7)]) == "2013-09-01"
    assert not checked(again, 2, [entry(7)])
    assert not checked({**again, "fingerprint": "other rows"}, 1, [entry(7)])
    assert not checked({**again, "end": "2013-07-31"}, 1, [entry(7)])
    assert checked({**again, "end": "2013-07-31"}, 1, [entry(7)], dated=False) == "2013-09-01"


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
