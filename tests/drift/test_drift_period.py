"""Months, weeks and days, and which of them is over."""

from datetime import date

import pytest

from mlops.drift.newest import containing, first_from, newest_complete
from mlops.project.params import Period


@pytest.mark.parametrize(
    ("period", "day", "window", "last"),
    [
        ("month", "2013-02-11", "2013-02", "2013-02-28"),
        ("month", "2012-12-31", "2012-12", "2012-12-31"),
        ("week", "2013-06-09", "2013-06-03 to 2013-06-09", "2013-06-09"),  # a Sunday
        ("week", "2013-06-10", "2013-06-10 to 2013-06-16", "2013-06-16"),
        ("day", "2013-06-10", "2013-06-10", "2013-06-10"),
    ],
)
def test_a_day_lies_in_one_period(period: Period, day: str, window: str, last: str) -> None:
    found = containing(date.fromisoformat(day), period)
    assert str(found) == window
    assert found.last_day == date.fromisoformat(last)


@pytest.mark.parametrize(
    ("period", "as_of", "window"),
    [
        ("month", "2013-06-30", "2013-06"),
        ("month", "2013-06-29", "2013-05"),
        ("month", "2013-01-30", "2012-12"),
        ("week", "2013-06-09", "2013-06-03 to 2013-06-09"),
        ("week", "2013-06-08", "2013-05-27 to 2013-06-02"),
        ("day", "2013-06-09", "2013-06-09"),
    ],
)
def test_the_newest_period_is_the_last_that_is_over(
    period: Period, as_of: str, window: str
) -> None:
    assert str(newest_complete(date.fromisoformat(as_of), period)) == window


@pytest.mark.parametrize(
    ("period", "day", "window"),
    [
        ("month", "2013-05-01", "2013-05"),
        ("month", "2013-05-02", "2013-06"),
        ("month", "2013-12-31", "2014-01"),
        ("week", "2013-06-03", "2013-06-03 to 2013-06-09"),
        ("week", "2013-06-04", "2013-06-10 to 2013-06-16"),
        ("day", "2013-06-04", "2013-06-04"),
    ],
)
def test_a_period_begins_on_a_day_or_later(period: Period, day: str, window: str) -> None:
    assert str(first_from(date.fromisoformat(day), period)) == window
