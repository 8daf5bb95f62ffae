"""The model in LitServe: ``python lit.py PORT``."""

import sys
from typing import Any

import litserve
from rows_model import RowsModel


class Model(litserve.LitAPI):
    def setup(self, device: str) -> None:
        self.model = RowsModel()

    def decode_request(self, request: dict[str, Any], **_: Any) -> Any:
        return request["rows"]

    def predict(self, rows: Any, **_: Any) -> Any:
        return self.model.predict_rows(rows)

    def encode_response(self, output: Any, **_: Any) -> dict[str, list[float]]:
        return {"scores": output}


if __name__ == "__main__":
    server = litserve.LitServer(Model(), accelerator="cpu", workers_per_device=1)
    server.run(host="127.0.0.1", port=int(sys.argv[1]), num_api_servers=1, log_level="warning")
