"""What ``reports/comparison.json`` says: source of the comment, the check and the record."""

import math
import time
from collections.abc import Callable
from dataclasses import asdict
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pandas as pd

from mlops import changes, evaluate, files, gate, judgement, metrics, plots
from mlops.artifact import ONNX, Array, ModelArtifact
from mlops.bootstrap import Difference
from mlops.errors import MlopsError
from mlops.judgement import Pair, Slice
from mlops.metric import Metric
from mlops.params import Mode, Params
from mlops.progress import counting
from mlops.table import read, to_columns

if TYPE_CHECKING:
    from mlops.compare import Champion

LATENCY_CALLS = 300


def build(
    params: Params, candidate: ModelArtifact, champion: "Champion | None", mode: Mode | None
) -> dict[str, Any]:
    """Judge ``candidate`` against ``champion`` on the holdout."""
    holdout = read(files.HOLDOUT)
    columns = to_columns(holdout)
    y = holdout[params.data.target].to_numpy()
    metric = metrics.resolve(params.gate.metric, params.task)
    proper = metrics.resolve(metrics.proper(params.task), params.task)
    # One slice after the other on the general path would take minutes.
    slice_metric = proper if metric.kind == "general" else metric

    prediction = candidate.predict(columns)
    ours = side(params, candidate, holdout, y, prediction)
    ours |= training_facts(files.TRAINING)
    theirs, changed = None, None
    finding: judgement.Finding = "first"
    found: list[Slice] = []
    differences: dict[str, Difference] = {}
    if champion is not None:
        pair = Pair(y, prediction, champion.model.predict(columns), candidate.facts.classes)
        theirs = side(params, champion.model, holdout, y, pair.champion)
        theirs |= training_facts(champion.model.folder / files.TRAINING.name)
        theirs |= {"version": champion.version}
        differences = bootstrap_all(params, pair, list(ours["metrics"]))
        finding = judgement.find(metric, pair, differences[metric.name], params.gate.margin)
        with counting("Comparing slice by slice", total=1) as progress:
            found = judgement.slices(
                slice_metric, pair, holdout, params.gate, params.seed, progress
            )
        changed = changes.between(
            champion.model.facts,
            candidate.facts,
            _gate_of(champion.model.folder),
            params.gate.model_dump(),
        )
    mode = mode or (gate.mode_of(changed) if changed else "change")
    base = Pair(y, prediction, candidate.predict_base_rate(len(y)), candidate.facts.classes)
    floors = {key: metrics.resolve(key, params.task, "gate.floors") for key in params.gate.floors}
    refuse_undefined(params, ours["metrics"], {"gate.metric": metric, **floors}, len(y))
    cost = ours["cost"]
    checks = [
        gate.improvement(mode, finding, metric, differences.get(metric.name), params.gate, len(y)),
        *gate.floors(params.gate, floors, ours["metrics"]),
        gate.base_rate(proper, judgement.difference(proper, base, params.gate, params.seed)),
        gate.no_slice_worse(slice_metric, found, params.gate),
        gate.budget("calibration error", ours["calibration"], params.gate.calibration, ""),
        gate.budget("one prediction", cost["latency_ms"], params.gate.latency_ms, " ms"),
        gate.budget("model size", cost["size_mb"], params.gate.size_mb, " MB"),
    ]
    comparison = {
        "finding": finding,
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
        "champion": theirs,
        "differences": [
            _metric_row(params, name, ours, theirs, differences.get(name))
            for name in ours["metrics"]
        ],
        "slice_metric": slice_metric.name,
        "slices": [_slice_row(slice_metric, part, params.gate) for part in found],
        "checks": [asdict(check) for check in checks],
        "changes": changed,
    }
    return dict(_none_for_nan(comparison))


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


def side(
    params: Params, model: ModelArtifact, holdout: pd.DataFrame, y: Array, prediction: Array
) -> dict[str, Any]:
    """Return one model's half: its numbers on the holdout, its cost and where it came from."""
    facts = model.facts
    scores = evaluate.evaluate(params, model, y, prediction)
    metric = metrics.resolve(params.gate.metric, params.task)
    tables = plots.tables(
        params.task, y, prediction, facts.classes, holdout[params.data.time], metric
    )
    return {
        "calibration": scores.pop("calibration"),
        "metrics": scores,
        "predicted": np.mean(prediction, axis=0).tolist(),
        "window": str(facts.window),
        "rows": facts.rows,
        "features": len(facts.features),
        "data_md5": facts.data_md5,
        "model_md5": facts.model_md5,
        "requirements_md5": facts.requirements_md5,
        "plots": {name: table.to_dict("list") for name, table in tables.items()},
        "cost": {
            "latency_ms": single_row_ms(model, holdout),
            "size_mb": (model.folder / ONNX).stat().st_size / 1e6,
        },
    }


def single_row_ms(model: ModelArtifact, holdout: pd.DataFrame) -> float:
    """Return the median time, in milliseconds, of a prediction for one raw row."""
    columns = to_columns(holdout.head(LATENCY_CALLS))
    seconds = []
    for at in range(min(LATENCY_CALLS, len(holdout))):
        row = {name: values[at : at + 1] for name, values in columns.items()}
        started = time.perf_counter()
        model.predict(row)
        seconds.append(time.perf_counter() - started)
    return float(np.median(seconds)) * 1000


def mean_outcome(model: ModelArtifact, y: Array) -> Any:
    """Return the share of the second class, of each class, or the mean target, as predicted is."""
    classes = model.facts.classes
    if classes is None:
        return float(np.mean(y))
    shares = [float(np.mean(y == label)) for label in classes]
    return shares[1] if model.facts.task == "binary" else shares


def training_facts(path: Path) -> dict[str, Any]:
    """Return commit, run and cost of a training."""
    written = files.read_json(path, "dvc repro")
    kept = ("commit", "dirty", "run_id", "started", "seconds", "peak_memory_mb", "python")
    return {name: written.get(name) for name in kept}


def bootstrap_all(params: Params, pair: Pair, names: list[str]) -> dict[str, Difference]:
    """Return the differences with intervals: of the gate's metric, and of those on fast paths."""
    wanted = [metrics.resolve(name, params.task) for name in names]
    primary = metrics.resolve(params.gate.metric, params.task).name
    wanted = [metric for metric in wanted if metric.kind != "general" or metric.name == primary]
    found: dict[str, Difference] = {}
    with counting("Resampling the holdout", total=params.gate.resamples * len(wanted)) as progress:
        for metric in wanted:
            before = params.gate.resamples * len(found)
            found[metric.name] = judgement.difference(
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
        _, low, high = judgement.gain(metric, difference)
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


def _none_for_nan(value: Any) -> Any:
    """Return ``value`` for JSON, which has no NaN: what is undefined is null."""
    if isinstance(value, dict):
        return {key: _none_for_nan(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_none_for_nan(item) for item in value]
    return None if isinstance(value, float) and math.isnan(value) else value
