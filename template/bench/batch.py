"""Ten million rows by `mlops predict`: rows a second, memory, and MLflow with the same ONNX.

MLflow predicts the same file in batches of the same size, in one process, by the shortest way that
it offers: a pyfunc model around the project's features and ONNX (peers/mlflow_models.py). Only what
it predicts is timed, and only a tenth of the rows. Ours is the whole command: start, checks, the
reasons for bad rows, and the file with the scores.
"""

import os
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import psutil
import pyarrow as pa
import pyarrow.parquet as pq
import serving
from projects import Project, make_project

from mlops.artifact import model_folder
from mlops.artifact.table import to_columns
from mlops.predictions.tables import ROWS as BATCH

MILLION = 1_000_000
ROWS, OF_MLFLOW, ROUNDS = 10 * MILLION, MILLION, 3
MEMORY = 600  # MB
CORES = len(os.sched_getaffinity(0))
PEER = """
import sys, time
import mlflow.pyfunc
import pyarrow.parquet as pq

model, table, rows, batch = sys.argv[1:]
asked = mlflow.pyfunc.load_model(model)
seconds = done = 0
for part in pq.ParquetFile(table).iter_batches(int(batch)):
    frame = part.to_pandas()
    started = time.perf_counter()
    done += len(asked.predict(frame))
    seconds += time.perf_counter() - started
    if done >= int(rows):
        break
print(done / seconds)
"""


def run() -> Iterator[str]:
    """Measure both in turns; yield a line for each, then the ratio and goals."""
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        project, table = prepare(folder)
        ours, theirs, memory = [], [], 0.0
        for _ in range(ROUNDS):
            seconds, most = predict(project, table, folder / "scores.parquet")
            ours.append(ROWS / seconds)
            memory = max(memory, most)
            theirs.append(mlflow(folder, table))
        logged, _ = predict(
            *(project, table, folder / "scores.parquet"),
            PREDICTION_LOG_URI=str(folder / "log"),
            PREDICTION_LOG_KEEP_MB="0",
        )
        rate, other = statistics.median(ours), statistics.median(theirs)
        yield f"mlops predict: {ROWS:,} rows at {rate:,.0f} rows/s, start and files included"
        yield f"mlops predict with the prediction log: {ROWS / logged:,.0f} rows/s"
        yield f"mlflow.pyfunc with the same ONNX: {other:,.0f} rows/s"
        alone = onnx(project)
        share = rate / (CORES * alone)
        yield f"the ONNX alone: {alone:,.0f} rows/s on a core; {share:.0%} of that on {CORES} cores"
        yield f"a table: {rate / other:.1f} x mlflow.pyfunc"
        yield f"peak memory: {memory:.0f} MB (goal: at most {MEMORY} MB)"


def prepare(folder: Path) -> tuple[Project, Path]:
    """Train the example's model, save it for MLflow, and write ten million rows of its holdout."""
    project = make_project(folder / "project")
    project.run("dvc", "repro")
    raw, features = serving.rows(project)
    naive = raw.assign(
        **{  # MLflow refuses times with a zone
            name: values.dt.tz_localize(None)
            for name, values in raw.items()
            if values.dtype.kind == "M"
        }
    )
    files = [str(folder / name) for name in ("rows.parquet", "features.parquet", "onnx", "stock")]
    naive.to_parquet(files[0])
    features.to_parquet(files[1])
    script = str(serving.PEERS / "mlflow_models.py")
    serving.call(Path(sys.executable), script, str(project / "models"), *files)
    write(project, folder / "naive.parquet", zoned=False)
    return project, write(project, folder / "table.parquet", zoned=True)


def write(project: Project, path: Path, *, zoned: bool) -> Path:
    """Write rows of the holdout again and again; with times as MLflow takes them, fewer."""
    holdout = pd.read_parquet(project / "data/holdout.parquet")
    for name, values in holdout.items():
        if not zoned and isinstance(values.dtype, pd.DatetimeTZDtype):
            holdout[name] = values.dt.tz_localize(None)
    table = pa.Table.from_pandas(holdout, preserve_index=False)
    rows = ROWS if zoned else OF_MLFLOW
    with pq.ParquetWriter(path, table.schema) as writer:
        while rows > 0:
            writer.write_table(table.slice(0, rows))
            rows -= len(table)
    return path


def predict(project: Project, table: Path, out: Path, **settings: str) -> tuple[float, float]:
    """Return the seconds that the command took, and the most memory that it had, in MB of 2**20."""
    started = time.perf_counter()
    process = psutil.Popen(
        ["mlops", "predict", str(table), str(out)],
        cwd=project.folder,
        env=project.environment | settings,
        stdout=subprocess.DEVNULL,
    )
    _, status, used = os.wait4(process.pid, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    return time.perf_counter() - started, used.ru_maxrss / 1024


def onnx(project: Project) -> float:
    """Return the rows a second of the model alone, asked with features that are there."""
    model = model_folder.load(project / "models")
    holdout = pd.read_parquet(project / "data/holdout.parquet").head(BATCH)
    asked = model.features(to_columns(holdout))
    seconds = []
    for _ in range(10):
        started = time.perf_counter()
        model.ask(asked)
        seconds.append(time.perf_counter() - started)
    return len(holdout) / statistics.median(seconds)


def mlflow(folder: Path, table: Path) -> float:
    """Return the rows a second that MLflow predicts, reading not included."""
    files = str(folder / "onnx"), str(table.with_name("naive.parquet"))
    done = subprocess.run(
        [sys.executable, "-c", PEER, *files, str(OF_MLFLOW), str(BATCH)],
        env={**os.environ, "OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true"}
        | {"PYTHONPATH": str(serving.PEERS)},
        capture_output=True,
        text=True,
        check=True,
    )
    return float(done.stdout.splitlines()[-1])
