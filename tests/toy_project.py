"""A working folder with a real, tiny model that is trained and registered in an instant."""

import json
import shutil
from collections.abc import Callable
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops.artifact import model_folder, sample
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Params
from mlops.registry import database, model_version, tracking, versions

NAME = "flight-delays"
ROWS = np.random.default_rng(7).normal(size=(5, 2)).astype(np.float32)
FEATURES = '''"""Two numbers."""


def build_features(columns):
    return {"a": columns["a"], "b": columns["b"]}
'''


class ToyProject:
    """The working folder is a project: train in it, judge, and look into its registry."""

    params = Params.model_validate(
        {
            "name": NAME,
            "task": "binary",
            "seed": 1,
            "data": {
                "target": "late",
                "time": "time_hour",
                "window": {"start": "2013-01", "end": "2013-03"},
                "holdout": {"start": "2013-04", "end": "2013-04"},
            },
            "gate": {
                "metric": "roc_auc",
                "margin": 0.005,
                "calibration": 0.1,
                "latency_ms": 2.0,
                "size_mb": 20.0,
            },
        }
    )

    def train(self, seed: int, **facts: Any) -> str:
        """Write ``models`` and the reports that a training leaves; returns the model's MD5."""
        shutil.rmtree(files.MODEL, ignore_errors=True)
        files.MODEL.mkdir()
        files.COMPARISON.unlink(missing_ok=True)
        onnx, skops_bytes = _fit(seed)
        (files.MODEL / model_folder.SKOPS).write_bytes(skops_bytes)
        (files.MODEL / model_folder.FEATURES).write_text(FEATURES)
        if facts.get("runtime") == "skops":
            model_md5 = files.md5(files.MODEL / model_folder.SKOPS)
        else:
            (files.MODEL / model_folder.ONNX).write_bytes(onnx)
            model_md5 = files.md5(files.MODEL / model_folder.ONNX)
        described = model_folder.Facts.model_validate(
            {
                "task": "binary",
                "target": "late",
                "classes": [0, 1],
                "features": ["a", "b"],
                "inputs": ["a", "b"],
                "window": {"start": "2013-01", "end": "2013-03"},
                "rows": 200,
                "base_rate": [0.5, 0.5],
                "params": {"C": 1.0},
                "schema_columns": {"a": "float64", "b": "float64", "late": "int64"},
                "code": {"features.py": "c0de"},
                "data_md5": f"da7a{seed}",
                "model_md5": model_md5,
                "requirements_md5": "10cc",
            }
            | facts
        )
        (files.MODEL / model_folder.FACTS).write_text(described.model_dump_json())
        if files.HOLDOUT.is_file():
            model, holdout = model_folder.load(files.MODEL), pd.read_parquet(files.HOLDOUT)
            sample.write(files.MODEL / sample.NAME, model, holdout, seed=1)
        files.write_json(files.METRICS, {"rows": 90, "roc_auc": 0.7, "baseline": {"roc_auc": 0.5}})
        files.write_json(
            files.TRAINING,
            {
                "commit": f"{seed:040x}",
                "dirty": False,
                "run_id": "f" * 32,
                "started": "2013-04-01T00:00:00+00:00",
                "seconds": 1.5,
                "peak_memory_mb": 200.0,
                "python": "3.11.2",
                "platform": "Linux",
                "requirements_md5": "10cc",
                "model_md5": model_md5,
            },
        )
        return model_md5

    def judge(self, finding: str, passed: bool, champion: int | None) -> None:
        """Write the comparison of the trained model."""
        scores = {"metrics": {"roc_auc": 0.7}, "calibration": 0.03}
        facts = model_folder.load(files.MODEL).facts
        greater_is_better = {"roc_auc": True, "accuracy": True, "mean_absolute_error": False}
        part = {"column": "b", "value": "high", "rows": 60, "verdict": "unclear"}
        groups = {"rows": [45, 45], "predicted": [0.3, 0.6], "seen": [0.25, 0.65]}
        files.write_json(
            files.COMPARISON,
            {
                "finding": finding,
                "passed": passed,
                "mode": "change",
                "gate": {"slices": {"columns": ["b"], "min_rows": 50, "margin": 0.03}},
                "holdout": {"start": "2013-04", "end": "2013-04", "rows": 90, "seen": 0.45}
                | {"md5": "401d"},
                "candidate": scores
                | {"model_md5": facts.model_md5, "predicted": 0.44}
                | {"cost": {"latency_ms": 0.1, "size_mb": 0.2}, "plots": {"calibration": groups}},
                "champion": None if champion is None else {**scores, "version": champion},
                "differences": [
                    {"metric": name, "greater_is_better": better}
                    for name, better in greater_is_better.items()
                ],
                "slice_metric": "roc_auc",
                "slices": [part | {"candidate": 0.71, "champion": 0.70}],
                "checks": [
                    {"name": "floor: ROC AUC", "value": "0.7", "limit": "≥ 0.6", "passed": passed}
                    | ({} if passed else {"reason": "ROC AUC is 0.7, and its floor 0.8"})
                ],
            },
        )

    def hold_out(self, rows: int = 90) -> pd.DataFrame:
        """Write ``data/holdout.parquet``, and return it."""
        rng = np.random.default_rng(3)
        table = pd.DataFrame(
            {
                "time_hour": pd.date_range("2013-04-01T05:00:00Z", periods=rows, freq="h"),
                "a": rng.normal(size=rows),
                "b": rng.normal(size=rows),
                "late": rng.integers(0, 2, rows),
            }
        )
        files.HOLDOUT.parent.mkdir(exist_ok=True)
        table.to_parquet(files.HOLDOUT, index=False)
        return table

    def register(
        self, seed: int, finding: str = "better", passed: bool = True, champion: int | None = 1
    ) -> int:
        """Train, judge and register; returns the version."""
        self.train(seed)
        self.judge(finding, passed, champion)
        return versions.register(self.params, tracking.connect())

    def aliases(self) -> dict[str, int]:
        model = tracking.connect().get_registered_model(NAME)
        return {alias: int(version) for alias, version in model.aliases.items()}

    def audit(self) -> list[dict[str, Any]]:
        path = files.STORE / "audit.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


