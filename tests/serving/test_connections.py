"""Clients that send no request, or one that never ends: refused in one form, and counted."""

import json
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from urllib.parse import urlsplit

import pytest
from projects import Project
from running_service import RunningService
from written_log import eventually

GET = b"GET /live HTTP/1.1\r\nHost: x\r\n"
POST = b"POST /predict HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n"
LINES = b"A: %b\r\n" % (b"x" * 60) * 1000
FLOODS = {
    "a header without end": (GET + b"A: ", b"x" * 65_536),
    "headers without end": (GET, LINES),
    "an address without end": (b"GET /", b"x" * 65_536),
    "trailers without end": (CHUNKED + b"0\r\n", LINES),
    "a chunk's line without end": (CHUNKED + b"2;", b"x" * 65_536),
}
MUCH = 100_000_000  # bytes that a flood would send; the system's buffers take 3 million


@pytest.fixture(scope="module")
def guarded(trained: Project, tmp_path_factory: pytest.TempPathFactory) -> Iterator[RunningService]:
    folder = tmp_path_factory.mktemp("guarded")
    limits = {"timeout_seconds": 1, "max_connections": 20}
    log = {"prediction_log_uri": folder / "log", "prediction_log_fsync": "true"}
    one = RunningService(trained / "models", folder, **limits, **log)
    yield one.wait()
    one.kill()


def connect(service: RunningService) -> socket.socket:
    url = urlsplit(service.url)
    return socket.create_connection((url.hostname, url.port), timeout=20)


def rest(client: socket.socket) -> bytes:
    """Return what comes until the service hangs up."""
    answer = b""
    try:
        while part := client.recv(65_536):
            answer += part
    except ConnectionResetError:
        pass
    return answer


def poured(client: socket.socket, part: bytes) -> bool:
    """Send a part again and again; returns whether the service took that much."""
    try:
        for _ in range(MUCH // len(part)):
            client.sendall(part)
    except (BrokenPipeError, ConnectionResetError):
        return False
    return True


def refused(answer: bytes) -> tuple[int, str, str]:
    """Return status, kind and message of a raw answer, which has an id as all answers have."""
    head, _, body = answer.partition(b"\r\n\r\n")
    error = json.loads(body)["error"]
    assert f"x-request-id: {error['request_id']}\r\n".encode() in head
    assert b"connection: close" in head
    return int(head.split()[1]), error["kind"], error["message"]


@pytest.mark.parametrize("name", FLOODS)
def test_a_head_without_end_is_refused_before_it_fills_the_memory(
    guarded: RunningService, name: str
) -> None:
    begins, goes_on = FLOODS[name]
    with connect(guarded) as client:
        client.sendall(begins)
        assert not poured(client, goes_on)
        answer = rest(client)
    if begins.startswith(POST):  # its answer is the application's
        assert answer == b"" or answer.startswith(b"HTTP/1.1 4")
    else:
        assert refused(answer) == (
            *(431, "head_too_large", "the head may have 65,536 bytes at most"),
        )
    assert guarded.request("GET", "/live").status == 200


def test_each_is_counted(guarded: RunningService) -> None:
    counted = guarded.metrics().get('serving_errors_total{kind="head_too_large"}', 0)
    with connect(guarded) as client:
        client.sendall(GET + b"A: " + b"x" * 70_000)
        assert refused(rest(client))[0] == 431
    assert guarded.metrics()['serving_errors_total{kind="head_too_large"}'] == counted + 1


def test_what_is_no_http_is_refused_in_the_one_form(guarded: RunningService) -> None:
    with connect(guarded) as client:
        client.sendall(b"nonsense\r\n\r\n")
        assert refused(rest(client)) == (400, "malformed", "this is not HTTP/1.1")
    assert guarded.metrics()['serving_requests_total{path="other",status="400"}'] == 1


def test_a_head_that_does_not_come_ends(guarded: RunningService) -> None:
    with connect(guarded) as silent, connect(guarded) as slow:
        slow.sendall(GET)
        assert refused(rest(slow)) == (408, "timeout", "the head was not here within 1 s")
        assert rest(silent) == b""
    with connect(guarded) as again:
        again.sendall(GET + b"\r\n")
        answered = b""
        while not answered.endswith(b'{"status":"live"}'):
            answered += again.recv(65_536)
        again.sendall(GET)  # half of another
        assert refused(rest(again))[:2] == (408, "timeout")


def test_a_body_in_many_small_parts_is_no_head(guarded: RunningService) -> None:
    row = json.dumps(guarded.example()).encode()
    parts = b"".join(b"1;%b\r\n%c\r\n" % (b"x" * 500, byte) for byte in row)
    with connect(guarded) as client:
        client.sendall(POST + b"Connection: close\r\nTransfer-Encoding: chunked\r\n\r\n")
        client.sendall(parts + b"0\r\n\r\n")
        assert rest(client).startswith(b"HTTP/1.1 200 ")


def test_a_client_that_has_ended_its_side_gets_its_answer(guarded: RunningService) -> None:
    row = json.dumps(guarded.example()).encode()
    with connect(guarded) as client:  # whose end is there before the disk has the prediction
        client.sendall(POST + b"Content-Length: %d\r\n\r\n%b" % (len(row), row))
        client.shutdown(socket.SHUT_WR)
        assert rest(client).startswith(b"HTTP/1.1 200 ")


def test_half_a_request_and_an_end_is_a_client_that_left(guarded: RunningService) -> None:
    left = 'serving_requests_total{path="/predict",status="499"}'
    before = guarded.metrics().get(left, 0)
    with connect(guarded) as client:
        client.sendall(POST + b"Content-Length: 10\r\n\r\n{")
        client.shutdown(socket.SHUT_WR)
        assert rest(client) == b""
    eventually(lambda: guarded.metrics().get(left) == before + 1)


def test_too_many_connections_are_told_so(guarded: RunningService) -> None:
    with ExitStack() as stack:
        for _ in range(20):
            stack.enter_context(connect(guarded))
        client = stack.enter_context(connect(guarded))
        client.sendall(GET + b"\r\n")
        said = (503, "busy", "too many connections are open; ask again")
        assert refused(rest(client)) == said
    eventually(lambda: guarded.request("GET", "/live").status == 200)


def test_no_more_files_is_said_and_not_only_felt(trained: Project, tmp_path: Path) -> None:
    one = RunningService(trained / "models", tmp_path, "prlimit", "--nofile=48").wait()
    with ExitStack() as stack:
        clients = [stack.enter_context(connect(one)) for _ in range(60)]
        assert refused(rest(clients[-1]))[:2] == (503, "busy")
    eventually(lambda: one.request("GET", "/live").status == 200)
    one.kill()
    said = [line for line in one.log.splitlines() if "no more files may be open" in line]
    assert len(said) == 1
