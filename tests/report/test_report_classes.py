"""What the comment says of several classes, whose names may be anything."""

from pathlib import Path

import numpy as np
import pytest
import sklearn.metrics
from comment import assert_harmless, table
from parcels import Parcels, parcels

from mlops.judgement.scorecard import by_class

NAME = "<b>|@"  # of a class, which must stay text


def judged(folder: Path, classes: int) -> Parcels:
    """Return a project with as many classes, and a candidate that knows less than the champion."""
    project = parcels(folder)
    guess = f"(table.stops + rng.normal(0, 1.5, n)).round().clip(1, {classes}).astype(int)"
    project.also(f'table["late"] = "{NAME}" + {guess}.astype(str)')
    project.change("schema", "Column(int, Check.isin([0, 1]))", "Column(str)")
    project.set(task="multiclass", gate__metric="log_loss", gate__floors={})
    project.do("ingest", "validate", "features", "train", "evaluate", "compare", "report")
    assert "None" not in "\n".join(project.report_lines())
    project.do("register", "promote --override first")
    project.set(estimator__c=0.01)
    project.train()
    project.compare()
    project.report()
    return project


@pytest.mark.parametrize("classes", [4, 8])
def test_each_class_is_told_and_what_it_is_taken_for(tmp_path: Path, classes: int) -> None:
    project = judged(tmp_path, classes)
    text, comparison = "\n".join(project.report_lines()), project.json("comparison")
    assert_harmless(text)
    said = [[cell.text.replace("\u200b", "") for cell in row] for row in table(text, "late")]
    ours = {part["class"]: part for part in comparison["candidate"]["classes"]}
    curve = comparison["candidate"]["plots"]["curve"]
    seen = list(zip(curve["actual"], curve["predicted"], curve["rows"], strict=True))
    assert len(seen) == classes**2
    if classes == 4:
        assert [row[0] for row in said] == list(ours) == [f"{NAME}{k}" for k in (1, 2, 3, 4)]
        for row in said:
            rows = [count for actual, _, count in seen if actual == row[0]]
            assert [int(cell.split(" ")[0]) for cell in row[1:]] == rows
            assert sum(rows) == ours[row[0]]["rows"]
        return
    assert (
        "**For each class (the 6 of 8 that are found worst)** (difference from champion v1)" in text
    )
    assert "<summary>The 10 commonest confusions</summary>" in text
    worst = max(row for row in ((count, a, p) for a, p, count in seen if a != p))
    theirs = comparison["champion"]["plots"]["curve"]["rows"]
    change = worst[0] - theirs[seen.index((worst[1], worst[2], worst[0]))]
    assert said[0] == [worst[1], worst[2], f"{worst[0]} ({change:+})".replace("-", "−")]


def test_the_scores_of_a_class_are_scikit_learns() -> None:
    rng = np.random.default_rng(4)
    classes, prediction = ["b", "a", "never seen"], rng.dirichlet([1, 1, 0.1], 300)
    y = np.array(classes[:2])[rng.integers(0, 2, 300)]
    guess = np.array(classes)[prediction.argmax(axis=1)]
    told = by_class(y, prediction, classes)
    for k, name in enumerate(classes[:2]):
        assert told[k]["class"] == name
        for score in ("recall", "precision"):
            function = getattr(sklearn.metrics, f"{score}_score")
            assert told[k][score] == function(y == name, guess == name)
        area = sklearn.metrics.roc_auc_score(y == name, prediction[:, k])
        assert told[k]["roc_auc"] == pytest.approx(area)
    assert told[2]["rows"] == 0
    assert np.isnan(told[2]["recall"])
    assert np.isnan(told[2]["roc_auc"])