def refused(function: Callable[[], Any]) -> str:
    """Return the one line that the user reads."""
    with pytest.raises(MlopsError) as caught:
        function()
    sentence = str(caught.value)
    assert "\n" not in sentence
    return sentence


def champion_predicts(seed: int) -> None:
    """Assert that the champion loads and is the model trained with ``seed``."""
    found = versions.fetch(tracking.connect(), NAME, "champion")
    assert found is not None
    record, _ = found
    assert record.tags["data_md5"] == f"da7a{seed}"
    model = model_version.load(tracking.connect(), record)
    assert model.predict({"a": ROWS[:, 0], "b": ROWS[:, 1]}).shape == (5,)


def truncate() -> bytes:
    """Cut the database in half and return what is left."""
    path = files.STORE / database.NAME
    with path.open("r+b") as file:
        file.truncate(path.stat().st_size // 2)
    return path.read_bytes()


def _fit(seed: int) -> tuple[bytes, bytes]:
    import skops.io
    from skl2onnx import convert_sklearn
    from skl2onnx.common.data_types import FloatTensorType
    from sklearn.linear_model import LogisticRegression

    rng = np.random.default_rng(seed)
    table = rng.normal(size=(200, 2))
    model = LogisticRegression().fit(table, table[:, 0] + rng.normal(size=200) > 0)
    onnx = convert_sklearn(
        model,
        "model",
        [("features", FloatTensorType([None, 2]))],
        options={id(model): {"zipmap": False}},
    )
    return onnx.SerializeToString(), skops.io.dumps(model)
