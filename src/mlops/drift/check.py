"""``mlops drift``: has the world moved away from the champion? Four questions, and what follows."""

import hashlib
import json
import math
import os
import tempfile
from collections.abc import Callable
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime
from functools import partial
from pathlib import Path
from shutil import copyfile
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from mlops.artifact.model_folder import Facts
from mlops.artifact.table import Array, to_columns, to_target
from mlops.artifact.training import of_version
from mlops.drift import challenger, decision, export, history, newest, questions, summary
from mlops.drift.columns import Judged, Kind, Wanted, judge
from mlops.drift.decision import Question
from mlops.drift.newest import Newest, NoNewDataError
from mlops.drift.rows import Rows, is_text
from mlops.drift.snapshot import fetch
from mlops.judgement import blocks
from mlops.judgement.blocks import Blocks
from mlops.judgement.bootstrap import independent_difference
from mlops.judgement.compare import Champion, load_champion
from mlops.judgement.metric import Metric, Predictions, resolve
from mlops.project import actions, files
from mlops.project.errors import MlopsError
from mlops.project.params import Data, Params, Thresholds, Window
from mlops.project.progress import counting, working
from mlops.serving.withheld import SETTING as EXCLUDE

Read = Callable[[Window], AbstractContextManager[Newest]]

TOO_FEW_BLOCKS = "too few blocks"  # of a question: the window is to be joined with those before
LATE_LABELS = 12  # windows to look back for labels that were not there yet: a year of months
# Rows a side of the bootstrap. With more, an interval that is narrow already (ROC AUC: about 0.01)
# takes longer than everything else.
SCORED = 50_000
KNOWN_TO_LOGS = (blocks.DAY, blocks.WEEK, blocks.ROW)

WRITTEN = (files.DRIFT, files.DRIFT_PAGE, files.DRIFT_SUMMARY, files.DRIFT_METRICS)


@dataclass(frozen=True)
class Known:
    """What the newest rows are compared with: the champion's window and its own holdout.

    ``inputs`` are judged, ``left_out`` are neither numbers nor categories, such as times.
    """

    champion: Champion
    window: Rows
    holdout: Rows
    inputs: list[Wanted]
    left_out: list[str]


def run(params: Params, as_of: date | None = None) -> dict[str, Any]:
    """Judge the newest window, print the decision and write ``reports/drift.*``.

    With ``as_of``, it checks as if this day were over and nothing had come after it. Returns what
    ``reports/drift.json`` holds: the source of the summary, the pull request and the alert.

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
    wanted = bool(drift["challenger"]) and drift["challenger"]["state"] == "wanted"
    actions.outputs(
        new_data=str(drift["new_data"]).lower(),
        decision=drift["decision"],
        challenger=str(wanted).lower(),
        end=(drift["current"] or {}).get("end", ""),
    )
    _say(drift)
    return drift


def check(params: Params, as_of: date | None, page: Path) -> dict[str, Any]:
    """Return what there is to say; Evidently's page goes to ``page``, rows beside it."""
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
        "challenger": None,
        "windows": [],
        "settings": params.drift.model_dump(),
    }
    champion = load_champion(params)
    if champion is None:
        return drift
    if log and params.drift.replay and as_of is None:
        raise MlopsError(
            f"{files.PARAMS}: drift.replay: got True with {newest.LOG} set; a prediction log is "
            "not replayed: set drift.replay to false, or say a day with --as-of"
        )
    facts, recorded = champion.model.facts, history.read()
    split = Data.model_validate(facts.params["data"])
    drift["champion"] = {
        "version": champion.version,
        "window": facts.trained_on,
        "holdout": split.judging,
    }
    inputs = _inputs(params, champion)
    try:
        if split.hashed:
            snapshot = fetch(champion, page.parent)
            known = Known(champion, snapshot.training, snapshot.holdout, *inputs)
            day = as_of or newest.yesterday() + newest.DAY
            if not log:
                with newest.since(champion, snapshot, page.parent, day) as new:
                    return drift | _judged(params, known, new, None, as_of, recorded, page)
        else:
            window_rows, holdout_rows = _own_rows(champion, split)
            known = Known(champion, window_rows, holdout_rows, *inputs)
        window = newest.choose(champion, params, as_of, recorded)
        time = split.time or "asked at"
        read: Read = (
            partial(newest.from_log, champion, log, time)
            if log
            else partial(newest.from_data, champion, time)
        )
        with read(window) as new:
            return drift | _judged(params, known, new, read, as_of, recorded, page)
    except NoNewDataError as reason:
        return drift | {"sentence": f"No new data: {reason}"}


