"""The service against others with the same model: requests a second, p99, start, memory, size.

Each server has one core to itself, the client (wrk) the other; servers take turns, so that a busy
machine is busy for all. All get the same raw rows and answer with the same ONNX behind the same
features, by the shortest way that each offers; ours validates, counts and logs besides. Only stock
mlflow has the scikit-learn model, and is given its features.
"""

import json
import os
import re
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pandas as pd
import psutil
from projects import Project, make_project

ROOT = Path(__file__).parents[2]
PEERS = Path(__file__).parent / "peers"
ENVIRONMENTS = ROOT / "build/bench"
ROUNDS, SECONDS, CONNECTIONS, BATCH, FEW = 3, 4, 16, 100, 4
PORT = 18080
SERVER_CORE, CLIENT_CORE = "0", "1"
ROUTES = """
from fastapi import APIRouter
from mlops.serving.routes import predict

router = APIRouter()

@router.post("/twice")
async def twice(row: dict[str, object]) -> dict[str, object]:
    return await predict([row, row])
"""


@dataclass
class Server:
    """How to start a server, how to ask it, and what was measured."""

    name: str
    command: list[str]
    single: list[Any]
    batch: list[Any] = field(default_factory=list)
    path: str = "/predict"
    settings: dict[str, str] = field(default_factory=dict)
    folder: Path | None = None  # in which it starts; that of the others, by default
    rates: list[float] = field(default_factory=list)
    batch_rates: list[float] = field(default_factory=list)
    few: list[Any] = field(default_factory=list)
    few_rates: list[float] = field(default_factory=list)
    p99: list[float] = field(default_factory=list)
    starts: list[float] = field(default_factory=list)
    memory: list[float] = field(default_factory=list)

    @property
    def rate(self) -> float:
        return statistics.median(self.rates)

    @property
    def batch_rate(self) -> float:
        return statistics.median(self.batch_rates)


def run() -> Iterator[str]:
    """Measure all servers in turns; yield a line for each, then the ratios and goals."""
    if not shutil.which("wrk"):
        yield "service: not measured, wrk is missing (apt-get install wrk)"
        return
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        folder = Path(name)
        servers = prepare(folder)
        for _ in range(ROUNDS):
            for server in servers.values():
                measure(server, folder)
        for server in servers.values():
            yield line(server)
        yield from ratios(servers)
        yield two_processes(servers["ours"], folder)
    yield sizes()


