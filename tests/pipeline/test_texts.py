"""Texts as features: by name for the estimator, for ONNX one input each, in service no pandas."""

import json
import sys
from pathlib import Path

import pytest
from parcels import Parcels, parcels
from running_service import RunningService

FEATURES = '''"""Numbers as they are, and texts."""

import numpy as np


def build_features(columns):
    note = [str(value).lower() for value in columns["Größe & Notiz"].tolist()]
    return {
        "weight": columns["weight"],
        "kind": columns["kind"],
        "Größe & Notiz": np.array(note, object),
    }
'''
ESTIMATOR = '''"""By name."""

from sklearn.compose import ColumnTransformer
from sklearn.ensemble import HistGradientBoostingClassifier
from sklearn.feature_extraction.text import TfidfVectorizer
from sklearn.impute import SimpleImputer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, TargetEncoder


def build_estimator(*, seed: int, encoder: str = "onehot"):
    kinds = {
        "onehot": OneHotEncoder(handle_unknown="ignore", sparse_output=False),
        "ordinal": OrdinalEncoder(handle_unknown="use_encoded_value", unknown_value=-1),
        "target": TargetEncoder(random_state=seed),
        "lowers": OneHotEncoder(handle_unknown="ignore", sparse_output=False),
    }
    by_name = ColumnTransformer(
        [
            ("kind", kinds[encoder], ["kind"]),
            ("words", TfidfVectorizer(lowercase=encoder == "lowers"), "Größe & Notiz"),
        ],
        remainder=SimpleImputer(),
        sparse_threshold=0,
    )
    return make_pipeline(by_name, LogisticRegression(random_state=seed))
'''
NOTES = ["schnell bitte", "Vorsicht Glas", "zerbrechlich, SCHNELL", "ÄRGER mit Glas", "ok"]


def texts(folder: Path) -> Parcels:
    project = parcels(folder)
    project.also(f"notes = np.array({NOTES!r}, object)[rng.integers(0, {len(NOTES)}, n)]")
    project.also('table["Größe & Notiz"] = np.where(rng.random(n) < 0.05, None, notes)')
    project.also(f'table["late"] = table["late"].where(notes != {NOTES[3]!r}, 1)')
    project.change(
        "schema",
        '        "late"',
        '        "Größe & Notiz": Column(str, Check.str_length(max_value=200), nullable=True),\n'
        '        "late"',
    )
    (project / "src/model/features.py").write_text(FEATURES, encoding="utf-8")
    (project / "src/model/estimator.py").write_text(ESTIMATOR, encoding="utf-8")
    project.set(estimator={}, gate__metric="roc_auc")
    return project


@pytest.mark.parametrize("runtime", ["onnx", "skops"])
@pytest.mark.parametrize("encoder", ["onehot", "ordinal", "target"])
def test_a_model_of_texts_is_trained_and_written(
    encoder: str, runtime: str, tmp_path: Path
) -> None:
    project = texts(tmp_path)
    project.set(estimator={"encoder": encoder}, serving={"runtime": runtime})
    project.do("ingest", "validate", "features", "settings", "train", "evaluate")
    facts = json.loads((project / "models/model.json").read_text(encoding="utf-8"))
    assert facts["features"] == ["weight", "kind", "Größe & Notiz"]
    assert facts["texts"] == ["kind", "Größe & Notiz"]
    assert project.json("metrics")["roc_auc"] > 0.8


def test_a_model_of_texts_goes_around_the_loop(tmp_path: Path) -> None:
    project = texts(tmp_path)
    project.do("ingest", "validate", "features", "settings", "train", "evaluate")
    project.do("compare", "report", "register", "promote --override first", "drift")
    project.do("export out champion")

    # Plain MLflow has it, from the features.
    code = (
        "import mlflow, pandas as pd; mlflow.set_tracking_uri('sqlite:///.store/mlflow.db');"
        "m = mlflow.sklearn.load_model('models:/parcels@champion');"
        "print(m.predict_proba(pd.DataFrame({'weight': [3.0], 'kind': ['box'], "
        "'Größe & Notiz': ['ärger mit glas']}))[0, 1])"
    )
    expected = float(project.run(sys.executable, "-c", code).stdout.split()[-1])
    running = RunningService(project / "out/model", tmp_path / "service").wait()
    try:
        row = {"weight": 3.0, "kind": "box", "Größe & Notiz": "ÄRGER mit Glas"}
        answer = running.predict([row]).json()
        assert answer["predictions"][0]["score"] == pytest.approx(expected, abs=1e-6)
        # What training never had, and what may be missing.
        odd = [row | {"kind": "drone"}, row | {"Größe & Notiz": None}, row | {"Größe & Notiz": "ß"}]
        assert running.predict(odd).status == 200
        code = running.predict([row | {"Größe & Notiz": "x" * 201}])
        assert code.status == 422
    finally:
        running.stop()


def test_what_onnx_would_lower_otherwise_is_refused(tmp_path: Path) -> None:
    project = texts(tmp_path)
    project.set(estimator={"encoder": "lowers"})
    project.do("ingest", "validate", "features", "settings")
    said = project.mlops("train").err
    assert "TfidfVectorizer lower-cases, which ONNX does to A-Z only" in said


@pytest.mark.parametrize(
    ("values", "sentence"),
    [
        ("np.array(['a', 3] * (n // 2), object)", "texts, and 3 among them, for feature 'kind'"),
        ("np.array([['a']] * n)", "an array of shape"),
    ],
)
def test_a_feature_is_numbers_or_texts(values: str, sentence: str, tmp_path: Path) -> None:
    project = parcels(tmp_path)
    code = f'n = len(columns["weight"])\n    return {{"kind": {values}}}\n    return {{'
    project.change("features", "return {", code)
    project.do("ingest", "validate")
    assert sentence in project.mlops("features").err


def test_a_text_that_knows_the_answer_stops_the_gate(tmp_path: Path) -> None:
    project = texts(tmp_path)
    project.also('table["kind"] = table["late"].map({0: "box", 1: "bag"})')
    project.do("ingest", "validate", "features", "settings", "train", "evaluate", "compare")
    assert any("'kind'" in it or "kind" in it for it in project.json("comparison")["reasons"])
