"""A model made by hand, of two inputs and a matrix."""

import hashlib
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from mlops.artifact import model_folder

FEATURES = '''"""A number, and the length of a text."""

import numpy as np


def build_features(columns):
    lengths = [len(text) if isinstance(text, str) else np.nan for text in columns["a text"]]
    return {"x": columns["x"], "length": np.array(lengths), "seen": columns["seen"] * 1.0}
'''
X: dict[str, Any] = {
    "name": "x",
    "type": "number",
    "dtype": "float64",
    "nullable": False,
    "minimum": -1e300,
    "example": 0.5,
}
TEXT: dict[str, Any] = {
    "name": "a text",  # no name in Python
    "type": "string",
    "dtype": "object",
    "nullable": True,
    "min_length": 2,
    "max_length": 4,
    "pattern": "^(?:[a-z]+$)",
    "example": "ab",
}
SEEN: dict[str, Any] = {
    "name": "seen",
    "type": "boolean",
    "dtype": "bool",
    "nullable": False,
    "example": True,
}


def write_model(folder: Path, task: str, outputs: int, softmax: bool, **facts: Any) -> Path:
    """Write a model folder: features times the numbers 1, 2, 3 ..."""
    folder.mkdir()
    weights = np.arange(1, 3 * outputs + 1, dtype=np.float32).reshape(3, outputs)
    nodes = [helper.make_node("MatMul", ["features", "weights"], ["product"])]
    if softmax:
        nodes.append(helper.make_node("Softmax", ["product"], ["scores"], axis=1))
    graph = helper.make_graph(
        nodes,
        "model",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 3])],
        [helper.make_tensor_value_info(nodes[-1].output[0], TensorProto.FLOAT, [None, outputs])],
        [helper.make_tensor("weights", TensorProto.FLOAT, weights.shape, weights.ravel())],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 21)], ir_version=10)
    content = model.SerializeToString()
    (folder / model_folder.ONNX).write_bytes(content)
    (folder / model_folder.FEATURES).write_text(FEATURES)
    described = {
        "task": task,
        "target": "y",
        "classes": None,
        "features": ["x", "length", "seen"],
        "inputs": ["x", "a text", "seen"],
        "columns": [X, TEXT, SEEN],
        "base_rate": [2.0],
        "window": {"start": "2013-01", "end": "2013-03"},
        "rows": 3,
        "params": {},
        "schema_columns": {},
        "code": {},
        "data_md5": "da7a",
        "model_md5": hashlib.md5(content, usedforsecurity=False).hexdigest(),
        "requirements_md5": "10cc",
    }
    facts_read = model_folder.Facts.model_validate(described | facts)
    (folder / model_folder.FACTS).write_text(facts_read.model_dump_json())
    assert onnx.load(folder / model_folder.ONNX)
    return folder


ROWS = [
    {"x": 0.5, "a text": "ab", "seen": True},
    {"x": -0.2, "a text": "abcd", "seen": False},
]
