"""The question that decides: would a model trained on newer rows be better on the newest ones?

Two months differ in score whatever the model does. Two models on the same rows do not: what the
weather does to one it does to the other. ``mlops drift`` says whether a challenger is to be asked;
once it is trained and compared with the champion, ``mlops decide`` decides.
"""

from datetime import date
from typing import Any

from mlops.drift import decision, export, summary
from mlops.drift.decision import Found, Question
from mlops.drift.newest import Newest, containing
from mlops.drift.rows import Rows
from mlops.judgement import gate
from mlops.project import actions, files
from mlops.project.errors import MlopsError
from mlops.project.params import Params, Window
from mlops.project.words import interval, label, number, percent, rounded, signed


def wanted(params: Params, new: Newest, concept: Question, found: Found) -> Question:
    """Return whether a challenger is to be asked, and on which window: the newest with labels."""
    settings, labels_of = params.drift, new.window.last_day
    if settings.retrain.when == "drifts" and not found.drifted:
        return _unasked("drift.retrain.when is drifts, and too few windows have")
    if new.labelled < settings.min_rows:
        if concept["labels_of"] is None:
            return _unasked(concept["sentence"])
        labels_of = date.fromisoformat(concept["labels_of"])
    if params.data.hashed:
        return _asked("on the rows that are set aside, new ones among them", new.window)
    window, (_, holdout) = containing(labels_of, settings.period), params.data.windows
    if window.first_day_after <= holdout.first_day_after:
        return _unasked(
            f"data.holdout ends with {holdout.end} already: once the retraining on it "
            "is deployed, newer ones follow"
        )
    if not Rows(files.CHECKED, params.data.time, window.first_day, window.first_day_after).count():
        return _unasked(f"{files.CHECKED} has no rows of {window} to judge one on")
    return _asked(f"on {window}", window)


def _asked(where: str, window: Window) -> Question:
    return {
        **_unasked(f"a model trained on newer rows is to be judged {where}"),
        "state": "wanted",
        "start": window.first_day.isoformat(),
        "end": window.last_day.isoformat(),
    }


def _unasked(why: str) -> Question:
    return {"state": "skipped", "value": None, "threshold": None, "sentence": why}


def run(params: Params) -> None:
    """Complete ``reports/drift.*`` by what a challenger showed, and print the decision.

    Raises
    ------
    MlopsError
        When the reports are not about one check. Nothing is written then.
    """
    drift = files.read_json(files.DRIFT, "mlops drift")
    comparison = files.read_json(files.COMPARISON, "mlops compare --mode retrain")
    check(drift, comparison)
    asked = {**drift["challenger"], **judged(comparison)}
    found = Found(drift["moved"], drift["lasting"], drift["drifted"], drift["windows"])
    where = named(drift["champion"]["version"], drift["current"]["window"])
    made = decision.decide(found, where, asked, params.drift.retrain.when)
    drift |= {**vars(made), "challenger": asked}
    drift["windows"][-1]["decision"] = made.decision
    files.write_text(files.DRIFT_SUMMARY, summary.render(drift))
    export.write(drift)
    files.write_json(files.DRIFT, drift)
    export.push(drift)
    actions.outputs(decision=made.decision)
    print(made.sentence)


def check(drift: dict[str, Any], comparison: dict[str, Any]) -> None:
    """Refuse reports that are not about one check and its challenger."""
    asked = drift.get("challenger") or _unasked("")
    if "end" not in asked:
        why = asked["sentence"] or drift["sentence"]
        raise MlopsError(f"{files.DRIFT} asks for no challenger: {why}")
    newest = Window(start=asked["start"], end=asked["end"])
    judged = comparison["holdout"]
    holdout = Window(start=judged["start"], end=judged["end"]) if judged["start"] else None
    if holdout and newest.first_day_after != holdout.first_day_after:
        raise MlopsError(
            f"{files.COMPARISON} judges on {holdout}, which does not end with {newest}, the newest "
            "window with labels; run `mlops move-window`, `dvc repro` and `mlops compare --mode "
            "retrain` first"
        )
    watched, against = (it["champion"] and it["champion"]["version"] for it in (drift, comparison))
    if watched != against:
        raise MlopsError(
            f"{files.DRIFT} is about champion {watched}, and {files.COMPARISON} about {against}; "
            "run `mlops drift` again"
        )
    if comparison["mode"] != "retrain":
        raise MlopsError(
            f"{files.COMPARISON} judges a change; run `mlops compare --mode retrain`, "
            "`mlops decide` and `mlops report`"
        )


def named(version: int, window: Window | str) -> str:
    return f"champion v{version} in {window}"


def judged(comparison: dict[str, Any]) -> Question:
    """Return how a challenger compares with the champion: the answer, and the numbers behind it.

    ``better``: for sure, and by ``gate.margin`` at least. ``not worse``: as ``gate.margin`` allows,
    for sure. ``value`` is its score minus the champion's, as the metric counts.
    """
    policy, holdout, trained = comparison["gate"], comparison["holdout"], comparison["candidate"]
    allowed = comparison["margins"]["overall"]
    row = next(row for row in comparison["differences"] if row["metric"] == comparison["metric"])
    (passed,) = (it["passed"] for it in comparison["checks"] if it["name"] == gate.CHAMPION)
    gain = row["difference"] if row["greater_is_better"] else -row["difference"]
    margin = f"gate.margin ({rounded(allowed)})"
    if comparison["finding"] == "same":
        state, said = "same", "answers as the champion does"
    elif comparison["finding"] == "better" and gain >= allowed:
        state, said = "better", "is better"
    elif passed:
        state, said = "not worse", f"is not worse than {margin} allows, and not surely better by it"
    elif comparison["finding"] == "worse":
        state, said = "not better", "is worse"
    else:
        state, said = "not better", "is not surely better"
    other = "worse" if gain > 0 else "better"
    others = [it for it in comparison["differences"] if it["metric"] != row["metric"]]
    moved = [label(it["metric"]) for it in others if it["verdict"] == other]
    contrary = f"; but {', '.join(moved)} {'are' if len(moved) > 1 else 'is'} {other}"
    scores = f"{number(row['champion'])} → {number(row['candidate'])}"
    bounds = f"{percent(policy['confidence'])} interval {interval(row)}"
    if row["low"] is None:
        bounds = "no interval"
    span = holdout.get("when") or summary.span(holdout["start"], holdout["end"])
    return {
        "state": state,
        "sentence": (
            f"a model trained on {trained['window']} {said} on {span}: "
            f"{label(row['metric'])} {scores} ({signed(row['difference'])}, {bounds} on "
            f"{holdout['blocks']}){contrary if moved else ''}"
        ),
        "value": row["difference"],
        "threshold": allowed,
        "metric": row["metric"],
        "low": row["low"],
        "high": row["high"],
        "champion": row["champion"],
        "candidate": row["candidate"],
        "window": trained["window"],
        "seconds": trained["seconds"],
    }
