"""The numbers the model sees. Training asks for a million rows, the service for one.

This file travels with every model that is trained from it, so an old model is always asked with
the features it learned from. It may import nothing but NumPy and the standard library.
"""

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

Column = npt.NDArray[Any]

CARRIERS = (
    *("9E", "AA", "AS", "B6", "DL", "EV", "F9", "FL"),
    *("HA", "MQ", "OO", "UA", "US", "VX", "WN", "YV"),
)
ORIGINS = ("EWR", "JFK", "LGA")
# fmt: off
DESTINATIONS = (
    "ABQ", "ACK", "ALB", "ANC", "ATL", "AUS", "AVL", "BDL", "BGR", "BHM", "BNA", "BOS", "BQN",
    "BTV", "BUF", "BUR", "BWI", "BZN", "CAE", "CAK", "CHO", "CHS", "CLE", "CLT", "CMH", "CRW",
    "CVG", "DAY", "DCA", "DEN", "DFW", "DSM", "DTW", "EGE", "EYW", "FLL", "GRR", "GSO", "GSP",
    "HDN", "HNL", "HOU", "IAD", "IAH", "ILM", "IND", "JAC", "JAX", "LAS", "LAX", "LEX", "LGB",
    "MCI", "MCO", "MDW", "MEM", "MHT", "MIA", "MKE", "MSN", "MSP", "MSY", "MTJ", "MVY", "MYR",
    "OAK", "OKC", "OMA", "ORD", "ORF", "PBI", "PDX", "PHL", "PHX", "PIT", "PSE", "PSP", "PVD",
    "PWM", "RDU", "RIC", "ROC", "RSW", "SAN", "SAT", "SAV", "SBN", "SDF", "SEA", "SFO", "SJC",
    "SJU", "SLC", "SMF", "SNA", "SRQ", "STL", "STT", "SYR", "TPA", "TUL", "TVC", "TYS", "XNA",
)
# fmt: on

# By name to their place; made once, because the service asks for one row at a time.
CARRIER_CODES = {carrier: code for code, carrier in enumerate(CARRIERS)}
ORIGIN_CODES = {origin: code for code, origin in enumerate(ORIGINS)}
DESTINATION_CODES = {destination: code for code, destination in enumerate(DESTINATIONS)}

# Not temp and dewp: within a few months they tell the season, and next month is another season.
PASSED_ON = (
    *("distance", "humid", "wind_speed", "precip", "pressure", "visib"),
    *("plane_year", "seats"),
)


def build_features(columns: Mapping[str, Column]) -> dict[str, Column]:
    """Turn raw columns of ``n`` values into features of ``n`` numbers.

    Parameters
    ----------
    columns : mapping of str to array of shape (n,)
        Raw values by column name, as ``model.data.load_data`` describes them; ``time_hour`` as
        ``datetime64`` in UTC.

    Returns
    -------
    dict of str to array of shape (n,)
        In a fixed order; the machinery stacks them into one float32 matrix. Missing is NaN; an
        unknown category is -1.
    """
    departure = _minute_of_day(columns["sched_dep_time"])
    arrival = _minute_of_day(columns["sched_arr_time"])
    days = columns["time_hour"].astype("datetime64[h]") - np.timedelta64(5, "h")  # New York, EST
    return {
        "carrier": _codes(columns["carrier"], CARRIER_CODES),
        "origin": _codes(columns["origin"], ORIGIN_CODES),
        "dest": _codes(columns["dest"], DESTINATION_CODES),
        "departure": departure,
        "arrival": arrival,
        "scheduled_minutes": (arrival - departure) % (24 * 60),  # past midnight; zones shift it
        "weekday": (days.astype("datetime64[D]").astype(np.int64) + 3) % 7,  # 1970-01-01: Thursday
        **{name: columns[name] for name in PASSED_ON},
    }


def _codes(values: Column, codes: Mapping[str, int]) -> Column:
    return np.array([codes.get(value, -1) for value in values.tolist()])


def _minute_of_day(hhmm: Column) -> Column:
    hours, minutes = np.divmod(hhmm, 100)
    return np.asarray(hours * 60 + minutes)
