"""A threshold makes labels: written or chosen by costs, judged, reviewed, part of the model."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from parcels import Parcels, parcels

from mlops.pipeline import threshold
from mlops.project.errors import MlopsError
from mlops.project.params import Params, load

COSTS = {"false_positive": 1, "false_negative": 12}


@pytest.fixture(scope="module")
def champion(tmp_path_factory: pytest.TempPathFactory) -> Parcels:
    """A project with a champion that has no threshold; few parcels are late."""
    project = parcels(tmp_path_factory.mktemp("threshold"))
    project.also('table["late"] = (rng.random(n) < 0.2 * table["late"] + 0.02).astype("int64")')
    project.do("ingest", "validate", "features", "train", "evaluate", "compare", "register")
    project.do("promote --override first")
    return project


@pytest.fixture
def project(champion: Parcels, tmp_path: Path) -> Parcels:
    return champion.copy(tmp_path / "project")


def facts(project: Parcels) -> dict[str, Any]:
    return dict(json.loads((project / "models/model.json").read_text()))


def holdout(project: Parcels) -> tuple[Any, Any]:
    """Return what was late, and the scores of the model in the project."""
    from mlops.artifact import model_folder
    from mlops.artifact.table import to_columns

    table = pd.read_parquet(project / "data/holdout.parquet")
    return table["late"].to_numpy(), model_folder.load(project / "models").predict(
        to_columns(table)
    )


def test_without_one_there_is_none(champion: Parcels) -> None:
    assert facts(champion)["threshold"] is None
    assert "**Labels**" not in "\n".join([champion.report()])
    assert champion.json("comparison")["candidate"]["labels"] is None


def test_costs_choose_it_and_leave_the_model_as_it_is(project: Parcels) -> None:
    before, found = facts(project), []
    for missed in (8, 20, 20):
        project.set(serving={"threshold": COSTS | {"false_negative": missed}})
        project.train()
        after = facts(project)
        found.append(after["threshold"])
        # As the probabilities are calibrated, it is near 1 / (1 + missed); Elkan (2001), section 2.
        assert after["threshold"] == pytest.approx(1 / (1 + missed), rel=0.4)
        assert after["model_md5"] == before["model_md5"]
        assert after["params"]["serving"]["threshold"]["false_negative"] == missed
    assert found[0] > found[1] == found[2]


def test_each_model_is_judged_by_its_own(project: Parcels) -> None:
    project.set(serving={"threshold": 0.12}, gate__floors={"f1": 0.0})
    project.train()
    project.do("evaluate")
    comparison, text = project.compare(), project.report()
    assert comparison["finding"] == "equivalent"  # in ROC AUC, and not the same predictions
    assert "choose a metric of labels" in text
    late, scores = holdout(project)
    rows = {row["metric"]: row for row in comparison["differences"]}
    assert rows["accuracy"]["candidate"] == pytest.approx(((scores >= 0.12) == late).mean())
    assert rows["accuracy"]["champion"] == pytest.approx(((scores > 0.5) == late).mean())
    assert rows["accuracy"]["high"] < 0 < rows["f1"]["difference"]
    assert rows["roc_auc"]["difference"] == 0
    assert comparison["changes"]["params"][0] == {
        "key": "serving.threshold",
        "champion": None,
        "candidate": 0.12,
    }
    labels = comparison["candidate"]["labels"]
    found = late[scores >= 0.12]
    assert labels["precision"] == pytest.approx(found.mean())
    assert labels["recall"] == pytest.approx(found.sum() / late.sum())
    assert (
        f"**Labels** From a score of 0.12 on (champion v1: no labels), the service says late = 1: "
        f"of {len(found) / len(late):.1%} of the rows; {found.mean():.1%} of these are, and "
        f"{found.sum() / late.sum():.1%} of all that are, are found.\n"
    ) in text
    project.do("register")
    assert "; from 0.12 on, that it is |" in project.do("card 2")


def test_a_judgement_is_of_one_threshold(project: Parcels) -> None:
    project.set(serving={"threshold": 0.12}, gate__change="not_worse")
    project.train()
    project.do("evaluate", "compare")
    project.set(serving={"threshold": 0.01})
    project.train()
    project.do("evaluate")
    assert "is about an older model or data" in project.refused("report")
    project.do("register")
    assert "finding: not compared" in project.refused("promote")
    project.do("compare")
    assert project.json("comparison")["holdout"]["judged"] == 3  # each of them is a try
    project.set(serving={"threshold": 0.2})
    assert "was trained from other data or params.yaml" in project.refused("compare")


@pytest.mark.parametrize("shuffled", [False, True])
def test_it_is_chosen_on_later_days_than_were_learned(champion: Parcels, shuffled: bool) -> None:
    params = load(champion / "params.yaml")
    rng = np.random.default_rng(0)
    times = pd.date_range("2023-01-01", "2023-03-31", 1000, tz="UTC").to_series()
    times = times.sample(frac=1, random_state=0) if shuffled else times
    table = times.reset_index(drop=True).to_frame("seen_at")
    tuned = threshold.by_costs(None, COSTS, table, rng.integers(0, 2, 1000), params)
    assert len(tuned.cv) == threshold.FOLDS
    for learned, asked in tuned.cv:
        last, first = (table["seen_at"][rows].dt.normalize() for rows in (learned, asked))
        assert last.max() < first.min()


@pytest.mark.parametrize(
    ("end", "late", "said"),
    [
        ("2023-01-05", 1, "needs 6 days to train on, and 2023-01-01 to 2023-01-05 has 5 days; w"),
        ("2023-01-31", 0, "needs both classes from the start, and the first 144 rows of"),
    ],
)
def test_too_little_to_choose_from(champion: Parcels, end: str, late: int, said: str) -> None:
    content = load(champion / "params.yaml").model_dump()
    content["data"]["window"] = {"start": "2023-01-01", "end": end}
    times = pd.date_range("2023-01-01", f"{end} 23:59", freq="h", tz="UTC").to_frame(name="seen_at")
    y = np.where(np.arange(len(times)) % 2, late, 0)
    with pytest.raises(
        MlopsError, match=r"write a number into params.yaml: serving.thr"
    ) as refused:
        threshold.by_costs(None, COSTS, times, y, Params.model_validate(content))
    assert said in str(refused.value)


def test_older_settings_run_and_only_what_decides_the_model_trains_it(tmp_path: Path) -> None:
    project = parcels(tmp_path)
    project.set(serving={"runtime": "onnx", "target": "image"})  # as before there were thresholds
    project.run("dvc", "repro")
    project.set(serving__target="compose")
    assert "Stage 'train' didn't change, skipping" in project.run("dvc", "repro").stdout
    project.set(serving__threshold=0.3)
    assert "Running stage 'train'" in project.run("dvc", "repro").stdout
    assert facts(project)["threshold"] == 0.3
    assert "Running stage" not in project.run("dvc", "repro").stdout
