"""What is trained is what serves: the written model predicts what the fitted estimator predicts.

Asked on the rows that train, on those of the holdout, and on probes: rows that a request may hold
although no row of the data does, such as null in each column that may be null.
"""

import json
import math
import warnings
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import numpy as np

from mlops.artifact import boosters
from mlops.artifact.feature_code import BuildFeatures
from mlops.artifact.features import Array, Asked, count, take, to_features
from mlops.artifact.model_folder import Column, ModelArtifact
from mlops.artifact.onnx_graph import TOLERANCE, WAY_OUT, steps
from mlops.artifact.skops_model import predictions
from mlops.project.errors import MlopsError, first_line
from mlops.project.params import Task

# Where a tree splits, rounding decides: ONNX compares in float32, scikit-learn in float64, and a
# scaler before it rounds in its own way. A row may get what scikit-learn predicts for one that is a
# few roundings of float32 (2**-24 each) away, if there are few such rows: of 20,000 with continuous
# features, scaled for gradient boosting, 92 were. What a converter does wrong, it does to many.
NEAR, NEIGHBOURS, FEW = 2**-21, 64, 0.01
IMPRECISE = 1e-3  # of the largest prediction: more than that is another formula, not less precision
HANDLE = "let src/model/features.py or a step of src/model/estimator.py handle it"


def check_agreement(
    estimator: Any, model: ModelArtifact, build: BuildFeatures, training: Asked, holdout: Asked
) -> None:
    """Refuse a model that does not serve what was trained.

    Parameters
    ----------
    build
        Builds features of raw columns.
    training, holdout
        Features of the rows that the estimator was fitted on, and of those that judge it.

    Raises
    ------
    MlopsError
        Naming the row, or the value of a request, at which the features, the estimator or what
        serves it stops, or at which the last two differ.
    """
    with warnings.catch_warnings(), np.errstate(all="ignore"):
        warnings.simplefilter("ignore")  # about probes; where it matters, a sentence says so
        scale = _compare(estimator, model, training, "training row {}".format)
        _compare(estimator, model, holdout, "holdout row {}".format, scale)
        if not model.facts.columns:
            return
        names, raw = probes(model.facts.columns)

        def features(rows: Array) -> Asked:
            built = build({key: raw[key][rows] for key in raw})
            return to_features(built, model.facts.texts)

        def refusal(row: int, why: str) -> str:
            at = names[row]
            return f"{why}; so at {at}, {_allowed(at, 'let it handle that')}"

        asked = _ask(features, len(names), refusal)
        _compare(estimator, model, asked, names.__getitem__, scale, _allowed)


def probes(columns: list[Column]) -> tuple[list[str], dict[str, Array]]:
    """Return rows that a request may hold, and name what is odd about each.

    One column has null, a bound, a known or an unknown category, the others their example; in the
    last, all have null that may. The arrays of shape (n,) have the form that training had.
    """
    usual = {column.name: column.example for column in columns}
    rows = {"the example of each column": usual}
    for column in columns:
        for value in _odd_values(column):
            said = f"{column.name} = {json.dumps(value, ensure_ascii=False)}"
            rows[said] = usual | {column.name: value}
    if nullable := [column.name for column in columns if column.nullable]:
        rows["every nullable column = null"] = usual | dict.fromkeys(nullable)
    return list(rows), {
        column.name: _in_training_form([row[column.name] for row in rows.values()], column.dtype)
        for column in columns
    }


def _odd_values(column: Column) -> list[Any]:
    bounds = (column.minimum, math.ceil), (column.maximum, math.floor)
    known = [pair for pair in bounds if pair[0] not in (None, -math.inf, math.inf)]
    if column.type == "integer":
        held = np.iinfo(column.dtype if column.dtype[0] in "iu" else "int64")
        whole = [inwards(float(bound)) for bound, inwards in known if bound is not None]
        found: list[Any] = [bound for bound in whole if held.min <= bound <= held.max]
    else:
        found = [bound for bound, _ in known]
    if column.type == "string":
        found += column.categories or []
        if column.pattern is None:
            found.append("?" * max(1, column.min_length or 0))
    return [None, *found] if column.nullable else found


def _in_training_form(values: list[Any], dtype: str) -> Array:
    """Return values of requests as :func:`mlops.artifact.table.to_columns` returns a table's."""
    if np.dtype(dtype).kind != "M":
        return np.array([math.nan if one is None else one for one in values], dtype)
    said = [None if one is None else datetime.fromisoformat(one) for one in values]
    # One without a zone stays as it is: astimezone would take it for this machine's.
    times = [
        one.astimezone(UTC).replace(tzinfo=None) if one and one.tzinfo else one for one in said
    ]
    return np.array(times, "datetime64[us]").astype(dtype)


def _allowed(probe: str, handle: str = HANDLE) -> str:
    narrow = "narrow what is allowed"
    if probe.endswith("= null"):
        handle, narrow = f"{handle} (as SimpleImputer does)", "say nullable=False"
    return f"which src/model/schema.py allows in a request; {handle}, or {narrow} in the schema"


