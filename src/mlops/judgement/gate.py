"""The policy: which findings and numbers let a candidate replace the champion."""

import math
from dataclasses import dataclass
from typing import Any

from mlops.judgement.blocks import Blocks
from mlops.judgement.bootstrap import Difference
from mlops.judgement.finding import Finding, Findings, Slice, blocks_needed, gain
from mlops.judgement.metric import Metric, Metrics
from mlops.judgement.too_good import Alone
from mlops.project.params import Gate, Policy, Slices
from mlops.project.words import label, number, percent, rounded, signed

CHAMPION = "against the champion"  # the name of the check that holds the candidate against it
TRUST = "; if it is known when a prediction is asked for, name it in gate.trusted"
NAMED = 5  # slices in a sentence; the table has them all


@dataclass(frozen=True)
class Check:
    """One check of the policy; ``reason`` says in a sentence how it came out.

    Of one that could not be ``judged``, the policy says whether it is ``passed``: where models are
    compared it keeps nobody, in a canary a person is asked.
    """

    name: str
    value: str
    limit: str
    passed: bool
    reason: str
    judged: bool = True  # False: nobody could say


def judge(
    gate: Gate,
    policy: Policy,
    metrics: Metrics,
    candidate: dict[str, Any],
    found: Findings,
    blocks: Blocks,
) -> list[Check]:
    """Hold the candidate's scorecard, and what was found on the holdout, against the policy.

    The margins of ``gate`` are numbers, see :meth:`mlops.project.params.Gate.in_units`.
    """
    spread = " standard deviations" if metrics.gate.task == "regression" else ""
    cost, difference = candidate["cost"], found.differences.get(metrics.gate.name)
    return [
        improvement(
            policy,
            found.finding,
            metrics.gate,
            difference,
            blocks,
            float(gate.margin),
            gate.confidence,
        ),
        *floors(gate.floors, metrics.floors, candidate["metrics"]),
        *([base_rate(metrics.proper, found.base_rate)] if gate.beats_base_rate else []),
        *believable(gate, metrics, found),
        *([no_slice_worse(metrics.slices, found.slices, gate.slices)] if found.slices else []),
        budget("calibration error", candidate["calibration"], gate.calibration, spread),
        budget("one prediction", cost["latency_ms"], gate.latency_ms, " ms"),
        budget("model size", cost["size_mb"], gate.size_mb, " MB"),
    ]


def improvement(
    policy: Policy,
    finding: Finding,
    metric: Metric,
    difference: Difference | None,
    blocks: Blocks,
    margin: float,
    confidence: float,
) -> Check:
    """The candidate must be better for sure, or not worse than the margin for sure."""
    name = CHAMPION
    if difference is None:
        reason = "there is no champion to compare with"
        return Check(name, "first", "first", True, reason)
    if finding == "same":
        reason = "its predictions are the champion's, so there is nothing to ship"
        return Check(name, "same", "same or better", True, reason)
    value, low, high = gain(metric, difference)
    name_of, level = label(metric.name), percent(confidence)
    if math.isnan(low):
        reason = (
            f"{name_of} is undefined on too many resamples of {blocks}, so nobody knows how sure a "
            "difference is; choose a longer data.holdout, or another gate.metric"
        )
        return Check(name, "no interval", policy.replace("_", " "), False, reason)
    interval = f"{level} interval {signed(difference.low, 4)} to {signed(difference.high, 4)}"
    if policy == "not_worse":
        passed = low >= -margin
        certainty = "is not" if passed else "is" if high < -margin else "may be"
        reason = f"{name_of} {certainty} worse than the champion's by more than {rounded(margin)}"
        found, limit = f"{finding}, gain ≥ {signed(low, 4)}", f"gain ≥ {number(-margin, 4)}"
        return Check(name, found, limit, passed, f"{reason} ({interval})")
    words = {
        "better": f"{name_of} is better than the champion's by {number(value, 4)}",
        "worse": f"{name_of} is worse than the champion's by {number(-value, 4)}",
        "equivalent": f"{name_of} differs from the champion's by less than {rounded(margin)}",
        "inconclusive": f"{blocks} cannot tell {name_of} from the champion's",
    }[finding]
    if finding == "inconclusive" and (needed := blocks_needed(blocks.number, metric, difference)):
        words += f"; about {needed:,} could, if the difference is as large as it looks"
    if difference.low == difference.high == 0:
        words += "; what changed, as serving.threshold, it does not see: choose a metric of labels"
    return Check(name, finding, "better", finding == "better", f"{words} ({interval})")


def floors(
    limits: dict[str, float], metrics: dict[str, Metric], scores: dict[str, float]
) -> list[Check]:
    """Absolute limits, whoever is champion: at least, or for an error at most."""
    checks = []
    for key, limit in limits.items():
        metric = metrics[key]
        value = scores[metric.name]
        passed = value >= limit if metric.greater_is_better else value <= limit
        sign, beyond = ("≥", "below") if metric.greater_is_better else ("≤", "above")
        name, said = label(metric.name), number(value, 4)
        reason = f"{name} {said} is {'within' if passed else beyond} the limit {limit:,.10g}"
        checks.append(Check(f"floor: {name}", said, f"{sign} {limit:,.10g}", passed, reason))
    return checks


