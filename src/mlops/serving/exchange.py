"""One request and what came of it: its id, its answer, and the line about it in the log."""

import time
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.types import Message, Scope, Send

from mlops.serving.predictor import Predicted
from mlops.serving.refusal import ErrorAnswer, Kind, Problem, Refusal

JSON = b"application/json"
GONE = 499  # the client left before the answer; nginx counts it under this number, too

encode = msgspec.json.Encoder().encode


class Exchange:
    """One request and its answer."""

    __slots__ = ("kind", "message", "predicted", "request_id", "scope", "started", "status")

    def __init__(self, scope: Scope, request_id: bytes) -> None:
        self.scope = scope
        self.request_id = request_id
        self.started = time.perf_counter()
        self.status = GONE
        self.kind: Kind | None = None
        self.message = ""
        self.predicted: Predicted | None = None

    async def answer(
        self, send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]] | None = None
    ) -> None:
        """Send a JSON body."""
        self.status = status
        await send(
            {
                "type": "http.response.start",
                "status": status,
                "headers": [
                    (b"content-type", JSON),
                    (b"content-length", b"%d" % len(body)),
                    (b"x-request-id", self.request_id),
                    *(headers or ()),
                ],
            }
        )
        await send({"type": "http.response.body", "body": body})

    def problem(self, refusal: Refusal) -> bytes:
        """Note why the request is refused, and return the body that says so."""
        self.kind, self.message = refusal.kind, refusal.message
        request_id = self.request_id.decode("ascii")
        return encode(ErrorAnswer(Problem(refusal.kind, refusal.message, request_id)))

    def marked(self, send: Send) -> Send:
        """Return a ``send`` that notes the status and puts the request's id on the answer."""

        async def sending(message: Message) -> None:
            if message["type"] == "http.response.start":
                self.status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", self.request_id)]
            await send(message)

        return sending

    def line(self, level: str, seconds: float, with_features: bool) -> dict[str, Any]:
        """Return what the log says about it: no value that was sent, unless ``with_features``."""
        line: dict[str, Any] = {
            "time": datetime.now(UTC),
            "level": level,
            "message": "request",
            "request_id": self.request_id.decode("ascii"),
            "method": self.scope["method"],
            "path": self.scope["path"],
            "status": self.status,
            "milliseconds": round(seconds * 1000, 3),
        }
        if self.kind:
            line["error"] = {"kind": self.kind, "message": self.message}
        if self.predicted:
            line["rows"] = len(self.predicted.rows)
            if with_features:
                line["features"] = self.predicted.rows
                line["predictions"] = self.predicted.predictions
        return line
