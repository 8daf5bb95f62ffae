"""The threshold of a model of two classes: from which probability on a row is the positive one."""

from typing import Any

import numpy as np
import pandas as pd

from mlops.artifact.model_folder import Array
from mlops.judgement import blocks
from mlops.project.errors import MlopsError
from mlops.project.files import PARAMS
from mlops.project.params import Params

Folds = list[tuple[Array, Array]]

FOLDS = 5
GRID = 1000  # thresholds tried; with scikit-learn's 100, a rare class has few below its rate


def by_costs(
    unfitted: Any, costs: dict[str, float], rows: pd.DataFrame, y: Array, params: Params
) -> Any:
    """Return an estimator that, when fitted, knows its ``best_threshold_`` and ``estimator_``.

    The threshold is the one that costs least on rows of the training window that the model asked
    had not learned from. These are later than all it had learned from, and of other days, as the
    rows that the service will meet: shuffled folds would let a row be known by its neighbours.
    Where a hash splits, they are other blocks. The estimator itself is the one that would be fitted
    without a threshold, on all rows.

    Parameters
    ----------
    costs : dict
        What a ``false_positive`` and a ``false_negative`` cost, in any unit.
    rows : DataFrame of ``n`` rows
        The checked ones that train.
    y : array of shape (n,)
        0 and 1.

    Raises
    ------
    MlopsError
        When the training window has too few days, or only one class in its first sixth.

    References
    ----------
    Hyndman and Athanasopoulos (2021). Forecasting: Principles and Practice, section 5.10.
    """
    from sklearn.metrics import make_scorer
    from sklearn.model_selection import TunedThresholdClassifierCV

    scorer = make_scorer(_cost, greater_is_better=False, **costs)
    folds = _shuffled(rows, y, params) if params.data.hashed else _forward(rows, y, params)
    return TunedThresholdClassifierCV(
        unfitted, scoring=scorer, cv=folds, thresholds=GRID, response_method="predict_proba"
    )


def _shuffled(rows: pd.DataFrame, y: Array, params: Params) -> Folds:
    from sklearn.model_selection import StratifiedGroupKFold

    folds = StratifiedGroupKFold(FOLDS, shuffle=True, random_state=params.seed)
    return list(folds.split(y, y, blocks.of_rows(rows, params).codes))


def _forward(rows: pd.DataFrame, y: Array, params: Params) -> Folds:
    from sklearn.model_selection import TimeSeriesSplit

    by_day = params.gate.model_copy(update={"blocks": blocks.DAY})
    days = blocks.of_rows(rows, params.model_copy(update={"gate": by_day}))
    way_out = f"write a number into {PARAMS}: serving.threshold, or train on a longer data.window"
    if days.number <= FOLDS:
        raise MlopsError(
            f"a threshold by costs needs {FOLDS + 1} days to train on, and {params.data.window} "
            f"has {days}; {way_out}"
        )
    splits = TimeSeriesSplit(FOLDS).split(np.arange(days.number))
    folds = [
        (np.flatnonzero(np.isin(days.codes, learns)), np.flatnonzero(np.isin(days.codes, judges)))
        for learns, judges in splits
    ]
    if len(np.unique(y[folds[0][0]])) < 2:
        raise MlopsError(
            f"a threshold by costs needs both classes from the start, and the first "
            f"{len(folds[0][0]):,} rows of {params.data.window} have one; {way_out}"
        )
    return folds


def _cost(truth: Array, label: Array, *, false_positive: float, false_negative: float) -> float:
    """Return what the labels of a row cost on average."""
    alarms, missed = (label > truth).mean(), (label < truth).mean()
    return float(false_positive * alarms + false_negative * missed)
