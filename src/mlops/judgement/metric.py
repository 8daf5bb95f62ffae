"""Metrics: scikit-learn's, found by name, scored on predictions instead of on an estimator."""

import difflib
import inspect
import warnings
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache, partial
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mlops.project.errors import MlopsError
from mlops.project.files import PARAMS
from mlops.project.params import Gate, Task

Array = npt.NDArray[Any]
Float = npt.NDArray[np.float64]
Classes = Sequence[str | int] | None
Kind = Literal["mean", "rank", "general"]

RANKS = ("roc_auc", "average_precision")
NAMES = "https://scikit-learn.org/stable/modules/model_evaluation.html"
ROUNDING = 1e-4  # ONNX sums trees in float32: a probability can pass 1 by less than this


@dataclass(frozen=True)
class Metric:
    """A scikit-learn metric for one task; :func:`resolve` makes it.

    Attributes
    ----------
    name : str
        As shown to people: the scorer's name without ``neg_``.
    greater_is_better : bool
    task : {"binary", "multiclass", "regression"}
    function : callable
        ``function(truth, prediction)`` of :mod:`sklearn.metrics`.
    probabilities : bool
        Whether ``function`` reads probabilities, not labels.
    """

    name: str
    greater_is_better: bool
    task: Task
    function: Callable[..., Any]
    probabilities: bool

    @property
    def kind(self) -> Kind:
        """How it can be recomputed fast: from row scores, from ranks, or only by scikit-learn."""
        if self.task == "binary" and self.name in RANKS:
            return "rank"
        return "mean" if self.name in _ROWS else "general"

    def __call__(self, y: Array, prediction: Array, classes: Classes = None) -> float:
        """Score ``n`` predictions in the metric's own units (log loss is positive).

        Parameters
        ----------
        y : array of shape (n,)
            Raw target values.
        prediction : array of shape (n,) or (n, k)
            As :meth:`mlops.artifact.model_folder.ModelArtifact.predict` returns it.
        classes : sequence of length k, or None for regression
            Target values in the order of the probabilities; the second of two is positive.

        Returns
        -------
        float
            NaN where the metric is undefined on these rows, such as ROC AUC of one class.

        Raises
        ------
        MlopsError
            When ``y`` holds a class that the model does not know, or ``prediction`` is no number
            or no probability.
        """
        truth, prediction = self.prepare(y, prediction, classes)
        if self.kind == "rank" and len(np.unique(truth)) == 1:
            return float("nan")
        extra = {}
        if self.probabilities and "labels" in inspect.signature(self.function).parameters:
            extra["labels"] = np.arange(len(classes or ()))  # these rows may lack a class
        try:
            return self.score(truth, self.readable(prediction), **extra)
        except ValueError:
            return float("nan")

    def rows(self, y: Array, prediction: Array, classes: Classes = None) -> Float:
        """Score each row, shape (n,), so that ``finish(mean of rows)`` is the metric.

        Only for ``kind == "mean"``; parameters and errors as for calling the metric.
        """
        return _ROWS[self.name](*self.prepare(y, prediction, classes)).astype(np.float64)

    def finish(self, mean: Float) -> Float:
        """Turn means of :meth:`rows` into the metric."""
        return np.sqrt(mean) if self.name == "root_mean_squared_error" else mean

    def prepare(self, y: Array, prediction: Array, classes: Classes) -> tuple[Array, Float]:
        """Check both; return targets (classes as positions, int64) and predictions as float64.

        Raises as calling the metric does.
        """
        prediction = np.asarray(prediction, np.float64)
        columns = (len(classes or ()),) if self.task == "multiclass" else ()
        if prediction.shape != (len(y), *columns):
            raise ValueError(f"{len(y)} rows, but predictions of shape {prediction.shape}")
        if bad := int(np.count_nonzero(~np.isfinite(prediction))):
            raise MlopsError(
                f"the model predicts NaN or infinity {bad} times in {len(y)} rows; "
                "look at its features (src/model/features.py) for values that training never had"
            )
        if self.task == "regression":
            return np.asarray(y, np.float64), prediction
        if (np.abs(prediction - 0.5) > 0.5 + ROUNDING).any():
            raise MlopsError(
                f"the model predicts from {prediction.min():g} to {prediction.max():g}; for the "
                f"task {self.task} build_estimator must return a model with predict_proba "
                "(src/model/estimator.py)"
            )
        return encode(y, classes or ()), np.clip(prediction, 0, 1)

    def readable(self, prediction: Float) -> Array:
        """Return predictions in the form that ``function`` reads: as they are, or as labels."""
        return prediction if self.probabilities or self.task == "regression" else _label(prediction)

    def score(self, truth: Array, prediction: Array, **extra: Any) -> float:
        """Call ``function`` on class positions (or numbers) and a :meth:`readable` prediction."""
        with warnings.catch_warnings():
            # An undefined score says so as NaN; float32 probabilities never quite sum to one.
            warnings.simplefilter("ignore")
            return float(self.function(truth, prediction, **extra))


