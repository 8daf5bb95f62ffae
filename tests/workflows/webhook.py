"""A webhook on this machine, which notes what it is told."""

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, Self

SECRET = "s3cret/of%2Fours"


class Webhook(ThreadingHTTPServer):
    """Opened with ``with``; answers with ``status``, and sends who asks there to ``location``."""

    def __init__(self, status: int = 200, location: str = "") -> None:
        super().__init__(("127.0.0.1", 0), _Connection)
        self.status, self.location = status, location
        self.asked: list[tuple[str, str, str]] = []  # method, path, content type
        self.told: list[dict[str, Any]] = []
        self._thread = threading.Thread(target=self.serve_forever, args=(0.02,), name="Webhook")

    @property
    def address(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/hooks/{SECRET}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.shutdown()
        self._thread.join()
        self.server_close()

    @property
    def texts(self) -> list[str]:
        return [it["text"] for it in self.told]


class _Connection(BaseHTTPRequestHandler):
    server: Webhook

    def note(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        kind = self.headers.get("Content-Type", "")
        self.server.asked.append((self.command, self.path, kind))
        if body:
            self.server.told.append(json.loads(body))
        self.send_response(self.server.status)
        if self.server.location:
            self.send_header("Location", self.server.location)
        self.send_header("Content-Length", "0")
        self.end_headers()

    do_GET = do_POST = note  # noqa: N815

    def log_message(self, format: str, *arguments: object) -> None:
        """Say nothing: what it was told is noted."""
