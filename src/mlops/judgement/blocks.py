"""Blocks: the rows that are resampled together, because what happens to one happens to others.

Flights of one day share its weather, orders of one customer their customer. Drawn one by one, such
rows would seem to say more than they do.
"""

from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from mlops.project.errors import MlopsError
from mlops.project.files import PARAMS
from mlops.project.params import Params

DAY, WEEK, ROW = "day", "week", "row"
# With fewer, no interval is worth the name: of 5 blocks, one resample in 26 draws 3 of the same.
LEAST = 8


@dataclass(frozen=True)
class Blocks:
    """Of ``n`` rows: ``codes``, from 0 to ``number`` - 1; ``unit`` is what they are, as "days"."""

    codes: npt.NDArray[np.int64]
    number: int
    unit: str

    def take(self, rows: npt.NDArray[Any]) -> "Blocks":
        """Return the blocks of some of the rows, numbered anew."""
        return _numbered(self.codes[rows], self.unit)

    def __str__(self) -> str:
        return f"{self.number:,} {self.unit}"


def of_rows(table: pd.DataFrame, params: Params) -> Blocks:
    """Return the blocks of a table's rows, as ``gate.blocks`` says.

    Raises
    ------
    MlopsError
        When it names a column that is not there, or one that makes no blocks.
    """
    chosen = params.gate.blocks
    if chosen == ROW:
        return Blocks(np.arange(len(table)), len(table), "rows")
    if chosen in (DAY, WEEK):
        assert params.data.time
        times, zone = table[params.data.time], params.data.timezone
        if zone and times.dt.tz is None:
            raise MlopsError(
                f"{PARAMS}: data.timezone: got {zone!r}, and {params.data.time} has no zone to "
                "turn into it; remove the setting (days are then as they are written), or let "
                "load_data in src/model/data.py return times with their zone (dt.tz_localize)"
            )
        return _of_time(times, chosen, zone)
    if chosen not in table:
        raise MlopsError(
            f"{PARAMS}: gate.blocks: got {chosen!r}; expected {DAY}, {WEEK}, {ROW} or a column; "
            f"the data has {', '.join(table.columns)}"
        )
    blocks = _numbered(pd.factorize(table[chosen], use_na_sentinel=False)[0], f"{chosen} values")
    if blocks.number == 1 < len(table):
        raise MlopsError(
            f"{PARAMS}: gate.blocks: {chosen!r} is the same in all {len(table):,} rows, which "
            f"makes a single block; set {DAY}, or a column of what is independent, as customers are"
        )
    if blocks.number == len(table) and params.data.by == [chosen]:
        return blocks  # of a key: each row is its own
    if blocks.number == len(table):
        raise MlopsError(
            f"{PARAMS}: gate.blocks: {chosen!r} is another in each of {len(table):,} rows, which "
            f"makes no blocks; set {ROW} if the rows have nothing to do with each other"
        )
    return blocks


def too_few(blocks: Blocks, params: Params) -> str:
    """Say why a holdout has too few blocks and what would do, or nothing."""
    if blocks.number >= LEAST:
        return ""
    holdout, chosen = params.data.holdout, params.gate.blocks
    if holdout is None:
        return (
            f"at least {LEAST} blocks (gate.blocks: {chosen}) among the rows that judge "
            f"({params.data.judging}), which have {blocks}: raise data.share, or choose others"
        )
    advice = "choose a longer holdout, or other blocks"
    if chosen in (DAY, WEEK):
        days = LEAST * (7 if chosen == WEEK else 1)
        end = pd.Timestamp(holdout.first_day) + pd.Timedelta(days=days - 1)
        advice = f"let it end on {end:%Y-%m-%d} or later"
    return (
        f"at least {LEAST} blocks (gate.blocks: {chosen}) in data.holdout ({holdout}), which has "
        f"{blocks}: {advice}"
    )


def _of_time(times: "pd.Series[Any]", length: str, zone: str | None) -> Blocks:
    """Return the days or weeks, as the clocks of ``zone``, else of the column itself, say it."""
    if times.dt.tz is not None:
        times = times.dt.tz_convert(zone or times.dt.tz).dt.tz_localize(None)
    periods = times.dt.to_period("D" if length == DAY else "W")
    return _numbered(periods.astype("int64").to_numpy(), f"{length}s")


def _numbered(values: npt.NDArray[Any], unit: str) -> Blocks:
    present, codes = np.unique(values, return_inverse=True)
    return Blocks(codes.astype(np.int64), len(present), unit)
