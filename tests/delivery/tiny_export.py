"""Exports of a tiny model, written by hand: what `mlops export` leaves, without a training."""

import json
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from mlops.artifact import model_folder
from mlops.project import files

FEATURES = '''"""Two numbers."""


def build_features(columns):
    return {"a": columns["a"], "b": columns["b"]}
'''
COLUMN = {"type": "number", "dtype": "float64", "nullable": False, "minimum": -9.0, "maximum": 9.0}
ROWS = 20


def write_export(folder: Path, version: int, shift: float = 0.0) -> Path:
    """Write the export of a version whose scores are those of any other, or shifted."""
    model = folder / "model"
    model.mkdir(parents=True)
    graph = logistic_graph(bias=shift + version / 1000)  # each version has a file of its own
    (model / model_folder.ONNX).write_bytes(graph.SerializeToString())
    (model / model_folder.FEATURES).write_text(FEATURES)
    facts = {
        "task": "binary",
        "target": "late",
        "classes": [0, 1],
        "features": ["a", "b"],
        "inputs": ["a", "b"],
        "columns": [COLUMN | {"name": name, "example": 0.5} for name in ("a", "b")],
        "base_rate": [0.5, 0.5],
        "window": {"start": "2013-01", "end": "2013-03"},
        "rows": 200,
        "params": {},
        "schema_columns": {"a": "float64", "b": "float64", "late": "int64"},
        "code": {},
        "data_md5": "da7a",
        "model_md5": files.md5(model / model_folder.ONNX),
        "requirements_md5": "10cc",
    }
    (model / model_folder.FACTS).write_text(json.dumps(facts))
    lineage = {"name": "flight-delays", "version": version, "aliases": [], "commit": "c0ffee"}
    lineage |= {"window": "2013-01 to 2013-03", "metrics": {"roc_auc": 0.7}, "finding": "better"}
    (model / "version.json").write_text(json.dumps(lineage))
    table = np.random.default_rng(1).normal(size=(ROWS, 2)).round(3)
    columns = {"a": table[:, 0], "b": table[:, 1]}
    scores = model_folder.load(model).predict(columns)
    rows = [{"a": float(a), "b": float(b)} for a, b in table]
    sample = {"columns": ["a", "b"], "rows": rows, "scores": scores.tolist()}
    (folder / "sample.json").write_text(json.dumps(sample))
    return folder


def logistic_graph(bias: float) -> onnx.ModelProto:
    """Return the graph that skl2onnx makes of a logistic regression, in the names that matter."""
    weights = np.array([[1.0], [-0.5]], np.float32)
    nodes = [
        helper.make_node("MatMul", ["features", "weights"], ["product"]),
        helper.make_node("Add", ["product", "bias"], ["logit"]),
        helper.make_node("Sigmoid", ["logit"], ["second"]),
        helper.make_node("Sub", ["one", "second"], ["first"]),
        helper.make_node("Concat", ["first", "second"], ["probabilities"], axis=1),
        helper.make_node("ArgMax", ["probabilities"], ["label"], axis=1, keepdims=0),
    ]
    constants = {"weights": weights, "bias": np.float32([[bias]]), "one": np.float32([[1.0]])}
    graph = helper.make_graph(
        nodes,
        "tiny",
        [helper.make_tensor_value_info("features", TensorProto.FLOAT, [None, 2])],
        [
            helper.make_tensor_value_info("label", TensorProto.INT64, [None]),
            helper.make_tensor_value_info("probabilities", TensorProto.FLOAT, [None, 2]),
        ],
        [numpy_helper.from_array(value, name) for name, value in constants.items()],
    )
    opset = helper.make_opsetid("", 17)
    model = helper.make_model(graph, opset_imports=[opset], producer_name="tests", ir_version=8)
    onnx.checker.check_model(model)
    return model
