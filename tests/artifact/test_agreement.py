"""A model that would serve otherwise than it was trained is refused while it is trained."""

import time
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from every_estimator import NUMBER, train_on
from sklearn.ensemble import (
    HistGradientBoostingClassifier,
    HistGradientBoostingRegressor,
    RandomForestClassifier,
)
from sklearn.gaussian_process import GaussianProcessClassifier
from sklearn.impute import KNNImputer, SimpleImputer
from sklearn.linear_model import LinearRegression, LogisticRegression
from sklearn.neighbors import RadiusNeighborsRegressor
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from mlops.artifact.agreement import _in_training_form, check_agreement, probes
from mlops.artifact.model_folder import FACTS, Column
from mlops.artifact.onnx_graph import WAY_OUT
from mlops.project import files
from mlops.project.errors import MlopsError

RNG = np.random.default_rng(0)
X = RNG.normal(size=(360, 2)).astype(np.float32)
Y = (X.sum(axis=1) + RNG.normal(size=360) / 2 > 0).astype(int)
GONE = np.arange(360) % 10 == 0
A, B = (NUMBER | {"name": name} for name in "ab")
NULL_B = B | {"nullable": True}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def refused(unfitted: Any, x: Any = X, y: Any = Y, **how: Any) -> str:
    task = how.pop("task", "binary")
    with pytest.raises(MlopsError) as caught:
        train_on(unfitted, task, x, y, **{"columns": [A, B]} | how)
    (line,) = str(caught.value).splitlines()
    assert not (files.MODEL / FACTS).exists()
    return line


# Rows that train, rows that judge


@pytest.mark.parametrize(
    ("gone", "where"), [(slice(300), "training"), (slice(300, 360), "holdout")]
)
def test_a_forest_that_onnx_sends_another_way_is_refused(gone: slice, where: str) -> None:
    x, y = X.copy(), Y.copy()
    x[gone, 1][GONE[gone]] = np.nan
    y[gone][GONE[gone]] = 1
    forest = RandomForestClassifier(20, min_samples_leaf=10, random_state=0)
    line = refused(forest, x, y)
    assert line.startswith(f"ONNX and scikit-learn disagree at {where} row ")
    assert line.endswith(
        "(allowed 1e-05); the converter (skl2onnx) computes RandomForestClassifier differently "
        f"where a feature is missing; fill it (SimpleImputer), or {WAY_OUT}"
    )
    train_on(forest, "binary", x, y, columns=[A, NULL_B], runtime="skops")


def test_another_formula_is_not_called_imprecise() -> None:
    boosting = HistGradientBoostingRegressor(loss="poisson", max_iter=20)
    line = refused(boosting, y=np.exp(X[:, 0]), task="regression")
    assert "computes HistGradientBoostingRegressor differently; set serving.runtime" in line


def test_what_onnxruntime_cannot_load_is_refused() -> None:
    line = refused(GaussianProcessClassifier())
    assert line.startswith("ONNX stops in GaussianProcessClassifier at training row 0 (")
    assert line.endswith(WAY_OUT)


def test_what_scikit_learn_does_not_predict_on_the_holdout_is_refused() -> None:
    x = X.copy()
    x[330, 1] = np.nan
    line = refused(LogisticRegression(), x)
    assert line == (
        "src/model/estimator.py: scikit-learn stops at holdout row 30 (ValueError: Input X "
        "contains NaN), let src/model/features.py or a step of src/model/estimator.py handle it"
    )


def test_a_row_at_a_split_may_fall_on_either_side_of_it() -> None:
    """Scaled in float32, compared with float64 thresholds: of 20,000 rows, dozens jump."""
    rng = np.random.default_rng(0)
    x = np.column_stack([rng.normal(size=20_000), rng.gamma(2, 100, 20_000)]).astype(np.float32)
    y = x[:, 0] + x[:, 1] / 100
    model = make_pipeline(StandardScaler(), HistGradientBoostingRegressor(random_state=0))
    artifact = train_on(model, "regression", x, y, columns=[A, B])
    jumped = np.abs(artifact.ask(x) - model.predict(x)) > 1e-3
    assert 0 < jumped.sum() < 0.01 * len(x)

    few = np.flatnonzero(jumped)[:1]
    model.steps[-1][1]._baseline_prediction += 0.5  # a shift that no neighbour explains
    with pytest.raises(MlopsError, match="differently"):
        check_agreement(model, artifact, artifact.build_features, x[few], x[:1])


def test_less_precision_is_called_that() -> None:
    model = LinearRegression()
    artifact = train_on(model, "regression", X, X.sum(axis=1), columns=[A, B])
    check_agreement(model, artifact, artifact.build_features, X, X)
    model.intercept_ += 1e-3
    with pytest.raises(
        MlopsError, match=r"\(skl2onnx\) computes LinearRegression less precisely; "
    ):
        check_agreement(model, artifact, artifact.build_features, X, X)


# Probes


