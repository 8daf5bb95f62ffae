"""Planted drifts, each caught as what it is; and none found where there is none."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from watched_project import Change, Flights, Watched, month, violated

AS_OF = "--as-of=2013-05-31"
SEEDS = 20


def drifted(drift: dict[str, Any]) -> dict[str, list[str]]:
    """Return why each drifted column has."""
    columns = drift["questions"]["data"]["columns"]
    return {column["name"]: column["why"] for column in columns if column["drifted"]}


def by_chance(table: pd.DataFrame, share: float) -> "pd.Series[bool]":
    return pd.Series(np.random.default_rng(0).random(len(table)) < share, table.index)


def longer_ways(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(distance=table["distance"] + 120)


def new_carrier(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(carrier=table["carrier"].mask(by_chance(table, 0.02), "ZZ"))


def unknown_seats(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(seats=np.nan)


def flipped_labels(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(late=table["late"] ^ by_chance(table, 0.1))


def wind_in_kilometres(table: pd.DataFrame) -> pd.DataFrame:
    return table.assign(wind_speed=table["wind_speed"] * 1.609)


@pytest.mark.parametrize(
    ("change", "questions", "columns", "said"),
    [
        (longer_ways, ["data"], {"distance": ["score"]}, "distance (0.18 ≥ 0.1) (drift.columns)"),
        (
            new_carrier,
            ["data"],
            {"carrier": ["new categories"]},
            "carrier (new ZZ: 1.9%) (drift.new_categories)",
        ),
        (
            unknown_seats,
            ["data"],
            {"seats": ["missing"]},
            "seats (missing in 14.2% of rows, now 100.0%) (drift.missing)",
        ),
        (flipped_labels, ["concept"], {}, "more than drift.concept (0.0191) allows"),
        (
            wind_in_kilometres,
            ["data", "predictions"],
            {"wind_speed": ["score"]},
            "≥ 0.5) (drift.columns)",
        ),
    ],
)
def test_a_planted_drift_is_caught_as_what_it_is(
    watched: Watched,
    flights: Flights,
    change: Change,
    questions: list[str],
    columns: dict[str, list[str]],
    said: str,
) -> None:
    watched.load(flights.windows(change))
    drift = watched.check(AS_OF)
    assert drifted(drift) == columns
    assert violated(drift) == questions
    assert drift["reasons"][0].endswith(said)
    assert drift["decision"] == "watch"


def test_answers_in_another_unit_are_prediction_drift_alone(
    watched: Watched, flights: Flights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table = flights.windows()
    watched.load(table[table["time_hour"] < "2013-05-01"])
    watched.log(tmp_path / "log", month(table, "2013-05"), factor=100)
    monkeypatch.setenv("PREDICTION_LOG_URI", str(tmp_path / "log"))
    asked = watched.check(AS_OF)["questions"]
    states = {name: question["state"] for name, question in asked.items()}
    # Percentages are no probabilities, so no metric can say how good they are.
    assert states == {
        "data": "ok",
        "predictions": "violated",
        "concept": "skipped",
        "staleness": "ok",
    }
    assert asked["predictions"]["value"] > 100
    assert asked["concept"]["sentence"].startswith("the logged scores are no probabilities: they ")


def test_where_nothing_drifts_nothing_is_said(watched: Watched, flights: Flights) -> None:
    false = []
    for seed in range(SEEDS):
        watched.load(flights.windows(seed=seed, rows=20_000))  # a small month
        drift = watched.check(AS_OF)
        false += [violated(drift)] if violated(drift) else []
    # Not the decision: with no window before this one, it is never more than watch.
    assert len(false) <= 1, false