def _ask(answer: Callable[[Array], Any], n: int, refusal: Callable[[int, str], str]) -> Any:
    """Return the answer for ``n`` rows, or refuse with the first row at which it stops."""
    try:
        return answer(np.arange(n))
    except Exception as error:  # of the user's code, or of any library below it
        first, after = 0, n
        while after - first > 1:
            middle = (first + after) // 2
            try:
                answer(np.arange(first, middle))
                first = middle
            except Exception:
                after = middle
        why = str(error) if isinstance(error, MlopsError) else first_line(error)
        raise MlopsError(refusal(first, why)) from None


def _compare(
    estimator: Any,
    model: ModelArtifact,
    asked: Asked,
    name: Callable[[int], str],
    scale: float | None = None,
    advice: Callable[[str], str] = lambda _: HANDLE,
) -> float:
    """Refuse with the row that differs, by ``scale``; it is the largest prediction, at least 1."""
    task, made_of = model.facts.task, steps(estimator)
    added = boosters.used(estimator)
    library = " and ".join(added) or "scikit-learn"
    server, blamed, way_out = "skops", "its file", "choose other steps"
    if model.facts.runtime == "onnx":
        converter = "onnxmltools" if added else "skl2onnx"
        server, blamed, way_out = "ONNX", f"the converter ({converter})", WAY_OUT

    def trained(rows: Array) -> Array:
        found = predictions(estimator, task, take(asked, rows))
        if not np.isfinite(found).all():
            raise ValueError("it predicts no number")
        return found

    def stops(row: int, why: str) -> str:
        at = name(row)
        return f"src/model/estimator.py: {library} stops at {at} ({why}), {advice(at)}"

    def server_stops(row: int, why: str) -> str:
        return f"{server} stops in {made_of} at {name(row)} ({why}); {way_out}"

    n = count(asked)
    expected = _ask(trained, n, stops)

    def served(rows: Array) -> Array:
        found = model.ask(take(asked, rows))
        if found.shape != expected[rows].shape:
            raise ValueError(f"shape {found.shape} of predictions")
        return found

    got = _ask(served, n, server_stops)
    scale = scale or max(1.0, float(np.abs(expected).max()))  # a regression has a unit
    allowed = TOLERANCE * np.maximum(scale, np.abs(expected))
    gap = np.nan_to_num(np.abs(got - expected) / allowed, nan=np.inf)
    apart = np.flatnonzero(gap.reshape(n, -1).max(axis=1) > 1)
    if 0 < len(apart) <= max(1, FEW * n):
        gap[apart[_near(estimator, task, take(asked, apart), got[apart], allowed[apart])]] = 0
    if gap.max() <= 1:
        return scale
    worst = np.unravel_index(gap.argmax(), gap.shape)
    row = int(worst[0])
    how = "less precisely" if gap.max() * TOLERANCE <= IMPRECISE else "differently"
    if added and "Scaler" in made_of:
        # Thresholds of XGBoost are values of rows: the scaler's rounding moves all that have them.
        way_out = "trees need no scaler; leave it out"
    elif _has_gap(take(asked, [row])):
        how, way_out = f"{how} where a feature is missing", f"fill it (SimpleImputer), or {way_out}"
    raise MlopsError(
        f"{server} and {library} disagree at {name(row)}: {got[worst]:.4g} and "
        f"{expected[worst]:.4g} (allowed {TOLERANCE}); {blamed} computes {made_of} {how}; "
        f"{way_out}"
    )


def _has_gap(asked: Asked) -> bool:
    columns = asked.values() if isinstance(asked, dict) else [asked]
    return any(np.isnan(it).any() for it in columns if it.dtype != object)


def _neighbours(asked: Asked) -> Asked:
    """Return the rows, one copy after the other, with numbers that are a few roundings away."""
    rng = np.random.default_rng(0)
    if not isinstance(asked, dict):
        shifts = rng.uniform(-NEAR, NEAR, (NEIGHBOURS, 1, asked.shape[1]))
        return (asked * (1 + shifts)).astype(np.float32).reshape(-1, asked.shape[1])
    copies = {name: np.tile(values, NEIGHBOURS) for name, values in asked.items()}
    return {
        name: values
        if values.dtype == object
        else (values * (1 + rng.uniform(-NEAR, NEAR, len(values)))).astype(np.float32)
        for name, values in copies.items()
    }


def _near(estimator: Any, task: Task, asked: Asked, got: Array, allowed: Array) -> Array:
    """Return a mask of the rows whose neighbours get ``got`` of scikit-learn, or lie around it."""
    neighbours = _neighbours(asked)
    try:
        found = predictions(estimator, task, neighbours).reshape(NEIGHBOURS, *got.shape)
    except Exception:  # such as an encoder that knows no neighbours of its categories
        return np.zeros(len(got), bool)
    around = (found.min(axis=0) - allowed <= got) & (got <= found.max(axis=0) + allowed)
    return np.asarray(around.reshape(len(got), -1).all(axis=1))