def prepare(folder: Path) -> dict[str, Server]:
    """Train the example's model and return the servers of it."""
    project = make_project(folder / "project")
    project.run("dvc", "repro")
    raw, features = rows(project)
    ours, bento, lit, mlserver, ray, mlflow = (
        environment(f"-r {ROOT / 'requirements-serve.txt'} --require-hashes", "serve"),
        *(environment(line, re.split(r"\W", line)[0]) for line in peers()),
    )
    locked = f"-r {ROOT / 'requirements-serve.txt'} -c {ROOT / 'requirements.txt'}"
    fastapi = environment(f"{locked} fastapi", "serve-routes")
    file = folder / "routes/src/model/routes.py"
    file.parent.mkdir(parents=True)
    file.write_text(ROUTES)
    model = project.folder / "models"
    settings = {"MODEL_DIR": str(model), "PORT": str(PORT), "PYTHONPATH": str(ROOT / "src")}
    logged = settings | {"PREDICTION_LOG_URI": str(folder / "log")}
    files = [str(folder / name) for name in ("rows.parquet", "features.parquet", "onnx", "stock")]
    naive = raw.assign(
        **{  # MLflow refuses times with a zone
            name: values.dt.tz_localize(None)
            for name, values in raw.items()
            if values.dtype.kind == "M"
        }
    )
    naive.to_parquet(files[0])
    features.to_parquet(files[1])
    call(mlflow, str(PEERS / "mlflow_models.py"), str(model), *files)

    start = [str(ours), "-m", "mlops.serving"]
    uvicorn = ["-m", "uvicorn", "--app-dir", str(PEERS), "--port", str(PORT), "--no-access-log"]
    of_mlflow = [str(mlflow), "-m", "mlflow", "models", "serve", "--env-manager", "local"]
    of_mlflow += ["--port", str(PORT), "--workers", "1", "--model-uri"]
    serve = [str(bento), "-m", "bentoml", "serve", "bento:Model", "--port", str(PORT)]
    plain = bodies(raw, lambda rows: rows if len(rows) > 1 else rows[0])
    wrapped = bodies(raw, lambda rows: {"rows": rows})
    listed_rows = bodies(raw, lambda rows: rows)
    records = bodies(naive, lambda rows: {"dataframe_records": rows})
    of_features = bodies(features, lambda rows: {"dataframe_records": rows})
    folder_of = {"MODEL_DIR": str(model), "PYTHONPATH": str(PEERS)}
    of_mlserver = {"HTTP_PORT": str(PORT), "PARALLEL_WORKERS": "0", "DEBUG": "false"}
    of_mlserver = {f"MLSERVER_{name}": value for name, value in of_mlserver.items()}
    listed = [
        Server("ours, prediction log on", start, *plain, settings=logged),
        Server("ours, prediction log off", start, *plain, settings=settings),
        Server(
            "ours, with routes.py",
            [str(fastapi), *start[1:]],
            *plain,
            settings=logged,
            folder=file.parents[2],
        ),
        Server("an empty uvicorn app", [str(ours), *uvicorn, "empty:app"], plain[0]),
        Server(
            "LitServe", [str(lit), str(PEERS / "lit.py"), str(PORT)], *wrapped, settings=folder_of
        ),
        Server("BentoML", [*serve, "--working-dir", str(PEERS)], *wrapped, settings=folder_of),
        Server(
            "MLServer",
            [str(mlserver.with_name("mlserver")), "start", str(PEERS / "mlserver")],
            *listed_rows,
            settings=folder_of | of_mlserver,
        ),
        Server(
            "Ray Serve",
            [str(ray), str(PEERS / "ray_serve.py"), str(PORT)],
            *wrapped,
            settings=folder_of,
        ),
        Server("mlflow with the same ONNX", [*of_mlflow, files[2]], *records, path="/invocations"),
        Server(
            "stock mlflow with scikit-learn",
            [*of_mlflow, files[3]],
            *of_features,
            path="/invocations",
        ),
    ]
    names = (
        "ours",
        "no log",
        "routes",
        "empty",
        "lit",
        "bento",
        "mlserver",
        "ray",
        "mlflow",
        "stock",
    )
    servers = dict(zip(names, listed, strict=True))
    single = plain[0]
    servers["ours"].few = [single[at : at + FEW] for at in range(0, len(single), FEW)]
    return servers


def rows(project: Project) -> tuple[pd.DataFrame, pd.DataFrame]:
    """Return 1,000 holdout rows, raw and as features; none of them lacks a value."""
    from mlops.artifact import model_folder
    from mlops.artifact.table import to_columns

    model = model_folder.load(project.folder / "models")
    holdout = pd.read_parquet(project.folder / "data/holdout.parquet").dropna().head(1000)
    raw = holdout[model.facts.inputs].reset_index(drop=True)
    return raw, pd.DataFrame(model.build_features(to_columns(raw))).astype("float32")


def bodies(table: pd.DataFrame, wrap: Callable[[list[Any]], Any]) -> tuple[list[Any], list[Any]]:
    """Return the requests for one row each, and for ``BATCH`` rows each."""
    rows = json.loads(table.to_json(orient="records", date_format="iso"))
    batches = [rows[start : start + BATCH] for start in range(0, len(rows), BATCH)]
    return [wrap([row]) for row in rows], [wrap(batch) for batch in batches]


def peers() -> list[str]:
    text = (PEERS / "requirements.txt").read_text(encoding="utf-8")
    return [line for line in text.splitlines() if not line.startswith("#")]


