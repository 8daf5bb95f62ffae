"""Metrics: scikit-learn's, found by name, and those of ``src/model/metrics.py``.

Both are scored on predictions instead of on an estimator.
"""

import difflib
import inspect
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cache, partial
from importlib import import_module
from pathlib import Path
from typing import Any, Literal

import numpy as np
import numpy.typing as npt

from mlops.project.errors import MlopsError
from mlops.project.files import PARAMS
from mlops.project.params import Gate, Task
from mlops.project.user_code import running

Array = npt.NDArray[Any]
Columns = Mapping[str, Array]
Float = npt.NDArray[np.float64]
Classes = Sequence[str | int] | None
Kind = Literal["mean", "rank", "general"]

RANKS = ("roc_auc", "average_precision")
NAMES = "https://scikit-learn.org/stable/modules/model_evaluation.html"
ROUNDING = 1e-4  # ONNX sums trees in float32: a probability can pass 1 by less than this
OWN = Path("src/model/metrics.py")
DIRECTIONS = "GREATER_IS_BETTER"
PARAMETERS = ("truth", "prediction", "label", "columns")
TAKEN = ("baseline", "calibration", "rows", "week")  # in the reports, beside the metrics' names


class _Rows(Mapping[str, Array]):
    """Some rows of raw columns; a resample copies only what a metric reads."""

    def __init__(self, columns: Columns, rows: Any = ...) -> None:
        self._columns, self._rows = columns, rows

    def __getitem__(self, name: str) -> Array:
        if name not in self._columns:
            raise MlopsError(
                f"{OWN} reads column {name!r}, which the rows to be judged do not have (those of a "
                f"prediction log have the model's inputs); they have {', '.join(self._columns)}"
            )
        return np.asarray(self._columns[name][self._rows])

    def __iter__(self) -> Iterator[str]:
        return iter(self._columns)

    def __len__(self) -> int:
        return len(self._columns)


@dataclass(frozen=True)
class Predictions:
    """What one model predicts for ``n`` rows, and what else a metric may ask about these.

    Attributes
    ----------
    scores : array of shape (n,) or (n, k)
        As :meth:`mlops.artifact.model_folder.ModelArtifact.predict` returns them.
    threshold : float or None
        Of two classes, the model's own: from this probability on a row is the second.
    columns : mapping of str to array of shape (n,)
        Raw values by column name, as :func:`mlops.artifact.table.to_columns` returns them.
    """

    scores: Array
    threshold: float | None = None
    columns: Columns = field(default_factory=dict)

    def __getitem__(self, rows: Array) -> "Predictions":
        return replace(self, scores=self.scores[rows], columns=_Rows(self.columns, rows))

    @property
    def labels(self) -> npt.NDArray[np.int64]:
        """Classes by position, shape (n,).

        Without a threshold an exact half is the first class, as in argmax and so in scikit-learn's
        classifiers.
        """
        if self.scores.ndim > 1:
            return np.asarray(self.scores.argmax(axis=1), np.int64)
        if self.threshold is None:
            return np.asarray(self.scores > 0.5, np.int64)
        return np.asarray(self.scores >= self.threshold, np.int64)


