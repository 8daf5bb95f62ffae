"""Two workers under load while everything goes wrong: nothing lost, no wrong answer."""

import http.client
import json
import random
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
from projects import Project
from running_service import JSON, RunningService
from small_disk import SmallDisk
from written_log import eventually

from mlops.artifact import model_folder, sample, table

CLIENTS = 4
REQUESTS_A_SECOND = 60.0  # of each client
MALFORMED = 10_000
GONE = (OSError, http.client.HTTPException)


class Client(threading.Thread):
    """Asks all the time, checks every answer, and asks again when its worker is gone."""

    def __init__(self, port: int, content: dict[str, Any], number: int) -> None:
        super().__init__(daemon=True)
        self.logged: dict[str, float] = {}  # score by id
        self.wrong: list[str] = []
        self.broken = 0
        self.answered = 0
        self.unlogged = 0
        self.workers: set[str] = set()
        self.may_stop = threading.Event()
        self.stop = threading.Event()
        self._port = port
        self._rows, self._scores = content["rows"], content["scores"]
        self._random = random.Random(number)

    def run(self) -> None:
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=20)
        while not self.stop.wait(1 / REQUESTS_A_SECOND):
            at = self._random.randrange(len(self._rows) - 20)
            rows = self._rows[at : at + self._random.choice([1, 1, 1, 20])]
            try:
                connection.request("POST", "/predict", json.dumps(rows), JSON)
                response = connection.getresponse()
                status, body = response.status, response.read()
            except GONE:
                connection.close()
                self.broken += 1
                continue
            self._check(status, body, self._scores[at : at + len(rows)])
            if self._random.random() < 0.05:
                connection.close()  # the next worker may be another

    def _check(self, status: int, body: bytes, scores: list[float]) -> None:
        if status == 503 and self.may_stop.is_set():
            if json.loads(body)["error"]["kind"] != "busy":
                self.wrong.append(f"{status} {body!r}")
            return
        if status != 200:
            self.wrong.append(f"{status} {body!r}")
            return
        answer = json.loads(body)
        found = {one["id"]: one["score"] for one in answer["predictions"]}
        if list(found.values()) != pytest.approx(scores, abs=1e-5):
            self.wrong.append(f"{found} for {scores}")
        self.workers |= {name[:16] for name in found}
        self.answered += len(found)
        if answer["logged"]:
            self.logged |= found
        else:
            self.unlogged += len(found)


class Load:
    """Some clients at once."""

    def __init__(self, service: RunningService, content: dict[str, Any]) -> None:
        self.port = int(service.url.rpartition(":")[2])
        self.clients = [Client(self.port, content, number) for number in range(CLIENTS)]
        for client in self.clients:
            client.start()

    def total(self, count: Callable[[Client], int]) -> int:
        return sum(map(count, self.clients))

    def workers(self) -> set[str]:
        return set().union(*(client.workers for client in self.clients))

    def seconds_until(self, condition: Callable[[], object]) -> float:
        started = time.monotonic()
        eventually(condition, 20)
        return time.monotonic() - started

    def stop(self) -> None:
        for client in self.clients:
            client.stop.set()
        for client in self.clients:
            client.join()


def malformed(row: dict[str, Any]) -> Iterator[bytes]:
    """Yield bodies that are no request: no JSON, no row, or not a row for this model."""
    rng = random.Random(1)
    good = json.dumps(row).encode()
    name, other = next(iter(row)), list(row)[1]
    wrong_values: list[Any] = [[], {}, [row], "x" * 5000, True, 1e308, "\x00", -1e300]
    kinds: list[Callable[[], bytes]] = [
        lambda: good[: rng.randrange(len(good) - 1)],
        lambda: bytes(rng.randrange(128, 256) for _ in range(rng.randrange(1, 200))),
        lambda: b"[" * rng.randrange(1, 3000),
        lambda: b'{"a":' * rng.randrange(1, 3000),
        lambda: good.replace(b":", b"::", 1),
        lambda: good + b"}",
        lambda: json.dumps([row] * rng.randrange(5) + [rng.choice([None, 1, "a", []])]).encode(),
        lambda: json.dumps(rng.choice([None, 1, 1.5, "row", True, []])).encode(),
        lambda: json.dumps({key: value for key, value in row.items() if key != name}).encode(),
        lambda: json.dumps(row | {name: rng.choice(wrong_values)}).encode(),
        lambda: json.dumps(row | {name: None, other: rng.choice(wrong_values[:3])}).encode(),
        lambda: good.replace(b"{", b'{"%s": NaN, ' % name.encode(), 1),
    ]
    for _ in range(MALFORMED):
        yield rng.choice(kinds)()


