"""A small project with a real model in a real registry, copied for each test that changes it."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlops import artifact, files, promotion, registry, tracking
from mlops.params import Params

NAME = "flight-delays"
FEATURES = '''"""Two numbers."""


def build_features(columns):
    return {"a": columns["a"], "b": columns["b"]}
'''


class Project:
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
        (files.MODEL / artifact.ONNX).write_bytes(onnx)
        (files.MODEL / artifact.SKOPS).write_bytes(skops_bytes)
        (files.MODEL / artifact.FEATURES).write_text(FEATURES)
        model_md5 = files.md5(files.MODEL / artifact.ONNX)
        described = artifact.Facts.model_validate(
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
        (files.MODEL / artifact.FACTS).write_text(described.model_dump_json())
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
        files.write_json(
            files.COMPARISON,
            {
                "finding": finding,
                "passed": passed,
                "candidate": {"model_md5": files.md5(files.MODEL / artifact.ONNX)},
                "champion": None if champion is None else {"version": champion},
            },
        )

    def register(
        self, seed: int, finding: str = "better", passed: bool = True, champion: int | None = 1
    ) -> int:
        """Train, judge and register; returns the version."""
        self.train(seed)
        self.judge(finding, passed, champion)
        return registry.register(self.params, tracking.connect())

    def aliases(self) -> dict[str, int]:
        model = tracking.connect().get_registered_model(NAME)
        return {alias: int(version) for alias, version in model.aliases.items()}

    def audit(self) -> list[dict[str, Any]]:
        path = files.STORE / "audit.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


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


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with champion 1 and challenger 2, which was judged better than 1.

    ``empty.db`` beside ``.store`` is a registry without models, to spare a test the migrations.
    """
    folder = tmp_path_factory.mktemp("template")
    project = Project()
    with pytest.MonkeyPatch.context() as patch:
        _enter(folder, patch)
        client = tracking.connect()
        shutil.copyfile(".store/mlflow.db", "empty.db")
        project.register(1, "first", champion=None)
        promotion.promote(client, project.params)
        project.register(2)
    return folder


@pytest.fixture
def project(template: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Project:
    """A copy of the template that the test may change; it is the working folder."""
    shutil.copytree(template, tmp_path / "project")
    _enter(tmp_path / "project", monkeypatch)
    return Project()


@pytest.fixture
def killed_at() -> Callable[[Callable[[], Any], Callable[[Any], None]], None]:
    """Run a function in a process of its own that ends in the middle, without any clean-up."""

    def run(function: Callable[[], Any], arm: Callable[[Any], None]) -> None:
        child = os.fork()
        if child == 0:
            arm(lambda *_, **__: os._exit(9))
            function()
            os._exit(0)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 9, "was not killed"

    return run


def _enter(folder: Path, patch: pytest.MonkeyPatch) -> None:
    patch.chdir(folder)
    patch.delenv("MLFLOW_TRACKING_URI", raising=False)
    patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
    patch.setenv("GITHUB_ACTOR", "amelia")
