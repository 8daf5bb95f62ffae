"""A category is judged by its shares, free text by its words, an identifier not at all."""

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from mlops.drift.columns import Wanted, judge
from mlops.drift.rows import Rows

WORDS = [f"wort{k}" for k in range(2000)]
RARER = 1 / np.arange(1, len(WORDS) + 1)


def notes(n: int, seed: int, longest: int = 12, words: list[str] = WORDS) -> list[str]:
    rng = np.random.default_rng(seed)
    lengths = rng.integers(2, longest, n)
    drawn = rng.choice(words, lengths.sum(), p=RARER / RARER.sum())
    return [" ".join(part) for part in np.split(drawn, lengths.cumsum()[:-1])]


def found(folder: Path, before: Any, after: Any, **own: float) -> dict[str, Any]:
    sides = []
    for name, values in (("before", before), ("after", after)):
        path = folder / f"{name}.parquet"
        pd.DataFrame({"note": values}).to_parquet(path)
        sides.append(Rows(path))
    settings = {"missing": 0.1, "new_categories": 0.01, "sample_rows": 20_000, "seed": 1}
    wanted = [Wanted("note", "categorical", 0.1, **own)]
    (column,) = judge(*sides, wanted, page=folder / "page.html", **settings).columns
    return column


@pytest.mark.parametrize("n", [300, 3000, 30_000])
def test_free_text_of_an_unchanged_distribution_does_not_drift(n: int, tmp_path: Path) -> None:
    column = found(tmp_path, notes(2 * n, 1), notes(n, 2))
    assert (column["kind"], column["drifted"]) == ("text", False)


def test_other_words_and_longer_texts_drift(tmp_path: Path) -> None:
    others = [word.replace("wort", "buch") for word in WORDS]
    column = found(tmp_path, notes(5000, 1), notes(3000, 2, words=others))
    assert column["why"] == ["new categories"]
    assert column["new_categories"][0] == "buch0"
    assert found(tmp_path, notes(5000, 1), notes(3000, 2, longest=40))["why"] == ["score"]
    gone = [None if k % 2 else text for k, text in enumerate(notes(3000, 2))]
    assert found(tmp_path, notes(5000, 1), gone)["why"] == ["missing"]


def test_an_identifier_is_not_judged(tmp_path: Path) -> None:
    column = found(tmp_path, [f"A{k:06}" for k in range(9000)], [f"B{k:06}" for k in range(4000)])
    assert (column["kind"], column["drifted"]) == ("identifier", False)


def test_a_category_is_judged_as_ever_and_by_its_own_thresholds(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    before, after = rng.choice(["a b", "c d"], 4000), rng.choice(["a b", "c d", "e f"], 4000)
    column = found(tmp_path, before, after)
    assert column["kind"] == "categorical"
    assert column["why"] == ["score", "new categories"]
    assert found(tmp_path, before, after, new_categories=0.5)["why"] == ["score"]
