"""Which columns have moved between two windows: exact where it is cheap, sampled where it is safe.

One pass over each window counts what can be counted exactly, whatever its size: missing values,
ranges, means, categories. The distances are Evidently's, of samples when windows are large; all
rows are counted where the verdict could be another with them. Evidently itself draws its page.
"""

import contextlib
import hashlib
import io
import json
import os
import warnings
from collections.abc import Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
import pandas as pd

from mlops.drift import categorical, numeric, texts
from mlops.drift.rows import Rows
from mlops.drift.survey import Survey, named, survey
from mlops.project import files

DRAWN = 500  # categories, or bins, of a column that Evidently is asked to draw
NO_MARKUP = str.maketrans({"<": "‹", ">": "›", "&": "＆"})  # noqa: RUF001 - look alike

Kind = Literal["numeric", "categorical", "score"]
Column = dict[str, Any]


@dataclass(frozen=True)
class Wanted:
    """A column to judge; a ``score`` is numeric, and the champion's.

    ``missing`` and ``new_categories`` are thresholds of its own, where it has them.
    """

    name: str
    kind: Kind
    threshold: float
    missing: float | None = None
    new_categories: float | None = None


@dataclass(frozen=True)
class Judged:
    """``columns``: one dict each, in the order wanted. ``fingerprint``: MD5 of the newest rows."""

    columns: list[Column]
    fingerprint: str


def judge(
    reference: Rows,
    current: Rows,
    wanted: Sequence[Wanted],
    *,
    missing: float,
    new_categories: float,
    sample_rows: int,
    seed: int,
    page: Path | None,
) -> Judged:
    """Judge each wanted column.

    Parameters
    ----------
    reference, current : Rows
        The champion's window and the newest; each has rows.
    wanted : sequence of Wanted
        Columns with their thresholds; Evidently's distance at or above one is drift.
    missing : float
        Rise of the share of missing values that is drift.
    new_categories : float
        Share of the newest rows, with a category that the reference does not have, that is drift.
    sample_rows : int
        Rows of each window that Evidently gets; it gets all of a smaller one.
    seed : int
        Of the sample.
    page : pathlib.Path or None
        Where Evidently's page goes. There is none when no column has values in both windows.

    Raises
    ------
    MlopsError
        When a window has no rows, or its file lacks a column.
    """
    numbers = {it.name: it.threshold for it in wanted if it.kind != "categorical"}
    categories = [it.name for it in wanted if it.kind == "categorical"]
    before = survey(reference, list(numbers), categories, sample_rows, seed)
    after = survey(current, list(numbers), categories, sample_rows, seed + 1)
    able = [it for it in wanted if all(_can_be_drawn(it, side) for side in (before, after))]
    with ThreadPoolExecutor(1) as drawing:
        drawn = drawing.submit(draw, before.sample, after.sample, able, page) if page else None
        found = numeric.judge(before, after, numbers)
        found |= {
            it.name: _by_shares_or_words(before, after, it)
            for it in wanted
            if it.kind == "categorical"
        }
        if drawn:
            drawn.result()
    columns = [_column(it, found[it.name], missing, new_categories) for it in wanted]
    return Judged(columns, _fingerprint(after))


def _by_shares_or_words(before: Survey, after: Survey, it: Wanted) -> Column:
    """Judge a column of texts by the shares of its values, unless they differ by chance alone."""
    found = categorical.judge(before, after, it.name)
    sides = [side.categories[it.name].present for side in (before, after)]
    if not all(sides):
        return found
    distinct = max(found["reference"]["distinct"], found["current"]["distinct"])
    if texts.by_chance(distinct, *sides) <= texts.BY_CHANCE:
        return found
    return texts.judge(before, after, it.name, found)


