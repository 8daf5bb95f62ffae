"""Metrics and numbers as people read them, in the comment and in the sentences of the gate."""

import math
from typing import Any

LABELS = {
    "roc_auc": "ROC AUC",
    "roc_auc_ovr": "ROC AUC (one class against the rest)",
    "brier_score": "Brier score",
    "f1_macro": "F1 (macro)",
    "r2": "R²",
}

MEANINGS = {
    "roc_auc": "how often the model ranks two rows with different outcomes the right way round",
    "average_precision": "how many of the rows ranked highest are what was looked for",
    "log_loss": "how surprised the model is by what happened",
    "brier_score": "how far its probabilities are from what happened",
    "accuracy": "how often it is right",
    "balanced_accuracy": "how often it is right, each class counting the same",
    "mean_absolute_error": "how far off it is on average",
    "root_mean_squared_error": "how far off it is, large errors counting more",
    "median_absolute_error": "how far off it is on a typical row",
    "r2": "the share of the variation that it explains",
}


def label(metric: str) -> str:
    """Return a metric's name for people: ``log_loss`` is "log loss", ``roc_auc`` "ROC AUC"."""
    return LABELS.get(metric, metric.replace("_", " "))


def percent(share: float) -> str:
    """Write a level of confidence; 0.999 is not 100%."""
    return f"{100 * share:g}%"


def number(value: float | None, digits: int = 3) -> str:
    """Write a score or minutes: ``digits`` decimals below ten, one above; unknown is a dash."""
    if value is None or math.isnan(value):
        return "–"
    return (f"{value:.{digits}f}" if abs(value) < 10 else f"{value:,.1f}").replace("-", "−")


def rounded(value: float) -> str:
    """Write a margin in a metric's units: three digits, as 0.0329, or whole, as 12,345."""
    return f"{value:.3g}" if abs(value) < 100 else f"{value:,.0f}"


def signed(value: float | None, digits: int = 3) -> str:
    """Write a difference, always with its sign."""
    sign = "+" if value is not None and value >= 0 else ""
    return sign + number(value, digits)


def interval(row: dict[str, Any], digits: int = 3) -> str:
    """Write the interval of a row with ``low`` and ``high``."""
    return f"{signed(row['low'], digits)} to {signed(row['high'], digits)}"


def seconds(value: float | None) -> str:
    return "unknown time" if value is None else f"{value:.1f} s"


def megabytes(value: float | None) -> str:
    return "unknown memory" if value is None else f"{value:,.0f} MB"
