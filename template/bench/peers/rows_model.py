"""The work that every server is asked for: raw rows, the project's features, the same ONNX."""

import json
import os
import runpy
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime


class RowsModel:
    """A model folder of the project, by the shortest way."""

    def __init__(self, folder: str = os.environ.get("MODEL_DIR", "")) -> None:
        facts = json.loads(Path(folder, "model.json").read_text())
        self.inputs, self.time = facts["inputs"], facts["params"]["data"]["time"]
        self.build_features = runpy.run_path(str(Path(folder, "features.py")))["build_features"]
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = 1
        self.session = onnxruntime.InferenceSession(str(Path(folder, "model.onnx")), options)

    def predict_rows(self, rows: list[dict[str, Any]]) -> list[float]:
        """Predict from rows as JSON has them."""
        columns = {name: np.array([row[name] for row in rows]) for name in self.inputs}
        columns[self.time] = np.array([time[:-1] for time in columns[self.time]], "datetime64[ms]")
        return self.predict(columns)

    def predict(self, columns: Mapping[str, Any]) -> list[float]:
        """Predict from columns."""
        features = self.build_features(columns).values()
        matrix = np.column_stack([np.asarray(column, np.float32) for column in features])
        scores: list[float] = self.session.run(None, {"features": matrix})[-1][:, 1].tolist()
        return scores
