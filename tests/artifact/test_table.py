"""Features see raw columns that will be there when a prediction is asked for, and nothing else."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops.artifact.feature_code import Inputs, load_features
from mlops.artifact.table import read, to_columns
from mlops.project.errors import MlopsError

COLUMNS = {"hour": np.array([1, 2]), "carrier": np.array(["UA", None]), "late": np.array([0, 1])}


def test_inputs_remember_what_was_read_in_the_order_of_the_table() -> None:
    inputs = Inputs(COLUMNS, "late")
    assert inputs["carrier"][0] == "UA"
    assert inputs["hour"][1] == 2
    assert inputs.read == ["hour", "carrier"]


def test_the_target_cannot_be_a_feature() -> None:
    with pytest.raises(MlopsError, match=r"features\.py reads 'late', the target"):
        Inputs(COLUMNS, "late")["late"]
    assert "late" not in dict(Inputs(COLUMNS, "late"))


def test_a_column_that_is_not_there_is_named_with_those_that_are() -> None:
    with pytest.raises(MlopsError, match=r"reads column 'wind', .* it has hour, carrier$"):
        Inputs(COLUMNS, "late")["wind"]


@pytest.mark.parametrize(
    "line", ["import pandas", "from mlops.artifact.table import read", "from . import x"]
)
def test_feature_code_stands_on_its_own(tmp_path: Path, line: str) -> None:
    path = tmp_path / "features.py"
    path.write_text(f"import math\n{line}\n\n\ndef build_features(columns):\n    return columns\n")
    with pytest.raises(MlopsError, match=r"features\.py:2 imports .* may import only numpy"):
        load_features(path)


def test_feature_code_leaves_nothing_beside_itself(tmp_path: Path) -> None:
    path = tmp_path / "features.py"
    path.write_text("import numpy\n\n\ndef build_features(columns):\n    return columns\n")
    assert load_features(path)(COLUMNS) is COLUMNS
    assert list(tmp_path.iterdir()) == [path]


def test_times_reach_features_in_utc() -> None:
    times = pd.to_datetime(["2013-01-01T05:00:00"]).tz_localize("America/New_York")
    (time,) = to_columns(pd.DataFrame({"time": times}))["time"]
    assert time == np.datetime64("2013-01-01T10:00:00")


def test_a_half_written_table_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "table.parquet"
    pd.DataFrame(COLUMNS).to_parquet(path)
    path.write_bytes(path.read_bytes()[:-20])
    with pytest.raises(
        MlopsError, match=r"table\.parquet is damaged \(.*; run `mlops store mend`, then `dvc"
    ):
        read(path)
