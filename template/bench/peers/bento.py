"""The model in BentoML."""

from typing import Any

import bentoml
from rows_model import RowsModel


@bentoml.service(workers=1)
class Model:
    def __init__(self) -> None:
        self.model = RowsModel()

    @bentoml.api(route="/predict")
    def predict(self, rows: list[dict[str, Any]]) -> list[float]:
        return self.model.predict_rows(rows)
