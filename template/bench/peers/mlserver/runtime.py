"""The model in MLServer, by a handler of its own: ``mlserver start FOLDER``."""

from typing import Any

from mlserver import MLModel
from mlserver.handlers import custom_handler
from rows_model import RowsModel


class Model(MLModel):
    async def load(self) -> bool:
        self.model = RowsModel()
        return True

    @custom_handler(rest_path="/predict")
    async def predict_rows(self, rows: list[dict[str, Any]]) -> list[float]:
        return self.model.predict_rows(rows)
