"""A table of many rows goes through in parts and by column, and fares as it does as a whole."""

from pathlib import Path
from typing import Any

import pandas as pd
import pytest
from parcels import Parcels, parcels

from mlops.artifact import parts

IN_PARTS = """

def in_parts(table):
    for first in range(0, len(table), 700):
        yield table.iloc[first : first + 700]


whole, load_data = load_data, lambda: in_parts(whole())
"""


@pytest.fixture
def few(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let 1,000 rows be many, and a part 900."""
    monkeypatch.setattr(parts, "MANY", 1000)
    monkeypatch.setattr(parts, "PART", 900)


def in_parts(folder: Path) -> Parcels:
    project = parcels(folder)
    with (project / "src/model/data.py").open("a", encoding="utf-8") as code:
        code.write(IN_PARTS)
    return project


def results(project: Parcels) -> dict[str, Any]:
    project.do("ingest", "validate", "features")
    tables = ("checked", "train", "holdout")
    report = project.json("data")
    for key in ("md5", "raw_md5"):
        report.pop(key)
    return {"report": report} | {
        name: pd.read_parquet(project / f"data/{name}.parquet") for name in tables
    }


def same(one: dict[str, Any], other: dict[str, Any]) -> None:
    assert one.pop("report") == other.pop("report")
    for name, table in one.items():
        pd.testing.assert_frame_equal(table, other[name])


@pytest.mark.parametrize(
    "rules",
    [
        '"weight": Column(float, Check.in_range(0, 100)),',
        '"weight": Column(str, coerce=True),',
        '"weight": Column(float, parsers=Parser(lambda it: it - it.mean())),',
        '"wei.*": Column(float, Check(lambda it: it.mean() > 0), regex=True),',
    ],
)
def test_what_comes_of_a_table_is_the_same(
    rules: str, tmp_path: Path, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = '"weight": Column(float, Check.in_range(0, 100)),'
    project = in_parts(tmp_path / "parts")
    other = parcels(tmp_path / "whole")
    for one in (project, other):
        one.change("schema", known, rules)
        if "str" in rules:
            one.change("features", 'columns["weight"]', 'columns["weight"].astype(float)')
    split = results(project)
    monkeypatch.setattr(parts, "MANY", 10**9)
    same(split, results(other))


def test_what_the_schema_leaves_out_is_left_out(
    tmp_path: Path, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    project, other = in_parts(tmp_path / "parts"), parcels(tmp_path / "whole")
    for one in (project, other):
        one.also('table["more"] = 1')
        one.change("schema", "strict=True", 'strict="filter"')
    split = results(project)
    assert "more" not in split["checked"]
    monkeypatch.setattr(parts, "MANY", 10**9)
    same(split, results(other))


@pytest.mark.parametrize(
    ("spoil", "rules"),
    [
        ('table.loc[2500, "weight"] = -3', None),
        ('table.loc[2500, "kind"] = None', None),
        ('table["late"] = 1', None),
        ('table = table.drop(columns="kind")', None),
        ('table["more"] = 1', None),
        ('table = table.drop(columns="kind")', 'unique=["seen_at", "kind"],'),
        ('table["stops"] = table["stops"].astype(float)', None),
        ('table.loc[[10, 5000], "seen_at"] = table.loc[99, "seen_at"]', 'unique=["seen_at"],'),
        ('table["weight"] += 90 * (table.index == 5)', "checks=Check(lambda it: it.weight < 95),"),
    ],
)
def test_what_is_refused_is_the_same(
    spoil: str, rules: str | None, tmp_path: Path, few: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = []
    for folder, many in (("parts", 1000), ("whole", 10**9)):
        monkeypatch.setattr(parts, "MANY", many)
        project = in_parts(tmp_path / folder) if many == 1000 else parcels(tmp_path / folder)
        project.also(spoil)
        if rules:
            project.change("schema", "strict=True,", f"strict=True, {rules}")
        project.do("ingest")
        assert project.mlops("validate").code == 1
        assert not (project / "data/checked.parquet").exists()
        told = project.json("data")["failures"]
        found.append(sorted((it["column"], it["check"], it["bad_rows"]) for it in told))
    assert found[0] == found[1]


def test_parts_that_are_not_alike_are_refused(tmp_path: Path) -> None:
    project = in_parts(tmp_path)
    with (project / "src/model/data.py").open("a", encoding="utf-8") as code:
        code.write(
            "\n\nnumbers = load_data\nload_data = lambda: (\n"
            "    it.assign(stops='many') if k == 2 else it for k, it in enumerate(numbers())\n)\n"
        )
    said = project.mlops("ingest")
    assert "src/model/data.py: load_data, part 3 is not like part 1" in said.err
    assert not (project / "data/raw.parquet").exists()
