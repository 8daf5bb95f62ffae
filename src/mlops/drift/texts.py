"""Columns with too many values to compare their shares: free text by its words, others not at all.

Where nearly each row has a value of its own, the shares of values differ from month to month,
whatever the texts say.
"""

import math
import re
from collections import Counter
from collections.abc import Iterable
from typing import Any

import numpy as np
import pandas as pd

from mlops.drift import numeric
from mlops.drift.survey import Survey, named

METHOD = "wasserstein of lengths"
BY_CHANCE = 0.05  # distance; where chance alone gives more, shares say little
NAMED = 10  # new words that are given
WORD = re.compile(r"\w+")


def by_chance(distinct: int, reference: int, current: int) -> float:
    """Return about how far the shares of so many values are apart, where nothing has moved.

    The expected Jensen-Shannon distance of two samples of one multinomial; near it, the divergence
    is an eighth of a chi-squared statistic (Lin 1991, Divergence measures based on the Shannon
    entropy).
    """
    return math.sqrt(max(distinct - 1, 0) * (1 / reference + 1 / current) / 8)


def judge(before: Survey, after: Survey, name: str, found: dict[str, Any]) -> dict[str, Any]:
    """Judge a column by the lengths and words of the samples; ``found`` is what shares say of it.

    A column of single words is an identifier, of which only missing values are judged.
    """
    samples = [side.sample[name].dropna().astype(str) for side in (before, after)]
    nothing = {**found, "score": None, "new_categories": [], "new_share": 0.0}
    if any(sample.empty for sample in samples) or _words_a_row(samples[0]) < 1.5:
        return {**nothing, "kind": "identifier", "method": "not judged"}
    lengths = [sample.str.len().to_numpy(np.float64) for sample in samples]
    share, words = _new_words(*samples)
    reference, current = (
        {"min": it.min(), "max": it.max(), "mean": it.mean(), "std": it.std()} for it in lengths
    )
    return {
        **nothing,
        "kind": "text",
        "method": METHOD,
        "score": numeric.wasserstein(*lengths),
        "judged": "sample" if before.sampled or after.sampled else "all rows",
        "new_categories": words,
        "new_share": share,
        "reference": reference,
        "current": current,
    }


def _words_a_row(texts: "pd.Series[str]") -> float:
    return float(texts.str.count(WORD.pattern).mean())


def _new_words(reference: "pd.Series[str]", current: "pd.Series[str]") -> tuple[float, list[str]]:
    """Return by how much the share of words has risen that earlier rows did not have; which.

    Some of all words are always new. How many, one half of the reference says of the other.
    """
    half = np.arange(len(reference)) % 2 == 0
    known = _count(reference[half])
    usual, now = _count(reference[~half]), _count(current)
    rise = _share(now, known) - _share(usual, known)
    new = [(n, word) for word, n in now.items() if word not in known and word not in usual]
    commonest = sorted(new, key=lambda it: (-it[0], it[1]))[:NAMED]
    return max(rise, 0.0), [named(word) for _, word in commonest] if rise > 0 else []


def _count(texts: Iterable[str]) -> Counter[str]:
    return Counter(word for text in texts for word in WORD.findall(text.lower()))


def _share(counted: Counter[str], known: Counter[str]) -> float:
    unknown = sum(n for word, n in counted.items() if word not in known)
    return unknown / max(counted.total(), 1)
