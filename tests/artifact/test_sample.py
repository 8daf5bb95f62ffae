"""The sample of a holdout that goes with an export."""

from typing import Any

import numpy as np
import pytest
from toy_project import ToyProject

from mlops.artifact import model_folder, sample
from mlops.project import files


def test_values_are_written_as_a_client_sends_them() -> None:
    times = np.array(["2013-04-01T05:00:00", "2013-04-01T05:00:00.25", None], "datetime64[ns]")
    assert sample.to_json(times) == ["2013-04-01T05:00:00Z", "2013-04-01T05:00:00.250000Z", None]
    assert sample.to_json(np.array([1.5, np.nan])) == [1.5, None]
    assert sample.to_json(np.array(["JFK", None, "ÅÄÖ"], object)) == ["JFK", None, "ÅÄÖ"]
    assert sample.to_json(np.array([True, False])) == [True, False]
    assert sample.to_json(np.array([1, 2], np.int16)) == [1, 2]


@pytest.mark.parametrize(
    ("kind", "values", "sent"),
    [
        ("boolean", np.array([1.0, 0.0, np.nan]), [True, False, None]),
        ("integer", np.array([3.0, np.nan]), [3, None]),
        ("number", np.array([3.0, np.nan]), [3.0, None]),
        ("datetime", np.array(["2013-04-01T05:00"], "datetime64[us]"), ["2013-04-01T05:00:00"]),
    ],
)
def test_values_are_written_as_their_column_takes_them(kind: Any, values: Any, sent: Any) -> None:
    column = model_folder.Column(
        name="it", type=kind, dtype=str(values.dtype), nullable=True, zoned=False
    )
    written = sample.to_json(values, column)
    assert [(type(it), it) for it in written] == [(type(it), it) for it in sent]


def test_a_sample_of_a_few_rows_has_them_all(project: ToyProject) -> None:
    table = project.hold_out(rows=3)
    made = sample.build(model_folder.load(files.MODEL), table, seed=1)
    assert [row["a"] for row in made["rows"]] == table["a"].tolist()
