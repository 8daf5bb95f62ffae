"""YOURS: the raw data is what its schema says, and the schema refuses what must not pass."""

import pandas as pd
import pytest
from pandera.errors import SchemaErrors

from model import SCHEMA, load_data

KNOWN_ONLY_AFTER_DEPARTURE = {"dep_time", "dep_delay", "arr_time", "arr_delay", "air_time"}


@pytest.fixture(scope="module")
def flights() -> pd.DataFrame:
    try:
        return load_data()
    except FileNotFoundError as missing:
        pytest.fail(f"{missing}; the raw data comes with `dvc pull`", pytrace=False)


def test_all_data_passes_the_schema(flights: pd.DataFrame) -> None:
    SCHEMA.validate(flights, lazy=True)
    assert len(flights) == 327_346  # flights that arrived; 9,430 were cancelled or diverted


def test_no_column_is_from_the_future(flights: pd.DataFrame) -> None:
    assert not KNOWN_ONLY_AFTER_DEPARTURE & set(flights.columns)


def test_weather_and_plane_join_without_doubling_flights(flights: pd.DataFrame) -> None:
    assert not flights.duplicated(SCHEMA.unique).any()
    assert flights["humid"].notna().mean() > 0.99
    assert flights["seats"].notna().mean() > 0.8


@pytest.mark.parametrize(
    ("column", "value"),
    [("carrier", "ZZ"), ("dest", "XYZ"), ("humid", 101.0), ("sched_dep_time", 1275), ("late", 2)],
)
def test_schema_refuses(flights: pd.DataFrame, column: str, value: object) -> None:
    spoilt = flights.head(100).copy()
    spoilt.loc[7, column] = value
    with pytest.raises(SchemaErrors) as refused:
        SCHEMA.validate(spoilt, lazy=True)
    cases = refused.value.failure_cases
    assert (cases["column"] == column).all()
    assert cases["index"].tolist() == [7]
