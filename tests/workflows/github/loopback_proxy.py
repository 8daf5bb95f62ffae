"""A proxy on 127.0.0.1 that is the few hosts it was given, over TLS, and refuses all others."""

import contextlib
import gzip
import http
import socket
import ssl
import threading
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field
from email.message import Message
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import trustme


@dataclass(frozen=True)
class Request:
    """What a client asked one of the hosts for; the body is decoded."""

    method: str
    host: str
    path: str
    query: str
    headers: Message
    body: bytes


@dataclass(frozen=True)
class Answer:
    status: int
    body: bytes = b""
    headers: dict[str, str] = field(default_factory=dict)


class LoopbackProxy(ThreadingHTTPServer):
    """Serves ``hosts`` by calling ``answer`` for each request; nothing leaves the machine.

    A client needs ``environment`` and nothing else: the addresses it uses stay the real ones.
    """

    daemon_threads = False  # so that closing waits for the threads
    request_queue_size = 64

    def __init__(
        self, folder: Path, hosts: Iterable[str], answer: Callable[[Request], Answer]
    ) -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.hosts = set(hosts)
        self.answer = answer
        self.refused: list[str] = []
        self.connections: set[socket.socket] = set()
        folder.mkdir(parents=True, exist_ok=True)
        authority = trustme.CA()
        self.tls = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        authority.issue_cert(*sorted(self.hosts)).configure_cert(self.tls)
        bundle = folder / "authority.pem"
        authority.cert_pem.write_to_path(bundle)
        self.environment = _environment(f"http://127.0.0.1:{self.server_port}", bundle)
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="GitHub")

    def start(self) -> None:
        self._thread.start()

    def close(self) -> None:
        """Stop, also where a client keeps its connection open."""
        self.shutdown()
        self._thread.join()
        for connection in list(self.connections):
            with contextlib.suppress(OSError):  # the client was faster
                # Not that of TLS, which pulls the ground from under the thread that reads.
                socket.socket.shutdown(connection, socket.SHUT_RDWR)
        self.server_close()

    def get_request(self) -> tuple[socket.socket, Any]:
        connection, address = super().get_request()
        self.connections.add(connection)
        return connection, address


def _environment(address: str, bundle: Path) -> dict[str, str]:
    # In both cases: curl reads http_proxy only when small, others prefer the big ones.
    proxies = {
        "HTTP_PROXY": address,
        "HTTPS_PROXY": address,
        "NO_PROXY": "127.0.0.1,localhost",  # servers that a test starts
    }
    small = {name.lower(): value for name, value in proxies.items()}
    files = "SSL_CERT_FILE GIT_SSL_CAINFO CURL_CA_BUNDLE REQUESTS_CA_BUNDLE NODE_EXTRA_CA_CERTS"
    # Else git reads all authorities of the machine, which takes longer than what it is to do.
    folders = dict.fromkeys(("SSL_CERT_DIR", "GIT_SSL_CAPATH"), str(bundle.parent))
    return proxies | small | dict.fromkeys(files.split(), str(bundle)) | folders


class _Connection(BaseHTTPRequestHandler):
    """One client: first it asks for a tunnel, then it speaks TLS with the host in question."""

    server: LoopbackProxy
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    host = ""

    def handle(self) -> None:
        with contextlib.suppress(OSError):  # it does not trust us, or has left
            super().handle()

    def finish(self) -> None:
        self.server.connections.discard(self.connection)
        with contextlib.suppress(OSError):
            super().finish()
        self.connection.close()

    def do_CONNECT(self) -> None:
        host, _, port = self.path.rpartition(":")
        if host not in self.server.hosts or port != "443":
            return self.refuse(self.path)
        self.send_response(200, "Connection established")
        self.end_headers()
        self.request = self.server.tls.wrap_socket(
            self.connection, server_side=True, do_handshake_on_connect=False
        )
        self.server.connections.discard(self.connection)
        self.server.connections.add(self.request)
        self.host = host
        self.close_connection = False  # as Python's clients ask with HTTP/1.0
        self.setup()
        self.request.do_handshake()

    def refuse(self, address: str) -> None:
        self.server.refused.append(address)
        self.reply(Answer(502, f"{address} is not to be reached from here\n".encode()))
        self.close_connection = True

    def forward(self) -> None:
        address = urlsplit(self.path)
        if not self.host:  # plain HTTP, through the proxy
            return self.refuse(f"{address.hostname}:{address.port or 80}")
        path, query, body = address.path, address.query, self.body()
        asked = Request(self.command, self.host, path, query, self.headers, body)
        self.reply(self.server.answer(asked))

    do_GET = do_HEAD = do_POST = do_PUT = do_PATCH = do_DELETE = forward  # noqa: N815

    def body(self) -> bytes:
        if self.headers.get("Transfer-Encoding", "").lower() == "chunked":
            body = b"".join(iter(self.chunk, b""))
        else:
            body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        return gzip.decompress(body) if self.headers.get("Content-Encoding") == "gzip" else body

    def chunk(self) -> bytes:
        size = int(self.rfile.readline().split(b";")[0], 16)
        data = self.rfile.read(size)
        self.rfile.readline()
        return data

    def reply(self, answer: Answer) -> None:
        self.send_response(answer.status)
        for name, value in answer.headers.items():
            self.send_header(name, value)
        if answer.status != http.HTTPStatus.NO_CONTENT:
            self.send_header("Content-Length", str(len(answer.body)))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(answer.body)

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: what was asked is recorded."""
