"""YOURS: features mean what they say, and the model learns something from them."""

import numpy as np
import pandas as pd
import pytest

from mlops.artifact.model_folder import to_matrix
from mlops.artifact.table import to_columns
from model import build_estimator, build_features, load_data
from model.features import PASSED_ON

CARRIER, ORIGIN, DEST = 0, 1, 2


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    return load_data().iloc[::40].reset_index(drop=True)


def test_one_row_has_the_features_it_has_among_many(flights: pd.DataFrame) -> None:
    many = to_matrix(build_features(to_columns(flights)))
    for row in (0, 1, len(flights) - 1):
        one = to_matrix(build_features(to_columns(flights.iloc[[row]])))
        np.testing.assert_array_equal(one[0], many[row])


def test_times_of_a_known_flight() -> None:
    flight = pd.DataFrame(
        {
            "time_hour": pd.to_datetime(["2013-01-01T10:00:00Z"]),  # 5 a.m. in New York, a Tuesday
            "carrier": ["UA"],
            "origin": ["EWR"],
            "dest": ["IAH"],
            "sched_dep_time": [515],
            "sched_arr_time": [30],
        }
    ).assign(**dict.fromkeys(PASSED_ON, 1.0))
    built = build_features(to_columns(flight))
    assert built["departure"][0] == 5 * 60 + 15
    assert built["scheduled_minutes"][0] == 24 * 60 - 315 + 30  # arrives after midnight
    assert built["weekday"][0] == 1


def test_unknown_and_missing_become_what_training_knows(flights: pd.DataFrame) -> None:
    odd = flights.head(1).assign(carrier="ZZ", dest=None, humid=np.nan)
    matrix = to_matrix(build_features(to_columns(odd)))
    assert matrix[0, [CARRIER, DEST]].tolist() == [-1, -1]
    assert np.isnan(matrix[0]).any()


def test_model_beats_chance_and_is_the_same_twice(flights: pd.DataFrame) -> None:
    matrix = to_matrix(build_features(to_columns(flights)))
    late = flights["late"].to_numpy()
    first, second = (
        build_estimator(seed=1, max_iter=20).fit(matrix, late).predict_proba(matrix)[:, 1]
        for _ in range(2)
    )
    np.testing.assert_array_equal(first, second)
    assert first[late == 1].mean() > first[late == 0].mean() + 0.1