def refused(port: int, bodies: list[bytes], wrong: list[str]) -> None:
    """Send bodies that must be refused, each with a sentence that says why."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    for body in bodies:
        connection.request("POST", "/predict", body, JSON)
        response = connection.getresponse()
        said = response.read()
        if not 400 <= response.status < 500 or not json.loads(said)["error"]["message"]:
            wrong.append(f"{response.status} {said!r} for {body[:200]!r}")


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "disk", size=16 * 1024**2)
    yield disk
    disk.remove()


def test_faults_under_load(
    service: Callable[..., RunningService],
    trained: Project,
    disk: SmallDisk,
    capsys: pytest.CaptureFixture[str],
) -> None:
    model = model_folder.load(trained / "models")
    content = sample.build(model, table.read(trained / "data/holdout.parquet"), 1)
    running = service(
        workers=2,
        prediction_log_uri=disk.folder,
        prediction_log_fsync="true",
        prediction_log_rotate_mb=0.5,
        drain_seconds=0.3,
    )
    load = Load(running, content)
    said: list[str] = []
    load.seconds_until(lambda: len(load.workers()) == 2)

    # kill -9 of a worker
    killed = load.workers()
    workers_of(running)[0].kill()
    seconds = load.seconds_until(lambda: load.workers() - killed)
    said.append(f"worker killed: a new one answered after {seconds:.2f} s")

    broken = load.total(lambda client: client.broken)

    # The log's disk fills up
    assert load.total(lambda client: client.unlogged) == 0
    disk.processes = [worker.pid for worker in workers_of(running)]
    disk.fill()
    load.seconds_until(lambda: load.total(lambda client: client.unlogged) > 20)
    eventually(lambda: running.request("GET", "/ready").json()["prediction_log"]["reason"])
    assert running.request("GET", "/ready").status == 200
    eventually(lambda: running.metrics()["serving_prediction_log_up"] == 0)
    eventually(lambda: running.metrics()["serving_prediction_log_dropped_total"] > 0)
    disk.free()
    seconds = load.seconds_until(
        lambda: (
            {running.request("GET", "/ready").json()["prediction_log"]["state"] for _ in range(8)}
            == {"ok"}
        )
    )
    said.append(f"disk full, then not: logged again after {seconds:.2f} s")

    # Malformed bodies
    bodies = list(malformed(content["rows"][0]))
    wrong: list[str] = []
    senders = [
        threading.Thread(target=refused, args=(load.port, bodies[start::2], wrong))
        for start in range(2)
    ]
    started = time.monotonic()
    for sender in senders:
        sender.start()
    for sender in senders:
        sender.join()
    assert wrong == []
    said.append(f"{MALFORMED:,} malformed bodies refused in {time.monotonic() - started:.2f} s")

    assert load.total(lambda client: client.broken) == broken  # since the worker was killed

    # SIGTERM
    for client in load.clients:
        client.may_stop.set()
    before = load.total(lambda client: client.answered)
    started = time.monotonic()
    running.terminate()
    assert running.process.wait(30) == 0, running.log
    said.append(f"stopped under load in {time.monotonic() - started:.2f} s")
    assert load.total(lambda client: client.answered) > before  # what it had accepted
    load.stop()

    assert [line for client in load.clients for line in client.wrong] == []
    logged = {name: score for client in load.clients for name, score in client.logged.items()}
    assert len(logged) > 500
    there = records(disk.folder)
    assert {name: there.get(name) for name in logged} == logged
    said.append(
        f"{len(logged):,} acknowledged predictions of"
        f" {load.total(lambda client: client.answered):,} are in the log;"
        f" {load.total(lambda client: client.broken)} connections broke"
    )
    with capsys.disabled():
        print("", *said, sep="\n  ")


def workers_of(running: RunningService) -> list[psutil.Process]:
    children = psutil.Process(running.process.pid).children()
    return [child for child in children if "spawn_main" in " ".join(child.cmdline())]


def records(folder: Path) -> dict[str, float]:
    """Return the scores in a log by id: whole lines, no id twice."""
    found: dict[str, float] = {}
    for path in folder.glob("predictions-*.jsonl"):
        content = path.read_bytes()
        assert content.endswith(b"\n") or not content
        for text in content.splitlines():
            record = json.loads(text)
            assert record["id"] not in found
            found[record["id"]] = record["score"]
    return found
