"""``mlops move-window``: train up to the newest window, and judge on it, by ``params.yaml``."""

import re
from datetime import date, timedelta
from pathlib import Path

import yaml

from mlops.project import files, params
from mlops.project.errors import MlopsError
from mlops.project.params import Data, Growth, Params, Window

DAY = timedelta(days=1)


def run(settings: Params) -> str:
    """Move ``data.window`` and ``data.holdout`` to where ``reports/drift.json`` has looked.

    Returns
    -------
    str
        From where to where, as a sentence.

    Raises
    ------
    MlopsError
        When there is no newer window than the holdout in ``params.yaml``.
    """
    drift = files.read_json(files.DRIFT, "mlops drift")
    if settings.data.hashed:
        return f"{files.PARAMS}: data.split is hash, so new rows train and judge as they come"
    if not drift["new_data"]:
        raise MlopsError(f"there is no newer window to move to: {drift['sentence']}")
    asked = drift.get("challenger") or {}  # older checks have none
    judged = asked if "end" in asked else drift["current"]  # the newest with labels
    newest = Window(start=judged["start"], end=judged["end"])
    was = settings.data.windows
    window, holdout = moved(settings.data, newest, settings.drift.retrain.window)
    write(settings, window, holdout)
    return f"{files.PARAMS}: data.window {was[0]} -> {window}, data.holdout {was[1]} -> {holdout}"


def moved(data: Data, newest: Window, how: Growth) -> tuple[Window, Window]:
    """Shift window and holdout until the holdout ends with the newest window.

    The holdout keeps its length, and so does a sliding window; a growing one keeps its start. The
    gap between them stays: in months where all three are whole months, otherwise in days. Whole
    years stay years. A holdout may so be longer than the newest window, or shorter.

    Returns
    -------
    tuple of Window
        Window and holdout.

    Raises
    ------
    MlopsError
        When the newest window does not end after the holdout does: nothing would move.
    """
    window, holdout = data.windows
    was, end = holdout.first_day_after, newest.first_day_after
    if end <= was:
        raise MlopsError(
            f"{files.PARAMS}: data.holdout ends with {holdout.end} already, and the newest "
            f"window is {newest}; if a retraining on it has been merged, deploy it"
        )
    months = all(
        day.day == 1
        for it in (window, holdout, newest)
        for day in (it.first_day, it.first_day_after)
    )

    def later(day: date) -> date:
        if not months:
            return day + (end - was)
        month = 12 * (day.year + end.year - was.year) + day.month + end.month - was.month - 1
        return date(month // 12, month % 12 + 1, 1)

    def span(first: date, after: date) -> Window:
        length = len("2013" if years else "2013-03" if months else "2013-03-15")
        last = after - DAY
        return Window(start=first.isoformat()[:length], end=last.isoformat()[:length])

    years = (
        window.in_years
        and holdout.in_years
        and all((day.month, day.day) == (1, 1) for day in (newest.first_day, end))
    )
    first = window.first_day if how == "growing" else later(window.first_day)
    return (
        span(first, later(window.first_day_after)),
        span(later(holdout.first_day), later(holdout.first_day_after)),
    )


def write(settings: Params, window: Window, holdout: Window, path: Path = files.PARAMS) -> None:
    """Write both into ``params.yaml``, in which nothing else changes: no comment, quote or space.

    Raises
    ------
    MlopsError
        When it cannot be done so; the file is then as before.
    """
    text = path.read_bytes().decode("utf-8")
    data = settings.data.model_copy(update={"window": window, "holdout": holdout})
    wanted = settings.model_copy(update={"data": data})

    def fill(temporary: Path) -> None:
        temporary.write_bytes(_edited(text, {"window": window, "holdout": holdout}).encode("utf-8"))
        if params.load(temporary) != wanted:
            raise ValueError("other settings would change with them")

    try:
        files.write_atomic(path, fill)
    except (KeyError, ValueError, MlopsError):
        raise MlopsError(
            f"{path}: data.window and data.holdout are not four values of their own, a start and "
            f"an end each; set them by hand, to {window} and {holdout}"
        ) from None


def _edited(text: str, spans: dict[str, Window]) -> str:
    """Replace the values where PyYAML, which also reads the settings, has found them."""
    root = yaml.compose(text, Loader=yaml.SafeLoader)
    places = [
        (_find(root, ["data", name, end]), getattr(span, end))
        for name, span in spans.items()
        for end in ("start", "end")
    ]
    # From the last to the first: what is replaced moves only what comes after it.
    for node, value in sorted(places, key=lambda it: -it[0].start_mark.index):
        before, after = text[: node.start_mark.index], text[node.end_mark.index :]
        # DVC refuses what is a date to YAML, as a day is without quotes; a month is none.
        quote = node.style or ('"' if len(value) == len("2013-03-15") else "")
        new = f"{quote}{value}{quote}"
        longer = len(new) - (node.end_mark.index - node.start_mark.index)
        # A comment that stands in a column with others stays there.
        if (aligned := re.match(r" {2,}(?=#)", after)) and longer:
            after = " " * max(1, len(aligned[0]) - longer) + after[aligned.end() :]
        text = f"{before}{new}{after}"
    return text


def _find(node: yaml.Node | None, path: list[str]) -> yaml.ScalarNode:
    for name in path:
        node = {key.value: value for key, value in getattr(node, "value", [])}[name]
    if not isinstance(node, yaml.ScalarNode):
        raise KeyError(path[-1])
    return node
