"""Drift: ours against Evidently on all rows, ten million rows a side, and how small a drift shows.

Both judge 14 columns: skewed, heavy-tailed, whole and mostly zero numbers, categories, missing
values, an outlier of two rows in a million, and four columns planted close to their threshold.
"""

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet
import sensitivity

from mlops.artifact.model_folder import Array

SEED = 2013
MILLION = 1_000_000
CHUNK = 500_000  # rows that are drawn at a time
THRESHOLD = 0.1
NUMERIC = ("temp", "pressure", "amount", "delay", "noise", "distance", "minute", "seats")
NUMERIC += ("just above", "just below", "outlier")
CATEGORICAL = ("carrier", "dest", "origin")
# Shares of rows that take the next category, for a Jensen-Shannon distance of 0.102 and of 0.098.
JUST_ABOVE, JUST_BELOW = 0.413, 0.61  # of 16 carriers, of 120 airports


def run() -> Iterator[str]:
    """Measure everything; yield one line of text for each result as soon as it is there."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        yield from compared(Path(name))
        yield from ten_million(Path(name))
    yield from sensitivity.run()


def compared(folder: Path) -> Iterator[str]:
    """Compare verdicts, seconds and memory at a million rows a side, in processes of their own."""
    write(folder, MILLION)
    ours, theirs = alone("ours", folder), alone("evidently", folder)
    for name, score in theirs["scores"].items():
        found = ours["columns"][name]
        same = found["drifted"] == (score >= THRESHOLD)
        yield (
            f"drift, {name}: ours {found['score']:.4f} ({found['judged']}), Evidently {score:.4f} "
            f"on all rows: {'same verdict' if same else 'OTHER VERDICT'}"
        )
    same = sum(
        ours["columns"][name]["drifted"] == (score >= THRESHOLD)
        for name, score in theirs["scores"].items()
    )
    yield f"drift: the same verdict on {same} of {len(theirs['scores'])} columns (goal: all)"
    yield (
        f"drift, 1 million rows a side: {said(ours)}; "
        f"Evidently on all rows {said(theirs)}; "
        f"{theirs['seconds'] / ours['seconds']:.1f} x faster with "
        f"{ours['memory'] / theirs['memory']:.0%} of the memory"
    )


def ten_million(folder: Path) -> Iterator[str]:
    """Measure ten million rows a side."""
    write(folder, 10 * MILLION)
    ours = alone("ours", folder)
    judged = [column["judged"] for column in ours["columns"].values()]
    yield (
        f"drift, 10 million rows x {len(judged)} columns a side: {said(ours)} (goal: at "
        f"most 15 s and 1,500 MB); "
        f"{judged.count('all rows')} columns judged on all rows, {judged.count('sample')} by sample"
    )


def said(found: dict[str, Any]) -> str:
    return f"{found['seconds']:.1f} s ({found['cpu']:.1f} s of CPU) and {found['memory']:,.0f} MB"


def write(folder: Path, rows: int) -> None:
    """Write both windows of so many rows, a chunk at a time."""
    for side, name in enumerate(("reference", "current")):
        path = folder / f"{name}.parquet"
        chunks = (
            draw(np.random.default_rng([SEED, side, i]), CHUNK, side) for i in range(rows // CHUNK)
        )
        first = next(chunks)
        with pyarrow.parquet.ParquetWriter(path, first.schema) as writer:
            writer.write_table(first)
            for chunk in chunks:
                writer.write_table(chunk)


def draw(rng: np.random.Generator, n: int, side: int) -> pa.Table:
    """Draw rows of the reference (``side`` 0) or of the newest window (1), which has moved."""

    def missing(values: Array, share: float) -> Array:
        return np.where(rng.random(n) < share, np.nan, values)

    def category(values: list[str], power: float, moved: float) -> Array:
        shares = np.arange(1.0, len(values) + 1) ** -power
        codes = rng.choice(len(values), n, p=shares / shares.sum())
        return np.array(values)[(codes + side * (rng.random(n) < moved)) % len(values)]

    outlier = rng.normal(1017, 8, n)
    outlier[: 2 * side * n // MILLION] = 1e7
    return pa.table(
        {
            "temp": missing(rng.normal(57 + side, 18, n), 0.01),
            "pressure": missing(rng.normal(1017, 7.4, n), 0.1 + 0.05 * side),
            "amount": rng.lognormal(3, 1.5, n) * (1 + 0.05 * side),
            "delay": np.where(rng.random(n) < 0.9, 0, rng.exponential(20, n)),
            "noise": rng.standard_t(2.5, n),
            "distance": rng.integers(80, 2600, n) + 300 * side,
            "minute": (rng.beta(2, 3, n) * 1440).astype(np.int64),
            "seats": missing(rng.choice([20.0, 50, 76, 140, 180, 220], n), 0.05),
            "just above": rng.gamma(2, 1, n) + 0.102 * side * np.sqrt(2),
            "just below": rng.gamma(2, 1, n) + 0.098 * side * np.sqrt(2),
            "outlier": outlier,
            "carrier": category([f"carrier {i}" for i in range(16)], 1, JUST_ABOVE),
            "dest": category([f"airport {i}" for i in range(120)], 0.8, JUST_BELOW),
            "origin": category(["EWR", "JFK", "LGA"], 0.2, 0),
        }
    )


def alone(what: str, folder: Path) -> Any:
    """Measure in a process of its own, Python's start and all imports included."""
    environment = {**os.environ, "DO_NOT_TRACK": "1"}
    environment.pop("PYTHONDONTWRITEBYTECODE", None)
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, __file__, what, str(folder)],
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"{what} failed:\n{done.stdout}\n{done.stderr}")
    return json.loads(done.stdout) | {"seconds": time.perf_counter() - started}


def measured(what: str, folder: Path) -> str:
    """Judge with one of the two; return what it found, seconds of CPU and peak memory in MB."""
    found = {"ours": ours, "evidently": evidently}[what](folder)
    # Linux's own number: that of getrusage begins with the parent's.
    lines = Path("/proc/self/status").read_text().splitlines()
    status = dict(line.split(":", 1) for line in lines)
    peak = int(status["VmHWM"].split()[0]) / 1024
    return json.dumps({**found, "memory": peak, "cpu": time.process_time()})


def ours(folder: Path) -> dict[str, Any]:
    from mlops.drift.columns import judge
    from mlops.drift.rows import Rows

    judged = judge(
        *(Rows(folder / f"{side}.parquet") for side in ("reference", "current")),
        wanted(),
        missing=0.1,
        new_categories=0.01,
        sample_rows=20_000,
        seed=SEED,
        page=folder / "ours.html",
    )
    return {"columns": {column["name"]: column for column in judged.columns}}


def evidently(folder: Path) -> dict[str, Any]:
    from mlops.drift.columns import draw

    tables = [pd.read_parquet(folder / f"{side}.parquet") for side in ("reference", "current")]
    return {"scores": draw(*tables, wanted(), folder / "evidently.html")}


def wanted() -> list[Any]:
    from mlops.drift.columns import Wanted

    kinds = dict.fromkeys(NUMERIC, "numeric") | dict.fromkeys(CATEGORICAL, "categorical")
    return [Wanted(name, kind, THRESHOLD) for name, kind in kinds.items()]


if __name__ == "__main__":
    if len(sys.argv) > 1:
        print(measured(sys.argv[1], Path(sys.argv[2])))
    else:
        for line in run():
            print(line, flush=True)
