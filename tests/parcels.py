"""A small project about parcels, made up: for odd tables, columns and code."""

from pathlib import Path
from typing import Any

from projects import make_project
from workbench import Workbench

CODE = {
    "data": '''"""Parcels, made up."""

from decimal import Decimal

import numpy as np
import pandas as pd


def load_data() -> pd.DataFrame:
    rng = np.random.default_rng(7)
    n = 6000
    times = pd.date_range("2023-01-01", "2023-06-30 23:00", periods=n, tz="UTC")
    table = pd.DataFrame(
        {
            "seen_at": times.as_unit("us").floor("s"),
            "weight": rng.gamma(2, 3, n).round(2),
            "stops": rng.integers(1, 9, n),
            "kind": rng.choice(["box", "bag", "tube"], n),
        }
    )
    p = 0.25 * table.weight + 0.4 * table.stops - 3.5 + (table.kind == "tube")
    table["late"] = (rng.random(n) < 1 / (1 + np.exp(-p))).astype("int64")
    return table
''',
    "schema": '''"""What is known of them."""

import pandas as pd
from pandera.pandas import Check, Column, DataFrameModel, DataFrameSchema, Field, Parser

SCHEMA = DataFrameSchema(
    {
        "seen_at": Column("datetime64[us, UTC]"),
        "weight": Column(float, Check.in_range(0, 100)),
        "stops": Column(int, Check.in_range(1, 20)),
        "kind": Column(str, Check.isin(["box", "bag", "tube"])),
        "late": Column(int, Check.isin([0, 1])),
    },
    strict=True,
)
''',
    "features": '''"""Numbers as they are, kinds by number."""

import numpy as np

KINDS = {"box": 0, "bag": 1, "tube": 2}


def build_features(columns):
    return {
        "weight": columns["weight"],
        "stops": columns["stops"],
        "kind": np.array([KINDS.get(value, -1) for value in columns["kind"].tolist()]),
    }
''',
    "estimator": '''"""A line."""

from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def build_estimator(*, seed: int, c: float = 1.0):
    return make_pipeline(StandardScaler(), LogisticRegression(C=c, random_state=seed))
''',
}
PARAMS: dict[str, Any] = {
    "name": "parcels",
    "data": {
        **{"target": "late", "time": "seen_at"},
        "window": {"start": "2023-01", "end": "2023-03"},
        "holdout": {"start": "2023-04", "end": "2023-04"},
    },
    "estimator": {"c": 1.0},
    "gate": {
        **{"metric": "roc_auc", "margin": 0.005, "resamples": 200, "calibration": 0.15},
        **{"latency_ms": 50.0, "size_mb": 20.0, "floors": {"roc_auc": 0.6}},
        "slices": {"columns": ["kind"], "min_rows": 100, "margin": 0.03},
    },
    "drift": {"replay": True, "min_rows": 200},
}


class Parcels(Workbench):
    """Changes of its code are said as a person would make them: this text becomes that one."""

    def change(self, module: str, old: str, new: str) -> None:
        self.replace(f"src/model/{module}.py", old, new)

    def also(self, line: str) -> None:
        """Let ``load_data`` do one thing more to ``table`` (of ``n`` rows; ``rng`` is there)."""
        self.change("data", "    return table", f"    {line}\n    return table")


def parcels(folder: Path) -> Parcels:
    project = make_project(folder / "parcels", Parcels)
    for name, code in CODE.items():
        (project / f"src/model/{name}.py").write_text(code, encoding="utf-8")
    project.set(**PARAMS)
    return project
