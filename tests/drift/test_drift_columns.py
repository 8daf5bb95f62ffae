"""The verdict on each column is Evidently's on all rows, whatever the size and the sample."""

import os
import warnings
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from toy_project import ToyProject

from mlops.drift import questions
from mlops.drift.columns import Judged, Wanted, judge
from mlops.drift.rows import Rows
from mlops.project.errors import MlopsError

ROWS = 4000
NUMERIC = ("float", "whole", "nullable", "constant", "infinite", "flag")
CATEGORICAL = ("text", "encoded", "number", "truth")


def table(seed: int, moved: float = 0.0) -> pd.DataFrame:
    """Return a column of each kind, of which some move."""
    rng = np.random.default_rng(seed)
    gone = rng.random((4, ROWS)) < 0.05
    letters = rng.choice(list("abcde"), ROWS, p=np.array([4, 3, 2, 1 + moved, 1]) / (11 + moved))
    whole = rng.integers(0, 200, ROWS)
    return pd.DataFrame(
        {
            "float": np.where(gone[0], np.nan, rng.normal(60, 18, ROWS) + 18 * moved),
            "whole": whole + round(30 * moved),
            "nullable": pd.array(whole, "Int64"),
            "constant": np.full(ROWS, 7.0 + 1e-4 * moved),
            "infinite": np.where(gone[1], np.inf, rng.lognormal(size=ROWS)),
            "flag": whole % 3 == 0,
            "text": pd.Series(letters).where(~gone[2]),
            "encoded": pd.Categorical(letters),
            "number": np.where(gone[3], np.nan, whole % 4 + (whole == 0) * moved),
            "truth": pd.Series(whole % 5 < 2 + moved).astype("boolean").mask(gone[0]),
        }
    ).assign(nullable=lambda it: it["nullable"].mask(gone[1]))


def rows(folder: Path, name: str, content: Any, **window: Any) -> Rows:
    path = folder / f"{name}.parquet"
    pd.DataFrame(content).to_parquet(path)
    return Rows(path, **window)


def wanted(columns: Sequence[str] | dict[str, float], kind: Any = "numeric") -> list[Wanted]:
    thresholds = columns if isinstance(columns, dict) else dict.fromkeys(columns, 0.1)
    return [Wanted(name, kind, threshold) for name, threshold in thresholds.items()]


def judged(
    reference: Rows, current: Rows, columns: list[Wanted], sample_rows: int = 500, **changed: Any
) -> Judged:
    settings: dict[str, Any] = {"missing": 0.1, "new_categories": 0.01, "seed": 1, "page": None}
    return judge(reference, current, columns, sample_rows=sample_rows, **settings | changed)


def by_name(found: Judged) -> dict[str, dict[str, Any]]:
    return {column["name"]: column for column in found.columns}


