"""What ``reports/comparison.json`` says: source of the comment, the check and the record."""

import math
from dataclasses import asdict
from typing import Any

from mlops.artifact.model_folder import Facts
from mlops.judgement import gate
from mlops.judgement.bootstrap import Difference
from mlops.judgement.finding import Findings, Slice, gain
from mlops.judgement.gate import Check
from mlops.judgement.metric import Metric, Metrics
from mlops.project.params import Data, Gate, Mode, Params, Policy, flatten

FEW_CLASSES = 6  # whose confusion is a table that fits into a comment
WORST = 10  # confusions of more classes

WINDOWS = ("data.window.", "data.holdout.")


def content(
    params: Params,
    mode: Mode,
    metrics: Metrics,
    found: Findings,
    checks: list[Check],
    *,
    margins: dict[str, Any],
    data: dict[str, Any],
    positive: str | int | None,
    holdout: dict[str, Any],
    candidate: dict[str, Any],
    champion: dict[str, Any] | None,
    changed: dict[str, Any] | None,
) -> dict[str, Any]:
    """Put together a judgement.

    ``margins`` are those of the gate in the metrics' units; ``data`` is what ``reports/data.json``
    says, ``positive`` the class that a binary model looks for; ``candidate`` and ``champion`` are
    their scorecards.
    """
    return {
        "finding": found.finding,
        "passed": all(check.passed for check in checks),
        "reasons": gate.reasons(checks),
        "mode": mode,
        "policy": policy_of(mode, params.gate),
        "name": params.name,
        "task": params.task,
        "target": params.data.target,
        "positive": positive,
        "data": {name: data[name] for name in ("md5", "rows", "dropped", "changed")},
        "metric": metrics.gate.name,
        "gate": params.gate.model_dump(),
        "margins": margins,
        "holdout": {**_when(params.data), **holdout},
        "candidate": candidate,
        "champion": champion,
        "differences": [
            _metric_row(metric, candidate, champion, found.differences.get(metric.name))
            for metric in metrics.shown
        ],
        "confusions": _confusions(candidate, champion) if params.task == "multiclass" else [],
        "slice_metric": metrics.slices.name,
        "slices": [_slice_row(metrics.slices, part, margins["slices"]) for part in found.slices],
        "checks": [asdict(check) for check in checks],
        "changes": changed,
    }


def _when(data: Data) -> dict[str, str | None]:
    """Say which rows judge: ``start`` and ``end``, where they are those of a window; in words."""
    window = data.holdout.model_dump() if data.holdout else {"start": None, "end": None}
    return {**window, "when": data.judging}


def _metric_row(
    metric: Metric,
    ours: dict[str, Any],
    theirs: dict[str, Any] | None,
    difference: Difference | None,
) -> dict[str, Any]:
    candidate = ours["metrics"][metric.name]
    champion = theirs["metrics"][metric.name] if theirs else None
    known = difference is not None and not math.isnan(difference.low)
    verdict = "no interval"
    if difference is not None and known:
        _, low, high = gain(metric, difference)
        verdict = "better" if low > 0 else "worse" if high < 0 else "unclear"
        verdict = "same" if low == high == 0 else verdict
    return {
        "metric": metric.name,
        "greater_is_better": metric.greater_is_better,
        "meaning": metric.meaning,
        "candidate": candidate,
        "champion": champion,
        "difference": None if champion is None else candidate - champion,
        "low": difference.low if difference and known else None,
        "high": difference.high if difference and known else None,
        "verdict": verdict,
    }


def _confusions(ours: dict[str, Any], theirs: dict[str, Any] | None) -> list[dict[str, Any]]:
    """Return how many rows of which class were taken for which; of many classes, the worst."""
    curve = ours["plots"]["curve"]
    champion = theirs["plots"]["curve"]["rows"] if theirs else [None] * len(curve["rows"])
    columns = (curve["actual"], curve["predicted"], curve["rows"], champion)
    names = ("actual", "predicted", "candidate", "champion")
    cells = [dict(zip(names, cell, strict=True)) for cell in zip(*columns, strict=True)]
    if len(ours["classes"]) <= FEW_CLASSES:
        return cells
    wrong = [cell for cell in cells if cell["actual"] != cell["predicted"]]
    return sorted(wrong, key=lambda cell: -cell["candidate"])[:WORST]


def _slice_row(metric: Metric, part: Slice, margin: float) -> dict[str, Any]:
    judged = part.difference if part.verdict != "too few" else None
    numbers = asdict(judged) if judged else dict.fromkeys(Difference.__dataclass_fields__)
    return {
        "column": part.column,
        "value": part.value,
        "rows": part.rows,
        "blocks": part.blocks,
        **numbers,
        "verdict": part.verdict,
        "failed": gate.slice_fails(metric, part, margin),
    }


def changes(
    old: Facts, new: Facts, old_gate: dict[str, Any] | None, new_gate: dict[str, Any]
) -> dict[str, Any]:
    """Return what changed from the champion to the candidate.

    ``window`` and ``data``: None, or ``{"champion", "candidate"}``. ``params``: the settings that
    differ, the gate's own among them; ``gate``: whether there are any of those. ``schema``: the
    columns whose rules differ. ``code``: the files of ``src/model`` that differ. ``features``:
    added and removed.
    """
    gate = _differences({"gate": old_gate}, {"gate": new_gate}) if old_gate else []
    return {
        "window": _pair(old.trained_on, new.trained_on),
        "data": _pair(old.data_md5, new.data_md5),
        "rows": {"champion": old.rows, "candidate": new.rows},
        "params": [*_differences(_settings(old), _settings(new)), *gate],
        "gate": bool(gate),
        "schema": _differences(old.schema_columns, new.schema_columns),
        "code": sorted(name for name in new.code if new.code[name] != old.code.get(name)),
        "features": {
            "added": [name for name in new.features if name not in old.features],
            "removed": [name for name in old.features if name not in new.features],
        },
        "requirements": old.requirements_md5 != new.requirements_md5,
    }


def _settings(facts: Facts) -> dict[str, Any]:
    serving = {"runtime": facts.runtime, **facts.params.get("serving", {})}
    return {**facts.params, "serving": serving}


def _pair(old: str, new: str) -> dict[str, str] | None:
    return None if old == new else {"champion": old, "candidate": new}


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    before, after = flatten(old), flatten(new)
    return [
        {"key": key, "champion": before.get(key), "candidate": after.get(key)}
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key) and not key.startswith(WINDOWS)
    ]


def mode_of(changed: dict[str, Any]) -> Mode:
    """Return ``retrain`` when only the data or its window has moved, ``upkeep`` when nothing has.

    Then libraries or the machinery have changed, or nothing at all.
    """
    others = [change for change in changed["params"] if not change["key"].startswith("gate.")]
    if others or changed["code"]:
        return "change"
    return "retrain" if changed["window"] or changed["data"] else "upkeep"


def policy_of(mode: Mode, gate: Gate) -> Policy:
    """Return how a candidate has to compare with the champion."""
    return gate.change if mode == "change" else "not_worse"
