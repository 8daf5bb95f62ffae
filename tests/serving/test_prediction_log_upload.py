"""A prediction log on S3: files lie in the spool until they are there, whatever happens between."""

import json
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import boto3
import pytest
from moto.server import ThreadedMotoServer
from written_log import eventually, ids, line, open_log

from mlops.predictions import label
from mlops.predictions import log as prediction_log
from mlops.serving import log_file
from mlops.serving.prediction_log import Uploader

URI = "s3://predictions/flights/log"


class Bucket:
    """moto's S3 on a real port, which can be down."""

    def __init__(self) -> None:
        self.port = 0
        self.start()
        _, self.port = self._server.get_host_and_port()
        self._s3: Any = boto3.client("s3", endpoint_url=self.url, region_name="us-east-1")
        self._s3.create_bucket(Bucket="predictions")

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def start(self) -> None:
        self._server = ThreadedMotoServer(ip_address="127.0.0.1", port=self.port, verbose=False)
        self._server.start()

    def stop(self) -> None:
        self._server.stop()

    @contextmanager
    def down(self) -> Iterator[None]:
        self.stop()
        try:
            yield
        finally:
            self.start()

    def empty(self) -> None:
        for name in self.names():
            self._s3.delete_object(Bucket="predictions", Key=name)

    def names(self) -> list[str]:
        listed = self._s3.list_objects_v2(Bucket="predictions")
        return [entry["Key"] for entry in listed.get("Contents", [])]

    def ids(self) -> list[str]:
        """Return the ids of all records, whole lines all of them."""
        found = []
        for name in self.names():
            body = self._s3.get_object(Bucket="predictions", Key=name)["Body"].read()
            assert body.endswith(b"\n")
            found += [json.loads(text)["id"] for text in body.splitlines()]
        return found


@pytest.fixture(scope="module")
def moto() -> Iterator[Bucket]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        bucket = Bucket()
        yield bucket
        bucket.stop()


@pytest.fixture
def bucket(moto: Bucket, monkeypatch: pytest.MonkeyPatch) -> Iterator[Bucket]:
    monkeypatch.setenv("AWS_ENDPOINT_URL", moto.url)
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_DEFAULT_REGION", "us-east-1")
    yield moto
    moto.empty()


def test_files_are_uploaded_when_they_are_full_and_at_the_end(
    bucket: Bucket, tmp_path: Path
) -> None:
    log = open_log(URI, spool=tmp_path, rotate_mb=0.01, flush_seconds=0.02)
    for name in range(149):
        assert log.append(line(name), 1)
        time.sleep(0.001)
    eventually(bucket.names)  # meanwhile
    assert log.append(line(149), 1)
    log.close(10)
    assert sorted(bucket.ids(), key=int) == [str(name) for name in range(150)]
    assert len(bucket.names()) > 1
    assert all(name.startswith("flights/log/predictions-20") for name in bucket.names())
    assert list(tmp_path.iterdir()) == []


def test_what_a_crash_left_is_uploaded_at_the_next_start(bucket: Bucket, tmp_path: Path) -> None:
    left = [tmp_path / f"predictions-20260101T000000Z-{'0' * 12}-{n}.jsonl" for n in (1, 2, 3)]
    for path, content in zip(left, (line("a"), line("b") + b'{"id":"c', b""), strict=True):
        path.write_bytes(content)
    living = open_log(tmp_path)  # another worker
    living.append(line("living"), 1)
    eventually(lambda: living.status().written)
    log = open_log(URI, spool=tmp_path)
    eventually(lambda: not any(path.exists() for path in left))
    log.close(10)
    assert sorted(bucket.ids()) == ["a", "b"]
    assert ids(tmp_path) == ["living"]
    living.close(5)


def test_what_is_held_for_a_moment_is_uploaded_soon_after(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """At the start, the writer cuts torn lines while the uploader looks for files."""
    path = tmp_path / f"predictions-20260101T000000Z-{'0' * 12}-1.jsonl"
    path.write_bytes(line("a") + b'{"id":"c')
    holding, looked = threading.Event(), threading.Event()
    look, repair = Uploader._upload, log_file.repair

    def late(self: Uploader) -> None:
        assert holding.wait(30)
        look(self)
        looked.set()

    def held(folder: Path) -> None:
        with log_file.claim(path):
            holding.set()
            assert looked.wait(30)
        repair(folder)

    monkeypatch.setattr(log_file, "repair", held)
    monkeypatch.setattr(Uploader, "_upload", late)
    log = open_log(URI, spool=tmp_path)
    eventually(lambda: not path.exists())
    log.close(10)
    assert bucket.ids() == ["a"]


def test_s3_that_is_down_is_tried_again(
    bucket: Bucket, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("mlops.serving.prediction_log.LONGEST_PAUSE", 0.1)
    appended = 0

    def predict() -> bool:
        nonlocal appended
        assert log.append(line(appended), 1)  # on the disk it is safe
        appended += 1
        return log.status().state == "failing"

    with bucket.down():
        log = open_log(URI, spool=tmp_path, rotate_mb=0.001, flush_seconds=0.02)
        eventually(predict)
        reason = log.status().reason
        assert reason.startswith(f"uploading to {URI} failed 1 times in a row (")
        assert reason.endswith(f"files wait in {tmp_path}")
    eventually(lambda: log.status().state == "ok")
    log.close(10)
    assert sorted(bucket.ids(), key=int) == [str(name) for name in range(appended)]
    assert log.status().dropped == 0
    assert list(tmp_path.iterdir()) == []


def test_closing_does_not_wait_for_s3_that_is_down(bucket: Bucket, tmp_path: Path) -> None:
    with bucket.down():
        log = open_log(URI, spool=tmp_path)
        log.append(line("a"), 1)
        log.close(0.3)  # ends, though S3 is still down
        assert ids(tmp_path) == ["a"]
    again = open_log(URI, spool=tmp_path)
    eventually(bucket.names)
    again.close(10)
    assert bucket.ids() == ["a"]


def test_a_log_on_s3_is_read_and_labelled(bucket: Bucket, tmp_path: Path) -> None:
    log = open_log(URI, spool=tmp_path / "spool")
    now = datetime.now(UTC)  # as the name of the log's file is
    log.append(line("a", at=now) + line("b", at=now), 2)
    log.close(10)
    labels = tmp_path / "labels.csv"
    labels.write_text("id,label\nb,1\nzzz,0\n")
    label.run(labels, URI, "binary")
    label.run(labels, URI, "binary")  # again: nothing new
    assert len([name for name in bucket.names() if name.startswith("flights/log/labels/")]) == 1
    found = prediction_log.read(URI, now, now + timedelta(days=1), labelled=True)
    assert list(found.records["id"]) == ["a", "b"]
    assert found.records["label"].fillna(-1).tolist() == [-1, 1]
