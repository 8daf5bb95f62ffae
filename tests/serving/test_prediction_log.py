"""The prediction log when all is well: what is written, when, and how it reads."""

import asyncio
import os
import random
import re
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import duckdb
import pytest
from written_log import eventually, ids, line, open_log

from mlops.project.errors import MlopsError
from mlops.serving import log_file, prediction_log
from mlops.serving.log_file import PAGE, LogFile, fit_pages


def test_what_was_appended_is_there_in_order(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    assert all(log.append(line(name), 1) for name in range(100))
    assert log.append(b"".join(line(name) for name in range(100, 150)), 50)
    log.close(5)
    assert ids(tmp_path / "log") == [str(name) for name in range(150)]
    status = log.status()
    assert (status.state, status.reason, status.written, status.dropped) == ("ok", "", 150, 0)
    assert not log.append(line("late"), 1)  # after close
    assert log.status().dropped == 1


def test_a_file_url_is_a_folder(tmp_path: Path) -> None:
    log = open_log((tmp_path / "my log").as_uri())
    log.append(line("a"), 1)
    log.close(5)
    assert ids(tmp_path / "my log") == ["a"]


def test_records_are_in_the_file_within_the_promised_time(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = open_log(tmp_path, flush_seconds=0.4)
    writer, rounds, asked = log._writer, set(), 0
    wait = writer.wake.wait

    def noted(seconds: float) -> bool:
        nonlocal asked
        rounds.add((seconds, writer.written >= asked))
        woken = wait(seconds)
        asked = log._accepted
        return woken

    monkeypatch.setattr(writer.wake, "wait", noted)
    for name in range(5):
        log.append(line(name), 1)
        eventually(lambda name=name: str(name) in ids(tmp_path))
    # A tick is a quarter of it, and writes all that came before; the rest is for the disk.
    assert rounds == {(0.1, True)}
    log.close(5)


def test_the_name_is_not_later_than_the_records(tmp_path: Path) -> None:
    started = datetime.now(UTC).replace(microsecond=0)
    log = open_log(tmp_path, rotate_seconds=0.3)
    log.append(line("a"), 1)
    eventually(lambda: log.status().written == 1)
    time.sleep(1.1)  # rotated meanwhile, and the second has changed
    before = datetime.now(UTC)
    log.append(line("b"), 1)
    log.close(5)
    first, second = sorted(tmp_path.iterdir())
    assert re.fullmatch(r"predictions-\d{8}T\d{6}Z-[0-9a-f]{12}-\d+\.jsonl", first.name)
    times = [
        datetime.strptime(match[1], log_file.TIME).replace(tzinfo=UTC)
        for path in (first, second)
        if (match := log_file.NAME.fullmatch(path.name))
    ]
    assert started <= times[0] < times[1] <= before


def test_rotation_by_size(tmp_path: Path) -> None:
    log = open_log(tmp_path, rotate_mb=0.01, flush_seconds=0.01)
    for name in range(200):
        log.append(line(name), 1)
        time.sleep(0.001)
    log.close(5)
    sizes = [path.stat().st_size for path in sorted(tmp_path.iterdir(), key=os.path.getmtime)]
    assert len(sizes) >= 2
    assert all(size >= 0.01 * 1024**2 for size in sizes[:-1])
    assert ids(tmp_path) == [str(name) for name in range(200)]


def test_rotation_by_time_leaves_no_empty_file(tmp_path: Path) -> None:
    log = open_log(tmp_path, rotate_seconds=0.1)
    log.append(line("a"), 1)
    eventually(lambda: ids(tmp_path) == ["a"])
    (first,) = tmp_path.iterdir()
    time.sleep(0.3)
    assert list(tmp_path.iterdir()) == [first]  # nothing was asked, so there is no next one
    log.append(line("b"), 1)
    log.close(5)
    assert len(list(tmp_path.iterdir())) == 2
    assert ids(tmp_path) == ["a", "b"]


def test_a_log_that_nobody_used_leaves_nothing(tmp_path: Path) -> None:
    log = open_log(tmp_path / "log")
    eventually(lambda: list((tmp_path / "log").glob("*")))
    log.close(5)
    assert list((tmp_path / "log").iterdir()) == []


def test_lines_are_padded_to_pages_and_stay_json() -> None:
    rng = random.Random(1)
    for _ in range(300):
        lines = [line(name, rng.choice([0, 90, 1000, 5000])) for name in range(rng.randint(0, 30))]
        offset = rng.randint(0, 3 * PAGE)
        padded = fit_pages(b"".join(lines), offset)
        assert [text.lstrip(b" ") + b"\n" for text in padded.split(b"\n")[:-1]] == lines
        for at in range(-offset % PAGE, len(padded), PAGE):
            seen = padded[:at].rstrip(b" ")
            inside = padded[at - PAGE : at]
            # What a reader sees of whole pages are whole lines, but for one longer than a page.
            assert not seen or seen.endswith(b"\n") or b"x" * 900 in inside


@pytest.fixture
def busy_log(tmp_path: Path) -> Iterator[Path]:
    """A log that is written to in blocks of many pages, all the time; returns its one file."""
    log = open_log(tmp_path, flush_seconds=0.02)
    block = b"".join(line(name, 200) for name in range(500))
    stop = threading.Event()

    def write() -> None:
        while not stop.wait(0.01):
            log.append(block, 500)

    writing = threading.Thread(target=write)
    writing.start()
    eventually(lambda: log.status().written)
    yield next(tmp_path.iterdir())
    stop.set()
    writing.join()
    log.close(5)


def test_a_reader_never_sees_half_a_line(busy_log: Path) -> None:
    sizes = set()
    with busy_log.open("rb") as file:
        while len(sizes) <= 20:
            size = os.fstat(file.fileno()).st_size
            tail = os.pread(file.fileno(), PAGE, size - PAGE).rstrip(b" ")
            assert tail.endswith(b"\n"), tail[-80:]
            sizes.add(size)


def test_duckdb_reads_while_it_is_written(busy_log: Path) -> None:
    rows = []
    while len(set(rows)) < 4:
        count = f"SELECT count(id) FROM read_json_auto('{busy_log.parent}/*.jsonl')"
        rows += duckdb.sql(count).fetchall()
    assert rows == sorted(rows)


def test_duckdb_reads_fields_as_they_are(tmp_path: Path) -> None:
    log = open_log(tmp_path)
    log.append(line("a") + line("b"), 2)
    eventually(lambda: log.status().written == 2)
    rows = duckdb.sql(
        "SELECT id, model_version, score, features.carrier, features.seats,"
        f" time::TIMESTAMP::VARCHAR FROM read_json_auto('{tmp_path}/*.jsonl') ORDER BY id"
    ).fetchall()
    log.close(5)
    assert rows == [
        (name, "3", 0.25, "UA", None, "2026-11-22 03:15:00.123456") for name in ("a", "b")
    ]


def test_one_fsync_serves_many(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    on_disk: list[int] = []
    all_asked = threading.Event()
    fsync = os.fsync

    def slow_fsync(handle: int) -> None:
        assert all_asked.wait(30)
        fsync(handle)
        on_disk.append(os.fstat(handle).st_size)

    monkeypatch.setattr(os, "fsync", slow_fsync)

    async def predict(log: prediction_log.PredictionLog, name: int) -> None:
        assert log.append(line(name), 1)
        if name == 199:
            all_asked.set()
        assert await log.sync()
        # The last fsync that ended had the record in the file: not only sent, but on the disk.
        (path,) = tmp_path.iterdir()
        assert f'"id":"{name}"'.encode() in path.read_bytes()[: on_disk[-1]]

    async def predict_all(log: prediction_log.PredictionLog) -> None:
        await asyncio.gather(*(predict(log, name) for name in range(200)))

    log = open_log(tmp_path, fsync=True)
    asyncio.run(predict_all(log))
    log.close(5)
    assert sorted(map(int, ids(tmp_path))) == list(range(200))
    assert len(on_disk) <= 3  # of the file's beginning, of what came before it ended, and after


def test_without_fsync_sync_does_not_wait(tmp_path: Path) -> None:
    log = open_log(tmp_path, flush_seconds=240)
    eventually(lambda: list(tmp_path.iterdir()))  # its first round is over, and the next far away
    log.append(line("a"), 1)
    assert asyncio.run(log.sync())
    assert log.status().written == 0
    log.close(5)
    assert ids(tmp_path) == ["a"]


def test_much_at_once_does_not_wait_for_the_tick(tmp_path: Path) -> None:
    log = open_log(tmp_path, flush_seconds=240)
    block = line("a", prediction_log.WRITE_BYTES // 2)
    log.append(block, 1)
    log.append(block, 1)
    log.append(block, 1)
    eventually(lambda: log.status().written >= 3)
    log.close(5)


def test_torn_lines_are_cut_but_not_those_of_the_living(tmp_path: Path) -> None:
    living = open_log(tmp_path)
    living.append(line("living"), 1)
    eventually(lambda: living.status().written == 1)
    (of_living,) = tmp_path.iterdir()
    with of_living.open("ab") as file:
        file.write(b'{"id":"being wri')
    dead = {
        "torn": (line("a") + line("b", 9000)[:5000], line("a")),
        "whole": (line("a") + line("b"), line("a") + line("b")),
        "only half a line": (line("a")[:-1], b""),
        "empty": (b"", b""),
        "spaces": (line("a") + b" " * 5000, line("a")),
    }
    paths = [
        tmp_path / f"predictions-20200101T000000Z-{number:012x}-1.jsonl"
        for number in range(len(dead))
    ]
    for path, (before, _) in zip(paths, dead.values(), strict=True):
        path.write_bytes(before)
    starting = open_log(tmp_path)
    eventually(lambda: len(list(tmp_path.iterdir())) == len(dead) + 2)
    assert [path.read_bytes() for path in paths] == [after for _, after in dead.values()]
    assert of_living.read_bytes() == line("living") + b'{"id":"being wri'
    starting.close(5)
    living.close(5)
    assert of_living.read_bytes() == line("living")


def test_a_file_deleted_before_it_was_locked_is_made_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    flock, calls = log_file.fcntl.flock, []

    def cleaned_up_first(handle: int, how: int) -> None:
        if not calls:
            next(tmp_path.iterdir()).unlink()  # another worker took it for a dead one's
        calls.append(handle)
        flock(handle, how)

    monkeypatch.setattr(log_file.fcntl, "flock", cleaned_up_first)
    file = LogFile.create(tmp_path, datetime.now(UTC), "0" * 12, 1)
    file.write(line("a"), fsync=False)
    file.close()
    assert ids(tmp_path) == ["a"]
    assert len(calls) == 2


def test_an_address_that_nothing_can_write_to_is_said_at_the_start() -> None:
    with pytest.raises(MlopsError, match=r"PREDICTION_LOG_URI is gopher://x/y, .* give a folder"):
        open_log("gopher://x/y")


def test_a_service_that_logs_to_a_folder_imports_little() -> None:
    program = "import sys, mlops.serving.prediction_log; print(*sys.modules)"
    done = subprocess.run(
        [sys.executable, "-c", program], capture_output=True, text=True, check=True
    )
    heavy = {"fsspec", "mlflow", "obstore", "pandas", "pyarrow", "sklearn"}
    assert heavy & set(done.stdout.split()) == set()
