"""Whatever becomes of the disk or the thread: predictions go on, and the log says what is wrong."""

import asyncio
import errno
import os
import shutil
import subprocess
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from projects import Project
from running_service import RunningService
from small_disk import SmallDisk
from written_log import eventually, ids, line, open_log

from mlops.predictions import log as predictions
from mlops.serving import log_file, prediction_log
from mlops.serving.log_file import LogFile
from mlops.serving.prediction_log import PredictionLog


@pytest.fixture(params=[True, False], ids=["file system", "files"])
def small_disk(tmp_path: Path, request: pytest.FixtureRequest) -> Iterator[SmallDisk]:
    disk = SmallDisk(tmp_path / "disk", size=256 * 1024, mounted=request.param)
    yield disk
    disk.remove()


@pytest.fixture(autouse=True)
def _quick_retry(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_log, "RETRY_SECONDS", 0.05)


@pytest.fixture
def failures(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """Every reason that a writer gives; some hold only until it tries again."""
    reasons: list[str] = []
    fail = prediction_log.Writer._fail

    def noted(self: prediction_log.Writer, error: BaseException, what: str = "") -> None:
        fail(self, error, what)
        reasons.append(self.reason)

    monkeypatch.setattr(prediction_log.Writer, "_fail", noted)
    return reasons


class Client:
    """Asks for one prediction after the other, and notes what the log took."""

    def __init__(self, log: PredictionLog) -> None:
        self.log = log
        self.asked = 0
        self.acknowledged: list[str] = []

    def ask(self) -> bool:
        """Have a prediction logged as the service does."""
        name, self.asked = str(self.asked), self.asked + 1
        taken = self.log.append(line(name, 300), 1) and asyncio.run(self.log.sync())
        if taken:
            self.acknowledged.append(name)
        return taken

    def ask_until(self, condition: Callable[[], object]) -> None:
        def ask_and_look() -> object:
            self.ask()
            return condition()

        eventually(ask_and_look)

    def is_failing(self) -> bool:
        return self.log.status().state == "failing"

    def works(self) -> bool:
        return self.log.status().state == "ok" and self.ask()

    def check_reader(self, folder: Path) -> None:
        """Whole records are read also while torn ones are cut and empty files removed."""
        span = (datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC))
        there = predictions.read(str(folder), *span).records["id"].astype(int)
        assert there.isin(range(self.asked)).all()

    def check(self, folder: Path) -> None:
        """Close the log: nothing acknowledged is missing, no record is there twice."""
        self.log.close(5)
        there = ids(folder)
        assert len(there) == len(set(there))
        assert set(self.acknowledged) <= set(there)
        assert there == sorted(there, key=int)
        status = self.log.status()
        assert status.written == len(there)
        assert status.written + status.dropped == self.asked


@pytest.mark.parametrize("fsync", [False, True], ids=["default", "fsync"])
def test_a_full_disk(small_disk: SmallDisk, fsync: bool) -> None:
    client = Client(open_log(small_disk.folder, fsync=fsync, flush_seconds=0.04))
    client.ask_until(client.works)
    for _ in range(3):
        small_disk.fill()
        client.ask_until(client.is_failing)
        reason = client.log.status().reason
        assert reason.endswith((os.strerror(errno.ENOSPC), os.strerror(errno.EFBIG))), reason
        assert not client.ask()
        dropped = client.log.status().dropped
        assert [client.ask() for _ in range(10)] == [False] * 10
        assert client.log.status().dropped == dropped + 10
        time.sleep(0.12)  # tries again, in vain
        assert client.is_failing()
        client.check_reader(small_disk.folder)
        small_disk.free()
        client.ask_until(client.works)
    client.check(small_disk.folder)


