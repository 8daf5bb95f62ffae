"""Twenty million rows of ten columns from `load_data` to the features: seconds and memory."""

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
from parcels import Parcels, parcels

MILLION = 1_000_000
ROWS = 20 * MILLION
STAGES = ("ingest", "validate", "features")
NUMBERS = [f"x{k}" for k in range(6)]
CODE = {
    "data": '''"""Parcels from a file, part by part."""

import pyarrow.parquet as pq


def load_data():
    for batch in pq.ParquetFile("data/source/parcels.parquet").iter_batches(batch_size=500_000):
        yield batch.to_pandas()
''',
    "schema": '''"""Ten columns."""

from pandera.pandas import Check, Column, DataFrameSchema

SCHEMA = DataFrameSchema(
    {
        "seen_at": Column("datetime64[us, UTC]"),
        "stops": Column(int, Check.in_range(1, 20)),
        "kind": Column(str, Check.isin(["box", "bag", "tube"])),
        "late": Column(int, Check.isin([0, 1])),
        "x[0-9]": Column(float, Check.in_range(-100, 100), nullable=True, regex=True),
    },
    strict=True,
)
''',
    "features": '''"""Numbers as they are, kinds by number."""

import numpy as np

KINDS = {"box": 0, "bag": 1, "tube": 2}


def build_features(columns):
    return {
        "kind": np.array([KINDS.get(value, -1) for value in columns["kind"].tolist()]),
        **{name: columns[name] for name in ("stops", "x0", "x1", "x2", "x3", "x4", "x5")},
    }
''',
}
ALONE = """
import json, sys
from pathlib import Path
from mlops import cli

sys.argv = ["mlops", sys.argv[1]]
try:
    cli.main()
except SystemExit as stopped:
    if stopped.code:
        raise
lines = dict(line.split(":", 1) for line in Path("/proc/self/status").read_text().splitlines())
print(json.dumps({"memory": int(lines["VmHWM"].split()[0]) / 1024**2}))
"""


def run() -> Iterator[str]:
    """Measure each stage in a process of its own; yield a line for each, and one for all."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        project = parcels(Path(name))
        for module, code in CODE.items():
            (project / f"src/model/{module}.py").write_text(code, encoding="utf-8")
        write(project / "data/source/parcels.parquet")
        seconds, memory = 0.0, 0.0
        for stage in STAGES:
            took, held = alone(project, stage)
            seconds, memory = seconds + took, max(memory, held)
            yield f"{ROWS / MILLION:.0f} million rows, {stage}: {took:.0f} s, {held:.2f} GB"
        yield (
            f"{ROWS / MILLION:.0f} million rows x 10 columns, all three: {seconds:.0f} s and "
            f"{memory:.2f} GB (goal: at most 240 s and 3 GB)"
        )


def alone(project: Parcels, stage: str) -> tuple[float, float]:
    """Return seconds, and the most memory held in GB."""
    started = time.perf_counter()
    done = subprocess.run(
        [sys.executable, "-c", ALONE, stage],
        cwd=project.folder,
        env=project.environment,
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        sys.exit(f"mlops {stage} failed:\n{done.stdout}\n{done.stderr}")
    return time.perf_counter() - started, json.loads(done.stdout.splitlines()[-1])["memory"]


def write(path: Path) -> None:
    """Write the raw file, a million rows at a time."""
    writer = None
    start = pd.Timestamp("2023-01-01", tz="UTC")
    moments = pd.date_range(start, start + pd.Timedelta(days=120), periods=ROWS, unit="us")
    for part in range(ROWS // MILLION):
        rng = np.random.default_rng(part)
        table = pa.table(
            {
                "seen_at": moments[part * MILLION : (part + 1) * MILLION],
                "stops": rng.integers(1, 9, MILLION),
                "kind": rng.choice(["box", "bag", "tube"], MILLION),
                "late": rng.integers(0, 2, MILLION),
                **{name: rng.normal(size=MILLION) for name in NUMBERS},
            }
        )
        writer = writer or pq.ParquetWriter(path, table.schema)
        writer.write_table(table)
    assert writer
    writer.close()
