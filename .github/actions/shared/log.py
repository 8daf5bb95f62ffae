"""What a step says: annotations, and the files that GitHub reads after it.

Text from elsewhere could hold commands to the runner (``::add-mask::``, ``##[group]``), so it is
only ever printed through `one_line`.
"""

import os
import re
from pathlib import Path

LONGEST = 300  # characters of anything that others wrote


def one_line(text: str, longest: int = LONGEST) -> str:
    """Shorten text of others to one line without secrets or commands."""
    token = os.environ.get("GH_TOKEN")
    if token:
        text = text.replace(token, "***")
    text = re.sub(r"[\x00-\x1f\x7f-\x9f\u2028\u2029]+", " ", text).strip()
    text = text.replace("::", ": :").replace("##[", "## [")
    return text if len(text) <= longest else f"{text[:longest]}…"


def annotate(level: str, title: str, sentence: str) -> None:
    """Say something beside the run: an ``error``, a ``warning`` or a ``notice``."""
    escaped = sentence.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
    print(f"::{level} title={title}::{escaped}", flush=True)


def append(variable: str, line: str) -> None:
    """Add a line to a file of the runner, such as ``GITHUB_OUTPUT``."""
    with Path(os.environ[variable]).open("a", encoding="utf-8") as file:
        file.write(f"{line}\n")
