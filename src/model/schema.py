"""What the raw table must look like. Bad data stops here; nothing after it runs."""

import pandas as pd
from pandera.pandas import Check, Column, DataFrameSchema

from model.features import CARRIERS, DESTINATIONS, ORIGINS


def _under_60_minutes(hhmm: pd.Series) -> pd.Series:
    return hhmm % 100 < 60


# The service checks requests by what has a name in Pandera; a function guards training only.
HHMM = [Check.in_range(0, 2400), Check(_under_60_minutes, name="local_time_hhmm")]

SCHEMA = DataFrameSchema(
    {
        "time_hour": Column("datetime64[us, UTC]"),
        "carrier": Column(str, Check.isin(CARRIERS)),
        "flight": Column(int, Check.in_range(1, 9999)),
        "tailnum": Column(str, nullable=True),
        "origin": Column(str, Check.isin(ORIGINS)),
        "dest": Column(str, Check.isin(DESTINATIONS)),
        "distance": Column(int, Check.in_range(50, 6000)),
        "sched_dep_time": Column(int, HHMM),
        "sched_arr_time": Column(int, HHMM),
        "temp": Column(float, Check.in_range(-30, 120), nullable=True),
        "dewp": Column(float, Check.in_range(-50, 100), nullable=True),
        "humid": Column(float, Check.in_range(0, 100), nullable=True),
        "wind_speed": Column(float, Check.in_range(0, 150), nullable=True),
        "precip": Column(float, Check.in_range(0, 10), nullable=True),
        "pressure": Column(float, Check.in_range(870, 1090), nullable=True),
        "visib": Column(float, Check.in_range(0, 10), nullable=True),
        "plane_year": Column(float, Check.in_range(1930, 2030), nullable=True),
        "seats": Column(float, Check.in_range(1, 900), nullable=True),
        "late": Column(int, Check.isin([0, 1])),
    },
    unique=["time_hour", "carrier", "flight", "origin", "sched_dep_time"],
    strict=True,
    ordered=False,
)
