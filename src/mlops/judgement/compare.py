"""``mlops compare``: candidate and champion on the same holdout rows, judged and written down."""

import math
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import Any

import pandas as pd
from rich.console import Console
from rich.table import Table

from mlops.artifact import model_folder, row_sketch, sandbox
from mlops.artifact.features import Asked
from mlops.artifact.model_folder import Facts, ModelArtifact
from mlops.artifact.sandbox import SandboxedModel
from mlops.artifact.table import read, to_columns, to_target
from mlops.artifact.training import of_model, of_version, told
from mlops.judgement import (
    blocks,
    comparison,
    finding,
    metric,
    reviewed,
    scorecard,
    shelf_life,
    too_good,
)
from mlops.judgement import gate as policy
from mlops.judgement.finding import Findings, Pair, Resampling
from mlops.judgement.metric import Metrics, Predictions
from mlops.judgement.scorecard import mean_outcome, predictions
from mlops.project import actions, files
from mlops.project.errors import DamagedError, MlopsError
from mlops.project.params import Data, Gate, Mode, Params
from mlops.project.progress import counting
from mlops.project.words import interval, label, number, signed
from mlops.registry import model_version, tracking, versions


@dataclass(frozen=True)
class Champion:
    """The model in production, and its version in the registry."""

    version: int
    model: SandboxedModel


@dataclass(frozen=True)
class Proposed:
    """A pull request's model, where others judge it; by its own machinery it is what lies there.

    ``gate`` is the one that the pull request would set. ``made`` says what is odd about the rows
    that judge, as :func:`mlops.pipeline.judge.rows` returns it.
    """

    candidate: SandboxedModel
    gate: dict[str, Any]
    made: dict[str, Any] | None


def run(params: Params, mode: Mode | None, proposed: Proposed | None = None) -> None:
    """Write ``reports/comparison.json`` and print it as a short table.

    ``mode`` says which policy applies; by default it follows from what changed.

    Raises
    ------
    MlopsError
        When the two cannot be compared fairly. No older comparison is left behind then.
    """
    for path in (files.COMPARISON, files.SCORES, files.REPORT, files.FAILURE):
        path.unlink(missing_ok=True)
    if proposed:
        check_whole(candidate := proposed.candidate)
    else:
        candidate = load_candidate(params)
    champion = load_fair_champion(params, candidate)
    written = judge(params, candidate, champion, mode, proposed.gate if proposed else None)
    written["by_base"] = proposed is not None
    written["holdout"]["made"] = proposed.made if proposed else None
    judged = shelf_life.judged(written["holdout"]["md5"], candidate.facts.identity)
    written["holdout"]["judged"] = judged
    written["sandbox"] = candidate.sandbox.held
    files.write_json(files.COMPARISON, written)
    actions.outputs(holdout=written["holdout"]["md5"])
    print_table(written)
    if seen := written["holdout"]["seen_by_champion"]:
        print(
            f"production's model trained on about {seen:.0%} of these rows, so it looks better "
            "than it is: does src/model/data.py shuffle?"
        )
    if champion and judged > 1:
        print(shelf_life.sentence(judged, params.gate))


def judge(
    params: Params,
    candidate: SandboxedModel,
    champion: Champion | None,
    mode: Mode | None,
    next_gate: dict[str, Any] | None = None,
) -> dict[str, Any]:
    """Ask both models for the same rows, find what these show, and hold it against the gate.

    ``next_gate`` is the one that would be in force from then on, by default the same.
    """
    gate, classes = params.gate, candidate.facts.classes
    table = read(files.HOLDOUT)
    columns, y = to_columns(table), to_target(table[params.data.target], params.task)
    prediction = predictions(candidate, columns)
    metrics = metric.choose(params.task, gate, y, prediction, classes)
    described = partial(
        scorecard.scorecard,
        columns=columns,
        y=y,
        times=None if params.data.time is None else table[params.data.time],
        metrics=metrics,
    )

    trained = of_model(candidate.facts)
    files.write_json(files.TRAINING, trained)  # for a job that registers the model elsewhere
    ours = described(candidate, prediction) | told(trained)
    refuse_undefined(params, metrics, ours["metrics"], len(y))
    base_rate = scorecard.base_rate(candidate, prediction)
    reviewed.note(candidate.facts, prediction, files.md5(files.HOLDOUT))
    theirs, champions, changed, units = None, None, None, gate.in_units(0.0, 0.0)
    if champion is not None:
        model = champion.model
        champions = predictions(model, columns)
        theirs = described(model, champions) | told(of_version(model.folder))
        theirs["version"] = champion.version
        units = gate.in_units(*(one(y, champions, classes) for one in metrics.with_margins))
        before, now = _gate_of(model.folder), next_gate or gate.model_dump()
        changed = comparison.changes(model.facts, candidate.facts, before, now)

    pair = Pair(y, prediction, champions, classes, blocks.of_rows(table, params))
    if problem := blocks.too_few(pair.blocks, params):
        raise MlopsError(f"{files.PARAMS}: an interval needs {problem}")
    found = find(params.model_copy(update={"gate": units}), metrics, pair, base_rate, table)
    found = believed(params, metrics, found, pair, base_rate, candidate.features(columns))
    mode = mode or (comparison.mode_of(changed) if changed else "change")
    asked = comparison.policy_of(mode, gate)
    return comparison.content(
        params,
        mode,
        metrics,
        found,
        policy.judge(units, asked, metrics, ours, found, pair.blocks),
        margins={"overall": units.margin, "slices": units.slices.margin},
        data=files.read_json(files.DATA_REPORT, "dvc repro"),
        positive=classes[1] if classes and params.task == "binary" else None,
        holdout={
            "rows": len(y),
            "blocks": str(pair.blocks),
            "md5": files.md5(files.HOLDOUT),
            "seen": mean_outcome(y, classes, params.task),
            "seen_by_champion": champion and seen_by_champion(params, champion, candidate),
        },
        candidate=ours,
        champion=theirs,
        changed=changed,
    )