def encode(y: Array, classes: Sequence[str | int]) -> npt.NDArray[np.int64]:
    """Turn target values of shape (n,) into their positions in ``classes``.

    Raises
    ------
    MlopsError
        When a value is none of ``classes``.
    """
    y = np.asarray(y)
    codes = np.full(len(y), -1, np.int64)
    for code, value in enumerate(classes):
        codes[y == value] = code
    if (codes < 0).any():
        unknown = y[codes < 0].tolist()
        raise MlopsError(
            f"{len(unknown)} of {len(y)} rows have a target that is no class of the model, such as "
            f"{unknown[0]!r}; it knows {', '.join(map(repr, classes))}; "
            "train on a window that has every class"
        )
    return codes


def _label(prediction: Float) -> npt.NDArray[np.int64]:
    # An exact half is the first class, as in argmax and so in scikit-learn's classifiers.
    chosen = prediction > 0.5 if prediction.ndim == 1 else prediction.argmax(axis=1)
    return np.asarray(chosen, np.int64)


def _log_loss(truth: Array, prediction: Float) -> Float:
    if prediction.ndim == 1:
        of_truth = np.where(truth == 1, prediction, 1 - prediction)
    else:
        of_truth = prediction[np.arange(len(truth)), truth]
    eps = np.finfo(np.float64).eps  # scikit-learn's clipping
    return np.asarray(-np.log(np.clip(of_truth, eps, 1 - eps)))


def _brier_score(truth: Array, prediction: Float) -> Float:
    if prediction.ndim == 1:
        return (truth - prediction) ** 2
    classes = prediction.shape[1]
    squares = ((np.eye(classes)[truth] - prediction) ** 2).sum(axis=1)
    return np.asarray(squares / 2 if classes == 2 else squares)  # scikit-learn's scale_by_half


def _wrong(truth: Array, prediction: Float) -> Array:
    return np.asarray(_label(prediction) != truth)


def _absolute_percentage(truth: Array, prediction: Float) -> Float:
    return np.abs(truth - prediction) / np.maximum(np.abs(truth), np.finfo(np.float64).eps)


_ROWS: dict[str, Callable[[Array, Float], Array]] = {
    "log_loss": _log_loss,
    "brier_score": _brier_score,
    "accuracy": lambda truth, prediction: ~_wrong(truth, prediction),
    "zero_one_loss": _wrong,
    "hamming_loss": _wrong,
    "mean_absolute_error": lambda truth, prediction: np.abs(truth - prediction),
    "mean_squared_error": lambda truth, prediction: (truth - prediction) ** 2,
    "root_mean_squared_error": lambda truth, prediction: (truth - prediction) ** 2,
    "mean_absolute_percentage_error": _absolute_percentage,
}

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


@dataclass(frozen=True)
class Metrics:
    """The metrics of one judgement: ``gate.metric``, the floors' by their keys, and the others.

    ``shown`` are those of the report, each once; they include the gate's and the floors'.
    """

    gate: Metric
    floors: dict[str, Metric]
    proper: Metric
    shown: list[Metric]

    @property
    def slices(self) -> Metric:
        """The gate's metric; on the general path, slice after slice would take minutes."""
        return self.proper if self.gate.kind == "general" else self.gate

    @property
    def with_margins(self) -> tuple[Metric, Metric]:
        """The metrics of ``gate.margin`` and ``gate.slices.margin``."""
        return self.gate, self.slices

    @property
    def resampled(self) -> list[Metric]:
        """The metrics that get an interval: the gate's, and those on fast paths."""
        return [one for one in self.shown if one.kind != "general" or one.name == self.gate.name]


def choose(task: Task, gate: Gate) -> Metrics:
    """Look up by name, once, every metric that judges a model of this task.

    Raises as :func:`resolve` does.
    """
    metric = resolve(gate.metric, task)
    floors = {key: resolve(key, task, "gate.floors") for key in gate.floors}
    shown = [*(resolve(name, task) for name in defaults(task)), metric, *floors.values()]
    distinct = {one.name: one for one in shown}
    return Metrics(metric, floors, resolve(proper(task), task), list(distinct.values()))


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