def _judged(
    params: Params,
    known: Known,
    new: Newest,
    read: Read | None,
    as_of: date | None,
    recorded: list[dict[str, Any]],
    page: Path,
) -> dict[str, Any]:
    """Ask the four questions about a window, and decide."""
    champion, settings = known.champion, params.drift
    facts, compared = champion.model.facts, None
    inputs = [it for it in known.inputs if it.name not in new.withheld]
    if new.count >= settings.min_rows:
        with working("Comparing the inputs"):
            compared = _judge(params, known.window, new.rows, inputs, page)
    current = new.described(fingerprint(params, compared, new))
    dated = read is not None
    if checked := decision.checked(current, champion.version, recorded, dated=dated):
        raise NoNewDataError(
            f"{current['window']} was checked on {checked}, with the same rows, labels and settings"
        )
    end = as_of or (new.window.last_day if settings.replay else newest.yesterday())
    found: dict[str, Any] = {
        "as_of": end.isoformat(),
        "reference": {
            "start": facts.window and facts.window.first_day.isoformat(),
            "end": facts.window and facts.window.last_day.isoformat(),
            "rows": known.window.count(),
        },
        "current": current,
        "new_data": True,
    }
    if compared is None:
        metric = resolve(params.gate.metric, facts.task)
        sentence = (
            f"Only {new.count:,} rows in {new.named}: too few to judge "
            f"(drift.min_rows is {settings.min_rows:,})"
        )
        asked = questions.too_few(sentence, metric, params.gate, settings, new.labelled)
        return {**found, "sentence": sentence, "questions": asked}
    with working("Comparing the predictions"):
        moved = predictions(params, known, new)
    asked = {
        "data": questions.data(compared.columns, known.left_out, settings, new.withheld),
        "predictions": moved,
        "concept": _concept(params, known, new, read, recorded),
        "staleness": questions.staleness(*_ended(champion), end, settings),
    }
    changed = decision.find(asked, current, champion.version, recorded, settings.retrain)
    challenged = challenger.wanted(params, new, asked["concept"], changed)
    where = challenger.named(champion.version, new.named)
    made = decision.decide(changed, where, challenged, settings.retrain.when)
    changed.windows[-1]["decision"] = made.decision
    answers = {"questions": asked, "challenger": challenged}
    return {**found, **vars(changed), **vars(made), **answers}


def _concept(
    params: Params, known: Known, new: Newest, read: Read | None, recorded: list[dict[str, Any]]
) -> Question:
    """Ask about the newest window that has labels and was not asked about before."""
    if read is None:  # without dates there are no earlier windows
        question = concept(params, known, new)
        few = question["state"] == TOO_FEW_BLOCKS
        return question | {"state": "skipped"} if few else question
    question = _joined(params, known, new, read)
    if question["state"] != "waiting":
        return question
    earlier = decision.unanswered(new.described(""), known.champion.version, recorded)
    for entry in earlier[:LATE_LABELS]:
        try:
            with read(Window(start=entry["start"], end=entry["end"])) as old:
                late = _joined(params, known, old, read)
        except NoNewDataError:
            continue  # its rows are gone
        if late["state"] != "waiting":
            return {**late, "sentence": f"{late['sentence']} (labels of {old.window})"}
    return question


def _joined(params: Params, known: Known, new: Newest, read: Read) -> Question:
    """Ask about a window; one with too few blocks is joined with the periods before it."""
    own = newest.own_holdout(known.champion.model.facts)
    first = own.first_day_after if own else _ended(known.champion)[0]
    window, question = new.window, concept(params, known, new)
    while question["state"] == TOO_FEW_BLOCKS:
        before = newest.containing(window.first_day - newest.DAY, params.drift.period)
        if before.first_day < first:
            return question | {"state": "skipped"}
        window = Window(start=before.first_day.isoformat(), end=new.window.last_day.isoformat())
        with read(window) as joined:
            question = concept(params, known, joined)
            question["sentence"] += f" (on {window}, for enough {params.gate.blocks} blocks)"
    return question


