"""A service that answers as another one does, but for what a test makes of its answers."""

import http.client
import threading
from collections.abc import Callable
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Asked:
    """A request; ``number`` counts those to its path."""

    method: str
    path: str
    body: bytes
    number: int


@dataclass(frozen=True)
class Reply:
    """The answer to it; a status of 0 is none at all, and the connection ends."""

    status: int
    headers: dict[str, str]
    body: bytes

    def but(self, **changes: Any) -> "Reply":
        return replace(self, **changes)


class AlteringProxy:
    """Forwards every request to ``upstream`` and answers with what ``alter`` returns."""

    def __init__(self, upstream: str, alter: Callable[[Asked, Reply], Reply]) -> None:
        address = urlsplit(upstream).netloc
        counts: dict[str, int] = {}

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            wbufsize = -1  # one packet for an answer, or it waits for the client's acknowledgement
            disable_nagle_algorithm = True

            def handle(self) -> None:
                self.upstream = http.client.HTTPConnection(address)
                super().handle()
                self.upstream.close()

            def forward(self) -> None:
                counts[self.path] = counts.get(self.path, 0) + 1
                body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
                asked = Asked(self.command, self.path, body, counts[self.path])
                self.upstream.request(self.command, self.path, body, dict(self.headers))
                got = self.upstream.getresponse()
                reply = alter(asked, Reply(got.status, dict(got.getheaders()), got.read()))
                if not reply.status:
                    self.close_connection = True
                    return
                self.send_response_only(reply.status)
                for name, value in reply.headers.items():
                    if name.lower() not in ("content-length", "connection"):
                        self.send_header(name, value)
                self.send_header("Content-Length", str(len(reply.body)))
                self.end_headers()
                self.wfile.write(reply.body)

            do_GET = do_POST = do_DELETE = forward  # noqa: N815 - as http.server wants them

            def log_message(self, *_: object) -> None:
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._server.daemon_threads = True
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))
        self.url = f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
