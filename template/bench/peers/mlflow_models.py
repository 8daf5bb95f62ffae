"""The model in MLflow, twice: ``python mlflow_models.py MODEL_FOLDER ROWS FEATURES ONNX STOCK``.

``ONNX`` becomes a pyfunc model around the ONNX that takes raw rows, ``STOCK`` the scikit-learn
model as it is usually logged, which takes features. Both have a signature, as MLflow recommends.
"""

import sys
from pathlib import Path
from typing import Any

import mlflow.pyfunc
import mlflow.sklearn
import pandas as pd
import skops.io
from mlflow.models import infer_signature
from rows_model import RowsModel


class Rows(mlflow.pyfunc.PythonModel):
    def load_context(self, context: Any) -> None:
        self.model = RowsModel(context.artifacts["model"])

    def predict(self, context: Any, model_input: Any, params: Any = None) -> Any:
        return self.model.predict({name: model_input[name].to_numpy() for name in model_input})


if __name__ == "__main__":
    model, rows, features, onnx, stock = sys.argv[1:]
    mlflow.pyfunc.save_model(
        onnx,
        python_model=Rows(),
        artifacts={"model": model},
        code_paths=[str(Path(__file__).parent / "rows_model.py")],
        signature=infer_signature(pd.read_parquet(rows), [0.5]),
        pip_requirements=[],
    )
    skops_file = Path(model, "model.skops")
    trusted = skops.io.get_untrusted_types(file=skops_file)
    mlflow.sklearn.save_model(
        skops.io.load(skops_file, trusted=trusted),
        stock,
        serialization_format="skops",
        skops_trusted_types=trusted,
        signature=infer_signature(pd.read_parquet(features), [1]),
        pip_requirements=[],
    )