def find(
    params: Params, metrics: Metrics, pair: Pair, base_rate: Predictions, table: pd.DataFrame
) -> Findings:
    """Compare the candidate with the base rate and, overall and by slices, with the champion."""
    gate, fast = params.gate, metrics.resampled
    resampling = Resampling(gate.resamples, gate.confidence, params.seed)
    base = finding.difference(metrics.proper, replace(pair, champion=base_rate), resampling)
    groups = finding.by_size(table, gate.slices.columns)
    in_groups = partial(
        finding.slices, metrics.slices, pair, groups, gate.slices.min_rows, resampling
    )
    if pair.champion is None:
        return Findings("first", {}, in_groups(), base)
    with counting("Resampling the holdout", total=gate.resamples * len(fast)) as progress:
        differences = finding.differences(fast, pair, resampling, progress)
    with counting("Comparing slice by slice", total=1) as progress:
        slices = in_groups(progress)
    overall = finding.find(metrics.gate, pair, differences[metrics.gate.name], float(gate.margin))
    return Findings(overall, differences, slices, base)


def believed(
    params: Params,
    metrics: Metrics,
    found: Findings,
    pair: Pair,
    base_rate: Predictions,
    asked: Asked,
) -> Findings:
    """Add what may be too good to be true; ``asked`` are the candidate's features of the rows."""
    training, gate = read(files.TRAIN), params.gate
    learned = training.pop(training.columns[-1]).to_numpy()
    training, holdout = too_good.as_numbers(training, asked)
    if unknown := [name for name in gate.trusted if name not in training]:
        raise MlopsError(
            f"{files.PARAMS}: gate.trusted: got {unknown[0]!r}; the model has no such feature; it "
            f"has {', '.join(map(str, training))}"
        )
    alone = too_good.alone(
        *(training, learned, holdout, pair.y, pair.candidate.scores, base_rate.scores),
        pair.classes,
        *(metrics, pair.blocks),
        task=params.task,
        limit=gate.too_good.alone,
        trusted=gate.trusted,
    )
    times = None
    if found.finding == "better" and pair.champion is not None:
        three = (pair.candidate, pair.champion, base_rate)
        ours, theirs, base = (metrics.gate(pair.y, one, pair.classes) for one in three)
        gained = (ours - base) / (theirs - base) if theirs != base else math.inf
        times = gained if gained > 0 else None  # the champion is worse than the base rate
    return replace(found, alone=alone, times=times)


def seen_by_champion(params: Params, champion: Champion, candidate: ModelArtifact) -> float | None:
    """Return the share of the holdout that the champion trained on, None when nobody knows.

    That their windows are apart rules it out in one table only; in another, as from a shuffle of
    the same rows with times made up, a row may lie elsewhere. The hash of a
    column keeps each row on its side, and that of all columns as long as they are the same ones.
    """
    facts, now = champion.model.facts, candidate.facts
    if same_split(facts, params.data) and (params.data.by or facts.data_md5 == now.data_md5):
        return 0.0
    if (sketch := row_sketch.load(champion.model.folder)) is None:
        return None
    holdout, others = row_sketch.judging(params.data, [*facts.inputs, facts.target])
    return row_sketch.seen(sketch, holdout, others)


def refuse_undefined(params: Params, metrics: Metrics, scores: dict[str, float], rows: int) -> None:
    """Refuse to judge by a metric that the holdout leaves undefined."""
    floors = {f"gate.floors.{key}": one.name for key, one in metrics.floors.items()}
    for where, name in {"gate.metric": metrics.gate.name, **floors}.items():
        if math.isnan(scores[name]):
            raise MlopsError(
                f"{files.PARAMS}: {where}: {name} is undefined on the {rows:,} rows of the "
                f"holdout ({params.data.judging}), as when they lack a class; "
                "choose a longer holdout or another metric"
            )


