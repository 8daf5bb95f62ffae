"""Drift is found in what `mlops predict` has logged, where no service runs."""

from datetime import datetime
from pathlib import Path

import pandas as pd
import pytest
from watched_project import Flights, Watched, month

from mlops.serving import log_file


def test_the_check_reads_a_batch_and_its_labels(
    watched: Watched, flights: Flights, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    table, log = flights.windows(), tmp_path / "log"
    watched.load(table[table["time_hour"] < "2013-05-01"])
    may = month(table, "2013-05")
    may.drop(columns="late").assign(distance=(may["distance"] * 2).clip(upper=6000)).to_parquet(
        watched / "may.parquet"
    )
    monkeypatch.setenv("PREDICTION_LOG_URI", str(log))
    said = watched.do("predict may.parquet scores.parquet --keep flight")
    assert f"{len(may):,} rows, predicted by flight-delays version 1 in " in said
    scores = pd.read_parquet(watched / "scores.parquet")
    labels = pd.DataFrame({"id": scores["prediction_id"], "label": may["late"].to_numpy()})
    labels.to_csv(watched / "labels.csv", index=False)
    assert "that the log does not know" not in watched.do("label labels.csv")
    (path,) = log.glob(log_file.PATTERN)
    name = log_file.NAME.fullmatch(path.name)
    assert name
    began = datetime.strptime(name[1], log_file.READ_TIME)
    # As if the month in which the batch ran were over.
    drift = watched.check("--as-of", f"{pd.Timestamp(began) + pd.offsets.MonthEnd(0):%Y-%m-%d}")
    asked = drift["questions"]
    assert drift["current"]["rows"] == len(may)
    assert asked["data"]["state"] == "violated"
    assert "distance" in drift["reasons"][0]
    assert asked["concept"]["state"] != "skipped", asked["concept"]
