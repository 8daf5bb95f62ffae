"""What a client may not do, and what it needs the key for."""

import http.client
import json
import socket
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from projects import Project
from running_service import JSON, RunningService
from written_log import eventually

KEY = {"Authorization": "Bearer s3cret-Key"}


@pytest.fixture(scope="module")
def strict(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    """A service with a key and narrow limits, whose log tells all."""
    one = RunningService(
        trained / "models",
        tmp_path_factory.mktemp("strict"),
        api_key="s3cret-Key",
        max_body_bytes=2000,
        max_rows=3,
        timeout_seconds=1,  # enough for all others, also on a busy machine
        log_features="true",
    )
    yield one.wait()
    one.kill()


@pytest.mark.parametrize(
    "sent", [{}, {"Authorization": "Bearer s3cret-KeY"}, {"Authorization": "s3cret-Key"}]
)
def test_predictions_need_the_key(strict: RunningService, sent: dict[str, str]) -> None:
    row = strict.example()
    refused = strict.predict(row, **sent)
    assert (refused.status, refused.error["kind"]) == (401, "unauthorized")
    assert refused.headers["WWW-Authenticate"] == "Bearer"
    assert strict.predict(row, **KEY).status == 200


def test_the_rest_is_open_and_says_that_there_is_a_key(strict: RunningService) -> None:
    for path in ("/live", "/model", "/metrics", "/docs", "/openapi.json"):
        assert strict.request("GET", path).status == 200
    assert strict.request("GET", "/ready").json()["api_key"] is True
    eventually(lambda: any(line["path"] == "/openapi.json" for line in strict.lines("request")))
    assert "s3cret" not in strict.log


def test_too_many_rows(strict: RunningService) -> None:
    row = {name: value for name, value in strict.example().items() if value is not None}
    assert strict.predict([row] * 3, **KEY).status == 200
    refused = strict.predict([row] * 4, **KEY)
    assert (refused.status, refused.error["kind"]) == (413, "too_many_rows")
    assert refused.error["message"] == "4 rows; at most 3 in one request"


@pytest.mark.parametrize("announced", [True, False])
def test_too_many_bytes(strict: RunningService, announced: bool) -> None:
    row = strict.example()
    fits = json.dumps(row).encode().ljust(2000)
    for body, status in ((fits, 200), (fits + b" ", 413), (b" " * 500_000, 413)):
        connection = http.client.HTTPConnection(urlsplit(strict.url).netloc)
        sent = body if announced else (body[at : at + 700] for at in range(0, len(body), 700))
        connection.request("POST", "/predict", sent, JSON | KEY, encode_chunked=not announced)
        answer = connection.getresponse()
        content = json.loads(answer.read())
        assert answer.status == status
        if status == 413:
            assert content["error"]["kind"] == "too_large"
            assert content["error"]["message"] == "the body may have 2,000 bytes at most"
        connection.close()


def test_a_body_that_does_not_come(strict: RunningService) -> None:
    url = urlsplit(strict.url)
    with socket.create_connection((url.hostname, url.port)) as client:
        head = "".join(f"{name}: {value}\r\n" for name, value in (JSON | KEY).items())
        client.sendall(
            f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n{head}\r\n{{".encode()
        )
        answer = b"".join(iter(lambda: client.recv(4096), b""))  # until it hangs up
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b'"kind":"timeout","message":"the body was not here within 1 s"' in answer
    assert strict.predict(strict.example(), **KEY).status == 200


def test_a_client_that_leaves_harms_nobody(strict: RunningService) -> None:
    url = urlsplit(strict.url)
    with socket.create_connection((url.hostname, url.port)) as client:
        head = "".join(f"{name}: {value}\r\n" for name, value in (JSON | KEY).items())
        client.sendall(
            f"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Length: 100\r\n{head}\r\n{{".encode()
        )
        time.sleep(0.05)
    left = 'serving_requests_total{path="/predict",status="499"}'
    eventually(lambda: strict.metrics().get(left) == 1)
    assert "Traceback" not in strict.log


def test_features_are_in_the_log_when_asked_for(strict: RunningService) -> None:
    row = strict.example()
    answer = strict.predict(row, **KEY, **{"X-Request-ID": "told"}).json()
    eventually(lambda: any(line["request_id"] == "told" for line in strict.lines("request")))
    (line,) = [line for line in strict.lines("request") if line["request_id"] == "told"]
    assert line["features"] == [row]
    assert line["predictions"] == answer["predictions"]


def test_bad_settings_are_told_at_start_each_in_a_line(trained: Project, tmp_path: Path) -> None:
    broken = RunningService(
        trained / "models", tmp_path, port="http", api_key="two words", log_features="perhaps"
    )
    assert broken.process.wait(20) == 1
    assert broken.log.splitlines() == [
        "mlops.serving: PORT: got 'http'; port to listen at, 0 to 65535",
        "mlops.serving: API_KEY: got '***'; when set, /predict wants `Authorization: Bearer KEY`; visible ASCII characters",  # noqa: E501
        "mlops.serving: LOG_FEATURES: got 'perhaps'; true: rows and scores are in the lines about requests",  # noqa: E501
    ]
