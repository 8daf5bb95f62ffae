"""How often a holdout was judged on: counted, and said before it misleads."""

import json
from pathlib import Path

import pytest
from workbench import Workbench

from mlops.judgement import shelf_life
from mlops.project.params import Gate


def test_each_model_counts_once_on_each_holdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert shelf_life.judged("april", "first") == 1
    assert not (tmp_path / ".store").exists(), "a folder that is there is taken for a whole store"
    (tmp_path / ".store").mkdir()
    counts = [shelf_life.judged("april", model) for model in ("first", "second", "first", "third")]
    assert counts == [1, 2, 2, 3]
    assert shelf_life.judged("may", "third") == 1


def test_it_says_what_so_many_tries_find_by_chance() -> None:
    gate = Gate(metric="roc_auc", margin=0.005, calibration=0.1, latency_ms=1.0, size_mb=1.0)
    assert shelf_life.sentence(9, gate) == (
        "judged 9 times on this holdout; an idea that changes nothing looks better in 1 of 40"
    )
    assert shelf_life.sentence(20, gate) == (
        "this holdout is worn out (gate.judgements: 20): of 20 ideas that change nothing, one at "
        "least looks better with 40%; judge on newer rows (data.holdout)"
    )


def test_on_a_laptop_it_is_counted_where_the_registry_is(close: Workbench, tmp_path: Path) -> None:
    project = close.copy(tmp_path / "project")
    assert "\njudged 2 times on this holdout; an idea" in project.do("compare")  # and its champion
    another = {"id": "1", "holdout": project.json("comparison")["holdout"]["md5"], "model": "2"}
    with (project / ".store/judgements.jsonl").open("a") as file:
        file.write(json.dumps(another) + "\n")
    assert "\njudged 3 times on this holdout; an idea" in project.do("compare")
    assert project.json("comparison")["holdout"]["judged"] == 3
    project.set(gate__judgements=3)
    assert "\nthis holdout is worn out (gate.judgements: 3)" in project.do("compare")
