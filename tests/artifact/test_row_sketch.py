"""A champion's rows are known again, whatever their types and order; equal ones are no alarm."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from mlops.artifact import row_sketch
from mlops.artifact.row_sketch import SIZE, hashes, seen

COLUMNS = ["weight", "stops", "kind", "late"]
RNG = np.random.default_rng(0)


def rows(n: int) -> pd.DataFrame:
    return pd.DataFrame(
        {
            "weight": RNG.gamma(2, 3, n),
            "stops": RNG.integers(0, 9, n),
            "kind": RNG.choice(["box", "bag", None], n),
            "late": RNG.random(n) < 0.3,
            "at": pd.date_range("2023-01-01", periods=n, freq="s"),
        }
    )


def sketch(folder: Path, hashed: row_sketch.Hashes) -> row_sketch.Hashes:
    row_sketch.write(folder, hashed)
    written = row_sketch.load(folder)
    assert written is not None
    return written


@pytest.mark.parametrize(
    "types",
    [
        {"stops": float, "late": int},
        {"stops": "Int64", "late": "boolean", "weight": "Float64"},
        {"stops": "int8", "kind": object},
        {"stops": "category", "kind": "category", "late": "category"},
    ],
)
def test_types_do_not_matter(types: dict[str, str]) -> None:
    table = rows(500)
    np.testing.assert_array_equal(hashes(table, COLUMNS), hashes(table.astype(types), COLUMNS))


def test_missing_numbers_of_any_type_are_the_same() -> None:
    table = pd.DataFrame({"a": [1, None, -0.0]})
    for other in (table.astype("Int64"), table.astype("Int64").astype("category")):
        np.testing.assert_array_equal(hashes(table, ["a"]), hashes(other, ["a"]))
    assert hashes(table, ["a"])[2] == hashes(pd.DataFrame({"a": [0]}), ["a"])[0]


def test_every_value_but_a_time_makes_another_row() -> None:
    table = rows(100)
    before = hashes(table, [*COLUMNS, "at"])
    later = table.assign(at=table["at"] + pd.Timedelta("1D"))
    np.testing.assert_array_equal(before, hashes(later, [*COLUMNS, "at"]))
    assert (before != hashes(table.assign(weight=table["weight"] + 1e-9), COLUMNS)).all()
    assert (before != hashes(table.assign(late=~table["late"]), COLUMNS)).all()


def test_the_order_of_rows_does_not_matter_to_the_byte(tmp_path: Path) -> None:
    table = rows(10_000)
    for folder, order in (("a", table), ("b", table.sample(frac=1, random_state=1))):
        sketch(tmp_path / folder, hashes(order, COLUMNS))
    one, other = (tmp_path / folder / row_sketch.NAME for folder in "ab")
    assert one.read_bytes() == other.read_bytes()
    assert one.stat().st_size < 40_000
    assert len(np.load(one)) == SIZE


@pytest.mark.parametrize("share", [0.0, 0.3, 1.0])
@pytest.mark.parametrize("digits", [2, 9])
def test_the_share_is_known_within_a_few_percent(tmp_path: Path, share: float, digits: int) -> None:
    hashed = hashes(rows(110_000).round({"weight": digits}), COLUMNS)  # rounded, many are equal
    trained, new, others = np.split(hashed, [50_000, 60_000])
    judged = np.concatenate([trained[: int(10_000 * share)], new[int(10_000 * share) :]])
    found = seen(sketch(tmp_path, trained), judged, others)
    assert found == pytest.approx(share, abs=0.05)


def test_of_few_rows_all_are_known(tmp_path: Path) -> None:
    hashed = hashes(rows(2000), COLUMNS)
    assert seen(sketch(tmp_path, hashed[:1000]), hashed[990:1010], hashed[1010:]) == 0.5


def test_too_few_that_can_be_told_say_nothing(tmp_path: Path) -> None:
    hashed = hashes(rows(60_000), COLUMNS)
    assert seen(sketch(tmp_path, hashed[:50_000]), hashed[50_000:50_500], hashed[:0]) is None


@pytest.mark.parametrize("n", [2000, 60_000])
def test_rows_that_are_equal_by_chance_are_not_seen(tmp_path: Path, n: int) -> None:
    table = rows(3 * n)
    table["weight"] = table["weight"].round(0 if n == 2000 else 2)
    trained, judged, others = np.split(hashes(table, COLUMNS), 3)
    assert np.isin(judged, trained).mean() > 0.3
    assert seen(sketch(tmp_path, trained), judged, others) == 0.0


def test_a_model_from_before_has_none(tmp_path: Path) -> None:
    assert row_sketch.load(tmp_path) is None