@dataclass(frozen=True)
class Metric:
    """A metric for one task; :func:`resolve` makes it.

    Attributes
    ----------
    name : str
        As shown to people: the scorer's name without ``neg_``.
    greater_is_better : bool
    task : {"binary", "multiclass", "regression"}
    function : callable
        ``function(truth, prediction)`` of :mod:`sklearn.metrics`, or one of :data:`OWN`, which
        takes what it wants of :data:`PARAMETERS`.
    probabilities : bool
        Whether ``function`` reads probabilities, not labels.
    own : bool
        Whether it is one of :data:`OWN`.
    by_row : bool
        Whether such a one returns a value for each row, whose mean is the metric.
    """

    name: str
    greater_is_better: bool
    task: Task
    function: Callable[..., Any]
    probabilities: bool
    own: bool = False
    by_row: bool = False

    @property
    def kind(self) -> Kind:
        """How it can be recomputed fast: from row scores, from ranks, or only by ``function``."""
        if self.own:
            return "mean" if self.by_row else "general"
        if self.task == "binary" and self.name in RANKS:
            return "rank"
        return "mean" if self.name in _ROWS else "general"

    @property
    def meaning(self) -> str | None:
        """What a function of the user's says of itself, in a line."""
        said = inspect.getdoc(self.function) if self.own else None
        return said.partition("\n")[0].rstrip(".") if said else None

    def __call__(self, y: Array, prediction: Array | Predictions, classes: Classes = None) -> float:
        """Score ``n`` predictions in the metric's own units (log loss is positive).

        Parameters
        ----------
        y : array of shape (n,)
            Raw target values.
        prediction : Predictions, or their scores where nothing else is asked
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
            or no probability; when a function of the user's stops.
        """
        truth, given = self.prepare(y, prediction, classes)
        if self.own:
            return float(np.mean(self._values(truth, given)))
        if self.kind == "rank" and len(np.unique(truth)) == 1:
            return float("nan")
        extra = {}
        if self.probabilities and "labels" in inspect.signature(self.function).parameters:
            extra["labels"] = np.arange(len(classes or ()))  # these rows may lack a class
        try:
            return self.score(truth, self.readable(given), **extra)
        except ValueError:
            return float("nan")

    def rows(self, y: Array, prediction: Array | Predictions, classes: Classes = None) -> Float:
        """Score each row, shape (n,), so that ``finish(mean of rows)`` is the metric.

        Only for ``kind == "mean"``; parameters and errors as for calling the metric.
        """
        truth, given = self.prepare(y, prediction, classes)
        if self.own:
            return self._values(truth, given)
        return _ROWS[self.name](truth, self.readable(given)).astype(np.float64)

    def finish(self, mean: Float) -> Float:
        """Turn means of :meth:`rows` into the metric."""
        return np.sqrt(mean) if self.name == "root_mean_squared_error" else mean

    def prepare(
        self, y: Array, given: Array | Predictions, classes: Classes
    ) -> tuple[Array, Predictions]:
        """Check both; return targets (classes as positions, int64) and scores as float64.

        Raises as calling the metric does.
        """
        given = given if isinstance(given, Predictions) else Predictions(given)
        prediction = np.asarray(given.scores, np.float64)
        columns = (len(classes or ()),) if self.task == "multiclass" else ()
        if prediction.shape != (len(y), *columns):
            raise ValueError(f"{len(y)} rows, but predictions of shape {prediction.shape}")
        if bad := int(np.count_nonzero(~np.isfinite(prediction))):
            raise MlopsError(
                f"the model predicts NaN or infinity {bad} times in {len(y)} rows; "
                "look at its features (src/model/features.py) for values that training never had"
            )
        if self.task == "regression":
            return np.asarray(y, np.float64), replace(given, scores=prediction)
        if (np.abs(prediction - 0.5) > 0.5 + ROUNDING).any():
            raise MlopsError(
                f"the model predicts from {prediction.min():g} to {prediction.max():g}; for the "
                f"task {self.task} build_estimator must return a model with predict_proba "
                "(src/model/estimator.py)"
            )
        return encode(y, classes or ()), replace(given, scores=np.clip(prediction, 0, 1))

    def readable(self, prediction: Predictions) -> Array:
        """Return predictions in the form that ``function`` reads: as they are, or as labels."""
        as_they_are = self.probabilities or self.task == "regression"
        return prediction.scores if as_they_are else prediction.labels

    def tried(self, y: Array, prediction: Predictions, classes: Classes) -> "Metric":
        """Return the metric, after asking a function of the user's what it returns for these rows.

        Raises
        ------
        MlopsError
            When that is not a number, nor one for each row.
        """
        if not self.own:
            return self
        values = self._values(*self.prepare(y, prediction, classes))
        return replace(self, by_row=bool(values.ndim))

    def _values(self, truth: Array, prediction: Predictions) -> Float:
        """Ask a function of the user's; returns a number, shape (), or one for each row."""
        asked = inspect.signature(self.function).parameters
        given: dict[str, Any] = {"truth": truth, "prediction": prediction.scores}
        given["columns"] = _Rows(prediction.columns)
        if "label" in asked:
            given["label"] = prediction.labels
        with warnings.catch_warnings(), np.errstate(all="ignore"), running(self.name):
            warnings.simplefilter("ignore")  # of 0 / 0, which is undefined
            got = self.function(**{name: given[name] for name in asked if name in given})
        try:
            values = np.asarray(got)
        except ValueError:  # sequences of different lengths
            values = np.array(None)
        if values.dtype.kind not in "biuf" or values.shape not in ((), (len(truth),)):
            what = f"{values.dtype} of shape {values.shape}" if values.ndim else type(got).__name__
            raise MlopsError(
                f"{OWN}: {self.name} returns {what}; expected a number, or {len(truth):,} numbers, "
                "one for each row"
            )
        return np.where(np.isfinite(values), values, np.nan).astype(np.float64)

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


