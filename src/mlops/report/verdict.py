"""``mlops verdict``: what a workflow asks about a run, as one line each and nothing to parse."""

from mlops.project import actions, files, words
from mlops.project.errors import MlopsError


def run() -> None:
    """Print ``finding=``, ``passed=`` and ``sentence=``, the format of ``$GITHUB_OUTPUT``."""
    for name, value in verdict().items():
        # One line each: a line break in a value would be another output to GitHub.
        print(f"{name}={' '.join(value.split())}")


def verdict() -> dict[str, str]:
    """Return finding, ``passed`` (``true`` or ``false``), and why in a sentence.

    The finding is one of those of ``mlops compare``, or ``refused`` (bad data), or ``unfinished``
    (nothing to judge came out of the run).
    """
    try:
        data = files.read_json(files.DATA_REPORT, "dvc repro")
        if not data["passed"]:
            return _answer("refused", False, _refusal(data["failures"]))
        comparison = files.read_json(files.COMPARISON, "mlops compare")
    except MlopsError:
        return _answer("unfinished", False, failure() or "the run ended before the judgement")
    row = next(row for row in comparison["differences"] if row["metric"] == comparison["metric"])
    measured = f"{words.label(row['metric'])} {words.number(row['candidate'])}"
    if comparison["champion"]:
        measured += f", champion {words.number(row['champion'])}"
    sentence = "; ".join([measured, *comparison["reasons"]])
    return _answer(comparison["finding"], comparison["passed"], sentence)


def failure() -> str | None:
    """Return what the last command that failed said, if it left a note."""
    try:
        left = files.read_json(files.FAILURE, "mlops")
    except MlopsError:
        return None
    return f"`mlops {left['command']}` stopped: {left['error']}"


def record_failure(command: str, error: str) -> None:
    """Leave a note for the report and the verdict; in Actions, also an annotation."""
    if files.PARAMS.is_file():
        files.write_json(files.FAILURE, {"command": command, "error": error})
    actions.error(error)


def _refusal(failures: list[dict[str, str]]) -> str:
    first = f"{failures[0]['column']}: {failures[0]['check']}"
    more = f" (and {len(failures) - 1} more)" if len(failures) > 1 else ""
    return f"the data was refused; {first}{more}"


def _answer(finding: str, passed: bool, sentence: str) -> dict[str, str]:
    return {"finding": finding, "passed": str(passed).lower(), "sentence": sentence}
