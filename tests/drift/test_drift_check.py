"""``mlops drift``: which window it judges, what it needs, and what it leaves behind."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from watched_project import Flights, Watched, month, violated

WRITTEN = ["drift.html", "drift.json", "drift.md", "drift.prom"]
MAY = "--as-of=2013-05-31"
FAR_AWAY = pd.Timestamp("2203-06-30", tz="UTC")


def written(project: Watched) -> list[str]:
    return sorted(path.name for path in (project / "reports").glob("drift.*"))


def upset(table: pd.DataFrame) -> pd.DataFrame:
    """Change the outcome of some flights, for better and for worse."""
    flip = pd.Series(np.random.default_rng(0).random(len(table)) < 0.12, table.index)
    return table.assign(late=table["late"] ^ flip)


def turned(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(late=1 - table["late"])


def farther(table: pd.DataFrame) -> pd.DataFrame:
    """Move the distances, of which the model learnt that they hardly matter."""
    return table.assign(distance=table["distance"] + 200)


def unlabelled(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(late=table["late"].astype("float64").where(table.index < 0))


def test_all_four_questions_have_number_threshold_and_sentence(
    watched: Watched, flights: Flights
) -> None:
    watched.load(flights.windows(upset))
    (watched / "reports/drift.old").write_text("not ours")
    drift = watched.check(MAY)
    assert written(watched) == ["drift.html", "drift.json", "drift.md", "drift.old", "drift.prom"]
    assert drift["champion"] == {"version": 1, "window": "2013-01 to 2013-03", "holdout": "2013-04"}
    assert drift["reference"] == {"start": "2013-01-01", "end": "2013-03-31", "rows": 8000}
    current = drift["current"]
    assert (current["start"], current["end"]) == ("2013-05-01", "2013-05-31")
    assert (current["rows"], current["labelled"], current["window"]) == (8000, 8000, "2013-05")
    assert drift["as_of"] == "2013-05-31"
    asked = drift["questions"]
    assert list(asked) == ["data", "predictions", "concept", "staleness"]
    limits = [question["threshold"] for question in asked.values()]
    # 3% of 0.638, its score on the champion's own holdout.
    assert limits == [1, 0.1, pytest.approx(0.0191, abs=1e-4), 180]
    assert asked["data"]["not_judged"] == ["time_hour"]
    assert [column["name"] for column in asked["data"]["columns"]] == [
        *("carrier", "dest", "distance", "sched_dep_time", "wind_speed", "seats"),
    ]
    assert [column["kind"] for column in asked["predictions"]["columns"]] == ["score"]
    concept = asked["concept"]
    assert concept["value"] == concept["newest"] - concept["holdout"] < -0.02
    assert concept["low"] < concept["value"] < concept["high"] < 0
    assert concept["sentence"].startswith("ROC AUC fell from 0.6")
    assert concept["sentence"].endswith("more than drift.concept (0.0191) allows")
    assert asked["staleness"]["value"] == 61
    assert drift["reasons"] == [concept["sentence"]]
    assert drift["sentence"].startswith("Watch champion v1 in 2013-05: ROC AUC fell")
    said = watched.mlops("drift", MAY).out.splitlines()
    assert said[1:] == [
        *(
            f"{'!' if name == 'concept' else '-'} {name}: {question['sentence']}"
            for name, question in asked.items()
        ),
        "- challenger: a model trained on newer rows is to be judged on 2013-05",
    ]


def test_two_of_three_windows_are_drift_and_one_that_is_checked_again_counts_once(
    watched: Watched, flights: Flights
) -> None:
    watched.load(flights.windows(farther, None, farther))
    assert watched.record(MAY)["drifted"] is False
    same = watched.check(MAY)
    assert (same["new_data"], same["decision"], same["questions"]) == (False, "none", {})
    assert same["sentence"].startswith("No new data: 2013-05 was checked on 20")
    assert written(watched) == ["drift.json", "drift.md", "drift.prom"]
    watched.set(drift__concept=0.021)  # whoever tunes wants to see what comes of it
    assert watched.record(MAY)["decision"] == "watch"
    june = watched.record("--as-of=2013-06-30")
    assert (june["decision"], violated(june)) == ("none", [])
    july = watched.check("--as-of=2013-07-31")
    assert (july["drifted"], july["decision"]) == (True, "watch"), "a challenger decides"
    found = [(window["start"], window["violated"]) for window in july["windows"]]
    assert found == [("2013-05-01", ["data"]), ("2013-06-01", []), ("2013-07-01", ["data"])]
    assert (
        july["reasons"][1] == "2 of the last 3 windows have drifted, and drift.retrain asks for 2"
    )


def test_a_challenger_is_asked_on_the_newest_window_with_labels(
    watched: Watched, flights: Flights
) -> None:
    watched.load(flights.windows(farther))
    asked = watched.check(MAY)["challenger"]
    assert (asked["state"], asked["start"], asked["end"]) == ("wanted", "2013-05-01", "2013-05-31")
    watched.set(drift__retrain={"when": "drifts"})
    asked = watched.check(MAY)["challenger"]
    assert asked["sentence"] == "drift.retrain.when is drifts, and too few windows have"
    watched.set(drift__retrain={"when": "drifts", "violations": 1})
    assert watched.check(MAY)["challenger"]["state"] == "wanted"
    watched.set(data__holdout={"start": "2013-05", "end": "2013-05"})  # merged, not deployed yet
    asked = watched.check(MAY)["challenger"]
    assert asked["sentence"] == (
        "data.holdout ends with 2013-05 already: once the retraining on it is deployed, newer ones "
        "follow"
    )


def test_labels_that_are_not_there_yet_are_a_state(watched: Watched, flights: Flights) -> None:
    table = flights.windows(unlabelled)
    watched.load(table)
    drift = watched.check(MAY)
    concept = drift["questions"]["concept"]
    assert (concept["state"], concept["value"], concept["newest"]) == ("waiting", None, None)
    assert concept["sentence"] == (
        "labels not there yet: 0 of 8,000 rows have one (drift.min_rows is 2,000)"
    )
    assert (drift["current"]["labelled"], drift["decision"]) == (0, "none")
    assert drift["challenger"] == {
        **{"state": "skipped", "value": None, "threshold": None},
        "sentence": concept["sentence"],
    }
    watched.do("drift --record")
    # The labels of the same rows are news; as long as all are of one class, they say nothing.
    newest = table.index[table["time_hour"] >= "2013-05-01"]
    table.loc[newest[:2500], "late"] = 0.0
    watched.load(table)
    drift = watched.check(MAY)
    assert (drift["new_data"], drift["current"]["labelled"]) == (True, 2500)
    assert drift["questions"]["concept"]["state"] == "waiting"
    assert "roc_auc is undefined on the labels" in drift["questions"]["concept"]["sentence"]
    table.loc[newest[:800], "late"] = 1.0
    watched.load(table)
    concept = watched.check(MAY)["questions"]["concept"]
    assert (concept["state"], concept["rows"]) == ("violated", 2500)


def test_labels_that_always_come_late_are_asked_about_once(
    watched: Watched, flights: Flights
) -> None:
    table = flights.windows(unlabelled, unlabelled, unlabelled)
    true = turned(month(flights.windows(), "2013-05"))["late"]
    watched.load(table)
    assert watched.record(MAY)["questions"]["concept"]["state"] == "waiting"
    table.loc[true.index, "late"] = true  # those of May have come, those of June not
    watched.load(table)
    june = watched.record("--as-of=2013-06-30")
    concept = june["questions"]["concept"]
    assert (concept["state"], concept["labels_of"]) == ("violated", "2013-05-31")
    assert concept["sentence"].endswith(" (labels of 2013-05-01 to 2013-05-31)")
    asked = june["challenger"]
    assert (asked["state"], asked["start"], asked["end"]) == ("wanted", "2013-05-01", "2013-05-31")
    july = watched.check("--as-of=2013-07-31")
    assert july["questions"]["concept"]["state"] == "waiting"  # that May was bad is said
    assert july["challenger"]["state"] == "skipped"


def test_too_few_rows_are_said_and_noted_but_not_judged(watched: Watched, flights: Flights) -> None:
    table = flights.windows()
    few = pd.concat([table[table["time_hour"] < "2013-05-01"], month(table, "2013-05")[:1999]])
    watched.load(few)
    drift = watched.record(MAY)
    assert drift["sentence"] == (
        "Only 1,999 rows in 2013-05: too few to judge (drift.min_rows is 2,000)"
    )
    assert (drift["decision"], drift["new_data"], drift["windows"]) == ("none", True, [])
    assert {question["state"] for question in drift["questions"].values()} == {"skipped"}
    assert written(watched) == ["drift.json", "drift.md", "drift.prom"]
    assert watched.check(MAY)["sentence"].startswith("No new data: 2013-05 was checked")


def test_before_there_is_a_champion_there_is_nothing_to_watch(
    newborn: Watched, tmp_path: Path
) -> None:
    drift = newborn.copy(tmp_path / "project").check()
    assert drift["sentence"] == "There is no champion yet: nothing to watch"
    assert (drift["champion"], drift["new_data"], drift["decision"]) == (None, False, "none")


@pytest.mark.parametrize(
    ("as_of", "said"),
    [
        (
            "2013-05-30",
            "No new data: 2013-04, the newest month that is over, is not after the champion's own "
            "holdout 2013-04",
        ),
        ("2013-07-01", "No new data: data/checked.parquet has no rows in 2013-06"),
    ],
)
def test_as_of_a_day_only_what_was_over_counts(
    watched: Watched, flights: Flights, as_of: str, said: str
) -> None:
    watched.load(flights.windows(rows=600))
    drift = watched.check(f"--as-of={as_of}")
    assert (drift["sentence"], drift["as_of"]) == (said, as_of)


def test_a_replay_goes_on_period_by_period_for_each_champion(
    watched: Watched, flights: Flights
) -> None:
    table = flights.windows(None, None, None, rows=600)
    table = table[~table["time_hour"].dt.strftime("%Y-%m").eq("2013-06")]
    watched.load(table)
    watched.set(drift__replay=True, drift__min_rows=5000)  # where it goes; not what it finds
    checks = [watched.record() for _ in range(3)]
    found = [(check["current"] or {}).get("window") for check in checks]
    assert found == ["2013-05", "2013-07", None]  # June has no rows
    assert [check["as_of"] for check in checks[:2]] == ["2013-05-31", "2013-07-31"]
    assert checks[2]["sentence"] == (
        "No new data: data/checked.parquet ends before 2013-08, which would be next"
    )
    assert watched.check("--as-of=2013-05-31")["sentence"].startswith("No new data: 2013-05 was")
    mistyped = table.assign(time_hour=table["time_hour"].mask(table.index == 7, FAR_AWAY))
    watched.load(mistyped)
    assert watched.record()["sentence"] == (
        "No new data: data/checked.parquet has no rows from 2013-08 on but of the future, such as "
        "2203-06-30; correct their dates, or check them in src/model/schema.py"
    )
    watched.do("register", "promote --override again")
    assert watched.check()["current"]["window"] == "2013-05"


def test_a_week_has_too_few_days_and_is_joined_with_the_one_before(
    watched: Watched, flights: Flights
) -> None:
    watched.load(flights.windows(upset))
    watched.set(drift__period="week", drift__min_rows=500, data__timezone="UTC")
    drift = watched.check("--as-of=2013-05-19")
    concept = drift["questions"]["concept"]
    assert concept["blocks"] == "14 days"
    assert concept["sentence"].endswith(" (on 2013-05-06 to 2013-05-19, for enough day blocks)")
    asked = drift["challenger"]
    assert (asked["start"], asked["end"]) == ("2013-05-13", "2013-05-19")
    first = watched.check("--as-of=2013-05-12")["questions"]["concept"]
    assert first["state"] == "skipped", "the week before lies in the champion's own holdout"
    assert first["sentence"] == "2013-05-06 to 2013-05-12 has 7 days; at least 8 are needed"


def test_blocks_that_no_log_can_have_are_refused(
    watched: Watched, flights: Flights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = flights.windows()
    watched.load(table.assign(crew=table.index % 50))
    watched.set(gate__blocks="crew", drift__replay=False)
    assert watched.check(MAY)["questions"]["concept"]["blocks"] == "50 crew values"
    watched.log(tmp_path / "log", month(table, "2013-05"))
    monkeypatch.setenv("PREDICTION_LOG_URI", str(tmp_path / "log"))
    assert watched.refused("drift", MAY) == (
        "params.yaml: gate.blocks: the prediction log has no 'crew', which is no input of the "
        "model; set day, week, row or an input"
    )


def test_a_metric_of_ones_own_may_read_what_the_log_has(
    watched: Watched, flights: Flights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = flights.windows()
    watched.load(table)
    own = watched / "src/model/metrics.py"
    own.write_text(
        'GREATER_IS_BETTER = {"miles": False}\n\n\n'
        "def miles(truth, prediction, columns):\n"
        '    return abs(truth - prediction) * columns["distance"]\n'
    )
    watched.set(gate__metric="miles")
    asked = watched.check(MAY)["questions"]["concept"]
    assert asked["metric"] == "miles"
    assert 100 < asked["holdout"] < 1000
    watched.log(tmp_path / "log", month(table, "2013-05"))
    monkeypatch.setenv("PREDICTION_LOG_URI", str(tmp_path / "log"))
    logged = watched.check(MAY)["questions"]["concept"]
    assert logged["newest"] == pytest.approx(asked["newest"])
    own.write_text(own.read_text().replace("distance", "humid"))
    assert watched.refused("drift", MAY).startswith(
        "src/model/metrics.py reads column 'humid', which the rows to be judged do not have (those "
        "of a prediction log have the model's inputs); they have time_hour, carrier, "
    )


def test_the_log_is_judged_with_its_labels_and_only_what_the_champion_said(
    watched: Watched, flights: Flights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, log = flights.windows(), tmp_path / "log"
    watched.load(table[table["time_hour"] < "2013-05-01"])
    may = month(table, "2013-05")
    watched.log(log, may.assign(late=may["late"].where(may.index % 2 == 0)))
    watched.log(log, may.assign(distance=9999), version=2)
    monkeypatch.setenv("PREDICTION_LOG_URI", str(log))
    drift = watched.check(MAY)
    assert drift["source"] == "predictions"
    assert (drift["current"]["rows"], drift["current"]["labelled"]) == (8000, 4000)
    assert violated(drift) == []
    concept = drift["questions"]["concept"]
    assert (concept["rows"], concept["holdout_rows"]) == (4000, 8000)
    asked = drift["challenger"]
    assert (asked["state"], asked["sentence"]) == (
        "skipped",
        "data/checked.parquet has no rows of 2013-05 to judge one on",
    )
    # What was answered counts, though the same rows would be answered alike today.
    watched.load(table)
    monkeypatch.delenv("PREDICTION_LOG_URI")
    anew = watched.check(MAY)
    for question in ("data", "predictions"):
        logged, asked = (it["questions"][question]["columns"] for it in (drift, anew))
        assert [it["score"] for it in logged] == pytest.approx([it["score"] for it in asked])
    monkeypatch.setenv("PREDICTION_LOG_URI", str(log))
    empty = watched.check("--as-of=2013-06-30")
    assert empty["sentence"] == (
        "No new data: the prediction log of champion v1 has no rows in 2013-06"
    )


def test_columns_that_the_log_withholds_are_not_judged_and_all_else_is(
    watched: Watched, flights: Flights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, log = flights.windows(), tmp_path / "log"
    watched.load(table)
    may = month(table, "2013-05")
    half = len(may) // 2
    watched.log(log, may[:half], exclude="dest, carrier:hash, seats:hash")
    monkeypatch.setenv("PREDICTION_LOG_URI", str(log))
    watched.log(log, may[half:], version=2)  # whose log withholds nothing
    drift = watched.check(MAY)
    asked = drift["questions"]["data"]
    assert asked["state"] == "ok"
    assert asked["sentence"] == (
        "0 of 3 inputs have drifted; not judged, as the prediction log withholds them: "
        "carrier, dest, seats"
    )
    assert {"carrier", "dest", "seats"}.isdisjoint(it["name"] for it in asked["columns"])
    assert drift["questions"]["concept"]["state"] == "ok"
    assert (
        "(`PREDICTION_LOG_EXCLUDE`): carrier, dest, seats."
        in (watched / "reports/drift.md").read_text()
    )
    watched.set(gate__blocks="carrier")  # equal values have equal hashes
    blocks = watched.check(MAY)["questions"]["concept"]["blocks"]
    assert blocks == f"{may[:half]['carrier'].nunique()} carrier values"
    watched.set(gate__blocks="dest")
    assert watched.refused("drift", MAY) == (
        "params.yaml: gate.blocks: the prediction log has no 'dest', which PREDICTION_LOG_EXCLUDE "
        "leaves out; log it as a hash (dest:hash)"
    )


def test_a_log_is_not_replayed(
    watched: Watched, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    watched.set(drift__replay=True)
    monkeypatch.setenv("PREDICTION_LOG_URI", str(tmp_path))
    said = watched.refused("drift")
    assert said == (
        "params.yaml: drift.replay: got True with PREDICTION_LOG_URI set; a prediction log is not "
        "replayed: set drift.replay to false, or say a day with --as-of"
    )
    monkeypatch.setenv("PREDICTION_LOG_URI", str(tmp_path / "nowhere"))
    said = watched.refused("drift", MAY)
    assert said == f"there is no prediction log in {tmp_path / 'nowhere'}"


@pytest.mark.parametrize(
    ("months", "said"),
    [
        (["2013-04", "2013-05"], "window of champion v1 (2013-01 to 2013-03)"),
        (["2013-03", "2013-05"], "own holdout of champion v1 (2013-04)"),
    ],
)
def test_the_source_must_still_have_what_the_champion_knows(
    watched: Watched, flights: Flights, months: list[str], said: str
) -> None:
    table = flights.windows(rows=600)
    watched.load(table[table["time_hour"].dt.strftime("%Y-%m").isin(months)])
    (watched / "reports/drift.html").write_text("of an older check")
    line = watched.refused("drift", MAY)
    assert line.startswith(
        f"data/checked.parquet has no rows of the {said}, with which the newest are"
    )
    assert "let load_data in src/model/data.py return them too" in line
    assert written(watched) == []  # the older check is gone, and no half of a new one is there


def test_an_input_that_is_gone_is_named(watched: Watched, flights: Flights) -> None:
    watched.load(flights.windows(rows=600).drop(columns=["seats", "distance"]))
    assert watched.refused("drift", MAY) == (
        "data/checked.parquet no longer has column distance, seats, which champion v1 needs; keep "
        "the column until a model without it is champion"
    )


def test_a_threshold_for_no_column_is_a_slip(watched: Watched, flights: Flights) -> None:
    watched.load(flights.windows(rows=600))
    watched.set(drift__columns__own={"humid": 0.5, "wind_sped": 0.5})  # humid is raw, no input
    assert watched.refused("drift", MAY) == (
        "params.yaml: drift.columns.own.wind_sped: unknown column; allowed here: "
        "time_hour, carrier, dest, distance, sched_dep_time, wind_speed, seats"
    )


def test_a_day_must_be_a_day(watched: Watched) -> None:
    for text in ("June", "2013-06", "2013-06-31", ""):
        assert watched.refused("drift", "--as-of", text) == (
            f"--as-of: got {text!r}; expected a day such as 2013-06-30"
        )


def test_nothing_is_judged_without_the_data(watched: Watched) -> None:
    (watched / "data/checked.parquet").unlink()
    assert watched.refused("drift", MAY) == "data/checked.parquet is not there; run `dvc repro`"
