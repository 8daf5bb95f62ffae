"""The deployment as a table in the summary of the workflow's run."""

import os
from pathlib import Path
from typing import Any

from mlops.report.comment import sentence


def append(record: dict[str, Any]) -> None:
    """Append the steps to the file that ``GITHUB_STEP_SUMMARY`` names, if it does."""
    if not (path := os.environ.get("GITHUB_STEP_SUMMARY")):
        return
    with Path(path).open("a", encoding="utf-8") as file:
        file.write(table(record))


def table(record: dict[str, Any]) -> str:
    """Return the steps as Markdown."""
    outcome = "serves" if record["passed"] else f"was not deployed: step `{record['failed']}`"
    lines = [
        f"### {record['environment']}: version {record['version']} {outcome}",
        "",
        "| step | | seconds | |",
        "|---|---|---:|---|",
    ]
    for step in record["steps"]:
        mark = "✅" if step["ok"] else "❌"
        lines.append(
            f"| {step['name']} | {mark} | {step['seconds']:.1f} | {sentence(step['said'])} |"
        )
    lines += ["", f"Target `{record['target']}`, image `{record['image']}`", "", ""]
    return "\n".join(lines)
