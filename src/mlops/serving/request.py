"""One request: read within limits, answered or refused in one form, and put into the log."""

import asyncio
import hmac
import time
from datetime import UTC, datetime
from typing import Any, Literal

import msgspec
from starlette.types import Message, Receive, Scope, Send

from mlops.serving import log_file

JSON = b"application/json"
INFERENCE = "/v2/"  # of the Open Inference Protocol, which has a form of errors of its own
GONE = 499  # the client left before the answer; nginx counts it under this number, too

Kind = Literal[
    "malformed",
    "unauthorized",
    "not_found",
    "method_not_allowed",
    "timeout",
    "too_large",
    "too_many_rows",
    "head_too_large",
    "unsupported_media_type",
    "invalid",
    "busy",
    "internal",
]
STATUS: dict[Kind, int] = {
    "malformed": 400,
    "unauthorized": 401,
    "not_found": 404,
    "method_not_allowed": 405,
    "timeout": 408,
    "too_large": 413,
    "too_many_rows": 413,
    "head_too_large": 431,
    "unsupported_media_type": 415,
    "invalid": 422,
    "busy": 503,
    "internal": 500,
}

encode = msgspec.json.Encoder().encode


class Refusal(Exception):  # noqa: N818 - the service is right, the request is not
    """A request that gets no prediction, and why; the message repeats no value that was sent.

    It may repeat the name of a field, as far as that can be printed and is no longer than 60.
    """

    def __init__(self, kind: Kind, message: str) -> None:
        super().__init__(message)
        self.kind: Kind = kind
        self.message = message

    @property
    def status(self) -> int:
        return STATUS[self.kind]

    @property
    def headers(self) -> list[tuple[bytes, bytes]]:
        """Headers that go with the answer of /predict."""
        if self.kind == "method_not_allowed":
            return [(b"allow", b"POST")]
        if self.kind == "unauthorized":
            return [(b"www-authenticate", b"Bearer")]
        if self.kind in ("timeout", "busy"):
            return [(b"connection", b"close")]
        return []


BUSY = Refusal("busy", "too many connections are open; ask again")


class Problem(msgspec.Struct):
    kind: Kind
    message: str
    request_id: str


class ErrorAnswer(msgspec.Struct):
    """The body of every answer that is not a success."""

    error: Problem


class ClientGone(Exception):  # noqa: N818 - nobody is there to be told
    """The client closed the connection before its request was whole."""


class Reader:
    """Reads requests within limits.

    Parameters
    ----------
    api_key : str
        Empty: everybody may ask.
    max_bytes : int
        Largest body, whether or not its length was announced.
    seconds : float
        Longest time until all of a body is here.
    """

    def __init__(self, api_key: str, max_bytes: int, seconds: float) -> None:
        self._authorization = f"Bearer {api_key}".encode() if api_key else None
        self._max_bytes = max_bytes
        self._seconds = seconds

    async def read(self, scope: Scope, receive: Receive, any_type: bool = False) -> bytes:
        """Return the body, which is JSON, or of ``any_type``.

        Raises
        ------
        Refusal
            When the client may not ask, or asks with anything but JSON within the limits.
        ClientGone
            When it does not wait.
        """
        self._check(dict(scope["headers"]), any_type)
        body, more = b"", True
        try:
            async with asyncio.timeout(self._seconds):
                while more:
                    message = await receive()
                    if message["type"] == "http.disconnect":
                        raise ClientGone
                    body += message.get("body", b"")
                    more = message.get("more_body", False)
                    if len(body) > self._max_bytes:
                        raise self._too_large()
        except TimeoutError:
            raise Refusal("timeout", f"the body was not here within {self._seconds:g} s") from None
        except asyncio.CancelledError:
            raise Refusal("busy", "the service is stopping; ask again") from None
        return body

    def _check(self, headers: dict[bytes, bytes], any_type: bool) -> None:
        if self._authorization is not None and not hmac.compare_digest(
            headers.get(b"authorization", b""), self._authorization
        ):
            raise Refusal("unauthorized", "send the header Authorization: Bearer API_KEY")
        content_type = JSON if any_type else headers.get(b"content-type", b"")
        if content_type != JSON and content_type.partition(b";")[0].strip().lower() != JSON:
            raise Refusal(
                "unsupported_media_type", "send the header Content-Type: application/json"
            )
        if headers.get(b"content-encoding", b"identity").lower() != b"identity":
            raise Refusal("unsupported_media_type", "send the body without Content-Encoding")
        if int(headers.get(b"content-length", b"0")) > self._max_bytes:
            raise self._too_large()

    def _too_large(self) -> Refusal:
        return Refusal("too_large", f"the body may have {self._max_bytes:,} bytes at most")


class Exchange:
    """One request and its answer."""

    def __init__(self, scope: Scope, request_id: bytes) -> None:
        self.scope = scope
        self.request_id = request_id
        self.route = ""  # of a page of the user's: its path, with names in the place of values
        self.started = time.perf_counter()
        self.status = GONE
        self.kind: Kind | None = None
        self.message = ""
        self.rows: list[Any] = []
        self.predictions: list[Any] = []

    @property
    def trial(self) -> bool:
        """Whether a smoke test or a canary asks."""
        return self.request_id.startswith(log_file.TRIAL)

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

    async def refuse(self, send: Send, refusal: Refusal) -> None:
        """Send why there is no other answer."""
        await self.answer(send, refusal.status, self.problem(refusal), refusal.headers)

    def problem(self, refusal: Refusal) -> bytes:
        """Note why the request is refused, and return the body that says so."""
        self.kind, self.message = refusal.kind, refusal.message
        if f"{self.scope['path']}/".startswith(INFERENCE):
            return encode({"error": refusal.message})
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
            "path": self.route or self.scope["path"],
            "status": self.status,
            "milliseconds": round(seconds * 1000, 3),
        }
        if self.kind:
            line["error"] = {"kind": self.kind, "message": self.message}
        if self.rows:
            line["rows"] = len(self.rows)
            if with_features:
                line |= {"features": self.rows, "predictions": self.predictions}
        return line
