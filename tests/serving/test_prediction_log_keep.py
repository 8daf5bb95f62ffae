"""The prediction log keeps to a size and to an age: the oldest closed files are removed."""

import time
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
import yaml
from projects import ROOT
from running_service import RunningService
from written_log import eventually, ids, line, open_log

from mlops.serving import log_file, prediction_log
from mlops.serving.prediction_log import Keep, PredictionLog
from mlops.serving.settings import Settings

KB = 1024
MB = 1024**2


@pytest.fixture(autouse=True)
def _look_all_the_time(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prediction_log, "SCAN_SECONDS", 0.02)


def size(folder: Path) -> int:
    sizes = []
    for path in folder.glob("predictions-*"):
        with suppress(FileNotFoundError):  # removed at this moment
            sizes.append(path.stat().st_size)
    return sum(sizes)


def closed(folder: Path, ago: timedelta, *names: str) -> Path:
    """Write what a process left behind that began its file so long ago."""
    began = datetime.now(UTC) - ago
    path = folder / f"predictions-{began.strftime(log_file.TIME)}-{'a' * 12}-1.jsonl"
    path.write_bytes(b"".join(line(name, 1000) for name in names))
    return path


def write(log: PredictionLog, name: object, size: int) -> None:
    """Have a record in the file."""
    written = log.status().written
    assert log.append(line(name, size), 1)
    eventually(lambda: log.status().written > written)


@pytest.mark.parametrize("writers", [1, 8])
def test_the_oldest_records_go_first(tmp_path: Path, writers: int) -> None:
    keep = Keep(mb=0.5, workers=writers)
    logs = [open_log(tmp_path, keep=keep, flush_seconds=0.02) for _ in range(writers)]
    sizes = []
    for name in range(200 // writers):
        for number, log in enumerate(logs):
            write(log, f"{number}-{name}", 10 * KB)
        sizes.append(size(tmp_path))
    # A file is closed when it is too large already: by a record at most, 12 KB in whole pages.
    assert max(sizes) <= MB // 2 + writers * 12 * KB
    for log in logs:
        log.close(5)
    kept = ids(tmp_path)
    assert len(kept) + sum(log.status().removed for log in logs) == 200
    assert len(kept) >= 0.5 * MB / (12 * KB) / 2
    if writers == 1:
        assert kept == [f"0-{name}" for name in range(200 - len(kept), 200)]


def test_a_file_that_is_written_to_stays_whatever_its_age(tmp_path: Path) -> None:
    other = open_log(tmp_path)
    write(other, "written", 200 * KB)
    log = open_log(tmp_path, keep=Keep(mb=0.1))
    write(log, "small", 0)
    time.sleep(0.1)  # it looks again, several times
    assert set(ids(tmp_path)) == {"written", "small"}
    other.close(5)
    eventually(lambda: log.status().removed == 1)
    log.close(5)
    assert ids(tmp_path) == ["small"]


def test_records_older_than_the_days_to_keep_are_removed(tmp_path: Path) -> None:
    old = closed(tmp_path, timedelta(days=2, minutes=1), "a", "b")
    young = closed(tmp_path, timedelta(days=1, hours=23), "c")
    mine = tmp_path / "predictions-copy.jsonl"
    mine.write_bytes(line("d"))
    log = open_log(tmp_path, keep=Keep(days=2))
    eventually(lambda: log.status().removed == 2)
    log.close(5)
    assert not old.exists()
    assert young.exists()
    assert mine.exists()  # is no file that the service wrote
    # Whatever the setting says, a file is closed in time: its first record says when it goes.
    assert Keep(days=2).rotate_seconds(10**9) == 2 * 3600
    assert Keep(days=2).rotate_seconds(60) == 60


def test_without_limits_nothing_is_removed(tmp_path: Path) -> None:
    closed(tmp_path, timedelta(days=9999), "old")
    log = open_log(tmp_path, rotate_mb=0.01)
    for name in range(10):
        write(log, name, 10 * KB)
    log.close(5)
    assert set(ids(tmp_path)) == {"old", *map(str, range(10))}
    assert log.status().removed == log.status().limit == 0


def test_a_bucket_that_does_not_answer_fills_the_spool_up_to_its_size(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("no folder")
    spool = tmp_path / "spool"
    log = open_log(f"local://{tmp_path}/file/log", spool=spool, keep=Keep(mb=0.2))
    for name in range(100):
        write(log, name, 10 * KB)
    eventually(lambda: log.status().removed and size(spool) <= 0.2 * MB + 12 * KB)
    log.close(5)
    assert ids(spool)[-1] == "99"


def test_the_service_says_how_full_its_log_is(tmp_path: Path, trained: Path) -> None:
    folder = tmp_path / "log"
    folder.mkdir()
    closed(folder, timedelta(days=3), "a", "b", "c")
    service = RunningService(
        trained / "models", tmp_path, prediction_log_uri=folder, prediction_log_keep_days=1
    ).wait()
    eventually(lambda: service.metrics()["serving_prediction_log_removed_total"] == 3)
    state = service.request("GET", "/ready").json()["prediction_log"]
    default = Settings()
    limit = default.prediction_log_keep_mb - default.prediction_log_rotate_mb
    assert (state["state"], state["removed"], state["limit"]) == ("ok", 3, limit * MB)
    assert service.metrics()["serving_prediction_log_limit_bytes"] == limit * MB
    assert service.metrics()["serving_prediction_log_bytes"] == state["bytes"] == size(folder)
    service.kill()


def test_kubernetes_evicts_no_pod_for_its_log() -> None:
    """The folder has more room than the log takes by default, also while it is behind."""
    path = ROOT / "deploy/kubernetes/base/workload/deployment.yaml"
    pod = yaml.safe_load(path.read_text(encoding="utf-8"))["spec"]["template"]["spec"]
    (volume,) = [it["emptyDir"] for it in pod["volumes"] if it["name"] == "predictions"]
    assert volume["sizeLimit"] == "1Gi"
    behind = 2 * prediction_log.BUFFER_BYTES  # lines longer than a page begin on a new one
    assert Settings().prediction_log_keep_mb * MB + behind < 1024 * MB
