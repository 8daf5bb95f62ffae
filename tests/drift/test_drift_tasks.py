"""The questions for several classes and for numbers, and on windows too large to score whole."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import LinearRegression, LogisticRegression
from watched_project import violated

from mlops.artifact import model_folder, skops_model
from mlops.drift import check
from mlops.judgement.compare import Champion
from mlops.project import files
from mlops.project.params import Params

FEATURES = """
def build_features(columns):
    return {"wind": columns["wind"], "rain": columns["rain"]}
"""
BEGINNINGS = {"window": "2013-01-01", "holdout": "2013-02-01", "newest": "2013-03-01"}


def rows(rng: np.random.Generator, begin: str, task: str, more: float, n: int) -> pd.DataFrame:
    """Return hours of wind and rain, and what follows from them and ``more``."""
    table = pd.DataFrame(
        {
            "time": pd.date_range(begin, periods=n, freq="10min"),
            "wind": rng.normal(10, 3, n),
            "rain": rng.normal(0, 1, n),
        }
    )
    delay = table["wind"] + 3 * table["rain"] + more + rng.normal(0, 2, n)
    names = ["early", "on time", "late"]
    bins = [-np.inf, 8, 12, np.inf]
    words = pd.cut(delay, bins, labels=names).astype("str")
    return table.assign(outcome=words if task == "multiclass" else delay)


def champion(task: str, table: pd.DataFrame, folder: Path) -> Champion:
    """Fit a champion on January, in the form in which the registry would give it back."""
    january = table[table["time"] < "2013-02-01"]
    matrix = january[["wind", "rain"]].to_numpy(np.float32)
    kind: Any = LogisticRegression if task == "multiclass" else LinearRegression
    model = kind().fit(matrix, january["outcome"])
    folder.mkdir()
    (folder / model_folder.SKOPS).write_bytes(skops_model.dump(model))
    (folder / model_folder.FEATURES).write_text(FEATURES)
    described = {
        "task": task,
        "runtime": "skops",
        "target": "outcome",
        "classes": model.classes_.tolist() if task == "multiclass" else None,
        "features": ["wind", "rain"],
        "inputs": ["wind", "rain"],
        "window": {"start": "2013-01", "end": "2013-01"},
        "rows": len(january),
        "base_rate": [1.0],
        "params": {
            "data": {
                **{"target": "outcome", "time": "time"},
                "window": {"start": "2013-01", "end": "2013-01"},
                "holdout": {"start": "2013-02", "end": "2013-02"},
            }
        },
        "schema_columns": {},
        "code": {},
        "data_md5": "",
        "model_md5": "",
        "requirements_md5": "",
    }
    (folder / model_folder.FACTS).write_text(
        model_folder.Facts.model_validate(described).model_dump_json()
    )
    return Champion(7, model_folder.load(folder))


def watch(
    task: str, metric: str, more: float, folder: Path, patch: pytest.MonkeyPatch, n: int = 2000
) -> dict[str, Any]:
    """Check a March in which everything is as before but for what comes of it."""
    patch.chdir(folder)
    rng = np.random.default_rng(5)
    table = pd.concat(
        rows(rng, begin, task, more if name == "newest" else 0.0, n)
        for name, begin in BEGINNINGS.items()
    )
    files.CHECKED.parent.mkdir()
    table.to_parquet(files.CHECKED, index=False)
    mine = champion(task, table, folder / "champion")
    patch.setattr(check, "load_champion", lambda params: mine)
    params = Params.model_validate(
        {
            "name": "delays",
            "task": task,
            "seed": 1,
            "data": {
                "target": "outcome",
                "time": "time",
                "window": {"start": "2013-01", "end": "2013-01"},
                "holdout": {"start": "2013-02", "end": "2013-02"},
            },
            "gate": {"metric": metric, "margin": 0.01, "resamples": 100}
            | {"calibration": 1.0, "latency_ms": 1.0, "size_mb": 1.0},
            "drift": {"replay": True, "concept": 0.2, "columns": {"numeric": 0.15}},
        }
    )
    return check.check(params, None, folder / "page.html")


def test_each_class_has_its_score(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    drift = watch("multiclass", "log_loss", 3.0, tmp_path, monkeypatch)
    scores = drift["questions"]["predictions"]["columns"]
    names = ["score of early", "score of late", "score of on time"]
    assert [column["name"] for column in scores] == names
    assert drift["questions"]["predictions"]["value"] == max(it["score"] for it in scores)
    concept = drift["questions"]["concept"]
    assert violated(drift) == ["concept"]
    assert concept["greater_is_better"] is False
    assert concept["value"] == concept["newest"] - concept["holdout"] > 0.2
    assert concept["low"] > 0.2
    assert concept["sentence"].startswith("log loss rose from 0.")


@pytest.mark.parametrize(("more", "found"), [(0.0, []), (2.0, ["concept"])])
def test_a_number_is_its_own_score(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, more: float, found: list[str]
) -> None:
    drift = watch("regression", "mean_absolute_error", more, tmp_path, monkeypatch)
    assert violated(drift) == found
    (column,) = drift["questions"]["predictions"]["columns"]
    assert column["kind"] == "score"
    assert column["current"]["mean"] == pytest.approx(10, abs=0.5)
    assert drift["questions"]["predictions"]["sentence"].startswith("the predictions moved by 0.0")


def test_large_windows_are_scored_by_a_sample(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(check, "SCORED", 700)
    concept = watch("regression", "mean_absolute_error", 0.0, tmp_path, monkeypatch)["questions"][
        "concept"
    ]
    assert (concept["rows"], concept["holdout_rows"], concept["sampled"]) == (700, 700, True)
    # The interval is that of 700 rows: the error of a row has a standard deviation of about 1.2.
    assert concept["high"] - concept["low"] == pytest.approx(4 * 1.2 * (2 / 700) ** 0.5, rel=0.3)