def _say(drift: dict[str, Any]) -> None:
    print(drift["sentence"])
    for name, question in drift["questions"].items():
        mark = "!" if question["state"] == "violated" else "-"
        print(f"{mark} {name}: {question['sentence']}")
    if drift["challenger"]:
        print(f"- challenger: {drift['challenger']['sentence']}")


def _ended(champion: Champion) -> tuple[date, str]:
    """Return when what the champion knows ended, and what that was."""
    if window := champion.model.facts.window:
        return window.last_day, "'s window ended"
    trained = of_version(champion.model.folder)
    if started := trained["started"]:
        return date.fromisoformat(started[:10]), " was trained"
    return date.fromisoformat(trained["registered"][:10]), " was registered"


def _inputs(params: Params, champion: Champion) -> tuple[list[Wanted], list[str]]:
    """Return the inputs with their thresholds, and those that are left out, by their types.

    Raises
    ------
    MlopsError
        When the data no longer has an input, or ``drift.columns.own`` names a column that it never
        had.
    """
    if not files.CHECKED.is_file():
        raise MlopsError(f"{files.CHECKED} is not there; run `dvc repro`")
    schema, inputs = pyarrow.parquet.read_schema(files.CHECKED), champion.model.facts.inputs
    limits = params.drift.columns
    for name in limits.own:
        if name not in inputs and name not in schema.names:
            raise MlopsError(
                f"{files.PARAMS}: drift.columns.own.{name}: unknown column; "
                f"allowed here: {', '.join(inputs)}"
            )
    if missing := [name for name in inputs if name not in schema.names]:
        raise MlopsError(
            f"{files.CHECKED} no longer has column {', '.join(missing)}, which champion "
            f"v{champion.version} needs; keep the column until a model without it is champion"
        )
    wanted, left_out = [], []
    for name in inputs:
        kind, own = schema.field(name).type, limits.own.get(name, Thresholds())
        judged: Kind = "categorical" if _is_category(kind) else "numeric"
        if judged == "numeric" and not _is_number(kind):
            left_out.append(name)
            continue
        usual = limits.numeric if judged == "numeric" else limits.categorical
        distance = usual if own.distance is None else own.distance
        wanted.append(Wanted(name, judged, distance, own.missing, own.new_categories))
    return wanted, left_out


def predictions(params: Params, known: Known, new: Newest) -> Question:
    """Compare the newest scores with those on the champion's own holdout.

    Not with those on its window: on the rows that trained it, its scores are surer than on others.
    """
    facts, limit = known.champion.model.facts, params.drift.predictions
    wanted = [Wanted(name, "score", limit) for name in newest.score_names(facts)]
    judged = _judge(params, _scored(known), new.scored, wanted, None)
    return questions.predictions(judged.columns, facts.task, params.drift)


def concept(params: Params, known: Known, new: Newest) -> Question:
    """Score the champion on the newest labelled rows and on its own holdout.

    Large windows are sampled, seeded; the interval is that of the rows that were drawn.
    """
    facts, gate, settings = known.champion.model.facts, params.gate, params.drift
    metric = resolve(gate.metric, facts.task)
    unanswered = partial(questions.concept_unanswered, metric, gate, settings, new.labelled)
    if new.labelled < settings.min_rows:
        return unanswered(
            "waiting",
            f"labels not there yet: {new.labelled:,} of {new.count:,} rows have one "
            f"(drift.min_rows is {settings.min_rows:,})",
        )
    now = _labelled(new.scored, params, facts, metric)
    if wrong := questions.unreadable(now[1].scores, facts.task):
        return unanswered("skipped", wrong)
    then = _labelled(_scored(known), params, facts, metric)
    metric = metric.tried(*now[:2], facts.classes)
    for where, (*_, grouped) in {new.named: now, "the champion's own holdout": then}.items():
        if grouped.number < blocks.LEAST:
            state = TOO_FEW_BLOCKS if grouped is now[2] else "skipped"
            return unanswered(state, f"{where} has {grouped}; at least {blocks.LEAST} are needed")
    with counting("Resampling both windows", total=gate.resamples) as progress:
        change = independent_difference(
            metric,
            (*now[:2], now[2].codes),
            (*then[:2], then[2].codes),
            facts.classes,
            resamples=gate.resamples,
            confidence=gate.confidence,
            seed=params.seed,
            progress=progress,
        )
    if math.isnan(change.low):
        why = f"{metric.name} is undefined on the labels that are there, as of one class only"
        return unanswered("waiting", why)
    rows = {
        "labels_of": new.described("")["end"],
        "rows": len(now[0]),
        "blocks": str(now[2]),
        "holdout_rows": len(then[0]),
        "sampled": len(now[0]) < new.labelled or len(then[0]) == SCORED,
    }
    return questions.concept(metric, change, gate, settings, rows)