def test_a_file_system_that_writes_only_a_part(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    write, rng = os.write, iter(range(1, 10**6))
    monkeypatch.setattr(
        log_file.os, "write", lambda handle, data: write(handle, data[: 1 + next(rng) % 50])
    )
    client = Client(open_log(tmp_path, flush_seconds=0.01))
    for _ in range(20):
        client.ask()
    client.check(tmp_path)
    assert len(client.acknowledged) == 20


def test_a_failed_fsync_is_no_acknowledgement(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = Client(open_log(tmp_path, fsync=True))
    client.ask_until(client.works)
    with monkeypatch.context() as patch:

        def fsync(handle: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        patch.setattr(log_file.os, "fsync", fsync)
        assert not client.ask()
        assert client.log.status().reason == f"{tmp_path}: Input/output error"
    client.ask_until(client.works)
    client.check(tmp_path)
    assert len(list(tmp_path.iterdir())) > 1  # in another file


def test_a_folder_that_cannot_be_written_to(tmp_path: Path) -> None:
    folder = tmp_path / "folder"
    folder.write_text("a file")
    client = Client(open_log(folder / "log"))
    eventually(client.is_failing)  # before the first prediction
    assert client.log.status().reason == f"{folder / 'log'}: Not a directory"
    assert not client.ask()
    folder.unlink()
    client.ask_until(client.works)
    client.check(folder / "log")


@pytest.mark.parametrize("fsync", [False, True], ids=["default", "fsync"])
def test_a_folder_that_is_deleted(tmp_path: Path, failures: list[str], fsync: bool) -> None:
    folder = tmp_path / "log"
    client = Client(open_log(folder, fsync=fsync))
    client.ask_until(lambda: client.log.status().written)
    written = client.log.status().written
    shutil.rmtree(folder)
    client.ask_until(lambda: failures)
    assert failures[0].endswith("was deleted while it was written to")
    client.ask_until(client.works)
    client.log.close(5)
    there = set(ids(folder))
    assert [
        name for name in client.acknowledged if name not in there and int(name) >= written
    ] == []


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_thread_that_dies_is_replaced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failures: list[str]
) -> None:
    client = Client(open_log(tmp_path))
    client.ask_until(client.works)
    deaths = iter(["once", "twice"])
    write = os.write

    def write_half_and_die(handle: int, data: memoryview) -> int:
        if death := next(deaths, ""):
            write(handle, data[: len(data) // 2])
            raise SystemExit(death)
        return write(handle, data)

    monkeypatch.setattr(log_file.os, "write", write_half_and_die)
    client.ask_until(lambda: len(failures) == 2)
    assert failures == ["the writer died: once", "the writer died: twice"]
    client.ask_until(client.works)
    client.check(tmp_path)


@pytest.mark.parametrize("fsync", [False, True], ids=["default", "fsync"])
def test_a_disk_that_does_not_answer(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, fsync: bool
) -> None:
    monkeypatch.setattr(prediction_log, "SYNC_SECONDS", 0.1)
    monkeypatch.setattr(prediction_log, "LEAST_PATIENCE", 0.1)
    answers = threading.Event()
    write = LogFile.write

    def hang(self: LogFile, lines: bytes, *, fsync: bool) -> None:
        assert answers.wait(600)  # whoever asks meanwhile must not wait for it
        write(self, lines, fsync=fsync)

    client = Client(open_log(tmp_path, fsync=fsync, flush_seconds=0.1))
    client.ask_until(client.works)
    monkeypatch.setattr(LogFile, "write", hang)
    client.ask_until(client.is_failing)
    assert client.log.status().reason.startswith("the disk has not answered for more than")
    assert not client.ask()
    answers.set()
    client.ask_until(client.works)
    client.check(tmp_path)


def test_more_than_fits_in_memory_is_dropped(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(prediction_log, "BUFFER_BYTES", 10_000)
    log = open_log(tmp_path, flush_seconds=240)
    eventually(lambda: list(tmp_path.iterdir()))  # its first round is over, and the next far away
    taken = [log.append(line(name), 1) for name in range(100, 300)]
    assert taken.count(True) == 10_000 // len(line(100))
    assert log.status().dropped == taken.count(False)
    assert log.status().state == "ok"
    log.close(5)
    assert ids(tmp_path) == [str(name) for name, took in enumerate(taken, 100) if took]


def test_the_service_says_once_that_its_log_fails_and_that_it_works_again(
    trained: Project, tmp_path: Path
) -> None:
    folder = tmp_path / "log"
    service = RunningService(trained / "models", tmp_path, prediction_log_uri=folder).wait()
    row = service.example()
    assert service.predict(row).json()["logged"]
    (kept,) = folder.rglob("*.jsonl")
    assert kept.stat().st_mode & 0o777 == 0o600  # what it was asked is not for everybody
    shutil.rmtree(folder)
    folder.write_text("no folder")

    def asked(said: str) -> bool:
        service.predict(row)
        return said in service.log

    eventually(lambda: asked("the prediction log fails: "))
    folder.unlink()
    folder.mkdir()
    eventually(lambda: asked("the prediction log works again; lost so far: "))
    service.kill()
    assert service.log.count("the prediction log ") == 2


def test_the_service_goes_on_where_nothing_can_be_written(trained: Project, tmp_path: Path) -> None:
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode:
        pytest.skip("this user may not mount")
    try:
        service = RunningService(trained / "models", tmp_path, prediction_log_uri=folder).wait()
        answer = service.predict(service.example())
        assert (answer.status, answer.json()["logged"]) == (200, False)
        state = service.request("GET", "/ready").json()["prediction_log"]
        assert (state["state"], state["dropped"]) == ("failing", 1)
        assert state["reason"].endswith(": Read-only file system")
        eventually(lambda: f"the prediction log fails: {folder}" in service.log)
        assert "Traceback" not in service.log
        service.kill()
    finally:
        subprocess.run(["umount", "--lazy", folder], check=True)
