"""Keep one issue about a matter: open while it lasts, up to date, and closed when it is over."""

import os
import re
import sys
from pathlib import Path
from typing import Any

import issues
from github import SITE, CommandError, GitHubError, InputError, annotate, append, read


def main() -> None:
    try:
        sentence, issue, is_new = keep(os.environ["KEY"], os.environ["STATE"])
    except (InputError, CommandError) as error:
        if isinstance(error, GitHubError) and error.status == 410:
            annotate("warning", "Issue", "No issue: they are turned off in this repository.")
            append("GITHUB_OUTPUT", f"new={str(os.environ['STATE'] == 'open').lower()}")
            return
        annotate("error", "Issue", str(error))
        sys.exit(1)
    annotate("notice", "Issue", sentence)
    if issue:
        append("GITHUB_STEP_SUMMARY", f"{sentence[0].upper()}{sentence[1:]}.")
        append("GITHUB_OUTPUT", f"url={issue['html_url']}\nnumber={issue['number']}")
    append("GITHUB_OUTPUT", f"new={str(is_new).lower()}")


def keep(key: str, state: str) -> tuple[str, dict[str, Any] | None, bool]:
    """Open, update or close the issue; returns what was done, the issue, and if it has news."""
    if not re.fullmatch(r"[\w-]+", key, re.ASCII) or state not in ("open", "closed"):
        raise InputError(f"key is {key!a}, not a word, or state is {state!a}, not open or closed")
    labels = [label.strip() for label in os.environ["LABELS"].split(",")]
    run = f"{SITE}/{os.environ['GITHUB_REPOSITORY']}/actions/runs/{os.environ['GITHUB_RUN_ID']}"
    if state == "closed":
        issue = issues.close(f"issue: {key}", labels[0], f"This is over, as {run} says.")
        return (f"closed {issue['html_url']}" if issue else "no issue to close"), issue, False
    title = " ".join(os.environ["TITLE"].split())
    body = read(Path(os.environ["BODY"]), "the text of the issue", issues.LONGEST - 1000)
    text = f"{body}\n\n---\n\nAs of {run}.".replace("\0", "")
    issue, done = issues.write(f"issue: {key}", title, text, labels)
    if not done:
        return f"left alone: {issue['html_url']} said the same, and was closed", issue, False
    return f"{issue['html_url']} says what is the matter", issue, done != "same"


if __name__ == "__main__":
    main()
