"""``mlops evidence``: what a retraining pull request says, and the files that it brings along.

``reports/retraining/<END>/``, named by the last day of the newest window and committed, holds why
it was retrained (``drift.json``) and what came of it (``comparison.json``, ``report.md``).
``reports/retraining.md`` is the text of the pull request.
"""

import contextlib
import os
import shutil
from pathlib import Path
from typing import Any

from mlops.drift import summary, tuning
from mlops.project import files, folders
from mlops.project.errors import MlopsError
from mlops.project.params import Window
from mlops.project.words import label, number
from mlops.report import comment

KEPT = (files.DRIFT, files.COMPARISON, files.REPORT)


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
    check(drift, comparison)
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


def check(drift: dict[str, Any], comparison: dict[str, Any]) -> None:
    """Refuse reports that are not about one retraining."""
    if not drift["new_data"]:
        raise MlopsError(f"there is nothing to retrain on: {drift['sentence']}")
    holdout = _span(comparison["holdout"])
    if _span(drift["current"]).first_day_after != holdout.first_day_after:
        raise MlopsError(
            f"{files.COMPARISON} judges on {holdout}, which does not end with the newest window, "
            f"{drift['current']['window']}; run `mlops move-window`, `dvc repro` and "
            "`mlops compare --mode retrain` first"
        )
    watched, judged = (it["champion"] and it["champion"]["version"] for it in (drift, comparison))
    if watched != judged:
        raise MlopsError(
            f"{files.DRIFT} is about champion {watched}, and {files.COMPARISON} about {judged}; "
            "run `mlops drift` again"
        )
    if comparison["mode"] != "retrain":
        raise MlopsError(
            f"{files.COMPARISON} judges a change; run `mlops compare --mode retrain` and "
            "`mlops report`"
        )


def title(comparison: dict[str, Any]) -> str:
    """Return the title of the pull request: what came of it first, when that is not good."""
    row = next(row for row in comparison["differences"] if row["metric"] == comparison["metric"])
    scores = f"{number(row['champion'])} → {number(row['candidate'])}"
    what = f"{label(row['metric'])} {scores} on {_span(comparison['holdout'])}"
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
        "tuning": tuning.diff(drift),
        "repository": _repository(),
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


def _span(window: dict[str, Any]) -> Window:
    return Window(start=window["start"], end=window["end"])


def _repository() -> str | None:
    """Return the address of the repository on GitHub, inside a workflow."""
    server, name = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    return f"{server}/{name}" if server and name else None
