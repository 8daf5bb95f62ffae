"""``tests/loop``, which every project keeps, holds for other problems, and bites."""

from pathlib import Path

from projects import Project, copy_from_root, make_project

DATA = '''"""Parcels, made up."""

import numpy as np
import pandas as pd


def load_data() -> pd.DataFrame:
    rng, n = np.random.default_rng(7), 6000
    table = pd.DataFrame(
        {{
            "seen_at": pd.date_range("2023-01-01", "2023-04-30", periods=n, tz="America/New_York"),
            "weight": rng.gamma(2, 3, n),
            "kind": rng.choice(["box", "bag", None], n),
        }}
    )
    days = table["weight"] + 3 * (table["kind"] == "box") + rng.normal(0, 2, n)
    table["arrives"] = {target}
    return table
'''
FEATURES = '''"""Weight and kind."""

import numpy as np


def build_features(columns):
    return {"weight": columns["weight"], "box": (columns["kind"] == "box").astype(np.float64)}
'''
ESTIMATOR = '''"""Nothing to choose."""

from sklearn.{module} import {kind} as Kind


def build_estimator(*, seed: int) -> Kind:
    return Kind()
'''
SCHEMA = '''"""Types, and in one column a bound."""

from pandera.pandas import Check, Column, DataFrameSchema

SCHEMA = DataFrameSchema(
    {
        "seen_at": Column(nullable=True),
        "weight": Column(float, Check.ge(0)),
        "kind": Column(str, nullable=True),
        "arrives": Column(nullable=True),
    }
)
'''
REFUSES_NOTHING = """from pandera.pandas import DataFrameSchema

SCHEMA = DataFrameSchema({})
"""
# Of the third class there are four rows in the months that train, and one in the month that judges.
THREE = "np.where(np.arange(n) % 1200 == 600, 'lost', np.where(days > 9, 'late', 'on time'))"
TWO = "np.where(days > 9, 'late', 'on time')"
MONTHS = ({"start": "2023-01", "end": "2023-03"}, {"start": "2023-04", "end": "2023-04"})
# Fewer rows than a sample may have.
DAYS = (
    {"start": "2023-02-01", "end": "2023-02-10"},
    {"start": "2023-02-12", "end": "2023-02-16"},
)


def parcels(
    folder: Path,
    task: str,
    metric: str,
    target: str = TWO,
    estimator: tuple[str, str] = ("linear_model", "LogisticRegression"),
    windows: tuple[dict[str, str], dict[str, str]] = MONTHS,
) -> Project:
    project = make_project(folder / "project")
    copy_from_root("tests/loop", project.folder)
    model = project / "src/model"
    (model / "data.py").write_text(DATA.format(target=target))
    (model / "features.py").write_text(FEATURES)
    (model / "estimator.py").write_text(ESTIMATOR.format(module=estimator[0], kind=estimator[1]))
    (model / "schema.py").write_text(SCHEMA)
    project.set(
        task=task,
        estimator={},
        data={
            **({"positive": "late"} if task == "binary" else {}),
            **{"target": "arrives", "time": "seen_at"},
            **{"window": windows[0], "holdout": windows[1]},
        },
        # What nobody could reach: the loop is tested, not the model.
        gate__metric=metric,
        gate__floors={metric: -9 if task == "regression" else 2},
        gate__latency_ms=1e-9,
        gate__slices={"columns": ["kind"]},
        drift={},
    )
    return project


def around(project: Project, station: str = "") -> str:
    """Run its ``tests/loop``; nothing but the test may be there, and nothing may be left behind."""
    before = project.run("git", "status", "--porcelain").stdout
    test = ("python", "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/loop")
    said = project.run(*test, fails=bool(station)).stdout
    assert project.run("git", "status", "--porcelain").stdout == before
    assert not (project / ".store").exists()
    if station:
        assert f"station '{station}' broke:" in said
        assert "\nWhat to do: " in said
        assert "Traceback" not in said.split("What to do")[1]
    return said


def test_three_classes_in_words_one_of_them_rare(tmp_path: Path) -> None:
    around(parcels(tmp_path, "multiclass", "f1_macro", THREE))


def test_a_number_served_by_skops(tmp_path: Path) -> None:
    neighbors = ("neighbors", "KNeighborsRegressor")
    project = parcels(tmp_path, "regression", "r2", "days", neighbors)
    project.set(serving__runtime="skops")
    around(project)


def test_few_rows_of_days_from_the_pipeline(tmp_path: Path) -> None:
    project = parcels(tmp_path, "binary", "roc_auc", windows=DAYS)
    project.run("mlops", "ingest")
    # What `dvc pull` or `dvc repro` has brought is what is taken.
    project.replace("src/model/data.py", "rng, n =", "raise RuntimeError\n    rng, n =")
    around(project)


def test_neither_data_nor_its_source_is_there(tmp_path: Path) -> None:
    project = parcels(tmp_path, "binary", "roc_auc")
    project.replace("src/model/data.py", "rng, n =", 'open("data/parcels.csv")\n    rng, n =')
    said = around(project, "sample")
    assert "FileNotFoundError: [Errno 2] No such file or directory: 'data/parcels.csv'" in said
    assert "dvc pull" in said


def test_a_schema_that_refuses_nothing(tmp_path: Path) -> None:
    project = parcels(tmp_path, "binary", "roc_auc")
    (project / "src/model/schema.py").write_text(REFUSES_NOTHING)
    assert "SCHEMA refuses nothing" in around(project, "bad row")


def test_a_service_that_answers_otherwise(tmp_path: Path) -> None:
    project = parcels(tmp_path, "binary", "roc_auc")
    # One row gets another kind than it gets among many.
    project.replace(
        "src/model/features.py",
        '(columns["kind"] == "box")',
        '((columns["kind"] == "box") & (len(columns["kind"]) > 1))',
    )
    said = around(project, "smoke")
    assert "predictions differ by more than" in said
    assert "one row what it gives among many" in said
