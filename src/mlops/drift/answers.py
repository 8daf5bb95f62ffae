"""Reads the rows that each question is about, and asks the champion for its scores."""

import hashlib
import json
import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet

from mlops.artifact.model_folder import Facts
from mlops.artifact.table import Array
from mlops.drift import questions, scores
from mlops.drift.columns import Judged, Wanted, judge
from mlops.drift.decision import Question
from mlops.drift.newest import Newest, own_holdout
from mlops.drift.rows import Rows
from mlops.judgement.bootstrap import independent_difference
from mlops.judgement.compare import Champion
from mlops.judgement.metric import resolve
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Params, Window
from mlops.project.progress import counting

# Rows a side of the bootstrap. With more, an interval that is narrow already (ROC AUC: about 0.01)
# takes longer than everything else.
SCORED = 50_000


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


def known(params: Params, champion: Champion) -> Known:
    """Return what the champion knows, from the data source.

    Raises
    ------
    MlopsError
        When the source no longer has these rows or an input, or ``drift.columns.own`` names a
        column that does not exist.
    """
    facts = champion.model.facts
    window = _rows(params, champion, facts.window, "window")
    holdout = _rows(params, champion, own_holdout(facts), "own holdout")
    return Known(champion, window, holdout, *_inputs(params, champion))


def _inputs(params: Params, champion: Champion) -> tuple[list[Wanted], list[str]]:
    """Return the inputs with their thresholds, and those that are left out, by their types."""
    schema, inputs = pyarrow.parquet.read_schema(files.RAW), champion.model.facts.inputs
    limits = params.drift.columns
    for name, limit in limits.own.items():
        if name not in inputs and name not in schema.names:
            raise MlopsError(
                f"{files.PARAMS}: drift.columns.own.{name}: unknown column (value {limit:g}); "
                f"allowed here: {', '.join(inputs)}"
            )
    if missing := [name for name in inputs if name not in schema.names]:
        raise MlopsError(
            f"{files.RAW} no longer has column {', '.join(missing)}, which champion "
            f"v{champion.version} needs; keep the column until a model without it is champion"
        )
    wanted, left_out = [], []
    for name in inputs:
        kind = schema.field(name).type
        if pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind):
            wanted.append(Wanted(name, "numeric", limits.own.get(name, limits.numeric)))
        elif _is_category(kind):
            wanted.append(Wanted(name, "categorical", limits.own.get(name, limits.categorical)))
        else:
            left_out.append(name)
    return wanted, left_out


def data(params: Params, known: Known, new: Newest, page: Path) -> Judged:
    """Compare the newest inputs with those that the champion trained on."""
    return _judge(params, known.window, new.rows, known.inputs, page)


def predictions(params: Params, known: Known, new: Newest) -> Question:
    """Compare the newest scores with those on the champion's own holdout.

    Not with those on its window: on the rows that trained it, its scores are surer than on others.
    """
    facts, limit = known.champion.model.facts, params.drift.predictions
    wanted = [Wanted(name, "score", limit) for name in scores.names(facts)]
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
    newest = _labelled(new.scored, facts, params.seed)
    if wrong := questions.unreadable(newest[1], facts.task):
        return unanswered("skipped", wrong)
    then = _labelled(_scored(known), facts, params.seed)
    with counting("Resampling both windows", total=gate.resamples) as progress:
        change = independent_difference(
            metric,
            newest,
            then,
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
        "rows": len(newest[0]),
        "holdout_rows": len(then[0]),
        "sampled": len(newest[0]) < new.labelled or len(then[0]) == SCORED,
    }
    return questions.concept(metric, change, gate, settings, rows)


def fingerprint(params: Params, judged: Judged | None, new: Newest) -> str:
    """Return an MD5 of what a verdict depends on: the newest rows, their labels, the settings."""
    settings = {"drift": params.drift.model_dump(), "metric": params.gate.metric}
    rows = judged.fingerprint if judged else new.count
    text = json.dumps([rows, new.labels, settings], sort_keys=True)
    return hashlib.md5(text.encode(), usedforsecurity=False).hexdigest()


def _rows(params: Params, champion: Champion, window: Window, what: str) -> Rows:
    rows = Rows(files.RAW, params.data.time, window.first_day, window.first_day_after)
    if not rows.count():
        raise MlopsError(
            f"{files.RAW} has no rows of the {what} of champion v{champion.version} ({window}), "
            "with which the newest are compared; let load_data in src/model/data.py return "
            "them too, and run `dvc repro --force --single-item ingest`"
        )
    return rows


def _is_category(kind: "pa.DataType") -> bool:
    if pa.types.is_dictionary(kind):
        return _is_category(kind.value_type)
    return bool(
        pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_boolean(kind)
    )


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
    return replace(known.holdout, computed=scores.predicted(known.champion.model))


def _labelled(rows: Rows, facts: Facts, seed: int) -> tuple[Array, Array]:
    """Return targets and scores of the labelled rows, or of a sample of them."""
    names = scores.names(facts)
    labelled = replace(rows, present=facts.target)
    table = labelled.sample([facts.target, *names], SCORED, seed)
    return table[facts.target].to_numpy(), scores.from_table(table, names)
