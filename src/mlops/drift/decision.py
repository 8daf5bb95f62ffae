"""The decision: what follows from the four questions, and from what earlier checks found."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mlops.project.params import Retrain

Question = dict[str, Any]

# Which question a single sentence speaks of, when several are violated.
IMPORTANCE = ("concept", "data", "predictions", "staleness")


@dataclass(frozen=True)
class Decision:
    """``windows``: the newest one last, before it those of the same champion that counted."""

    decision: Literal["none", "watch", "retrain"]
    sentence: str
    reasons: list[str]
    windows: list[dict[str, Any]]


def decide(
    questions: Mapping[str, Question],
    current: Mapping[str, Any],
    champion: int,
    recorded: Sequence[Mapping[str, Any]],
    retrain: Retrain,
) -> Decision:
    """Decide what to do about a window that was judged.

    One window that violates is watched: it may be a week of storms. ``retrain`` needs a second one
    among the last, or concept drift that is beyond its margin with its whole interval.

    Parameters
    ----------
    questions : mapping of str to dict
        As in ``reports/drift.json``.
    current : mapping
        ``start``, ``end`` (days) and ``window`` (for people) of the newest window.
    champion : int
        Version of the champion.
    recorded : sequence of mapping
        Entries of :mod:`mlops.drift.history`, in the order in which they were recorded.

    References
    ----------
    databricks/mlops-stacks retrains by the same rule: enough of the last windows, and the newest.
    """
    violated = [name for name in IMPORTANCE if questions[name]["state"] == "violated"]
    earlier = before(current, champion, recorded)[-(retrain.of - 1) :] if retrain.of > 1 else []
    windows = [*earlier, {"start": current["start"], "end": current["end"], "violated": violated}]
    violations = sum(bool(window["violated"]) for window in windows)
    reasons = [questions[name]["sentence"] for name in violated]
    decision: Literal["none", "watch", "retrain"] = "none"
    if violated:
        violate = "violates" if violations == 1 else "violate"
        why = (
            f"{violations} of the last {retrain.of} windows {violate}, "
            f"and drift.retrain asks for {retrain.violations}"
        )
        decision = "retrain" if violations >= retrain.violations else "watch"
        if decision == "watch" and questions["concept"]["at_once"]:
            decision = "retrain"
            why = "the whole interval is beyond the margin, so nobody waits for a second window"
        reasons.append(why)
    windows[-1]["decision"] = decision
    return Decision(decision, _sentence(decision, reasons, champion, current), reasons, windows)


def before(
    current: Mapping[str, Any], champion: int, recorded: Sequence[Mapping[str, Any]]
) -> list[dict[str, Any]]:
    """Return the judged windows of ``champion`` that end before the newest, in their order.

    A window that was checked again counts as it was found last; one with too few rows to be judged
    does not count.
    """
    last = {
        (entry["start"], entry["end"]): entry
        for entry in recorded
        if entry["champion"] == champion and entry["end"] < current["end"]
    }
    judged = [entry for entry in last.values() if entry["drifted_share"] is not None]
    shown = ("start", "end", "violated", "decision")
    return [
        {key: entry[key] for key in shown} for entry in sorted(judged, key=lambda one: one["end"])
    ]


def unanswered(
    current: Mapping[str, Any], champion: int, recorded: Sequence[Mapping[str, Any]]
) -> list[Mapping[str, Any]]:
    """Return the earlier windows that no check had labels for, the newest first.

    Where labels always come late, the newest window never has any: what it is not asked now, a
    later check asks, once.
    """
    mine = [it for it in recorded if it["champion"] == champion and it["end"] < current["end"]]
    answered = {it.get("labels_of") for it in mine}
    waiting = {it["end"]: it for it in mine if it["end"] not in answered}
    return [waiting[end] for end in sorted(waiting, reverse=True)]


def checked(
    current: Mapping[str, Any], champion: int, recorded: Sequence[Mapping[str, Any]]
) -> str:
    """Return the day on which the very same was judged, or nothing."""
    same = ("start", "end", "fingerprint")
    for entry in recorded:
        if entry["champion"] == champion and all(entry[key] == current[key] for key in same):
            return str(entry["checked"])[:10]
    return ""


def _sentence(
    decision: str, reasons: Sequence[str], champion: int, current: Mapping[str, Any]
) -> str:
    where = f"champion v{champion} in {current['window']}"
    if not reasons:
        return f"Nothing to do for {where}: nothing has moved by more than params.yaml allows"
    first = {"watch": "Watch", "retrain": "Retrain"}[decision]
    others = len(reasons) - 2  # the last is about the windows
    more = f" (and {others} more)" if others > 0 else ""
    return f"{first} {where}: {reasons[0]}{more}; {reasons[-1]}"