def _gate_of(folder: Path) -> dict[str, Any] | None:
    """Return the gate that a registered model had to pass, when it was compared at all.

    A setting that did not exist then had its default.
    """
    path = folder / files.COMPARISON.name
    if not path.is_file():
        return None
    gate: dict[str, Any] = files.read_json(path, "mlops compare")["gate"]
    return Gate.model_construct(**gate).model_dump(warnings=False)


def load_candidate(params: Params) -> SandboxedModel:
    """Load the model that was trained from what lies in the working folder now."""
    candidate = sandbox.load(files.MODEL)
    data = files.read_json(files.DATA_REPORT, "dvc repro")
    if not data["passed"]:
        raise MlopsError(f"the data was refused ({files.DATA_REPORT}); correct it, run `dvc repro`")
    check_whole(candidate)
    settings = params.of_the_model()
    trained = (candidate.facts.data_md5, candidate.facts.params, candidate.facts.runtime)
    if (data["md5"], settings, params.serving.runtime) != trained:
        raise MlopsError(
            f"{files.MODEL} was trained from other data or {files.PARAMS}; run `dvc repro`"
        )
    return candidate


def check_whole(candidate: ModelArtifact) -> None:
    """Refuse a model folder that is not what one training wrote."""
    if damaged(candidate):
        raise DamagedError(f"{files.MODEL} is not what one training wrote; {files.MEND}")


def damaged(model: ModelArtifact) -> bool:
    """Return whether the model or the feature code is not the one that was trained."""
    return (
        files.md5(model.model_path) != model.facts.model_md5
        or files.md5(model.folder / model_folder.FEATURES) not in model.facts.code.values()
    )


def load_champion(params: Params) -> Champion | None:
    """Load the champion, or None when there is none yet."""
    client = tracking.connect(reading=True)
    with tracking.answers(client.tracking_uri):
        fetched = versions.fetch(client, params.name, model_version.CHAMPION)
        if fetched is None:
            return None
        loaded = model_version.load(client, fetched[0])
        model_version.check_code(fetched[0].version, loaded)
        return Champion(int(fetched[0].version), sandbox.apart(loaded))


def load_fair_champion(params: Params, candidate: ModelArtifact) -> Champion | None:
    """Load the champion that a candidate is to be compared with, if there is one.

    Raises
    ------
    MlopsError
        When it cannot be judged fairly: it trained on the holdout, or predicts something else.
    """
    if (champion := load_champion(params)) is None:
        return None
    version, facts, holdout = champion.version, champion.model.facts, params.data.holdout
    if same_split(facts, params.data) and params.data.hashed:
        theirs = Data.model_validate(facts.params["data"]).share
        if params.data.share > theirs:
            raise MlopsError(
                f"champion v{version} trained on all but {theirs:.0%} of the rows, and data.share "
                f"in params.yaml is {params.data.share:.0%}: it would be judged on rows it has "
                f"seen; set {theirs:.0%} or less until a model with another share is champion"
            )
    elif facts.window and holdout and facts.window.overlaps(holdout):
        raise MlopsError(
            f"champion v{version} trained on {facts.window}, which covers the holdout "
            f"{holdout}: it would be judged on rows it has seen; move data.holdout in params.yaml "
            f"to after {facts.window.end}"
        )
    for name in ("task", "target", "classes"):
        theirs, ours = getattr(facts, name), getattr(candidate.facts, name)
        if theirs != ours:
            raise MlopsError(
                f"champion v{version} has {name} {theirs!r} and the candidate {ours!r}: they "
                "cannot be compared; a new question wants a new name (params.yaml: name)"
            )
    return champion


def same_split(facts: Facts, data: Data) -> bool:
    """Return whether a model was split from its holdout as ``data`` says: by the same columns."""
    theirs = Data.model_validate(facts.params["data"])
    made_by = ((it.split, it.by if it.hashed else it.time) for it in (theirs, data))
    return next(made_by) == next(made_by)


def print_table(written: dict[str, Any]) -> None:
    """Print finding, metrics and failed checks, short enough for a terminal."""
    console = Console(width=100, highlight=False)
    champion = written["champion"]
    against = f"champion v{champion['version']}" if champion else "no champion"
    table = Table("", "candidate", against, "difference", "interval", title_justify="left")
    for row in written["differences"]:
        width = "" if row["low"] is None else interval(row, 4)
        name = f"{label(row['metric'])} {'↑' if row['greater_is_better'] else '↓'}"
        table.add_row(
            f"[bold]{name}[/]" if row["metric"] == written["metric"] else name,
            number(row["candidate"], 4),
            number(row["champion"], 4) if champion else "",
            signed(row["difference"], 4) if champion else "",
            width,
        )
    console.print(table)
    gate = "gate passed" if written["passed"] else "gate failed"
    console.print(f"finding: {written['finding']}, {gate} ({written['mode']})")
    for reason in written["reasons"]:
        console.print(f"- {reason}", markup=False)
