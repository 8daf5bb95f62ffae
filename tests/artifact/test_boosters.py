"""LightGBM and XGBoost serve as they were trained, from ONNX and from skops."""

import json
import sys
import warnings
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from every_estimator import NUMBER, train_on
from lightgbm import LGBMClassifier, LGBMRegressor
from sklearn.compose import ColumnTransformer
from sklearn.impute import SimpleImputer
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, StandardScaler
from xgboost import XGBClassifier, XGBRegressor

from mlops.artifact import boosters, skops_model
from mlops.artifact.model_folder import FACTS, ONNX, SKOPS, ModelArtifact
from mlops.artifact.onnx_graph import to_onnx
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Runtime, Task

RNG = np.random.default_rng(0)
X = RNG.normal(size=(1500, 3)).astype(np.float32)
X[:, 2] = RNG.integers(0, 4, 1500)
X[RNG.random(X.shape) < 0.05] = np.nan
SUM = np.nan_to_num(X[:, 0]) + np.nan_to_num(X[:, 1]) + RNG.normal(size=1500) / 2
POSITIONS = np.digitize(SUM, [-1, 1])
TARGETS: dict[Task, Any] = {"binary": (SUM > 0).astype(int), "regression": 100 * SUM}
BOUNDS = {"nullable": True, "minimum": -6.0, "maximum": 6.0}
COLUMNS = [
    *(NUMBER | BOUNDS | {"name": name} for name in "ab"),
    NUMBER | BOUNDS | {"name": "kind", "example": 1.0},
]
KINDS = make_pipeline(
    SimpleImputer(strategy="constant", fill_value=-1),
    OneHotEncoder(handle_unknown="ignore", sparse_output=False),
)
CODES = ColumnTransformer([("kinds", KINDS, [2])], remainder="passthrough")
SMALL = {"n_estimators": 20, "random_state": 0, "n_jobs": 1}


def lightgbm(task: Task, **settings: Any) -> Any:
    kind = LGBMRegressor if task == "regression" else LGBMClassifier
    return kind(**SMALL, verbose=-1, **settings)


def xgboost(task: Task, **settings: Any) -> Any:
    return (XGBRegressor if task == "regression" else XGBClassifier)(**SMALL, **settings)


LIBRARIES = {"lightgbm": lightgbm, "xgboost": xgboost}
# Text, but for XGBoost, which `train` gives positions.
CLASSES = {
    "lightgbm": np.array(["early", "late", "on time"], object)[POSITIONS],
    "xgboost": POSITIONS,
}


@pytest.fixture(autouse=True)
def _folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)


def trained(library: str, task: Task, estimator: Any, **how: Any) -> ModelArtifact:
    y = CLASSES[library] if task == "multiclass" else TARGETS[task]
    return train_on(estimator, task, X, y, **{"columns": COLUMNS} | how)


@pytest.mark.parametrize("runtime", ["onnx", "skops"])
@pytest.mark.parametrize("task", ["binary", "multiclass", "regression"])
@pytest.mark.parametrize("library", LIBRARIES)
def test_it_serves_as_trained_with_a_null_in_every_column(
    library: str, task: Task, runtime: Runtime
) -> None:
    alone = LIBRARIES[library](task)
    model = trained(library, task, alone, runtime=runtime)
    np.testing.assert_allclose(
        model.ask(X), skops_model.predictions(alone, task, X), rtol=1e-5, atol=1e-6
    )
    trained(library, task, make_pipeline(CODES, LIBRARIES[library](task)), runtime=runtime)


@pytest.mark.parametrize("library", LIBRARIES)
def test_the_same_rows_give_the_same_bytes(library: str) -> None:
    written = []
    for _ in range(2):
        trained(library, "multiclass", LIBRARIES[library]("multiclass"))
        written.append([(files.MODEL / name).read_bytes() for name in (ONNX, SKOPS)])
    assert written[0] == written[1]


@pytest.mark.parametrize("library", LIBRARIES)
def test_nobody_is_warned_about_names_of_features(library: str) -> None:
    trained(library, "binary", LIBRARIES[library]("binary"), runtime="skops")
    model = ModelArtifact(files.MODEL, trained(library, "binary", lightgbm("binary")).facts)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        skops_model.predictor(files.MODEL / SKOPS, "binary")(X)
        model.ask(X)


