"""The deployment as a table in the summary of the workflow's run."""

from typing import Any

from mlops.report.comment import sentence


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
