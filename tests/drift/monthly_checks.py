"""Checks of the months of 2013, one a day in November 2026, as ``mlops drift`` writes them."""

from calendar import monthrange
from typing import Any

from retraining_reports import category, column, drift, question, unanswered

HOLDOUT = 0.728


def check(
    month: int = 6,
    version: int = 1,
    newest: float | None = 0.689,
    drifted: tuple[str, ...] = ("temp", "dewp"),
    moved: float = 0.14,
    decision: str = "retrain",
    day: int = 1,
) -> dict[str, Any]:
    """Return a check of the inputs temp, dewp and dest; labels may not be there yet."""
    change = None if newest is None else newest - HOLDOUT
    numbers = [
        column(name) if name in drifted else column(name, score=0.05, drifted=False, why=[])
        for name in ("temp", "dewp")
    ]
    made = drift(
        checked=f"2026-11-{day:02}T07:00:00Z",
        champion={"version": version, "window": "2013-01 to 2013-03", "holdout": "2013-04"},
        decision=decision,
    )
    made["current"] |= {
        "window": f"2013-{month:02}",
        "start": f"2013-{month:02}-01",
        "end": f"2013-{month:02}-{monthrange(2013, month)[1]}",
    }
    made["challenger"] |= {key: made["current"][key] for key in ("start", "end")}
    if decision != "retrain":
        made["challenger"] = question("skipped", None, None)
    asked = made["questions"]
    asked["data"] |= question("violated" if drifted else "ok", len(drifted), 1) | {
        "share": len(drifted) / 3,
        "columns": [*numbers, category("dest")],
    }
    asked["predictions"] |= question("violated" if moved >= 0.1 else "ok", moved, 0.1)
    if change is None:
        asked["concept"] |= question("waiting", None, 0.02)
        asked["concept"] |= dict.fromkeys(("holdout", "newest", "low", "high"))
    else:
        asked["concept"] |= question("violated" if change < -0.02 else "ok", change, 0.02)
        asked["concept"] |= {"holdout": HOLDOUT, "newest": newest}
        asked["concept"] |= {"low": change - 0.009, "high": change + 0.008}
    return made


def nothing_new(version: int | None = 1) -> dict[str, Any]:
    """Return a check, a week later, that found no rows to judge, or no champion."""
    return check(day=8) | {
        "champion": check(version=version)["champion"] if version else None,
        **{"reference": None, "current": None, "new_data": False, "decision": "none"},
        **{"sentence": "No new data: nothing after June", "questions": {}, "challenger": None},
    }


def too_few() -> dict[str, Any]:
    """Return a check of a window with too few rows to be judged."""
    return check(month=5, decision="none") | {"questions": unanswered(), "challenger": None}


YEAR = [
    check(5, newest=0.712, drifted=(), moved=0.05, decision="none", day=1),
    check(6, newest=0.689, decision="watch", day=2),
    check(7, newest=None, moved=0.09, decision="retrain", day=3),
    check(8, version=2, newest=0.735, drifted=(), moved=0.04, decision="none", day=4),
    check(9, version=2, newest=0.70, drifted=(), moved=0.12, decision="watch", day=5),
]
