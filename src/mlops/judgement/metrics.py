"""Metrics by their scikit-learn names."""

import difflib
import inspect
from functools import cache, partial

import numpy as np

from mlops.judgement.metric import Array, Float, Metric
from mlops.project.errors import MlopsError
from mlops.project.files import PARAMS
from mlops.project.params import Task

NAMES = "https://scikit-learn.org/stable/modules/model_evaluation.html"

_DEFAULTS: dict[Task, tuple[str, ...]] = {
    "binary": ("roc_auc", "average_precision", "log_loss", "brier_score", "accuracy"),
    "multiclass": ("log_loss", "accuracy", "balanced_accuracy", "f1_macro", "roc_auc_ovr"),
    "regression": (
        "mean_absolute_error",
        "root_mean_squared_error",
        "r2",
        "median_absolute_error",
    ),
}


def defaults(task: Task) -> tuple[str, ...]:
    """Return the names of the metrics that the report shows."""
    return _DEFAULTS[task]


def proper(task: Task) -> str:
    """Return the metric that only the true distribution (or mean) minimises.

    References
    ----------
    Gneiting and Raftery (2007). Strictly proper scoring rules, prediction, and estimation.
    """
    return "mean_squared_error" if task == "regression" else "log_loss"


@cache
def resolve(name: str, task: Task, key: str = "gate.metric") -> Metric:
    """Find a metric by the name of a scikit-learn scorer or function.

    Parameters
    ----------
    name : str
        A scorer (``neg_log_loss``, ``f1_macro``), the same without ``neg_``, or a function of
        :mod:`sklearn.metrics` (``cohen_kappa_score``).
    task : {"binary", "multiclass", "regression"}
    key : str
        Where in ``params.yaml`` the name stands, for the error.

    Raises
    ------
    MlopsError
        When scikit-learn has no such metric, or it does not judge predictions of this task.
    """
    metric = _find(name, task)
    if metric is not None and _fits(metric):
        return metric
    problem = (
        "scikit-learn has no such metric"
        if metric is None
        else f"it does not judge predictions of the task {task}"
    )
    fitting = _fitting(task)
    near = [one for one in fitting if one.startswith(f"{name}_")]  # f1 is far from f1_macro
    near = near or difflib.get_close_matches(name, fitting)
    hint = f"did you mean {', '.join(near)}?" if near else f"try {', '.join(defaults(task))};"
    raise MlopsError(f"{PARAMS}: {key}: got {name!r}; {problem}; {hint} all names: {NAMES}")


def _find(name: str, task: Task) -> Metric | None:
    import sklearn.metrics

    scorers = set(sklearn.metrics.get_scorer_names())
    stems = (name, f"neg_{name}", name.removesuffix("_score"), f"neg_{name.removesuffix('_loss')}")
    for stem in stems:
        if stem in scorers:
            # A scorer asks an estimator; only what it wraps can be asked about predictions.
            scorer = sklearn.metrics.get_scorer(stem)
            function = partial(scorer._score_func, **scorer._kwargs)
            probabilities = "predict_proba" in scorer._response_method
            return Metric(
                stem.removeprefix("neg_"), scorer._sign > 0, task, function, probabilities
            )
    named = getattr(sklearn.metrics, name, None)
    if not inspect.isfunction(named):
        return None
    probabilities = bool({"y_score", "y_proba"} & set(inspect.signature(named).parameters))
    lower_is_better = name.endswith(("_loss", "_error", "_deviance"))
    return Metric(name, not lower_is_better, task, named, probabilities)


def _fits(metric: Metric) -> bool:
    """Try the metric: it must read the task's targets, and prefer good predictions to bad ones."""
    truth, good, bad = _toy(metric.task)
    extra = {}
    good, bad = metric.readable(good), metric.readable(bad)
    if metric.task != "regression" and not metric.probabilities:
        # Words, because a metric for numbers would take 0 and 1 for numbers.
        words = np.array(["early", "late", "on time"])
        truth, good, bad = words[truth], words[good], words[bad]
        if metric.task == "binary" and "pos_label" in inspect.signature(metric.function).parameters:
            extra["pos_label"] = words[1]
    try:
        better, worse = metric.score(truth, good, **extra), metric.score(truth, bad, **extra)
    except Exception:  # whatever scikit-learn raises, it cannot score this task
        return False
    return better > worse if metric.greater_is_better else better < worse


def _toy(task: Task) -> tuple[Array, Float, Float]:
    """Return a target, predictions that are mostly right, and ones that are mostly wrong.

    Mostly, because likelihood ratios are undefined on perfect ones. The wrong ones are the right
    ones renamed: a clustering metric cannot tell them apart, and is so found out.
    """
    if task == "regression":
        y = np.array([3.0, 1.0, 4.0, 1.5, 9.0, 2.6])
        return y, y + np.array([0.2, -0.1, 0.3, 0.1, -0.2, 0.1]), y[::-1]
    if task == "binary":
        probability = np.array([0.1, 0.2, 0.3, 0.6, 0.4, 0.7, 0.8, 0.9])
        return np.repeat([0, 1], 4), probability, 1 - probability
    right, wrong = [0.6, 0.3, 0.1], [0.3, 0.6, 0.1]
    rows = [np.roll(row, k) for k in range(3) for row in (right, right, right, wrong)]
    return np.repeat([0, 1, 2], 4), np.array(rows), np.roll(rows, 1, axis=1)


def _fitting(task: Task) -> list[str]:
    import sklearn.metrics

    metrics = (_find(name, task) for name in sklearn.metrics.get_scorer_names())
    return [metric.name for metric in metrics if metric is not None and _fits(metric)]