def base_rate(metric: Metric, difference: Difference) -> Check:
    """The candidate must clearly beat a model that knows only the training target."""
    better, low, _ = gain(metric, difference)
    passed = low > 0
    name = label(metric.name)
    ours, base = number(difference.candidate, 4), number(difference.champion, 4)
    reason = (
        f"{name} {ours} is {'clearly' if passed else 'not clearly'} better than {base}, which the "
        "base rate alone gets"
    )
    if better <= 0 and metric.task != "regression":
        reason += (
            "; where it ranks well, its probabilities are off, as class_weight or resampling makes "
            "them: calibrate them (sklearn.calibration.CalibratedClassifierCV), or set "
            "gate.beats_base_rate: false if only the ranking is used"
        )
    name_of = f"beats the base rate ({name})"
    return Check(name_of, ours, f"< {base}", passed, reason)


def believable(gate: Gate, metrics: Metrics, found: Findings) -> list[Check]:
    """No feature may know the answer, and no gain be too large, unless ``trusted`` names it."""
    trusted = f" (gate.trusted: {', '.join(gate.trusted)})" if gate.trusted else ""
    checks, strongest = [], found.alone
    if strongest is not None:
        checks.append(alone(strongest, gate.too_good.alone, trusted))
    if found.times is not None:
        most, name = gate.too_good.times, label(metrics.gate.name)
        value, limit = f"{found.times:.1f} times", f"≤ {most:g} times"
        reason = f"in {name}, it gains {value} as much over the base rate as the champion does"
        passed = found.times <= most
        if not passed and strongest is not None:
            passed = strongest.believed
            reason += trusted if passed else f": look at {strongest.name} first{TRUST}"
        checks.append(Check("gain is believable", value, limit, passed, reason))
    return checks


def alone(strongest: Alone, limit: float, trusted: str) -> Check:
    """The strongest feature must not do nearly all of the model's work by itself."""
    name, passed, below = "no feature knows the answer", not strongest.enough, f"< {percent(limit)}"
    if math.isnan(strongest.share) and passed:
        reason = "not judged: the model does not surely gain anything over the base rate"
        return Check(name, "not judged", below, True, reason, judged=False)
    share = strongest.share
    value = "all" if not share <= 1.005 else f"{max(share, 0):.0%}"  # also where the model has none
    reason = f"{strongest.name}, the feature that knows most by itself, reaches {value} of the "
    reason += "model's gain over the base rate"
    if not passed:
        reason += f" and may be the answer itself{TRUST}"
    elif share >= limit:
        reason += ", but not for sure, or it leaves most open, or orders the rows worse than the "
        reason += f"model does{trusted}"
    else:
        reason += trusted
    return Check(name, value, below, passed, reason)


def no_slice_worse(metric: Metric, found: list[Slice], slices: Slices) -> Check:
    """No slice may be clearly worse, by more than its margin."""
    margin, name = float(slices.margin), "no slice clearly worse"
    judged = sum(part.verdict not in ("too few", "no champion") for part in found)
    if not judged:
        reason = (
            "not judged: there is no champion to compare with"
            if any(part.verdict == "no champion" for part in found)
            else f"not judged: no slice has {slices.min_rows:,} rows of enough blocks"
        )
        return Check(name, "not judged", "0", True, reason, judged=False)
    failed = [part for part in found if slice_fails(metric, part, margin)]
    failed.sort(key=lambda part: gain(metric, part.difference)[0] if part.difference else 0)
    named = [
        f"{part.column} {part.value} ({signed(part.difference.difference, 4)}, {part.rows:,} rows)"
        for part in failed[:NAMED]
        if part.difference is not None
    ]
    if more := len(failed) - len(named):
        named.append(f"{more} more")
    more_than = f"by more than {rounded(margin)}"
    counted = "the 1 slice" if judged == 1 else f"{judged} slices"
    reason = (
        f"{label(metric.name)} is clearly worse, {more_than}, for {'; '.join(named)}"
        if failed
        else f"for none of {counted} is {label(metric.name)} clearly worse {more_than}"
    )
    return Check(name, str(len(failed)), "0", not failed, reason)


def slice_fails(metric: Metric, part: Slice, margin: float) -> bool:
    """Whether a slice is worse for sure, and by enough to matter."""
    if part.difference is None or part.verdict != "worse":
        return False
    return gain(metric, part.difference)[0] < -margin


def budget(name: str, value: float, limit: float, unit: str) -> Check:
    """A measured value that may not pass its limit."""
    passed = value <= limit
    said = "is within" if passed else "is over"
    return Check(
        name,
        f"{value:.3g}{unit}",
        f"≤ {limit:g}{unit}",
        passed,
        f"{name} {value:.3g}{unit} {said} the limit of {limit:g}{unit}",
    )


def reasons(checks: list[Check]) -> list[str]:
    """Return why the gate is closed, or an empty list when it is open."""
    return [check.reason for check in checks if not check.passed]
