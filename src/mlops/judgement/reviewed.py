"""Whether the default branch trained the model that was reviewed in a pull request.

It trains again from the same code, data, settings and libraries. Where that gives other bytes, as
other processors add in another order, the two must still say the same of the rows that judge.
"""

import hashlib
import json
import os
from pathlib import Path
from typing import Any

import numpy as np

from mlops.artifact.model_folder import Facts
from mlops.judgement.metric import Predictions
from mlops.project import actions, files
from mlops.project.errors import MlopsError

ROWS = 1000  # of the holdout, evenly spaced
VALUES = 20_000  # at most, of many classes: the file has to stay below actions.LARGEST
TOLERANCE = 1e-6  # of a score, or relative to it where it is above 1
JUDGEMENT = "holdout-{md5}"  # the artifact that a judgement leaves, as train.yml names it


def note(facts: Facts, prediction: Predictions, holdout: str) -> None:
    """Write reports/scores.json: what a model says of rows of the holdout with this MD5."""
    scores = prediction.scores
    many = min(len(scores), ROWS, max(1, VALUES * len(scores) // scores.size))
    rows = np.unique(np.linspace(0, len(scores) - 1, many).astype(int))
    made_from = facts.model_dump(mode="json", exclude={"model_md5", "threshold"})
    told = {
        "holdout_md5": holdout,
        "model_md5": facts.model_md5,
        "made_from": hashlib.sha256(json.dumps(made_from, sort_keys=True).encode()).hexdigest(),
        "scores": scores[rows].tolist(),
    }
    files.write_text(files.SCORES, json.dumps(told) + "\n")


def check(reports: Path) -> str:
    """Compare the model in a folder of reports with the one that was reviewed; in a workflow.

    Returns what was found, in a sentence.

    Raises
    ------
    MlopsError
        When both are made from the same and say something else, or GitHub does not answer, or
        cannot be asked.
    """
    if not actions.may_ask():
        raise MlopsError(
            "what was reviewed is on GitHub: `mlops reviewed` works in a workflow only, in a step "
            "with GH_TOKEN"
        )
    ours = files.read_json(reports / files.SCORES.name, "mlops compare")
    commit = os.environ["GITHUB_SHA"]
    pulls = {
        pull["head"]["sha"]: f"#{pull['number']}"
        for pull in actions.ask(f"commits/{commit}/pulls")
        if pull["merged_at"]
    }
    if not pulls:
        return "No pull request brought this commit: the model was judged here, and not reviewed."
    where = " and ".join(sorted(pulls.values()))
    name = JUDGEMENT.format(md5=ours["holdout_md5"])
    kept = actions.ask(f"actions/artifacts?name={name}&per_page=100")["artifacts"]
    # A merge queue judges the very commit that it merges; this run has judged that, too.
    others = [it for it in kept if str(it["workflow_run"]["id"]) != os.environ["GITHUB_RUN_ID"]]
    judged = [it for it in others if it["workflow_run"]["head_sha"] in {*pulls, commit}]
    theirs = next(iter(judged), None)
    if theirs is None or theirs["expired"]:
        return (
            f"What was reviewed in {where} cannot be had any more, or was judged on other rows: "
            "the model was judged anew here."
        )
    found = actions.file_of_artifact(theirs["id"], files.SCORES.name)
    told = json.loads(found) if found else {}
    return agreement(ours, told if isinstance(told, dict) else {}, where)


def agreement(ours: dict[str, Any], theirs: dict[str, Any], where: str) -> str:
    """Say how two models agree, of which the second was reviewed.

    Raises
    ------
    MlopsError
        When they are made from the same and differ.
    """
    if theirs.get("model_md5") == ours["model_md5"]:
        return f"The very model that was reviewed in {where}."
    if theirs.get("made_from") != ours["made_from"]:
        return (
            f"Not the model that was reviewed in {where}: code, data, settings or libraries are "
            "others by now, or it is not on record; the model was judged anew here."
        )
    a, b = (np.asarray(it["scores"], dtype=float) for it in (ours, theirs))
    apart = np.abs(a - b) / np.maximum(1, np.abs(b)) if a.shape == b.shape else np.array(np.inf)
    if not apart.max() <= TOLERANCE:
        raise MlopsError(
            f"this is not the model that was reviewed in {where}: made from the same code, data, "
            f"settings and libraries, it differs by up to {apart.max():.3g} in its scores of "
            f"{len(a)} rows (at most {TOLERANCE:g}), and nothing is registered. Make training "
            "repeatable (random_state in src/model/estimator.py), or commit the model's dvc.lock "
            "(`dvc repro`, `make push-data`), which brings that very model"
        )
    return (
        f"Trained again: other bytes than reviewed in {where}, the same scores (of {len(a)} rows, "
        f"the largest difference is {apart.max():.1g})."
    )
