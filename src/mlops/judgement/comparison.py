"""What ``reports/comparison.json`` says: source of the comment, the check and the record."""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from mlops.artifact.model_folder import ModelArtifact
from mlops.artifact.table import read, to_columns
from mlops.judgement import changes, gate, metrics
from mlops.judgement import finding as findings
from mlops.judgement.bootstrap import Difference
from mlops.judgement.finding import Pair, Slice
from mlops.judgement.metric import Metric
from mlops.judgement.scorecard import mean_outcome, scorecard, training_facts
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Mode, Params
from mlops.project.progress import counting

if TYPE_CHECKING:
    from mlops.judgement.compare import Champion


@dataclass(frozen=True)
class Against:
    """How the candidate stands against the champion; by default, as there is none."""

    finding: findings.Finding = "first"
    scorecard: dict[str, Any] | None = None
    differences: dict[str, Difference] = field(default_factory=dict)
    slices: list[Slice] = field(default_factory=list)
    changes: dict[str, Any] | None = None


def build(
    params: Params, candidate: ModelArtifact, champion: "Champion | None", mode: Mode | None
) -> dict[str, Any]:
    """Judge ``candidate`` against ``champion`` on the holdout."""
    holdout = read(files.HOLDOUT)
    columns = to_columns(holdout)
    y = holdout[params.data.target].to_numpy()
    metric = metrics.resolve(params.gate.metric, params.task)
    proper = metrics.resolve(metrics.proper(params.task), params.task)
    slice_metric = _slice_metric(params)

    prediction = candidate.predict(columns)
    ours = {
        **scorecard(params, candidate, holdout, y, prediction),
        **training_facts(files.TRAINING),
    }
    classes = candidate.facts.classes
    against = Against()
    if champion is None:
        parts = findings.slices_alone(slice_metric, y, prediction, classes, holdout, params.gate)
    else:
        champions = champion.model.predict(columns)
        pair = Pair(y, prediction, champions, classes)
        against = judge_against(params, candidate, champion, pair, holdout)
        parts = against.slices
    mode = mode or (gate.mode_of(against.changes) if against.changes else "change")
    base = Pair(y, prediction, candidate.predict_base_rate(len(y)), classes)
    floors = {key: metrics.resolve(key, params.task, "gate.floors") for key in params.gate.floors}
    refuse_undefined(params, ours["metrics"], {"gate.metric": metric, **floors}, len(y))
    cost = ours["cost"]
    checks = [
        gate.improvement(
            mode,
            against.finding,
            metric,
            against.differences.get(metric.name),
            params.gate,
            len(y),
        ),
        *gate.floors(params.gate, floors, ours["metrics"]),
        gate.base_rate(proper, findings.difference(proper, base, params.gate, params.seed)),
        gate.no_slice_worse(slice_metric, against.slices, params.gate),
        gate.budget("calibration error", ours["calibration"], params.gate.calibration, ""),
        gate.budget("one prediction", cost["latency_ms"], params.gate.latency_ms, " ms"),
        gate.budget("model size", cost["size_mb"], params.gate.size_mb, " MB"),
    ]
    return {
        "finding": against.finding,
        "passed": all(check.passed for check in checks),
        "reasons": gate.reasons(checks),
        "mode": mode,
        "name": params.name,
        "task": params.task,
        "target": params.data.target,
        "metric": metric.name,
        "gate": params.gate.model_dump(),
        "holdout": {
            **params.data.holdout.model_dump(),
            "rows": len(y),
            "md5": files.md5(files.HOLDOUT),
            "seen": mean_outcome(candidate, y),
        },
        "candidate": ours,
        "champion": against.scorecard,
        "differences": [
            _metric_row(params, name, ours, against.scorecard, against.differences.get(name))
            for name in ours["metrics"]
        ],
        "slice_metric": slice_metric.name,
        "slices": [_slice_row(slice_metric, part, params.gate) for part in parts],
        "checks": [asdict(check) for check in checks],
        "changes": against.changes,
    }