def fingerprint(params: Params, judged: Judged | None, new: Newest) -> str:
    """Return an MD5 of what a verdict depends on: the newest rows, their labels, the settings."""
    settings = {"drift": params.drift.model_dump(), "metric": params.gate.metric}
    rows = judged.fingerprint if judged else new.count
    text = json.dumps([rows, new.labels, settings], sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _own_rows(champion: Champion, split: Data) -> list[Rows]:
    """Return the rows of the champion's window and of its own holdout, from the data.

    Raises
    ------
    MlopsError
        When the data no longer has them.
    """
    found = []
    for what, window in zip(("window", "own holdout"), split.windows, strict=True):
        rows = Rows(files.CHECKED, split.time, window.first_day, window.first_day_after)
        if not rows.count():
            raise MlopsError(
                f"{files.CHECKED} has no rows of the {what} of champion v{champion.version} "
                f"({window}), with which the newest are compared; let load_data in "
                "src/model/data.py return them too; `dvc repro --force ingest validate` loads them"
            )
        found.append(rows)
    return found


def _is_number(kind: "pa.DataType") -> bool:
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    return any(is_one(kind) for is_one in numbers)


def _is_category(kind: "pa.DataType") -> bool:
    kind = kind.value_type if pa.types.is_dictionary(kind) else kind
    return is_text(kind) or bool(pa.types.is_boolean(kind))


def _judge(
    params: Params, reference: Rows, current: Rows, wanted: list[Wanted], page: Path | None
) -> Judged:
    settings = params.drift
    return judge(
        reference,
        current,
        wanted,
        missing=settings.missing,
        new_categories=settings.new_categories,
        sample_rows=settings.sample_rows,
        seed=params.seed,
        page=page,
    )


def _scored(known: Known) -> Rows:
    return replace(known.holdout, computed=newest.predicted(known.champion.model))


def _labelled(
    rows: Rows, params: Params, facts: Facts, metric: Metric
) -> tuple[Array, Predictions, Blocks]:
    """Return targets, predictions and blocks of the labelled rows, or of a sample of them."""
    names, chosen = newest.score_names(facts), params.gate.blocks
    grouped = str(params.data.time) if chosen in (blocks.DAY, blocks.WEEK) else chosen
    if chosen not in (*KNOWN_TO_LOGS, *pyarrow.parquet.read_schema(rows.path).names):
        why, instead = "is no input of the model", f"set {', '.join(KNOWN_TO_LOGS)} or an input"
        if chosen in facts.inputs:
            why, instead = f"{EXCLUDE} leaves out", f"log it as a hash ({chosen}:hash)"
        raise MlopsError(
            f"{files.PARAMS}: gate.blocks: the prediction log has no {chosen!r}, which {why}; "
            f"{instead}"
        )
    raw = [
        name
        for name in rows.names
        if metric.own and not (name in names or name.startswith(newest.LOGGED))
    ]
    columns = dict.fromkeys([facts.target, *raw, *([grouped] if chosen != blocks.ROW else [])])
    table = replace(rows, present=facts.target).sample([*columns, *names], SCORED, params.seed)
    scores = newest.scores_in(table, names)
    given = Predictions(scores, facts.threshold, to_columns(table[raw]))
    return to_target(table[facts.target], facts.task), given, blocks.of_rows(table, params)
