"""Categorical columns: by the counts of all rows, which are Evidently's distance exactly.

Categories too many to hold, such as identifiers, are counted by their hashes, a range at a time.
Memory holds four million hashes of each window at most; when there are more, another pass over the
windows counts the next range of them. Sums over all ranges are exact, but for two categories with
the same 64 bits: with ten million of them, one chance in 100,000.
"""

import heapq
import math
from collections.abc import Iterator, Mapping, Set
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa

from mlops.artifact.table import Array
from mlops.drift.rows import Rows
from mlops.drift.survey import Survey, named, present

METHOD = "jensenshannon"  # as Evidently calls it
TOP = 5  # categories of a summary
NAMED = 10  # new categories whose names are given
HELD = 4_000_000  # hashes of a window in memory, 16 bytes each
ALL = 2**64

Counted = tuple[Array, Array]  # hashes, ascending, and the rows of each


@dataclass(frozen=True)
class Compared:
    """Counts of two windows against each other; pairs are the reference and the newest rows.

    ``new`` rows have a category that the reference does not have, ``named`` are the commonest of
    those. ``top`` has the commonest categories with their rows.
    """

    score: float
    distinct: tuple[int, int]
    top: tuple[dict[Any, int], dict[Any, int]]
    new: int
    named: list[Any]


def judge(before: Survey, after: Survey, name: str) -> dict[str, Any]:
    """Judge a column; ``score`` is None when a window has no values."""
    was, now = before.categories[name], after.categories[name]
    if was.counts is None or now.counts is None:
        found = compare_hashes(before.rows, after.rows, name, (was.present, now.present))
    else:
        found = compare(was.counts, now.counts)
    reference, current = (
        {
            "distinct": distinct,
            "top": [[named(it), count / side.present] for it, count in top.items()],
        }
        for side, distinct, top in zip((was, now), found.distinct, found.top, strict=True)
    )
    return {
        "method": METHOD,
        "score": found.score if was.present and now.present else None,
        "judged": "all rows",
        "sampling_error": None,
        "missing": {"reference": was.missing, "current": now.missing},
        "new_categories": [named(it) for it in found.named],
        "new_share": found.new / now.rows,
        "reference": reference,
        "current": current,
    }


def compare(reference: Mapping[Any, int], current: Mapping[Any, int]) -> Compared:
    """Compare the rows of each category."""
    new = {value: count for value, count in current.items() if value not in reference}
    top = commonest(reference, TOP), commonest(current, TOP)
    score = jensenshannon(reference, current) if reference and current else np.nan
    distinct = len(reference), len(current)
    return Compared(score, distinct, top, sum(new.values()), list(commonest(new, NAMED)))


def commonest(counts: Mapping[Any, int], n: int) -> dict[Any, int]:
    """Return the ``n`` with the most rows, the first in the alphabet where they have the same."""
    order = sorted(counts, key=lambda value: (-counts[value], str(value)))
    return {value: counts[value] for value in order[:n]}


def jensenshannon(reference: Mapping[Any, int], current: Mapping[Any, int]) -> float:
    """Return the Jensen-Shannon distance of two counts, in nats: from 0 to 0.8326."""
    keys = list(reference.keys() | current.keys())
    p, q = (np.array([side.get(key, 0) for key in keys]) for side in (reference, current))
    return math.sqrt(divergence(p / p.sum(), q / q.sum()))


def divergence(p: Array, q: Array) -> float:
    """Return the Jensen-Shannon divergence of shares ``p`` and ``q``, or their part of it."""
    middle = (p + q) / 2
    parts = (side[side > 0] * np.log(side[side > 0] / middle[side > 0]) for side in (p, q))
    return max(sum(float(part.sum()) for part in parts) / 2, 0.0)