def test_xgboost_behind_a_scaler_is_told_to_do_without() -> None:
    with pytest.raises(MlopsError) as refused:
        trained("xgboost", "binary", make_pipeline(StandardScaler(), xgboost("binary")))
    (line,) = str(refused.value).splitlines()
    assert line.startswith("ONNX and xgboost disagree at training row ")
    assert line.endswith(
        "(allowed 1e-05); the converter (onnxmltools) computes StandardScaler or XGBClassifier "
        "differently; trees need no scaler; leave it out"
    )
    assert not (files.MODEL / FACTS).exists()
    trained("lightgbm", "binary", make_pipeline(StandardScaler(), lightgbm("binary")))


@pytest.mark.parametrize(
    ("estimator", "said"),
    [
        (lightgbm("regression", linear_tree=True), "computes LGBMRegressor differently"),
        (xgboost("regression", booster="dart"), "ONNX cannot express XGBRegressor (KeyError"),
    ],
)
def test_what_onnx_gets_wrong_skops_serves(estimator: Any, said: str) -> None:
    (library,) = boosters.used(estimator)
    filled = make_pipeline(SimpleImputer(), estimator)
    with pytest.raises(MlopsError, match=r"set serving\.runtime: skops") as refused:
        trained(library, "regression", filled)
    assert said in str(refused.value).replace("SimpleImputer or ", "")
    trained(library, "regression", filled, runtime="skops")


def test_what_has_no_parameters_is_no_booster() -> None:
    """Such as the None of a `return` that was forgotten: fit says what is wrong."""
    assert boosters.used(None) == []


# Not installed


def uninstall(library: str, monkeypatch: pytest.MonkeyPatch) -> None:
    class NotInstalled:
        def find_spec(self, name: str, path: Any, target: Any = None) -> None:
            if name == library:
                raise ModuleNotFoundError(f"No module named {name!r}", name=name)

    for name in [name for name in sys.modules if name.partition(".")[0] == library]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setattr(sys, "meta_path", [NotInstalled(), *sys.meta_path])


@pytest.mark.parametrize("library", LIBRARIES)
def test_without_the_converter_it_says_how_to_add_it(
    library: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    fitted = LIBRARIES[library]("binary").fit(X, TARGETS["binary"])
    uninstall("onnxmltools", monkeypatch)
    with pytest.raises(MlopsError) as refused:
        to_onnx(fitted, np.zeros((1, 3), np.float32))
    assert str(refused.value) == (
        f"onnxmltools is not installed, which converts {library} to ONNX; "
        f"run `make add GROUP={library}`"
    )


@pytest.mark.parametrize("library", LIBRARIES)
def test_a_model_whose_library_is_gone_says_how_to_add_it(
    library: str, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    path = tmp_path / "model.skops"
    path.write_bytes(skops_model.dump(LIBRARIES[library]("binary").fit(X, TARGETS["binary"])))
    uninstall(library, monkeypatch)
    with pytest.raises(MlopsError) as refused:
        skops_model.load(path)
    assert str(refused.value) == (
        f"{path} cannot be loaded ({library} is not installed; run `make add GROUP={library}`)"
    )


# What a file may hold


@pytest.mark.parametrize(
    ("library", "handle"), [("lightgbm", "_handle"), ("xgboost", "handle")], ids=["lgbm", "xgb"]
)
def test_a_file_names_no_address_and_no_other_file(
    library: str, handle: str, tmp_path: Path
) -> None:
    fitted = LIBRARIES[library]("binary").fit(X, TARGETS["binary"])
    path = tmp_path / "model.skops"

    def plain(value: Any) -> dict[str, Any]:
        kind = {"__class__": "str", "__module__": "builtins", "__loader__": "JsonNode"}
        return kind | {"content": json.dumps(value), "is_json": True}

    def forge(change: Callable[[dict[str, Any]], None]) -> None:
        path.write_bytes(skops_model.dump(fitted))
        with zipfile.ZipFile(path) as archive:
            entries = {name: archive.read(name) for name in archive.namelist()}
        schema = json.loads(entries["schema.json"])
        change(schema["content"]["content"]["_Booster"])
        entries["schema.json"] = json.dumps(schema).encode()
        with zipfile.ZipFile(path, "w") as archive:
            for name, part in entries.items():
                archive.writestr(name, part)

    forge(lambda booster: booster["content"]["content"].update({handle: plain(4096)}))
    with pytest.raises(MlopsError, match="cannot be loaded"):
        skops_model.load(path)

    arguments = [plain(None), plain(None), plain("/etc/hostname")]
    call = {"__class__": "tuple", "__module__": "builtins", "__loader__": "TupleNode"}
    call["content"] = arguments  # type: ignore[assignment]
    forge(lambda booster: booster.update(__loader__="ConstructorFromReduceNode", content=call))
    with pytest.raises(MlopsError, match=rf"needs {library}\.\w+\.Booster\(\); only"):
        skops_model.load(path)
