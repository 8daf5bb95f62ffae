"""The decision: what follows from the questions, from earlier checks and from a challenger."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from mlops.project.params import Retrain, When

Question = dict[str, Any]

# States of a challenger that was judged; see :mod:`mlops.drift.challenger`.
ANSWERED = ("better", "not worse", "not better", "same")

# Which question a single sentence speaks of, when several are violated.
IMPORTANCE = ("concept", "data", "predictions", "staleness")


@dataclass(frozen=True)
class Found:
    """What a window was found to have moved by, before a challenger is heard.

    ``moved``: a sentence for each violated question. ``drifted``: whether enough of the last
    windows have, and ``lasting`` says so. ``windows``: the newest one last, before it those of the
    same champion that counted.
    """

    moved: list[str]
    lasting: str
    drifted: bool
    windows: list[dict[str, Any]]


def find(
    questions: Mapping[str, Question],
    current: Mapping[str, Any],
    champion: int,
    recorded: Sequence[Mapping[str, Any]],
    retrain: Retrain,
) -> Found:
    """Find what has moved, and whether that lasts.

    One window may be a week of storms: data has drifted when ``retrain.violations`` of the last
    ``retrain.of`` windows have, the newest included. The champion's score does not count: from one
    month to the next it moves whatever the model does.

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
    moved = [questions[name]["sentence"] for name in violated]
    drifted = sum(_drifted(window) for window in windows)
    if not _drifted(windows[-1]):
        return Found(moved, "", False, windows)
    lasting = (
        f"{drifted} of the last {retrain.of} windows {'has' if drifted == 1 else 'have'} drifted, "
        f"and drift.retrain asks for {retrain.violations}"
    )
    return Found(moved, lasting, drifted >= retrain.violations, windows)


def _drifted(window: Mapping[str, Any]) -> bool:
    return any(name != "concept" for name in window["violated"])


@dataclass(frozen=True)
class Decision:
    """What to do, in a word and in a sentence; ``reasons`` has all of them."""

    decision: Literal["none", "watch", "retrain"]
    sentence: str
    reasons: list[str]


def decide(found: Found, where: str, challenger: Question, when: When) -> Decision:
    """Decide what to do about a window, ``where`` names it and the champion.

    A challenger retrains where it is better by the margin (``helps``), or where data has drifted
    and it is not worse (``drifts``). As long as none was asked, nothing does.
    """
    said, state = challenger["sentence"], challenger["state"]
    moved = [*found.moved, *filter(None, [found.lasting])]
    helps = when != "drifts" and state == "better"
    drifts = when != "helps" and found.drifted and state in ("better", "not worse")
    if helps:
        return Decision("retrain", f"Retrain {where}: {said}", [said, *moved])
    heard = [said] if state in ANSWERED else []
    reasons = [*moved, *heard]
    if not moved:
        nothing = "; ".join(["nothing has moved by more than params.yaml allows", *heard])
        return Decision("none", f"Nothing to do for {where}: {nothing}", [])
    others = len(found.moved) - 1
    first = moved[0] + (f" (and {others} more)" if others else "")
    why = "; ".join([first, *moved[others + 1 :], *heard])
    if drifts:
        return Decision("retrain", f"Retrain {where}: {why}", reasons)
    return Decision("watch", f"Watch {where}: {why}", reasons)


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
    current: Mapping[str, Any],
    champion: int,
    recorded: Sequence[Mapping[str, Any]],
    *,
    dated: bool = True,
) -> str:
    """Return the day on which the very same was judged, or nothing.

    Rows that are not ``dated`` are the same on whatever day.
    """
    same = ("start", "end", "fingerprint") if dated else ("fingerprint",)
    for entry in recorded:
        if entry["champion"] == champion and all(entry[key] == current[key] for key in same):
            return str(entry["checked"])[:10]
    return ""