def test_probes_have_the_form_that_training_had() -> None:
    columns = [
        Column(
            name="n",
            type="number",
            dtype="float64",
            nullable=True,
            minimum=0,
            maximum=float("inf"),
            example=2.5,
        ),
        Column(
            name="i",
            type="integer",
            dtype="int8",
            nullable=False,
            minimum=-999,
            maximum=9.5,
            example=3,
        ),
        Column(
            name="s", type="string", dtype="object", nullable=True, categories=["é"], example="é"
        ),
        Column(name="p", type="string", dtype="object", nullable=False, pattern="^x", example="x"),
        Column(
            **{"name": "t", "type": "datetime", "dtype": "datetime64[ns]", "nullable": True},
            **{"minimum": "2013-01-01T01:00:00+01:00", "example": "2013-04-01T12:00:00Z"},
        ),
    ]
    names, raw = probes(columns)
    assert names == [
        *("the example of each column", "n = null", "n = 0", "i = 9", "s = null", 's = "é"'),
        *('s = "?"', "t = null", 't = "2013-01-01T01:00:00+01:00"', "every nullable column = null"),
    ]
    types = {name: values.dtype for name, values in raw.items()}
    assert types == {column.name: np.dtype(column.dtype) for column in columns}
    np.testing.assert_array_equal(raw["n"], [2.5, np.nan, 0, *[2.5] * 6, np.nan])
    assert raw["s"].tolist()[3:7] == ["é", raw["s"][4], "é", "?"]
    assert np.isnan(raw["s"][4])
    assert np.isnat(raw["t"][7])
    assert raw["t"][8] == np.datetime64("2013-01-01")


def test_null_that_no_row_had_is_refused_where_onnx_answers_otherwise() -> None:
    forest = RandomForestClassifier(20, random_state=0)
    train_on(forest, "binary", X, Y, columns=[A, B])
    assert refused(forest, columns=[A, NULL_B]).startswith(
        "ONNX and scikit-learn disagree at b = null: "
    )
    boosting = HistGradientBoostingClassifier(max_iter=5)
    train_on(boosting, "binary", X, Y, columns=[A, NULL_B])


@pytest.mark.parametrize("runtime", ["onnx", "skops"])
def test_null_that_the_estimator_does_not_take_is_refused(runtime: str) -> None:
    """ONNX would answer NaN."""
    assert refused(LogisticRegression(), columns=[A, NULL_B], runtime=runtime) == (
        "src/model/estimator.py: scikit-learn stops at b = null (ValueError: Input X contains "
        "NaN), which src/model/schema.py allows in a request; let src/model/features.py or a step "
        "of src/model/estimator.py handle it (as SimpleImputer does), or say nullable=False in the "
        "schema"
    )
    filled = make_pipeline(SimpleImputer(), LogisticRegression())
    train_on(filled, "binary", X, Y, columns=[A, NULL_B], runtime=runtime)  # type: ignore[arg-type]


def test_what_only_onnx_does_not_take_is_refused() -> None:
    x = X.copy()
    x[GONE, 1] = np.nan
    columns = [A | {"nullable": True}, NULL_B]
    line = refused(make_pipeline(KNNImputer(), LogisticRegression()), x, columns=columns)
    assert "in KNNImputer or LogisticRegression at every nullable column = null (" in line


def test_features_that_stop_at_a_value_are_refused() -> None:
    kind = {"name": "kind", "type": "string", "dtype": "object", "example": "box"}
    columns = [A, kind | {"nullable": False, "categories": ["bag", "box"]}]
    text = """
def build_features(columns):
    codes = {"bag": 0.0, "box": 1.0}
    return {"a": columns["a"], "kind": [codes[one] for one in columns["kind"]]}
"""
    assert refused(LogisticRegression(), columns=columns, features=text).endswith(
        "features.py:4: build_features stops: KeyError: '?'; so at kind = \"?\", which "
        "src/model/schema.py allows in a request; let it handle that, or narrow what is allowed in "
        "the schema"
    )
    text = text.replace("[one]", ".get(one, 2.0)")
    columns[1] |= {"nullable": True}
    train_on(LogisticRegression(), "binary", X, Y, columns=columns, features=text)
    text = text.replace("codes.get(one, 2.0)", "len(one)")
    line = refused(LogisticRegression(), columns=columns, features=text)
    assert "features.py:4: build_features stops: TypeError: object of type 'float'" in line
    assert "; so at kind = null, which" in line


def test_a_bound_at_which_nothing_is_predicted_is_refused() -> None:
    columns = [A | {"maximum": 1e6}, B]
    line = refused(
        RadiusNeighborsRegressor(9), y=X[:, 0], columns=columns, task="regression", runtime="skops"
    )
    assert "scikit-learn stops at a = 1000000.0 (ValueError: it predicts no number), which" in line


def test_a_time_without_a_zone_is_none_of_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TZ", "Asia/Tokyo")
    time.tzset()
    try:
        made = _in_training_form(["2013-04-01T12:00:00", "2013-04-01T12:00:00Z"], "datetime64[us]")
    finally:
        monkeypatch.undo()
        time.tzset()
    assert made.tolist() == [datetime(2013, 4, 1, 12)] * 2
