"""What batch.yml predicts by the champion, keeps and says; and what it tells when it cannot."""

from dataclasses import dataclass

import pandas as pd
import pytest
import recorded
from act_run import Run
from hosted import Hosted
from projects import Project, copy_from_root
from watching import conclusions
from webhook import Webhook

WORKFLOW = ".github/workflows/batch.yml"
ROWS = 300


@dataclass(frozen=True)
class Batches:
    done: Run
    refused: Run
    unset: Run
    told: list[str]  # by the webhook


@pytest.fixture(scope="module")
def batches(
    deployed: Hosted, trained: Project, tmp_path_factory: pytest.TempPathFactory
) -> Batches:
    hosted = deployed.copy(tmp_path_factory.mktemp("batches") / "hosted")
    copy_from_root(WORKFLOW, hosted.project.folder)
    table = pd.read_parquet(trained / "data/holdout.parquet").head(ROWS)
    table.loc[table.index[1], "distance"] = -7
    table.to_csv(hosted.project / "data/today.csv", index=False, date_format="%Y-%m-%dT%H:%M:%SZ")
    with hosted.github as github, Webhook() as webhook:
        github.secrets["NOTIFY_URL"] = webhook.address
        hosted.commit("Predict what there is each day")
        github.push(hosted.project.folder, run=False)
        github.pending.clear()
        unset = github.dispatch("batch.yml")
        github.variables["BATCH_IN"] = "data/today.csv"
        done = github.schedule("batch.yml")
        told = webhook.texts
        github.variables["BATCH_IN"] = "data/tomorrow.csv"
        refused = github.schedule("batch.yml")
        recorded.check(github.github.requests)
        assert github.github.refused == []
        return Batches(done, refused, unset, webhook.texts[len(told) :])


def test_the_champion_predicts_and_the_run_says_what_came_of_it(batches: Batches) -> None:
    assert conclusions(batches.done) == {"predict": "success", "outcome": "skipped"}, (
        batches.done.log
    )
    summary = batches.done.summary
    assert f"## {ROWS - 1} rows predicted" in summary
    assert "By `flight-delays` version 1, in " in summary
    assert "| 1 | column distance: Expected " in summary
    assert "| the model's holdout |" in summary
    kept = batches.done.artifacts["predictions"]
    assert {path.name for path in kept.iterdir()} == {
        "predictions.parquet",
        "predictions.rejects.csv",
    }
    scores = pd.read_parquet(kept / "predictions.parquet")
    assert len(scores) == ROWS - 1
    assert scores["score"].between(0, 1).all()
    assert set(scores["model_version"]) == {"1"}


def test_a_batch_that_cannot_be_is_told(batches: Batches) -> None:
    assert conclusions(batches.refused) == {"predict": "failure", "outcome": "success"}
    assert "data/tomorrow.csv is not there; expected a " in batches.refused.log
    assert batches.refused.artifacts == {}
    (sentence,) = batches.told
    assert sentence.startswith(
        "A failed batch of predictions in octo/flight-delays: Nothing was written. "
    )


def test_a_variable_that_is_not_set_is_asked_for(batches: Batches) -> None:
    assert batches.unset.annotations[0].message == (
        "Set the repository's variable BATCH_IN to what is to be predicted"
    )
