"""Kinds of columns that databases hand over, from the raw table to the answer over HTTP."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from handmade_model import write_model
from pandera.pandas import Column, DataFrameSchema
from running_service import RunningService

from mlops.artifact import model_folder, sample
from mlops.artifact.request_columns import describe

FEATURES = """import numpy as np


def build_features(columns):
    hour = (columns["at"] - columns["at"].astype("datetime64[D]")) / np.timedelta64(1, "h")
    return {
        "insured": np.nan_to_num(columns["insured"], nan=0.5),
        "floors": np.nan_to_num(columns["floors"], nan=-1),
        "hour": hour,
    }
"""
RAW = pd.DataFrame(
    {
        "insured": pd.array([True, False, None], "boolean"),
        "floors": pd.array([3, None, 5], "Int64"),
        "at": pd.to_datetime(["2013-04-01 12:00", "2013-04-01 13:30", "2013-04-02 00:00"]),
        "y": [1.0, 2.0, 3.0],
    }
)
SCHEMA = DataFrameSchema(
    {
        "insured": Column(pd.BooleanDtype(), nullable=True),
        "floors": Column(pd.Int64Dtype(), nullable=True),
        "at": Column("datetime64[us]"),
    }
)


@pytest.fixture(scope="module")
def model(tmp_path_factory: pytest.TempPathFactory) -> Path:
    columns = describe(RAW, SCHEMA.columns, "y")
    folder = write_model(
        tmp_path_factory.mktemp("kinds") / "model",
        "regression",
        outputs=1,
        softmax=False,
        features=["insured", "floors", "hour"],
        inputs=[column.name for column in columns],
        columns=[column.model_dump() for column in columns],
    )
    (folder / model_folder.FEATURES).write_text(FEATURES)
    return folder


@pytest.fixture
def running(service: Any, model: Path) -> RunningService:
    return service(model)  # type: ignore[no-any-return]


def test_a_sample_of_the_raw_table_is_answered_as_in_training(
    running: RunningService, model: Path
) -> None:
    asked = sample.build(model_folder.load(model), RAW, seed=1)
    assert asked["rows"] == [
        {"insured": True, "floors": 3, "at": "2013-04-01T12:00:00"},
        {"insured": False, "floors": None, "at": "2013-04-01T13:30:00"},
        {"insured": None, "floors": 5, "at": "2013-04-02T00:00:00"},
    ]
    answered = [it["score"] for it in running.predict(asked["rows"]).json()["predictions"]]
    assert answered == pytest.approx(asked["scores"], abs=1e-6)
    weights = np.array([1, 2, 3])
    assert answered == pytest.approx([[1, 3, 12] @ weights, [0, -1, 13.5] @ weights, 10.5])
    assert running.predict({**asked["rows"][0], "floors": 3.0}).status == 200
    assert running.predict(running.example()).status == 200


@pytest.mark.parametrize(
    ("column", "value", "allowed"),
    [
        ("insured", 1.0, "true or false or null"),
        ("floors", 3.5, "an integer or null"),
        ("at", "2013-04-01T12:00:00Z", "a time in ISO 8601 without a zone, as training had none"),
        ("at", "2013-04-01T12:00:00+02:00", "a time in ISO 8601 without a zone, as training"),
    ],
)
def test_what_is_no_value_of_the_kind_is_refused(
    running: RunningService, column: str, value: Any, allowed: str
) -> None:
    refused = running.predict({**running.example(), column: value})
    assert refused.status == 422
    assert refused.error["message"].startswith(f"row 0, column {column}: Expected")
    assert f"; allowed: {allowed}" in refused.error["message"]
    if column == "at":  # of the model's own data
        assert f", such as {running.example()['at']}" in refused.error["message"]
