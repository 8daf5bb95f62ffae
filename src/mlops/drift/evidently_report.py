"""Evidently's own judgement of two tables: a distance for each column, and its page."""

import contextlib
import io
import os
import warnings
from collections.abc import Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd

from mlops.project import files

NUMERIC, CATEGORICAL = "wasserstein", "jensenshannon"


def distances(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    numeric: Mapping[str, float],
    categorical: Mapping[str, float],
    page: Path | None,
) -> dict[str, float]:
    """Let Evidently measure how far the columns of two tables are from each other.

    Both methods are effect sizes, so that the verdict does not depend on the number of rows:
    the Wasserstein distance in standard deviations of the reference, and the Jensen-Shannon
    distance of the shares of categories. Methods, types and thresholds are all said, because
    Evidently would choose them by the data.

    Parameters
    ----------
    reference, current : pandas.DataFrame
        Each column has at least one value in both.
    numeric, categorical : mapping of str to float
        Columns with their thresholds.
    page : pathlib.Path or None
        Where Evidently's page goes, whole or not at all.

    Returns
    -------
    dict of str to float
        The score of each column.
    """
    os.environ.setdefault("DO_NOT_TRACK", "1")  # read on import; it would send over plain HTTP
    # Its libraries warn of each other, NumPy of constant columns; and it prints.
    with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
        warnings.simplefilter("ignore")
        return _distances(reference, current, numeric, categorical, page)


def _distances(
    reference: pd.DataFrame,
    current: pd.DataFrame,
    numeric: Mapping[str, float],
    categorical: Mapping[str, float],
    page: Path | None,
) -> dict[str, float]:
    from evidently import DataDefinition, Dataset, Report
    from evidently.presets import DataDriftPreset

    columns = [*numeric, *categorical]
    definition = DataDefinition(
        numerical_columns=list(numeric), categorical_columns=list(categorical)
    )
    preset = DataDriftPreset(
        columns=columns,
        num_method=NUMERIC,
        cat_method=CATEGORICAL,
        per_column_threshold={**numeric, **categorical},
    )
    sides = [Dataset.from_pandas(it[columns], definition) for it in (current, reference)]
    result = Report([preset], include_tests=True).run(*sides)
    if page:
        files.write_atomic(page, partial(_save, result))
    found = [metric for metric in result.dict()["metrics"] if "ValueDrift" in metric["metric_name"]]
    return {metric["config"]["column"]: float(metric["value"]) for metric in found}


def _save(result: Any, path: Path) -> None:
    result.save_html(str(path))