@dataclass
class Range:
    """Counts of the hashes from ``low`` up to ``high``, which falls when they become too many."""

    low: int
    high: int
    counts: Counted = field(default_factory=lambda: _counted([]))

    @classmethod
    def read(cls, rows: Rows, name: str, low: int, high: int) -> "Range":
        this, waiting = cls(low, high), list[Array]()
        for hashes, _ in _hashed(rows, name):
            waiting.append(this._inside(hashes))
            if sum(map(len, waiting)) >= HELD:
                this._add(waiting)
        this._add(waiting)
        return this

    def cut(self, high: int) -> None:
        """Forget the hashes from ``high`` on."""
        self.high = high
        kept = len(self._inside(self.counts[0]))
        self.counts = self.counts[0][:kept], self.counts[1][:kept]

    def _inside(self, hashes: Array) -> Array:
        first, last = np.uint64(self.low), np.uint64(self.high - 1)
        return hashes[(hashes >= first) & (hashes <= last)]

    def _add(self, waiting: list[Array]) -> None:
        if waiting:
            self.counts = _merged(self.counts, _counted(waiting))
            waiting.clear()
        if len(self.counts[0]) > HELD:
            self.cut(int(self.counts[0][HELD // 2]))


def compare_hashes(reference: Rows, current: Rows, name: str, sizes: tuple[int, int]) -> Compared:
    """Compare the rows of each category; ``sizes`` are the rows that have one."""
    low, new, apart, distinct = 0, 0, 0.0, [0, 0]
    common: list[dict[int, int]] = [{}, {}, {}]  # rows by hash: of both windows, and of new ones
    while low < ALL:
        before = Range.read(reference, name, low, ALL)
        after = Range.read(current, name, low, before.high)
        before.cut(after.high)
        keys, p, q = _aligned(before.counts, after.counts)
        apart += divergence(p / max(sizes[0], 1), q / max(sizes[1], 1))
        unknown = np.where(p, 0, q)
        new += int(unknown.sum())
        for place, (counts, n) in enumerate(((p, TOP), (q, TOP), (unknown, NAMED))):
            common[place] = _commonest(common[place], keys, counts, n)
        distinct = [distinct[0] + len(before.counts[0]), distinct[1] + len(after.counts[0])]
        low = after.high
    names = _names(reference, name, common[0].keys())
    names |= _names(current, name, common[1].keys() | common[2].keys())
    tops = [{names[it]: count for it, count in side.items()} for side in common[:2]]
    return Compared(
        score=math.sqrt(apart),
        distinct=(distinct[0], distinct[1]),
        top=(tops[0], tops[1]),
        new=new,
        named=[names[it] for it in common[2]],
    )


def _hashed(rows: Rows, name: str) -> Iterator[tuple[Array, Any]]:
    """Yield the hashes of the categories in each batch, and the categories."""
    for batch in rows.batches([name]):
        column = present(batch.column(name))
        if pa.types.is_integer(column.type) or pa.types.is_floating(column.type):
            # Whole numbers are floats in a window where some are missing.
            values = column.cast(pa.float64(), safe=False).to_numpy(zero_copy_only=False)
        else:
            values = column.to_numpy(zero_copy_only=False).astype(object)
        yield pd.util.hash_array(values, categorize=False), column


def _aligned(one: Counted, other: Counted) -> tuple[Array, Array, Array]:
    """Return all hashes, and how often each is there on either side."""
    keys = np.union1d(one[0], other[0])
    sides = []
    for hashes, counts in (one, other):
        side = np.zeros(len(keys), np.int64)
        side[np.searchsorted(keys, hashes)] = counts
        sides.append(side)
    return keys, sides[0], sides[1]


def _commonest(so_far: dict[int, int], keys: Array, counts: Array, n: int) -> dict[int, int]:
    most = np.argsort(-counts, kind="stable")[:n]
    both = so_far | {int(keys[it]): int(counts[it]) for it in most if counts[it]}
    return dict(heapq.nlargest(n, both.items(), key=lambda item: (item[1], item[0])))


def _names(rows: Rows, name: str, hashes: Set[int]) -> dict[int, Any]:
    """Return what these hashes are of."""
    missing, names = set(hashes), dict[int, Any]()
    asked = np.array(sorted(hashes), np.uint64)
    for found, column in _hashed(rows, name):
        for place in np.flatnonzero(np.isin(found, asked)):
            if (key := int(found[place])) in missing:
                missing.remove(key)
                names[key] = column[place].as_py()
        if not missing:
            break
    return names


def _counted(hashes: list[Array]) -> Counted:
    return np.unique(np.concatenate([np.empty(0, np.uint64), *hashes]), return_counts=True)


def _merged(one: Counted, other: Counted) -> Counted:
    hashes, counts = (np.concatenate(both) for both in zip(one, other, strict=True))
    order = np.argsort(hashes, kind="stable")
    hashes, counts = hashes[order], counts[order]
    first = np.flatnonzero(np.diff(hashes, prepend=~hashes[:1]))
    return hashes[first], np.add.reduceat(counts, first)
