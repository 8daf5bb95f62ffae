"""``mlops drift``: has the world moved away from the champion? Four questions and a decision."""

import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from shutil import copyfile
from typing import Any

from mlops.drift import answers, decision, export, history, newest, period, questions, summary
from mlops.drift.answers import Known
from mlops.drift.decision import Question
from mlops.drift.newest import Newest, NoNewDataError
from mlops.judgement import metrics
from mlops.judgement.compare import Champion
from mlops.project import actions, files
from mlops.project.params import Params, Window
from mlops.project.progress import working
from mlops.registry import model_version, tracking, versions

Read = Callable[[Window], AbstractContextManager[Newest]]

LATE_LABELS = 12  # windows to look back for labels that were not there yet: a year of months

WRITTEN = (files.DRIFT, files.DRIFT_PAGE, files.DRIFT_SUMMARY, files.DRIFT_METRICS)


def run(params: Params, as_of: date | None = None) -> dict[str, Any]:
    """Judge the newest window, print the decision and write ``reports/drift.*``.

    Parameters
    ----------
    params : Params
    as_of : datetime.date, optional
        Check as if this day were over and nothing had come after it.

    Returns
    -------
    dict
        What ``reports/drift.json`` holds: the source of the summary, the pull request and the
        alert.

    Raises
    ------
    MlopsError
        When the champion, its rows or the newest ones cannot be read. No older report is left
        behind then.
    """
    for path in WRITTEN:
        path.unlink(missing_ok=True)
    with tempfile.TemporaryDirectory(prefix="mlops-") as folder:
        page = Path(folder, files.DRIFT_PAGE.name)
        drift = check(params, as_of, page)
        text = summary.render(drift)
        if drift["new_data"] and page.is_file():
            files.write_atomic(files.DRIFT_PAGE, partial(copyfile, page))
    files.write_text(files.DRIFT_SUMMARY, text)
    export.write(drift)
    files.write_json(files.DRIFT, drift)
    export.push(drift)
    actions.outputs(
        new_data=str(drift["new_data"]).lower(),
        decision=drift["decision"],
        end=(drift["current"] or {}).get("end", ""),
    )
    _say(drift)
    return drift


def check(params: Params, as_of: date | None, page: Path) -> dict[str, Any]:
    """Return what there is to say; Evidently's page goes to ``page``."""
    log = os.environ.get(newest.LOG, "")
    drift: dict[str, Any] = {
        "as_of": (as_of or newest.yesterday()).isoformat(),
        "checked": datetime.now(UTC).isoformat(timespec="seconds").replace("+00:00", "Z"),
        "model": params.name,
        "champion": None,
        "source": "predictions" if log else "data",
        "reference": None,
        "current": None,
        "new_data": False,
        "decision": "none",
        "sentence": "There is no champion yet: nothing to watch",
        "reasons": [],
        "questions": {},
        "windows": [],
        "settings": params.drift.model_dump(),
    }
    champion = load_champion(params)
    if champion is None:
        return drift
    if log:
        newest.refuse_replay_of_log(params.drift, as_of)
    facts, recorded = champion.model.facts, history.read()
    drift["champion"] = {
        "version": champion.version,
        "window": str(facts.window),
        "holdout": str(newest.own_holdout(facts)),
    }
    known = answers.known(params, champion)
    try:
        window = newest.choose(champion, params, as_of, recorded)
        read: Read = (
            partial(newest.from_log, champion, log)
            if log
            else partial(newest.from_data, champion, params.data.time)
        )
        with read(window) as new:
            return drift | _judged(params, known, new, read, as_of, recorded, page)
    except NoNewDataError as reason:
        return drift | {"sentence": f"No new data: {reason}"}


def load_champion(params: Params) -> Champion | None:
    """Load the champion, or None when there is none yet."""
    client = tracking.connect()
    with tracking.answers(client.tracking_uri):
        fetched = versions.fetch(client, params.name, model_version.CHAMPION)
        if fetched is None:
            return None
        return Champion(int(fetched[0].version), model_version.load(client, fetched[0]))


def _judged(
    params: Params,
    known: Known,
    new: Newest,
    read: Read,
    as_of: date | None,
    recorded: list[dict[str, Any]],
    page: Path,
) -> dict[str, Any]:
    """Ask the four questions about a window, and decide."""
    champion, settings = known.champion, params.drift
    facts, compared = champion.model.facts, None
    if new.count >= settings.min_rows:
        with working("Comparing the inputs"):
            compared = answers.data(params, known, new, page)
    current = new.described(answers.fingerprint(params, compared, new))
    if checked := decision.checked(current, champion.version, recorded):
        raise NoNewDataError(
            f"{new.window} was checked on {checked}, with the same rows, labels and settings"
        )
    last = period.last_day(new.window)
    end = as_of or (last if settings.replay else newest.yesterday())
    found: dict[str, Any] = {
        "as_of": end.isoformat(),
        "reference": {
            "start": facts.window.first_day.isoformat(),
            "end": period.last_day(facts.window).isoformat(),
            "rows": known.window.count(),
        },
        "current": current,
        "new_data": True,
    }
    if compared is None:
        metric = metrics.resolve(params.gate.metric, facts.task)
        sentence = (
            f"Only {new.count:,} rows in {new.window}: too few to judge "
            f"(drift.min_rows is {settings.min_rows:,})"
        )
        asked = questions.too_few(sentence, metric, params.gate, settings, new.labelled)
        return {**found, "sentence": sentence, "questions": asked}
    with working("Comparing the predictions"):
        moved = answers.predictions(params, known, new)
    asked = {
        "data": questions.data(compared.columns, known.left_out, settings),
        "predictions": moved,
        "concept": _concept(params, known, new, read, recorded),
        "staleness": questions.staleness(facts.window, end, settings),
    }
    made = decision.decide(asked, current, champion.version, recorded, settings.retrain)
    return {**found, **vars(made), "questions": asked}


def _concept(
    params: Params, known: Known, new: Newest, read: Read, recorded: list[dict[str, Any]]
) -> Question:
    """Ask about the newest window that has labels and was not asked about before."""
    question = answers.concept(params, known, new)
    if question["state"] != "waiting":
        return question
    earlier = decision.unanswered(new.described(""), known.champion.version, recorded)
    for entry in earlier[:LATE_LABELS]:
        try:
            with read(Window(start=entry["start"], end=entry["end"])) as old:
                late = answers.concept(params, known, old)
        except NoNewDataError:
            continue  # its rows are gone
        if late["state"] != "waiting":
            return {**late, "sentence": f"{late['sentence']} (labels of {old.window})"}
    return question


def _say(drift: dict[str, Any]) -> None:
    print(drift["sentence"])
    if drift["decision"] != "none" or drift["questions"]:
        for name, question in drift["questions"].items():
            mark = "!" if question["state"] == "violated" else "-"
            print(f"{mark} {name}: {question['sentence']}")