def judge_against(
    params: Params,
    candidate: ModelArtifact,
    champion: "Champion",
    pair: Pair,
    holdout: pd.DataFrame,
) -> Against:
    """Compare the two models on all rows of the holdout and slice by slice."""
    metric = metrics.resolve(params.gate.metric, params.task)
    model = champion.model
    card = scorecard(params, model, holdout, pair.y, pair.champion)
    card |= training_facts(model.folder / files.TRAINING.name)
    differences = bootstrap_all(params, pair, list(card["metrics"]))
    with counting("Comparing slice by slice", total=1) as progress:
        slices = findings.slices(
            _slice_metric(params), pair, holdout, params.gate, params.seed, progress
        )
    return Against(
        finding=findings.find(metric, pair, differences[metric.name], params.gate.margin),
        scorecard={**card, "version": champion.version},
        differences=differences,
        slices=slices,
        changes=changes.between(
            model.facts, candidate.facts, _gate_of(model.folder), params.gate.model_dump()
        ),
    )


def _slice_metric(params: Params) -> Metric:
    """Return the gate's metric; on the general path, slice after slice would take minutes."""
    metric = metrics.resolve(params.gate.metric, params.task)
    if metric.kind == "general":
        return metrics.resolve(metrics.proper(params.task), params.task)
    return metric


def refuse_undefined(
    params: Params, scores: dict[str, float], needed: dict[str, Metric], rows: int
) -> None:
    """Refuse to judge by a metric that the holdout leaves undefined."""
    for key, metric in needed.items():
        if math.isnan(scores[metric.name]):
            where = key if key == "gate.metric" else f"gate.floors.{key}"
            raise MlopsError(
                f"{files.PARAMS}: {where}: {metric.name} is undefined on the {rows:,} rows of the "
                f"holdout {params.data.holdout}, as when they lack a class; "
                "choose a longer holdout or another metric"
            )


def bootstrap_all(params: Params, pair: Pair, names: list[str]) -> dict[str, Difference]:
    """Return the differences with intervals: of the gate's metric, and of those on fast paths."""
    wanted = [metrics.resolve(name, params.task) for name in names]
    primary = metrics.resolve(params.gate.metric, params.task).name
    wanted = [metric for metric in wanted if metric.kind != "general" or metric.name == primary]
    found: dict[str, Difference] = {}
    with counting("Resampling the holdout", total=params.gate.resamples * len(wanted)) as progress:
        for metric in wanted:
            before = params.gate.resamples * len(found)
            found[metric.name] = findings.difference(
                metric, pair, params.gate, params.seed, progress=partial(_add, progress, before)
            )
    return found


def _add(progress: Callable[[int], None], before: int, done: int) -> None:
    progress(before + done)


def _metric_row(
    params: Params,
    name: str,
    ours: dict[str, Any],
    theirs: dict[str, Any] | None,
    difference: Difference | None,
) -> dict[str, Any]:
    metric = metrics.resolve(name, params.task)
    candidate = ours["metrics"][name]
    champion = theirs["metrics"][name] if theirs else None
    known = difference is not None and not math.isnan(difference.low)
    verdict = "no interval"
    if difference is not None and known:
        _, low, high = findings.gain(metric, difference)
        verdict = "better" if low > 0 else "worse" if high < 0 else "unclear"
        verdict = "same" if low == high == 0 else verdict
    return {
        "metric": name,
        "greater_is_better": metric.greater_is_better,
        "candidate": candidate,
        "champion": champion,
        "difference": None if champion is None else candidate - champion,
        "low": difference.low if difference and known else None,
        "high": difference.high if difference and known else None,
        "verdict": verdict,
    }


def _slice_row(metric: Metric, part: Slice, policy: Any) -> dict[str, Any]:
    judged = part.difference if part.verdict != "too few" else None
    numbers = asdict(judged) if judged else dict.fromkeys(Difference.__dataclass_fields__)
    return {
        "column": part.column,
        "value": part.value,
        "rows": part.rows,
        **numbers,
        "verdict": part.verdict,
        "failed": gate.slice_fails(metric, part, policy),
    }


def _gate_of(folder: Path) -> dict[str, Any] | None:
    """Return the gate that a registered model had to pass, when it was compared at all."""
    path = folder / files.COMPARISON.name
    return files.read_json(path, "mlops compare")["gate"] if path.is_file() else None
