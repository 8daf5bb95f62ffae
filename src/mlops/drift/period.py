"""Periods of the calendar: which one a check judges."""

from datetime import date, datetime, timedelta

from mlops.project.errors import MlopsError
from mlops.project.params import Period, Window

DAY = timedelta(days=1)


def read_day(text: str) -> date:
    """Read a day that a person or a workflow wrote.

    Raises
    ------
    MlopsError
        When it is none.
    """
    try:
        return datetime.strptime(text, "%Y-%m-%d").date()
    except ValueError:
        raise MlopsError(f"--as-of: got {text!r}; expected a day such as 2013-06-30") from None


def containing(day: date, period: Period) -> Window:
    """Return the month, the week (Monday to Sunday) or the day in which ``day`` lies."""
    if period == "month":
        month = f"{day:%Y-%m}"
        return Window(start=month, end=month)
    if period == "week":
        monday = day - day.weekday() * DAY
        return Window(start=monday.isoformat(), end=(monday + 6 * DAY).isoformat())
    return Window(start=day.isoformat(), end=day.isoformat())


def newest_complete(as_of: date, period: Period) -> Window:
    """Return the newest period that is over when the day ``as_of`` is."""
    last = containing(as_of, period)
    return last if last_day(last) <= as_of else containing(last.first_day - DAY, period)


def first_from(day: date, period: Period) -> Window:
    """Return the first period that begins on ``day`` or later."""
    this = containing(day, period)
    return this if this.first_day >= day else containing(this.first_day_after, period)


def last_day(window: Window) -> date:
    return window.first_day_after - DAY
