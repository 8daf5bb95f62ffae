"""The history of drift checks: a line in the store for each window that was judged."""

import uuid
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from mlops.project import files, words

if TYPE_CHECKING:
    from rich.table import Table

HISTORY = "drift.jsonl"
HEADINGS = ("until", "champion", "drifted", "distance", "score", "holdout", "violated", "decision")
NONE_YET = (
    f"no drift check is on record in {files.STORE / HISTORY} yet; `mlops store pull` brings the "
    "record of the workflow, `mlops drift --record` begins one"
)


def read() -> list[dict[str, Any]]:
    """Return the entries in the order of their checks, without a line that was cut short."""
    return sorted(files.read_lines(files.STORE / HISTORY), key=lambda entry: str(entry["checked"]))


def record(drift: Mapping[str, Any]) -> str:
    """Append what ``reports/drift.json`` says; returns what was done, in a sentence.

    The same window of the same champion with the same rows is recorded once.
    """
    if not drift["new_data"]:
        return f"there is nothing to record: {drift['sentence']}"
    made = entry(drift)
    window = f"{made['start']} to {made['end']} for champion {made['champion']}"
    if not files.append_line(files.STORE / HISTORY, made):
        return f"{window} is on record already"
    return f"{window} is recorded in {files.STORE / HISTORY}, decision {made['decision']}"


def entry(drift: Mapping[str, Any]) -> dict[str, Any]:
    """Return the line of a check that had new data: enough to decide by, and to draw.

    ``low`` and ``high`` bound ``newest - holdout``, in the units of ``metric``. What a question did
    not answer is null.
    """
    champion, current, questions = drift["champion"], drift["current"], drift["questions"]
    data, predictions, concept = (
        questions.get(name, {}) for name in ("data", "predictions", "concept")
    )
    judged = (champion["version"], current["start"], current["end"], current["fingerprint"])
    return {
        "id": str(uuid.uuid5(uuid.NAMESPACE_OID, "/".join(map(str, judged)))),
        "checked": drift["checked"],
        "champion": champion["version"],
        "window": champion["window"],
        "start": current["start"],
        "end": current["end"],
        "source": drift["source"],
        "rows": current["rows"],
        "labelled": current["labelled"],
        "fingerprint": current["fingerprint"],
        "violated": [name for name, it in questions.items() if it["state"] == "violated"],
        "decision": drift["decision"],
        "labels_of": concept.get("labels_of"),
        "metric": concept.get("metric"),
        "greater_is_better": concept.get("greater_is_better"),
        "newest": concept.get("newest"),
        "holdout": concept.get("holdout"),
        "low": concept.get("low"),
        "high": concept.get("high"),
        "drifted_share": data.get("share"),
        "drifted": [it["name"] for it in data.get("columns", []) if it["drifted"]],
        "prediction_distance": predictions.get("value"),
        "thresholds": {name: it["threshold"] for name, it in questions.items()},
    }


def show() -> None:
    """Print the history as a table, and draw it into ``reports/drift_history.svg``."""
    from rich.console import Console

    from mlops.drift import history_plot

    if not (entries := read()):
        print(NONE_YET)
        return
    Console().print(_table(entries))
    files.write_atomic(files.DRIFT_HISTORY, lambda path: history_plot.draw(entries, path))
    print(f"the plot is {files.DRIFT_HISTORY}")


def _table(entries: Sequence[Mapping[str, Any]]) -> "Table":
    from rich.markup import escape
    from rich.table import Table

    table = Table(box=None, pad_edge=False)
    for heading in HEADINGS:
        table.add_column(heading, no_wrap=heading != "drifted")
    for it in entries:
        table.add_row(
            it["end"],
            str(it["champion"]),
            escape(", ".join(it["drifted"])) or "–",
            words.number(it["prediction_distance"]),
            words.number(it["newest"]),
            words.number(it["holdout"]),
            "\n".join(it["violated"]) or "–",
            it["decision"],
        )
    return table
