"""Which rows judge: by time, or by a hash that keeps each row on its side for ever."""

from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import numpy as np
import pandas as pd
import pytest
from parcels import Parcels, parcels

from mlops.artifact.split import sides
from mlops.pipeline.validate import check_split
from mlops.project.errors import MlopsError
from mlops.project.params import Data, Params

DATA = {"split": "hash", "target": "late", "share": "20%"}
GATE = {
    **{"metric": "roc_auc", "margin": 0.005, "resamples": 200, "calibration": 0.15},
    **{"latency_ms": 50.0, "size_mb": 20.0, "floors": {"roc_auc": 0.6}},
    "slices": {"columns": ["kind"], "min_rows": 100, "margin": 0.03},
}


def table(n: int = 5000) -> pd.DataFrame:
    rng = np.random.default_rng(1)
    return pd.DataFrame(
        {
            "customer": rng.integers(0, n // 4, n),
            "weight": rng.gamma(2, 3, n),
            "kind": rng.choice(["box", None, "Röhre"], n),
            "seen_at": pd.Timestamp("2023-01-01") + pd.to_timedelta(np.arange(n), "min"),
            "late": rng.integers(0, 2, n),
        }
    )


def judging(rows: pd.DataFrame, **settings: Any) -> Any:
    trains, judges = sides(rows, Data(**{**DATA, **settings}))
    assert (trains ^ judges).all()
    return judges


@pytest.mark.parametrize("by", [[], "customer", ["customer", "kind"]])
def test_a_row_keeps_its_side_when_others_are_added_or_move(by: Any) -> None:
    rows = table().dropna()
    side = judging(rows, by=by)
    assert 0.17 < side.mean() < 0.23
    shuffled = rows.sample(frac=1, random_state=3)
    np.testing.assert_array_equal(
        judging(shuffled, by=by), side[rows.index.get_indexer(shuffled.index)]
    )
    np.testing.assert_array_equal(judging(rows.head(900), by=by), side[:900])
    corrected = rows.assign(late=1)
    np.testing.assert_array_equal(judging(corrected, by=by), side)


def test_rows_of_a_group_stay_together() -> None:
    rows = table()
    side = pd.Series(judging(rows, by="customer"))
    assert side.groupby(rows.customer.to_numpy()).nunique().max() == 1


def test_a_side_does_not_depend_on_how_a_number_is_kept() -> None:
    rows = table()
    as_float = rows.assign(customer=rows.customer.astype(float), kind=rows.kind.astype("category"))
    for by in ([], "customer"):
        np.testing.assert_array_equal(judging(as_float, by=by), judging(rows, by=by))


def test_sides_are_those_of_every_version_of_the_libraries() -> None:
    keys = pd.DataFrame({"key": ["a", "b", "c", "Köln", ""], "n": range(5), "late": 0})
    assert judging(keys, by="key", share=0.5).tolist() == [True, True, False, True, True]
    assert judging(keys, by="n", share=0.5).tolist() == [True, False, True, False, True]


def test_a_larger_share_only_adds_rows() -> None:
    small, large = (judging(table(), share=share) for share in (0.1, 0.3))
    assert not (small & ~large).any()


def test_a_gap_in_what_the_split_is_made_by_is_refused() -> None:
    with pytest.raises(MlopsError, match=r"data.by: 'kind' is missing in .* rows"):
        judging(table(), by="kind")
    with pytest.raises(MlopsError, match=r"data.by: got 'client'; the data has no such column"):
        judging(table(), by="client")


def dateless(folder: Path, **data: Any) -> Parcels:
    """Parcels without a date, each with a customer and a number."""
    project = parcels(folder)
    project.change("schema", '        "seen_at": Column("datetime64[us, UTC]"),\n', "")
    project.change("schema", '"kind": Column', '"customer": Column(int),\n        "kind": Column')
    project.also('table["customer"] = rng.integers(0, 900, n)')
    project.also('table = table.drop(columns="seen_at")')
    project.set(data=DATA | data, gate=GATE, drift={"min_rows": 200})
    return project


@pytest.mark.parametrize("by", [[], "customer"])
def test_a_project_without_dates_goes_around_the_loop(by: Any, tmp_path: Path) -> None:
    project = dateless(tmp_path, by=by)
    project.run("dvc", "repro")
    project.do("compare", "report", "register", "promote --override first")
    report = (project / "reports/report.md").read_text(encoding="utf-8")
    set_aside = "the 20% set aside by customer" if by else "the 20% set aside"
    assert set_aside in report
    assert " by week" not in report
    card = project.do("card")
    assert "the 80% that are not set aside" in card
    project.do("store save ../kept")

    # Nothing is new; then rows are, as they were; then they have moved.
    assert "No new data" in project.do("drift")
    new = "pd.concat([table, table.head(800).assign(weight=lambda it: it.weight + {})])"
    for shift, drifted in ((0.001, False), (9, True)):
        project.change(
            "data", "    return table", f"    table = {new.format(shift)}\n    return table"
        )
        project.change("data", "return table", "return table.reset_index(drop=True)")
        project.run("mlops", "ingest", "--fresh")
        project.run("dvc", "repro", "validate")
        project.do("drift")
        found = project.json("drift")
        assert found["current"]["rows"] == 800
        assert (found["questions"]["data"]["state"] == "violated") == drifted
        assert found["champion"]["window"] == "the 80% that are not set aside"
        project.change("data", f"    table = {new.format(shift)}\n", "")
        project.change("data", "return table.reset_index(drop=True)", "return table")

    assert found["challenger"]["state"] == "wanted"
    assert "new rows train and judge as they come" in project.do("move-window")


def test_a_champion_is_never_judged_on_rows_that_trained_it(tmp_path: Path) -> None:
    project = dateless(tmp_path, by="customer")
    project.run("dvc", "repro")
    project.do("compare", "register", "promote --override first")
    project.set(data__share="30%")
    project.run("dvc", "repro")
    said = project.mlops("compare").err
    assert "champion v1 trained on all but 20% of the rows, and data.share" in said
    project.set(data__share="10%")
    project.run("dvc", "repro")
    assert "which neither model has seen" in (project.do("compare", "report") or "") + (
        project / "reports/report.md"
    ).read_text(encoding="utf-8")


def test_times_that_no_calendar_has_are_said() -> None:
    rows = pd.DataFrame({"at": np.array([2**60], "datetime64[us]"), "y": [0]})
    january = {"start": "2023-01", "end": "2023-01"}
    holdout = {"start": "2023-02", "end": "2023-02"}
    data = Data.model_validate({"target": "y", "time": "at", "window": january, "holdout": holdout})
    failures = check_split(rows, cast(Params, SimpleNamespace(data=data)))
    assert "none in 2023-01; the data runs from 38504-08-17 to" in failures[0]["check"]


def test_years_are_windows(tmp_path: Path) -> None:
    project = parcels(tmp_path)
    project.change(
        "data",
        "    table = pd.DataFrame",
        '    times = pd.to_datetime(2000 + np.arange(n) % 13, format="%Y", utc=True)\n'
        "    table = pd.DataFrame",
    )
    project.change("data", "times.as_unit", "times.to_series(index=range(n)).dt.as_unit")
    project.change("data", '.floor("s")', "")
    project.set(
        data__window={"start": 2000, "end": 2009},
        data__holdout={"start": "2010", "end": "2012"},
        gate__blocks="row",
    )
    project.do("ingest", "validate")
    assert project.json("data")["passed"]
    project.set(data__holdout={"start": 2010, "end": 2013})
    assert "none in 2013" in project.mlops("validate").out + project.mlops("validate").err