def evidently(reference: pd.DataFrame, current: pd.DataFrame) -> dict[str, float]:
    """Return the scores of Evidently alone, of all rows."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of its libraries, of each other
        from evidently import DataDefinition, Dataset, Report
        from evidently.metrics import ValueDrift

    # Evidently takes neither truth values as numbers nor pandas' own missing values.
    changed = {"flag": "float64", "nullable": "float64", "truth": object, "text": object}
    definition = DataDefinition(
        numerical_columns=list(NUMERIC), categorical_columns=list(CATEGORICAL)
    )
    sides = [
        Dataset.from_pandas(side.astype(changed).replace({pd.NA: None}), definition)
        for side in (current, reference)
    ]
    metrics = [ValueDrift(column=name, method="wasserstein") for name in NUMERIC]
    metrics += [ValueDrift(column=name, method="jensenshannon") for name in CATEGORICAL]
    result = Report(metrics).run(*sides).dict()["metrics"]
    return {it["config"]["column"]: it["value"] for it in result}


@pytest.fixture(scope="module")
def scores() -> dict[str, float]:
    return evidently(table(1), table(2, 0.2))


@pytest.fixture
def sides(tmp_path: Path) -> tuple[Rows, Rows]:
    return rows(tmp_path, "reference", table(1)), rows(tmp_path, "current", table(2, 0.2))


def test_small_windows_are_evidently_s_own_with_its_page(
    sides: tuple[Rows, Rows],
    scores: dict[str, float],
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
) -> None:
    page = tmp_path / "reports/drift.html"
    columns = [*wanted(NUMERIC), *wanted(CATEGORICAL, "categorical")]
    found = judged(*sides, columns, sample_rows=ROWS, page=page)
    assert [it["name"] for it in found.columns] == [*NUMERIC, *CATEGORICAL]
    for name, column in by_name(found).items():
        assert column["score"] == pytest.approx(scores[name], abs=1e-12), name
        assert column["drifted"] == (scores[name] >= 0.1), name
        assert (column["judged"], column["sampling_error"]) == ("all rows", None)
    drifted = {it["name"] for it in found.columns if it["drifted"]}
    assert drifted == {"float", "whole", "truth"}
    assert "plotly" in page.read_text(encoding="utf-8").lower()
    assert [path.name for path in page.parent.iterdir()] == ["drift.html"]
    assert capfd.readouterr() == ("", "")
    assert os.environ["DO_NOT_TRACK"]


@pytest.mark.parametrize("factor", [0.999, 1.001])
def test_near_its_threshold_every_kind_of_column_is_judged_on_all_rows(
    sides: tuple[Rows, Rows], scores: dict[str, float], factor: float
) -> None:
    near = {name: score * factor for name, score in scores.items()}
    columns = wanted({name: near[name] for name in NUMERIC})
    columns += wanted({name: near[name] for name in CATEGORICAL}, "categorical")
    for name, column in by_name(judged(*sides, columns)).items():
        assert column["score"] == pytest.approx(scores[name], abs=5e-4), name
        assert column["drifted"] == (scores[name] > 0 and factor < 1), name
        # Any sample of a constant is exact.
        assert column["judged"] == ("sample" if name == "constant" else "all rows"), name


def test_a_sample_alone_would_give_another_verdict(
    sides: tuple[Rows, Rows], scores: dict[str, float]
) -> None:
    far = by_name(judged(*sides, wanted({"float": 9.0})))["float"]
    assert far["judged"] == "sample"
    assert 0 < abs(far["score"] - scores["float"]) < far["sampling_error"]
    between = (far["score"] + scores["float"]) / 2
    column = by_name(judged(*sides, wanted({"float": between})))["float"]
    assert column["judged"] == "all rows"
    assert column["drifted"] == (scores["float"] > between) != (far["score"] > between)


@pytest.mark.parametrize("side", ["reference", "current"])
def test_an_outlier_that_the_sample_missed_counts(tmp_path: Path, side: str) -> None:
    rng = np.random.default_rng(3)
    columns = {"reference": rng.normal(size=50_000), "current": rng.normal(0.2, 1, 50_000)}
    columns[side][25_001:25_003] = 1e8, -1e8
    pair = [rows(tmp_path, name, {"x": values}) for name, values in columns.items()]
    sample = [it.sample(["x"], 500, 1 + place) for place, it in enumerate(pair)]
    assert max(it["x"].abs().max() for it in sample) < 10
    plain = by_name(
        judged(
            *(rows(tmp_path, f"s{i}", it) for i, it in enumerate(sample)),
            wanted({"x": 1.0 if side == "current" else 0.1}),
        )
    )["x"]
    column = by_name(judged(*pair, wanted({"x": plain["threshold"]})))["x"]
    assert column["judged"] == "all rows"
    assert (plain["drifted"], column["drifted"]) == (
        (False, True) if side == "current" else (True, False)
    )


def test_a_category_of_a_single_row_is_found(tmp_path: Path) -> None:
    usual = np.tile(["UA", "DL"], 100_000)
    odd = usual.copy()
    odd[123_456] = "ZZ"
    pair = rows(tmp_path, "reference", {"it": usual}), rows(tmp_path, "current", {"it": odd})
    column = by_name(judged(*pair, wanted(["it"], "categorical")))["it"]
    assert column["new_categories"] == ["ZZ"]
    assert column["new_share"] == 1 / 200_000
    assert not column["drifted"]
    assert column["reference"] == {"distinct": 2, "top": [["DL", 0.5], ["UA", 0.5]]}
    column = by_name(judged(*pair, wanted(["it"], "categorical"), new_categories=0.0))["it"]
    assert column["why"] == ["new categories"]


def test_what_is_missing_is_counted_and_an_empty_column_is_no_crash(tmp_path: Path) -> None:
    full = {"x": np.arange(2000.0), "it": np.tile(["a", "b"], 1000)}
    none = {"x": np.full(2000, np.nan), "it": np.full(2000, None)}
    columns = [*wanted(["x"]), *wanted(["it"], "categorical")]
    pairs = {}
    for one, other in ((full, none), (none, none), (none, full)):
        pair = rows(tmp_path, "reference", one), rows(tmp_path, "current", other)
        for size in (100, 2000):
            found = judged(*pair, columns, sample_rows=size, page=tmp_path / "drift.html").columns
            pairs[one is full, other is full, size] = [(it["score"], it["why"]) for it in found]
    assert pairs[True, False, 100] == pairs[True, False, 2000] == [(None, ["missing"])] * 2
    assert pairs[False, False, 100] == pairs[False, False, 2000] == [(None, [])] * 2
    assert pairs[False, True, 2000] == [(None, []), (None, ["new categories"])]
    some = {"x": np.where(np.arange(2000) < 200, np.nan, full["x"])}
    pair = rows(tmp_path, "reference", full), rows(tmp_path, "current", some)
    for limit, why in ((0.1, ["missing"]), (0.11, [])):
        (column,) = judged(*pair, wanted({"x": 9.0}), missing=limit).columns
        assert column["why"] == why
        assert column["missing"] == {"reference": 0.0, "current": 0.1}


ODD = {  # reference and newest rows, and how many of the newest have no value to judge
    "identifiers": (2**60 + np.arange(2000), 2**60 + np.arange(2000) + 3000, 0.0),
    "unsigned identifiers": (np.arange(2000) + np.uint64(2**63), np.arange(2000, dtype="u8"), 0.0),
    "constant": (np.ones(2000), np.full(2000, 2.0), 0.0),
    "infinite": (np.arange(2000.0), np.where(np.arange(2000) < 500, np.inf, 5000.0), 0.25),
    "all infinite": (np.arange(2000.0), np.full(2000, -np.inf), 1.0),
    "too large to square": (np.arange(2000.0), np.full(2000, 1e300), 1.0),
    "nullable": (pd.array([1, None] * 1000, "Int64"), pd.array([9, None] * 1000, "Int64"), 0.5),
}


@pytest.mark.parametrize("size", [100, 2000], ids=["a sample", "all rows"])
def test_odd_numbers_are_judged_for_what_they_are(tmp_path: Path, size: int) -> None:
    sides = [{name: values[side] for name, values in ODD.items()} for side in (0, 1)]
    pair = rows(tmp_path, "reference", sides[0]), rows(tmp_path, "current", sides[1])
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = by_name(judged(*pair, wanted(list(ODD)), sample_rows=size))
    # Nor does Evidently's page end the check, whatever it can draw of these.
    judged(*pair, wanted(list(ODD)), sample_rows=size, page=tmp_path / "drift.html")
    for name, column in found.items():
        assert column["missing"]["current"] == ODD[name][2], name
        assert column["drifted"], name
        assert (column["score"] is None) == (ODD[name][2] == 1), name
    assert found["identifiers"]["score"] == pytest.approx(3000 / np.arange(2000).std(), rel=0.2)


def test_new_categories_need_be_no_texts(tmp_path: Path) -> None:
    flags = pd.array([True, None] * 1000, "boolean"), pd.array([False, None] * 1000, "boolean")
    pair = (
        rows(tmp_path, "reference", {"it": flags[0]}),
        rows(tmp_path, "current", {"it": flags[1]}),
    )
    columns = judged(*pair, wanted(["it"], "categorical")).columns
    said = questions.data(columns, [], ToyProject.params.drift)["sentence"]
    assert said.startswith("1 of 1 inputs has drifted: it (0.83 ≥ 0.1; new False: 50.0%)")


def test_values_that_only_the_rows_have_and_the_sample_not(tmp_path: Path) -> None:
    few = np.full(20_000, np.nan)
    few[:3] = 5.0
    pair = rows(tmp_path, "reference", {"x": few}), rows(tmp_path, "current", {"x": few + 2})
    assert not pair[1].sample(["x"], 40, 2)["x"].notna().any()
    (column,) = judged(*pair, wanted(["x"]), sample_rows=40).columns
    assert column["score"] == pytest.approx(2 / 0.001)
    assert column["why"] == ["score"]


def test_scores_are_computed_for_the_sample_and_for_all_rows_in_doubt(
    sides: tuple[Rows, Rows], scores: dict[str, float]
) -> None:
    asked: list[int] = []

    def score(columns: dict[str, Any]) -> Any:
        asked.append(len(columns["float"]))
        return columns["float"] / 100

    pair = [Rows(it.path, computed={"score": score}) for it in sides]
    (far,) = judged(*pair, wanted({"score": 2.0}, "score")).columns
    assert (sum(asked), far["judged"], far["kind"]) == (1000, "sample", "score")
    asked.clear()
    (near,) = judged(*pair, wanted({"score": scores["float"] * 1.001}, "score")).columns
    assert sum(asked) >= 1000 + 2 * ROWS
    assert (near["judged"], near["drifted"]) == ("all rows", False)
    assert near["score"] == pytest.approx(scores["float"], abs=5e-4)
    exact = table(2, 0.2)["float"] / 100
    assert near["current"]["mean"] == pytest.approx(exact.mean())
    assert near["missing"]["current"] == pytest.approx(exact.isna().mean())


def test_the_same_rows_and_seed_give_the_same(sides: tuple[Rows, Rows]) -> None:
    columns = [*wanted({"float": 9.0}), *wanted(["text"], "categorical")]
    once, again = judged(*sides, columns), judged(*sides, columns)
    other = judged(*sides, columns, seed=5)
    assert once == again
    assert once.columns[0]["score"] != other.columns[0]["score"]
    assert once.fingerprint == other.fingerprint
    assert once.fingerprint != judged(sides[1], sides[0], columns).fingerprint


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (Wanted("speed", "numeric", 0.1), r"current\.parquet has no column speed; it has x, it$"),
        (Wanted("it", "numeric", 0.1), r"column it of .*current\.parquet is .*; the champion was"),
    ],
)
def test_a_column_that_cannot_be_judged_is_named(
    tmp_path: Path, column: Wanted, message: str
) -> None:
    good = rows(tmp_path, "reference", {"x": [1.0], "it": [1.0], "speed": [1.0]})
    bad = rows(tmp_path, "current", {"x": [1.0], "it": ["fast"]})
    with pytest.raises(MlopsError, match=message):
        judged(good, bad, [column])