def environment(requirements: str, name: str) -> Path:
    """Return the Python of an environment with exactly these requirements, made on first use."""
    folder, done = ENVIRONMENTS / name, ENVIRONMENTS / name / "requirements"
    python = folder / "bin/python"
    if not done.exists() or done.read_text() != requirements:
        uv = [str(Path(sys.executable).with_name("uv"))]
        subprocess.run([*uv, "venv", "--quiet", "--clear", str(folder)], check=True)
        install = [*uv, "pip", "install", "--quiet", "--compile-bytecode", "--python", str(python)]
        subprocess.run([*install, *requirements.split()], check=True)
        done.write_text(requirements)
    return python


def call(python: Path, *arguments: str) -> None:
    subprocess.run([str(python), *arguments], check=True, capture_output=True)


def measure(server: Server, folder: Path) -> None:
    """Start a server, ask it one row at a time and 100 at a time, and stop it."""
    with started(server, folder, SERVER_CORE):
        rate, p99 = load(server, server.single, folder, CLIENT_CORE)
        server.rates.append(rate)
        server.p99.append(p99)
        if server.few:
            server.few_rates.append(load(server, server.few, folder, CLIENT_CORE)[0])
        if server.batch:
            server.batch_rates.append(load(server, server.batch, folder, CLIENT_CORE)[0] * BATCH)


@contextmanager
def started(server: Server, folder: Path, cores: str) -> Iterator[None]:
    environ = {**os.environ, "PATH": f"{Path(server.command[0]).parent}:{os.environ['PATH']}"}
    environ |= {"OMP_NUM_THREADS": "1", "MLFLOW_DISABLE_TELEMETRY": "true", "DO_NOT_TRACK": "1"}
    environ.pop("PYTHONPATH", None)
    environ |= server.settings
    log = folder / "server.log"
    clock = time.perf_counter()
    with log.open("wb") as said:
        process = subprocess.Popen(
            ["taskset", "--cpu-list", cores, *server.command],
            env=environ,
            cwd=server.folder or folder,
            stdout=said,
            stderr=said,
            start_new_session=True,
        )
        try:
            wait_for_answer(server, process, log)
            server.starts.append(time.perf_counter() - clock)
            yield
            server.memory.append(memory(process.pid))
        finally:
            for one in family(process.pid):
                one.terminate()
            gone = psutil.wait_procs(family(process.pid), timeout=10)[1]
            for one in gone:
                one.kill()
            process.wait()


def wait_for_answer(server: Server, process: "subprocess.Popen[bytes]", log: Path) -> None:
    request = urllib.request.Request(
        f"http://127.0.0.1:{PORT}{server.path}",
        json.dumps(server.single[0]).encode(),
        {"Content-Type": "application/json"},
    )
    for _ in range(60_000):
        try:
            urllib.request.urlopen(request, timeout=10).read()  # noqa: S310 - our own address
            return
        except urllib.error.HTTPError as error:
            if error.code == 404:  # Ray Serve answers before it has the model
                time.sleep(0.1)
                continue
            raise AssertionError(f"{server.name}: {error.read().decode()}") from error
        except OSError:
            assert process.poll() is None, f"{server.name}: {log.read_text()}"
            time.sleep(0.002)


def family(pid: int) -> list[psutil.Process]:
    try:
        process = psutil.Process(pid)
        return [process, *process.children(recursive=True)]
    except psutil.NoSuchProcess:
        return []


def memory(pid: int) -> float:
    """Return the resident memory of a server with all its processes, in MB of 2**20 bytes."""
    return sum(one.memory_info().rss for one in family(pid)) / 2**20


