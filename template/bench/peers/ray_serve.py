"""The model in Ray Serve: ``python ray_serve.py PORT``."""

import logging
import sys
import time
from pathlib import Path
from typing import Any

import ray
from ray import serve
from rows_model import RowsModel
from starlette.requests import Request


@serve.deployment(max_ongoing_requests=100, ray_actor_options={"num_cpus": 0})
class Model:
    def __init__(self) -> None:
        self.model = RowsModel()

    async def __call__(self, request: Request) -> dict[str, Any]:
        return {"scores": self.model.predict_rows((await request.json())["rows"])}


if __name__ == "__main__":
    ray.init(
        num_cpus=1,
        include_dashboard=False,
        log_to_driver=False,
        _temp_dir=str(Path.cwd() / "ray"),
    )
    serve.start(
        http_options={"host": "127.0.0.1", "port": int(sys.argv[1])},
        logging_config={"enable_access_log": False, "log_level": logging.WARNING},
    )
    serve.run(Model.bind(), route_prefix="/predict")
    while True:
        time.sleep(1)