def draw(
    reference: pd.DataFrame, current: pd.DataFrame, columns: Sequence[Wanted], page: Path
) -> dict[str, float]:
    """Let Evidently judge columns that have values in both tables, and write its page.

    Both methods are effect sizes, so that the verdict does not depend on the number of rows:
    the Wasserstein distance in standard deviations of the reference, and the Jensen-Shannon
    distance of the shares of categories. Methods, types and thresholds are all said, because
    Evidently would choose them by the data. Returns the distance of each column.
    """
    if not columns:
        return {}
    os.environ.setdefault("DO_NOT_TRACK", "1")  # read on import; it would send over plain HTTP
    # Its libraries warn of each other, NumPy of constant columns; and it prints.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        from evidently import DataDefinition, Dataset, Report  # seconds
        from evidently.presets import DataDriftPreset

        shown = _harmless([it.name for it in columns])
        names = list(shown.values())
        categories = [shown[it.name] for it in columns if it.kind == "categorical"]
        numbers = [name for name in names if name not in categories]
        sides = _drawable([current, reference], shown, categories)
        definition = DataDefinition(numerical_columns=numbers, categorical_columns=categories)
        preset = DataDriftPreset(
            columns=names,
            num_method=numeric.METHOD,
            cat_method=categorical.METHOD,
            per_column_threshold={shown[it.name]: it.threshold for it in columns},
        )
        datasets = [Dataset.from_pandas(it, definition) for it in sides]
        result = Report([preset], include_tests=True).run(*datasets)
        files.write_atomic(page, lambda path: result.save_html(str(path)))
    found = [metric for metric in result.dict()["metrics"] if "ValueDrift" in metric["metric_name"]]
    distances = {metric["config"]["column"]: float(metric["value"]) for metric in found}
    return {it.name: distances[shown[it.name]] for it in columns if shown[it.name] in distances}


def _drawable(
    sides: Sequence[pd.DataFrame], shown: dict[Any, str], categories: Sequence[str]
) -> list[pd.DataFrame]:
    """Return both tables with names of columns and categories that a page can hold."""
    tables = [side[list(shown)].rename(columns=shown) for side in sides]
    for name in categories:
        values = pd.concat([table[name] for table in tables]).dropna().unique()
        names = _harmless(values)
        tables = [table.assign(**{name: table[name].map(names)}) for table in tables]
    return tables


def _harmless(values: Iterable[Any]) -> dict[Any, str]:
    """Name values for a page that takes texts for HTML: short, without markup, no two alike.

    Evidently writes them into a script. What closes it there would run in the browser of whoever
    opens the page, and anybody who may ask the service can send a category.
    """
    names = dict[Any, str]()
    taken = set[str]()
    for value in values:
        text = str(named(value)).translate(NO_MARKUP)
        if text in taken:
            text = f"{text} #{len(names)}"
        names[value] = text
        taken.add(text)
    return names


def _can_be_drawn(it: Wanted, side: Survey) -> bool:
    """Evidently refuses an empty column, and its work grows with the square of the categories.

    NumPy refuses it a histogram whose bins floats do not tell apart, as of long identifiers.
    """
    values = side.sample[it.name].dropna()
    if it.kind == "categorical" or values.empty:
        return 0 < values.nunique() <= DRAWN
    width = float(values.max() - values.min()) or 1.0
    return width > DRAWN * float(np.spacing(values.abs().max()))


def _column(it: Wanted, found: Column, missing: float, new_categories: float) -> Column:
    """Return a column with its verdict, in the order of ``reports/drift.json``."""
    was, now = found["missing"]["reference"], found["missing"]["current"]
    rise = missing if it.missing is None else it.missing
    share = new_categories if it.new_categories is None else it.new_categories
    reasons = {
        "score": found["score"] is not None and found["score"] >= it.threshold,
        "missing": now > was and now - was >= rise,
        "new categories": found["new_share"] > 0 and found["new_share"] >= share,
    }
    why = [reason for reason, applies in reasons.items() if applies]
    return {
        "name": it.name,
        "kind": it.kind,
        "method": found["method"],
        "score": found["score"],
        "threshold": it.threshold,
        "drifted": bool(why),
        "why": why,
        **found,
    }


def _fingerprint(side: Survey) -> str:
    """Return the MD5 of what the pass counted: the same rows give the same, in any order."""
    counted: dict[str, Any] = {"rows": side.count}
    for name, numbers in side.numbers.items():
        exact = (None if it is None else f"{it:.9g}" for it in numbers.summary().values())
        counted[name] = [numbers.present, *exact]
    for name, categories in side.categories.items():
        counts = {str(value): count for value, count in (categories.counts or {}).items()}
        counted[name] = [categories.present, counts]
    text = json.dumps(counted, sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()
