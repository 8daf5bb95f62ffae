"""The proxy of a host, as whoever finds its address meets it: few pages, limits, and TLS."""

import json
import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
import trustme
import yaml
from places import CHAMPION, Images, Place, ports, version_at
from projects import ROOT

from mlops.delivery import compose

NAME = "flight-delays-production"
ROOM = 1000  # connections of users

pytestmark = pytest.mark.skipif(
    not (ROOT / "deploy" / "host").is_dir(), reason="this project does not deploy to a host"
)


def serving(images: Images, folder: Path, **environment: str) -> Iterator[Place]:
    """Yield a host on which the champion serves."""
    http, admin = ports(2)
    settings = {"DEPLOY_HOST": "local", "HTTP_PORT": http, "PROXY_ADMIN": f"127.0.0.1:{admin}"}
    place = Place.make(images, folder, "compose", **settings, **environment)
    try:
        place.deploy(CHAMPION, quick=True)
        yield place
    finally:
        place.close()


@pytest.fixture(scope="module")
def place(
    images: Images, tmp_path_factory: pytest.TempPathFactory, haproxy: str
) -> Iterator[Place]:
    yield from serving(images, tmp_path_factory.mktemp("proxy"))


def at(address: str) -> socket.socket:
    """Return a connection."""
    host, port = address.split(":")
    return socket.create_connection((host, int(port)), 20)


def users(place: Place) -> socket.socket:
    """Return a connection such as a user's."""
    return at(f"127.0.0.1:{place.environment['HTTP_PORT']}")


def operators(place: Place) -> str:
    return place.docker("port", f"{NAME}-proxy-1", "8081/tcp")


def asked(connection: socket.socket, request: str) -> tuple[int, str]:
    """Return the status and the body of an answer, after which the connection is closed."""
    connection.sendall(request.encode())
    answer = b""
    while part := connection.recv(65536):
        answer += part
    head, _, body = answer.decode().partition("\r\n\r\n")
    return int(head.split()[1]), body


def get(path: str) -> str:
    return f"GET {path} HTTP/1.1\r\nHost: model\r\nConnection: close\r\n\r\n"


@pytest.mark.parametrize(
    ("path", "for_users"),
    [
        ("/live", 200),
        ("/ready", 200),
        ("/metrics", 404),
        ("/model", 404),
        ("/docs", 404),
        ("/openapi.json", 404),
        ("//metrics", 404),
        ("/live/../metrics", 404),
    ],
)
def test_pages_for_operators_are_not_for_users(place: Place, path: str, for_users: int) -> None:
    with users(place) as connection:
        status, body = asked(connection, get(path))
    assert status == for_users
    if status == 404:
        assert json.loads(body)["error"]["kind"] == "not_found"
    if path in ("/metrics", "/model", "/docs", "/openapi.json"):
        with at(operators(place)) as connection:
            assert asked(connection, get(path))[0] == 200


@pytest.mark.parametrize(
    ("request_begins", "status"),
    [
        (f"GET /ready HTTP/1.1\r\nHost: model\r\nX: {'x' * 17_000}\r\n\r\n", 400),
        ("NONSENSE\r\n\r\n", 400),
        ("POST /predict HTTP/1.1\r\nHost: model\r\nContent-Length: 1048577\r\n\r\n", 413),
        ("GET /ready HTTP/1.1\r\nHost: mo", 408),
    ],
    ids=["a long head", "no HTTP", "a long body", "a slow head"],
)
def test_what_is_too_much_is_refused_before_the_service_hears_of_it(
    place: Place, request_begins: str, status: int
) -> None:
    with users(place) as connection:
        assert asked(connection, request_begins)[0] == status
    with at(operators(place)) as connection:
        counted = asked(connection, get("/metrics"))[1]
    assert f'status="{status}"' not in counted


def test_many_connections_of_users_leave_room_for_operators(place: Place) -> None:
    with ExitStack() as stack:
        for _ in range(ROOM):
            stack.enter_context(users(place))
        late = stack.enter_context(users(place))
        late.settimeout(1)
        with pytest.raises(TimeoutError):  # nobody takes it now
            asked(late, get("/ready"))
        assert version_at(f"http://{operators(place)}") == CHAMPION
    with users(place) as connection:
        assert asked(connection, get("/ready"))[0] == 200


def test_a_certificate_makes_it_tls(images: Images, tmp_path: Path, haproxy: str) -> None:
    authority = trustme.CA()
    certificates = tmp_path / "certificates"
    certificates.mkdir()
    authority.issue_cert("localhost").private_key_and_cert_chain_pem.write_to_path(
        certificates / "model.pem"
    )
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)
    (tmp_path / "host").mkdir()
    for place in serving(images, tmp_path / "host", TLS_FOLDER=str(certificates)):
        with trusting.wrap_socket(users(place), server_hostname="localhost") as connection:
            assert asked(connection, get("/ready"))[0] == 200
        with users(place) as plain, pytest.raises((OSError, IndexError)):
            asked(plain, get("/ready"))


@pytest.mark.parametrize(
    ("given", "address", "port"),
    [
        ({}, "127.0.0.1", "80"),
        ({"HTTP_PORT": "8000", "TLS_FOLDER": ""}, "127.0.0.1", "8000"),
        ({"TLS_FOLDER": "/etc/model/tls", "HTTP_PORT": ""}, "0.0.0.0", "443"),
        ({"HTTP_ADDRESS": "10.0.0.5"}, "10.0.0.5", "80"),
    ],
)
def test_other_machines_may_ask_only_with_tls_or_where_somebody_says_so(
    given: dict[str, str], address: str, port: str
) -> None:
    assert compose.exposed(given) == {"HTTP_ADDRESS": address, "HTTP_PORT": port}
    content = yaml.safe_load((ROOT / "deploy/host/compose.yaml").read_text(encoding="utf-8"))
    assert content["services"]["proxy"]["ports"] == [
        "${HTTP_ADDRESS:-127.0.0.1}:${HTTP_PORT:-80}:8080",
        "127.0.0.1::8081",
    ]


def test_a_proxy_from_before_it_had_a_port_for_operators_is_asked_where_users_ask(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in place.environment.items():
        monkeypatch.setenv(name, value)
    monkeypatch.chdir(place.folder)
    target = compose.ComposeTarget("flight-delays", "production", "")
    target.look()
    assert target.reach_proxy() == f"http://{operators(place)}"
    monkeypatch.setattr(compose, "OPERATORS", 8082)
    assert target.reach_proxy() == f"http://127.0.0.1:{place.environment['HTTP_PORT']}"
    target.close()
