"""What the service says when it does not predict: one form for all errors."""

from typing import Literal

import msgspec

Kind = Literal[
    "malformed",
    "unauthorized",
    "not_found",
    "method_not_allowed",
    "timeout",
    "too_large",
    "too_many_rows",
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
    "unsupported_media_type": 415,
    "invalid": 422,
    "busy": 503,
    "internal": 500,
}


class Refusal(Exception):  # noqa: N818 - the service is right, the request is not
    """A request that gets no prediction, and why; the message repeats no value that was sent."""

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


class Problem(msgspec.Struct):
    kind: Kind
    message: str
    request_id: str


class ErrorAnswer(msgspec.Struct):
    """The body of every answer that is not a success."""

    error: Problem
