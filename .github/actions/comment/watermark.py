"""The mark by which CML finds the comment that it is to update."""

import re
from typing import Any

TITLE = "model report"
WATERMARK = rf'!\[\]\(https://cml\.dev/watermark\.png#[0-9a-fA-F]+ "CML watermark {TITLE}"\)'
COMMENTS_SEEN = 30  # the oldest: CML asks for one page of comments and never for the next


def watermark(sha: str) -> str:
    """Return what CML puts under a comment."""
    return f'![](https://cml.dev/watermark.png#{sha} "CML watermark {TITLE}")'


def comment_to_update(comments: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the comment that CML would update, whoever wrote it; with none, it adds one."""
    marked = [it for it in comments[:COMMENTS_SEEN] if re.search(WATERMARK, it["body"])]
    return marked[-1] if marked else None
