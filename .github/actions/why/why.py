"""Print the output ``sentence``: which step of this job failed, and why.

Runs with any Python: that the project could not be set up may be the very reason.
"""

import json
import os
from pathlib import Path

NOTE = Path("reports/failure.json")  # of the last `mlops` command that failed
LONGEST = 1000  # characters


def main() -> None:
    """Print one line in the format of ``$GITHUB_OUTPUT``."""
    steps, hints = json.loads(os.environ["STEPS"]), os.environ.get("HINTS", "")
    print(f"sentence={sentence(steps, hints)}")


def sentence(steps: dict[str, dict[str, str]], hints: str) -> str:
    """Return in one line which step failed, and the reason as far as it is known."""
    failed = next((name for name, step in steps.items() if step["outcome"] == "failure"), "")
    known = dict(line.split(": ", 1) for line in hints.splitlines() if ": " in line)
    reason = note() or known.get(failed) or "the log of the job says why"
    text = f"step {failed}: {reason}" if failed else reason
    # One line: what follows a line break would be another output.
    return " ".join(text.split())[:LONGEST]


def note() -> str:
    """Return what the command that failed has noted, if it was one of ours."""
    try:
        error = json.loads(NOTE.read_text(encoding="utf-8"))["error"]
    except (OSError, ValueError, KeyError):
        return ""
    return str(error)


if __name__ == "__main__":
    main()
