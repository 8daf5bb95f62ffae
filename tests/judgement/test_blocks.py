"""Which rows are resampled together, and the holdouts that have too few such blocks."""

import pandas as pd
import pytest

from mlops.judgement import blocks
from mlops.pipeline import validate
from mlops.project.errors import MlopsError
from mlops.project.params import Params


def settings(chosen: str = "day", timezone: str | None = None, end: str = "2013-04-30") -> Params:
    return Params.model_validate(
        {
            "name": "flights",
            "task": "binary",
            "seed": 1,
            "data": {
                "target": "late",
                "time": "at",
                "timezone": timezone,
                "window": {"start": "2013-03", "end": "2013-03"},
                "holdout": {"start": "2013-04-01", "end": end},
            },
            "gate": {"metric": "roc_auc", "margin": 0.01, "blocks": chosen, "calibration": 1.0}
            | {"latency_ms": 1.0, "size_mb": 1.0},
        }
    )


def flights(days: int = 30, zone: str | None = "UTC") -> pd.DataFrame:
    """A flight every six hours, from April 1 on, of five carriers in turn and one gone missing."""
    times = pd.date_range("2013-04-01", periods=4 * days, freq="6h", tz=zone)
    carriers = [["AA", "B6", "UA", "US", "WN", None][place % 6] for place in range(len(times))]
    return pd.DataFrame({"at": times, "carrier": carriers, "id": range(len(times)), "late": 0})


@pytest.mark.parametrize(
    ("chosen", "timezone", "said"),
    [
        ("day", None, "30 days"),
        ("day", "America/New_York", "31 days"),  # midnight UTC is the evening before
        ("day", "UTC", "30 days"),
        ("week", None, "5 weeks"),
        ("carrier", None, "6 carrier values"),  # those without one are one block
        ("row", None, "120 rows"),
    ],
)
def test_rows_with_something_in_common_are_a_block(
    chosen: str, timezone: str | None, said: str
) -> None:
    found = blocks.of_rows(flights(), settings(chosen, timezone))
    assert str(found) == said
    assert sorted(set(found.codes)) == list(range(found.number))


def test_the_day_is_that_of_the_clock_where_it_happened() -> None:
    table, there = flights(2), settings("day", "America/New_York")
    # 00:00, 06:00, 12:00 and 18:00 UTC are 20:00 of the day before, 02:00, 08:00 and 14:00.
    assert blocks.of_rows(table, there).codes.tolist() == [0, 1, 1, 1, 1, 2, 2, 2]
    local = table.assign(at=table["at"].dt.tz_convert("America/New_York"))
    assert blocks.of_rows(local, settings()).codes.tolist() == [0, 1, 1, 1, 1, 2, 2, 2]
    # Times without a zone are taken as they are written; to turn them is a guess.
    plain = table.assign(at=table["at"].dt.tz_localize(None))
    assert blocks.of_rows(plain, settings()).codes.tolist() == [0, 0, 0, 0, 1, 1, 1, 1]
    with pytest.raises(MlopsError, match="got 'America/New_York', and at has no zone to"):
        blocks.of_rows(plain, there)


def test_what_makes_no_blocks_is_refused() -> None:
    with pytest.raises(MlopsError, match="got 'carier'; expected day, week, row or a column; the"):
        blocks.of_rows(flights(), settings("carier"))
    with pytest.raises(MlopsError, match="'id' is another in each of 120 rows, which makes no"):
        blocks.of_rows(flights(), settings("id"))
    with pytest.raises(MlopsError, match="'late' is the same in all 120 rows, which makes a"):
        blocks.of_rows(flights(), settings("late"))


@pytest.mark.parametrize(
    ("chosen", "end", "advice"),
    [
        ("day", "2013-04-07", "which has 7 days: let it end on 2013-04-08 or later"),
        ("week", "2013-04-30", "which has 5 weeks: let it end on 2013-05-26 or later"),
        ("carrier", "2013-04-30", "which has 6 carrier values: choose a longer holdout, or other"),
    ],
)
def test_bad_data_is_also_a_holdout_with_too_few_blocks(chosen: str, end: str, advice: str) -> None:
    (failure,) = validate.check_blocks(flights(60), settings(chosen, end=end))
    assert failure["check"].startswith(f"at least 8 blocks (gate.blocks: {chosen}) in data.holdout")
    assert advice in failure["check"]
    assert failure["column"] == ("carrier" if chosen == "carrier" else "at")


def test_eight_blocks_will_do() -> None:
    assert validate.check_blocks(flights(60), settings(end="2013-04-08")) == []
