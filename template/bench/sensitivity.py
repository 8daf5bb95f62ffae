"""How small a drift is caught: planted in each question's rows, at three sizes of both windows.

A shift counts as caught when it and all larger ones are found with every seed. Thresholds are those
of params.yaml. Scores are a champion's with a ROC AUC of about 0.73, as in the example.
"""

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet

from mlops.artifact.model_folder import Array
from mlops.drift import questions
from mlops.drift.columns import Wanted, judge
from mlops.drift.rows import Rows
from mlops.judgement.bootstrap import independent_difference
from mlops.judgement.metric import resolve
from mlops.project import params

SIZES = (1_000, 10_000, 100_000)
SEEDS = 3
PARAMS = params.load(Path(__file__).parents[2] / "params.yaml")
SETTINGS, GATE = PARAMS.drift, PARAMS.gate
METRIC, CLASSES = resolve(GATE.metric, "binary"), [0, 1]
RESAMPLES = 500  # 2,000, the default, find the same and take four times as long

STEPS = [step / 100 for step in range(17)]
LEVELS = {
    "data: numeric column moved by so many standard deviations": STEPS,
    "data: share of rows with a new category": [step / 2000 for step in range(31)],
    "predictions: scores moved by so many standard deviations": STEPS,
    "concept: share of labels flipped": STEPS,
}


def run() -> Iterator[str]:
    """Yield a table, a row for each question as soon as it is there."""
    yield "smallest shift caught | " + " | ".join(f"{rows:,} rows a side" for rows in SIZES)
    found: dict[str, list[str]] = {question: [] for question in LEVELS}
    for rows in SIZES:
        caught = [planted(rows, seed) for seed in range(SEEDS)]
        for question, levels in LEVELS.items():
            missed = [
                level
                for place, level in enumerate(levels)
                if not all(one[question][place] for one in caught)
            ]
            above = [level for level in levels if not missed or level > missed[-1]]
            false = sum(one[question][0] for one in caught)
            text = f"{above[0]:g}" if above else f"none up to {levels[-1]:g}"
            found[question].append(text + (f" ({false} of {SEEDS} without any)" if false else ""))
    for question, texts in found.items():
        yield " | ".join([question, *texts])


def planted(rows: int, seed: int) -> dict[str, list[bool]]:
    """Return which shift each question calls a violation."""
    numeric, new, scores, flipped = LEVELS
    reference, current = draw(rows, seed, 0), draw(rows, seed, 1)
    columns = judged(reference, current, seed)
    data = {it["name"]: questions.data([it], [], SETTINGS) for it in columns}
    answers = {
        it["name"]: questions.predictions([it], "binary", SETTINGS)
        for it in columns
        if it["kind"] == "score"
    }
    return {
        numeric: [_violated(data[f"x{place}"]) for place in range(len(LEVELS[numeric]))],
        new: [_violated(data[f"category{place}"]) for place in range(len(LEVELS[new]))],
        scores: [_violated(answers[f"score{place}"]) for place in range(len(LEVELS[scores]))],
        flipped: [concept(reference, current, level, seed) for level in LEVELS[flipped]],
    }


def draw(rows: int, seed: int, side: int) -> dict[str, Array]:
    """Draw a skewed number, 16 categories, and a champion's scores with their labels."""
    rng = np.random.default_rng([seed, rows, side])
    shares = 1 / np.arange(1, 17)
    score = 1 / (1 + np.exp(1.4 - rng.normal(0, 1, rows)))
    return {
        "x": rng.gamma(2, 1, rows),
        "category": rng.choice(16, rows, p=shares / shares.sum()).astype(str),
        "score": score,
        "late": (rng.random(rows) < score).astype(np.int64),
        "chance": rng.random(rows),
    }


def judged(reference: dict[str, Array], current: dict[str, Array], seed: int) -> list[Any]:
    """Judge a column for each shift, the same rows but for the shift."""
    moved = [np.array(LEVELS[question]) for question in list(LEVELS)[:3]]
    tables: list[dict[str, Array]] = []
    for side, one in enumerate((reference, current)):
        table = {f"x{i}": one["x"] + side * by * 2**0.5 for i, by in enumerate(moved[0])}
        for i, share in enumerate(side * moved[1]):
            table[f"category{i}"] = np.where(one["chance"] < share, "new", one["category"])
        spread = reference["score"].std()
        table |= {f"score{i}": one["score"] + side * by * spread for i, by in enumerate(moved[2])}
        tables.append(table)
    kinds = {"x": "numeric", "c": "categorical", "s": "score"}
    wanted = [Wanted(name, kinds[name[0]], limit(kinds[name[0]])) for name in tables[0]]
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        paths = [Path(folder, f"{side}.parquet") for side in range(2)]
        for path, table in zip(paths, tables, strict=True):
            pyarrow.parquet.write_table(pa.table(table), path)
        return judge(
            *map(Rows, paths),
            wanted,
            missing=SETTINGS.missing,
            new_categories=SETTINGS.new_categories,
            sample_rows=SETTINGS.sample_rows,
            seed=seed,
            page=None,
        ).columns


def limit(kind: str) -> float:
    columns = SETTINGS.columns
    limits = {"numeric": columns.numeric, "categorical": columns.categorical}
    return limits.get(kind, SETTINGS.predictions)


def concept(
    reference: dict[str, Array], current: dict[str, Array], share: float, seed: int
) -> bool:
    """Return whether labels flipped on this share of the newest rows are a violation."""
    labels = np.where(current["chance"] < share, 1 - current["late"], current["late"])
    change = independent_difference(
        METRIC,
        # Its rows are drawn one by one: they are blocks of their own.
        (labels, current["score"], np.arange(len(labels))),
        (reference["late"], reference["score"], np.arange(len(reference["late"]))),
        CLASSES,
        resamples=RESAMPLES,
        confidence=GATE.confidence,
        seed=seed,
    )
    return _violated(questions.concept(METRIC, change, GATE, SETTINGS, {}))


def _violated(question: Any) -> bool:
    return bool(question["state"] == "violated")


if __name__ == "__main__":
    for line in run():
        print(line, flush=True)