def _wrong(truth: Array, label: Array) -> Array:
    return np.asarray(label != truth)


def _absolute_percentage(truth: Array, prediction: Float) -> Float:
    return np.abs(truth - prediction) / np.maximum(np.abs(truth), np.finfo(np.float64).eps)


# Of targets and what is readable: scores or labels.
_ROWS: dict[str, Callable[[Array, Array], Array]] = {
    "log_loss": _log_loss,
    "brier_score": _brier_score,
    "accuracy": lambda truth, label: ~_wrong(truth, label),
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
        """The metrics that get an interval: the gate's, the user's, and those on fast paths."""
        slow = [one for one in self.shown if one.kind == "general" and not one.own]
        return [one for one in self.shown if one not in slow or one.name == self.gate.name]


def choose(task: Task, gate: Gate, y: Array, prediction: Predictions, classes: Classes) -> Metrics:
    """Look up by name, once, every metric that judges a model of this task.

    The user's are tried on a model's ``prediction`` for the ``y`` of the holdout.

    Raises
    ------
    MlopsError
        As :func:`resolve` and :meth:`Metric.tried` do; when one of the user's is undefined there.
    """
    mine = {one.name: one.tried(y, prediction, classes) for one in own(task)}
    for name, one in mine.items():
        if np.isnan(one(y, prediction, classes)):
            raise MlopsError(f"{OWN}: {name} is NaN or infinite on the {len(y):,} rows that judge")

    def find(name: str, key: str = "gate.metric") -> Metric:
        return mine.get(name) or resolve(name, task, key)

    metric, floors = find(gate.metric), {key: find(key, "gate.floors") for key in gate.floors}
    known = [*map(find, defaults(task)), metric, *floors.values(), *mine.values()]
    shown = {one.name: one for one in known}
    return Metrics(metric, floors, find(proper(task)), list(shown.values()))


def own(task: Task) -> list[Metric]:
    """Return the metrics of :data:`OWN`, which need not be there: its public functions.

    Raises
    ------
    MlopsError
        When it stops, or one of them does not say what it takes and which direction is better, or
        has a name that is taken.
    """
    if not OWN.is_file():
        return []
    with running(OWN.name):
        module = import_module("model.metrics")
    functions = {
        name: one
        for name, one in vars(module).items()
        if inspect.isfunction(one) and one.__module__ == module.__name__ and name[0] != "_"
    }
    directions = getattr(module, DIRECTIONS, {})
    if unknown := [name for name in directions if name not in functions]:
        raise MlopsError(f"{OWN}: {DIRECTIONS} names {unknown[0]!r}; there is no such function")
    for name, one in functions.items():
        if problem := _problem(name, one, directions.get(name), task):
            raise MlopsError(f"{OWN}:{one.__code__.co_firstlineno}: {name} {problem}")
    return [
        Metric(name, directions[name], task, one, True, own=True) for name, one in functions.items()
    ]


def _problem(name: str, function: Callable[..., Any], direction: Any, task: Task) -> str | None:
    """Say why a function of the user's cannot be a metric."""
    import sklearn.metrics

    wanted = inspect.signature(function).parameters.values()
    odd = [one.name for one in wanted if one.default is one.empty and one.name not in PARAMETERS]
    if odd:
        return f"wants {odd[0]!r}; a metric may take {', '.join(PARAMETERS)}"
    if task == "regression" and any(one.name == "label" for one in wanted):
        return "wants 'label', which a regression does not have; take prediction"
    if not isinstance(direction, bool):
        return f'does not say which direction is better; write {DIRECTIONS} = {{"{name}": False}}'
    if name in (*TAKEN, *sklearn.metrics.get_scorer_names()) or hasattr(sklearn.metrics, name):
        return "is the name of something else in the reports; choose another"
    return None


def resolve(name: str, task: Task, key: str = "gate.metric") -> Metric:
    """Find a metric by its name: one of :data:`OWN`, or of scikit-learn's.

    Parameters and errors as for :func:`_of_scikit_learn`.
    """
    mine = [one for one in own(task) if one.name == name]
    return mine[0] if mine else _of_scikit_learn(name, task, key)


@cache
def _of_scikit_learn(name: str, task: Task, key: str) -> Metric:
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
        f"scikit-learn has no such metric{f', nor has {OWN}' if OWN.is_file() else ''}"
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
    truth, *toys = _toy(metric.task)
    extra = {}
    good, bad = (metric.readable(Predictions(one)) for one in toys)
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
