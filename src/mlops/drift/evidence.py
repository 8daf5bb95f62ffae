"""``mlops evidence``: what a retraining pull request says, and the files that it brings along.

``reports/retraining/<END>/``, named by the last day of the newest window and committed, holds why
it was retrained (``drift.json``) and what came of it (``comparison.json``, ``report.md``).
``reports/retraining.md`` is the text of the pull request.
"""

import contextlib
import math
import shutil
from decimal import Decimal
from pathlib import Path
from typing import Any

import yaml

from mlops.drift import challenger, summary
from mlops.project import actions, files, folders
from mlops.project.errors import MlopsError
from mlops.project.params import Window
from mlops.project.words import label, number
from mlops.report import comment

KEPT = (files.DRIFT, files.COMPARISON, files.REPORT)

# Characters of the names of columns that get thresholds of their own. With more, what is to change
# is how many may drift.
LONGEST = 120

Settings = dict[str, Any]


def run() -> None:
    """Write both, and print ``title=``, ``draft=`` and ``end=``, as ``$GITHUB_OUTPUT`` wants them.

    Raises
    ------
    MlopsError
        When the reports do not belong together. Nothing is written then.
    """
    files.RETRAINING.unlink(missing_ok=True)
    drift = files.read_json(files.DRIFT, "mlops drift")
    comparison = files.read_json(files.COMPARISON, "mlops compare --mode retrain")
    challenger.check(drift, comparison)
    if drift["decision"] != "retrain":
        raise MlopsError(
            f"there is nothing to propose: {drift['sentence']}; `mlops decide` decides"
        )
    if not files.REPORT.is_file():
        raise MlopsError(f"{files.REPORT} is not there; run `mlops report` first")
    text = body(drift, comparison)
    folder = files.EVIDENCE / drift["current"]["end"]
    folders.finish_replacing(folder)
    folders.replace(folder, folders.fill_beside(folder, _copy))
    shutil.rmtree(folders.aside(folder), ignore_errors=True)
    files.write_text(files.RETRAINING, text)
    print(f"title={title(comparison)}")
    print(f"draft={str(not comparison['passed']).lower()}")
    print(f"end={drift['current']['end']}")


def title(comparison: dict[str, Any]) -> str:
    """Return the title of the pull request: what came of it first, when that is not good."""
    row = next(row for row in comparison["differences"] if row["metric"] == comparison["metric"])
    scores = f"{number(row['champion'])} → {number(row['candidate'])}"
    what = f"{label(row['metric'])} {scores} on {_judged_on(comparison['holdout'])}"
    window = comparison["candidate"]["window"]
    if comparison["passed"]:
        return f"Retrain on {window}: {what}"
    failed = "❌ Not better" if comparison["finding"] == "worse" else "❌ Not good enough"
    return f"{failed}: retrained on {window}, {what}"


def body(drift: dict[str, Any], comparison: dict[str, Any]) -> str:
    """Return the text of the pull request as Markdown; what is too long of the report is cut."""
    content = {
        **comparison,
        **summary.in_words(drift),
        "tuning": diff(drift),
        "repository": actions.repository(),
        "folder": files.EVIDENCE / drift["current"]["end"],
    }
    around = comment.render("drift/evidence.md.j2", content | {"report": ""})
    whole: str | None = None
    with contextlib.suppress(MlopsError):  # too long even with its tables cut; it is in the folder
        whole = comment.render("report/report.md.j2", comparison, comment.LIMIT - len(around))
    return comment.render("drift/evidence.md.j2", content | {"report": whole})


def _copy(folder: Path) -> None:
    for path in KEPT:
        shutil.copyfile(path, folder / path.name)


def _judged_on(holdout: dict[str, Any]) -> str:
    return holdout.get("when") or str(Window(start=holdout["start"], end=holdout["end"]))


def diff(drift: dict[str, Any]) -> str:
    """Return the smallest changes with which no question would have been violated.

    They are a diff of the section ``drift`` in ``params.yaml``; empty when nothing was violated.
    ``drift`` is what ``reports/drift.json`` holds.
    """
    lines = []
    for key, then in changes(drift["questions"], drift["settings"]).items():
        *parents, name = key.split(".")
        now, indent = drift["settings"], "  "
        for parent in parents:
            now, indent = now[parent], f"{indent}  "
            lines.append(f"   {parent}:")
        lines.append(f"-{indent}{name}: {_yaml(now[name])}")
        lines.append(f"+{indent}{name}: {_yaml(then)}")
    return "\n".join([" drift:", *lines]) if lines else ""


def changes(questions: dict[str, Any], settings: Settings) -> Settings:
    """Return new values by their keys below ``drift``, in the order of the file."""
    violated = {name: it for name, it in questions.items() if it["state"] == "violated"}
    found: Settings = {}
    if "data" in violated:
        found = _of_columns(violated["data"]["columns"], settings)
    if "predictions" in violated:
        found["predictions"] = max(_beyond(it) for it in violated["predictions"]["columns"])
    if "concept" in violated:
        found["concept"] = above(abs(violated["concept"]["value"]))
    if "staleness" in violated:
        found["stale_days"] = above(violated["staleness"]["value"])
    return found


def _of_columns(columns: list[dict[str, Any]], settings: Settings) -> Settings:
    drifted = [it for it in columns if it["drifted"]]
    far = {it["name"]: _beyond(it) for it in drifted if "score" in it["why"]}
    if len(", ".join(far)) > LONGEST:
        return {"columns.at_least": len(drifted) + 1}
    found: Settings = {}
    if far:
        own = settings["columns"]["own"]
        several = {name: own[name] for name in far if isinstance(own.get(name), dict)}
        found["columns.own"] = (
            own | far | {name: {**said, "distance": far[name]} for name, said in several.items()}
        )
    if new := [it["new_share"] for it in drifted if "new categories" in it["why"]]:
        found["new_categories"] = min(1.0, above(max(new)))
    gone = [it["missing"] for it in drifted if "missing" in it["why"]]
    if gone:
        rise = max(share["current"] - share["reference"] for share in gone)
        found["missing"] = min(1.0, above(rise))
    return found


def _beyond(column: dict[str, Any]) -> float:
    """Return a threshold that a column stays below, also once it is judged on all rows."""
    return above(column["score"] + (column["sampling_error"] or 0.0))


def above(value: float) -> float:
    """Return the next larger number of two digits; of whole numbers, the next one.

    Examples
    --------
    >>> above(0.3141), above(1.3), above(204)
    (0.32, 1.4, 205)
    """
    if isinstance(value, int):
        return value + 1
    step = Decimal(10) ** (math.floor(math.log10(value)) - 1)
    return float((Decimal(repr(value)) // step + 1) * step)


def _yaml(value: Any) -> str:
    """Write a value as it stands in one line of YAML; names that do not print are escaped."""
    if not isinstance(value, dict):
        return value if isinstance(value, str) else f"{value:g}"
    text = yaml.safe_dump(
        value,
        default_flow_style=True,
        sort_keys=False,
        width=math.inf,
        allow_unicode=all(name.isprintable() for name in value),
    )
    return f"{{ {text.strip()[1:-1]} }}" if value else "{}"
