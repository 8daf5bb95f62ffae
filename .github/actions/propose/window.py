"""Whether in params.yaml only the window has moved: dates in ``data.window``, ``data.holdout``.

Read as lines, as the job that asks has no library for YAML, and as no other reading of the file
may differ from ours: a line that holds anything new but a date is refused.
"""

import re
from collections.abc import Iterator
from itertools import zip_longest
from pathlib import Path

from proposal import InputError

PARAMS = Path("params.yaml")
SECTION, KEYS = "data", ("window", "holdout")
KEY = re.compile(r"( *)([\w-]+) *:")
DATE = re.compile(r"(['\"]?)\d{4}-\d{2}(-\d{2})?\1")  # a day needs quotes, a month none
BEFORE_COMMENT = re.compile(r" +(?=#)")  # may shrink or grow, to keep comments in their column


def must_be_all_that_moves(old: bytes, new: bytes) -> None:
    """Compare the file before and after.

    Raises
    ------
    InputError
        Naming the first line that is not what it was.
    """
    lines = zip_longest(_lines(old), _lines(new))
    for number, (before, after) in enumerate(lines, 1):
        if before != after:
            raise InputError(
                f"'{PARAMS}', line {number}: a retraining may only move "
                f"{' and '.join(f'{SECTION}.{key}' for key in KEYS)}"
            )


def _lines(content: bytes) -> Iterator[str]:
    """Yield the lines, those of the window without what may change in them."""
    inside, depth, of_window = False, 0, False
    for line in content.decode("utf-8", errors="surrogateescape").split("\n"):
        key = KEY.match(line)
        indent = len(line) - len(line.lstrip(" "))
        if line.strip() and not line.lstrip().startswith("#"):
            if indent == 0:
                inside, depth, of_window = bool(key and key[2] == SECTION), 0, False
            elif inside:
                depth = depth or indent
                if indent <= depth:
                    of_window = bool(key and key[2] in KEYS and indent == depth)
        # In place of a date comes what no line has.
        yield BEFORE_COMMENT.sub(" ", DATE.sub("\n", line)) if of_window else line