def load(server: Server, asked: list[Any], folder: Path, cores: str) -> tuple[float, float]:
    """Return requests a second and the p99 in milliseconds; every request must succeed."""
    path = folder / "bodies.jsonl"
    path.write_text("".join(f"{json.dumps(body)}\n" for body in asked))
    command = ["taskset", "--cpu-list", cores, "wrk", "-t1", f"-c{CONNECTIONS}", f"-d{SECONDS}s"]
    command += ["--timeout", "30s", "-s", str(PEERS / "rows.lua")]
    done = subprocess.run(
        [*command, f"http://127.0.0.1:{PORT}{server.path}"],
        env={**os.environ, "BODIES": str(path)},
        capture_output=True,
        text=True,
        check=True,
    )
    (result,) = [text for text in done.stdout.splitlines() if text.startswith("RESULT")]
    rate, p99, errors = (float(part) for part in result.split()[1:])
    assert not errors, f"{server.name}: {errors:.0f} requests failed"
    return rate, p99


def line(server: Server) -> str:
    batches = f", {server.batch_rate:,.0f} rows/s in batches of {BATCH}" if server.batch else ""
    return (
        f"{server.name}: {server.rate:,.0f} req/s of one row (p99 "
        f"{statistics.median(server.p99):.1f} ms){batches}; first answer after "
        f"{statistics.median(server.starts):.2f} s, {max(server.memory):.0f} MB"
    )


def ratios(servers: dict[str, Server]) -> Iterator[str]:
    ours = servers["ours"]
    for name, goal in {"mlflow": 25, "lit": 5, "stock": 60}.items():
        other = servers[name]
        yield f"one row: {ours.rate / other.rate:.1f} x {other.name} (goal: at least {goal} x)"
    for name in ("bento", "mlserver", "ray"):
        yield f"one row: {ours.rate / servers[name].rate:.1f} x {servers[name].name}"
    share = ours.rate / servers["empty"].rate
    yield f"one row: {share:.0%} of an empty uvicorn app (goal: at least 50%)"
    same = ("lit", "bento", "mlserver", "ray", "mlflow")
    best = max((servers[name] for name in same), key=lambda it: it.batch_rate)
    yield (
        f"batches of {BATCH}: {ours.batch_rate / best.batch_rate:.1f} x {best.name}, the best of "
        "the peers with the same ONNX (goal: at least 3 x)"
    )
    share = ours.rate / servers["no log"].rate
    yield f"with the prediction log: {share:.0%} of the throughput without (goal: at least 92%)"
    own = servers["routes"]
    yield (
        f"with routes.py: {own.rate / ours.rate:.0%} of the throughput without (goal: at least "
        f"97%), first answer after {statistics.median(own.starts):.2f} s (goal: at most 1.3 s)"
    )
    yield (
        f"first answer after {statistics.median(ours.starts):.2f} s (goal: at most 1 s), p99 "
        f"{statistics.median(ours.p99):.1f} ms (goal: at most 15 ms), memory "
        f"{max(ours.memory):.0f} MB (goal: at most 90 MB)"
    )
    few = ours.rate / statistics.median(ours.few_rates)
    yield f"a request of {FEW} rows: {few:.2f} x one of one row (goal: at most 1.3 x)"


def two_processes(ours: Server, folder: Path) -> str:
    """Say what a second process adds, with the client on the same two cores."""
    both = f"{SERVER_CORE},{CLIENT_CORE}"
    rates: dict[str, list[float]] = {"1": [], "2": []}
    for _ in range(ROUNDS):
        for workers, found in rates.items():
            more = Server(
                ours.name, ours.command, ours.single, settings={**ours.settings, "WORKERS": workers}
            )
            with started(more, folder, both):
                found.append(load(more, ours.single, folder, both)[0])
    one, two = (statistics.median(found) for found in rates.values())
    return (
        f"two processes: {two:,.0f} req/s against {one:,.0f} of one ({two / one:.2f} x), the "
        "client on the same two cores"
    )


def sizes() -> str:
    megabytes = {}
    for name in ("serve", "mlflow"):
        (folder,) = (ENVIRONMENTS / name).glob("lib/python*/site-packages")
        total = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        megabytes[name] = total / 2**20
    return (
        f"site-packages: {megabytes['serve']:.0f} MB (goal: at most 200 MB), mlflow's "
        f"{megabytes['mlflow']:.0f} MB; with bytecode"
    )


if __name__ == "__main__":
    for text in run():
        print(text, flush=True)
