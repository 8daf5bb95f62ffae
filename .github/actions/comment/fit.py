"""Cuts Markdown to a length, so that what follows it is still read as Markdown."""

import re

CODE = re.compile(r" {0,3}(`{3,}|~{3,})(.*)")


def fit(text: str, limit: int) -> tuple[str, bool]:
    """Return the longest start of whole lines that fits, closed, and whether it is all of them.

    Closed means that a code block and folds (``<details>``) do not go on after the text; the limit
    is in characters and holds with what closes them.
    """
    kept, closing = 0, ""
    size, code, folds = 0, "", 0
    for line in text.splitlines(keepends=True):
        size += len(line)
        if size > limit:
            break
        mark = CODE.match(line)
        if code:
            if mark and mark[1].startswith(code) and not mark[2].strip():
                code = ""
        elif mark:
            code = mark[1]
        else:
            folds = max(0, folds + line.count("<details") - line.count("</details"))
        ending = (f"\n{code}" if code else "") + "\n\n</details>" * folds
        if size + len(ending) <= limit:
            kept, closing = size, ending
    return text[:kept].rstrip() + closing, kept == len(text)
