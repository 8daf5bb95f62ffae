"""HTTP as uvicorn reads it, with limits where it has none: the head, its time, connections."""

import asyncio
import resource
import time
from typing import TYPE_CHECKING, Any, cast

from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol

from mlops.serving.json_log import logger
from mlops.serving.request import BUSY, Refusal

if TYPE_CHECKING:
    from mlops.serving.application import Service

LONGEST_HEAD = 65_536  # bytes: the request line and headers; or a chunk's line, or trailers
PIECE = 16_384  # bytes that the parser gets at once, so that it never holds much more than the head
# Without a file to spare for it, the system would turn clients away, and nobody would say so.
FILES = resource.getrlimit(resource.RLIMIT_NOFILE)[0]  # -1: as many as there may be
SPARE = 32  # files that are no connections: the model's, the prediction log's, metrics
AGAIN = 60.0  # seconds until it is said again


class Protocol(HttpToolsProtocol):
    """One connection.

    httptools has no limit: it collects a header line of any length, and joins it at each packet.
    Counted are the bytes since it last told something: the end of a head, a part of a body.
    """

    _untold = 0
    _timer: asyncio.TimerHandle | None = None
    _said_full = -AGAIN

    def connection_made(self, transport: Any) -> None:
        """Begin to wait for a head: a client that says nothing costs a connection, too."""
        super().connection_made(transport)
        self._service = cast("Service", self.config.loaded_app)
        self._wait()
        if 0 < FILES < len(self.connections) + SPARE:
            if time.monotonic() - Protocol._said_full >= AGAIN:
                Protocol._said_full = time.monotonic()
                logger.error("connections are refused: no more files may be open (ulimit -n)")
            self._refuse(BUSY)

    def connection_lost(self, exc: Exception | None) -> None:
        """Stop waiting."""
        self._stop_waiting()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        """Read a piece after the other, as long as no head gets too long."""
        if len(data) <= PIECE:
            self._read(data)
            return
        for start in range(0, len(data), PIECE):
            if not self.transport.is_closing():
                self._read(data[start : start + PIECE])

    def _read(self, piece: bytes) -> None:
        self._untold += len(piece)
        super().data_received(piece)
        if not self._untold or self.transport.is_closing():
            return
        if self._untold > LONGEST_HEAD:
            said = f"the head may have {LONGEST_HEAD:,} bytes at most"
            self._refuse(Refusal("head_too_large", said))
        elif self._timer is None:
            self._wait()

    def eof_received(self) -> bool:  # type: ignore[override]  # asyncio's may return it
        """Answer a client that has ended its side after a whole request; let any other go."""
        if self.cycle is None or self.cycle.response_complete:
            return False
        if self.cycle.more_body:
            self.cycle.disconnected = True
            self.cycle.message_event.set()
            return False
        self.cycle.keep_alive = False
        return True

    def on_headers_complete(self) -> None:
        """Let the service refuse, where too many connections are open."""
        self._untold = 0
        if self._timer is not None:
            self._stop_waiting()
        service = self._service
        many = len(self.connections) > service.settings.max_connections
        self.app = service.too_busy if many else service
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        """Take a part of the body."""
        self._untold = 0
        if self._timer is not None:
            self._stop_waiting()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """Take note that all of a request is here."""
        self._untold = 0
        if self._timer is not None:
            self._stop_waiting()
        super().on_message_complete()

    def send_400_response(self, msg: str) -> None:
        """Refuse what is not HTTP in the form of all errors."""
        self._refuse(Refusal("malformed", "this is not HTTP/1.1"))

    def _wait(self) -> None:
        self._timer = self.loop.call_later(self._service.settings.timeout_seconds, self._give_up)

    def _stop_waiting(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _give_up(self) -> None:
        if self._untold:
            seconds = self._service.settings.timeout_seconds
            self._refuse(Refusal("timeout", f"the head was not here within {seconds:g} s"))
        else:
            self.transport.close()

    def _refuse(self, refusal: Refusal) -> None:
        """Answer without the application, and hang up; an answer that has begun only ends."""
        self._stop_waiting()
        request_id, body = self._service.refuse_raw(refusal)
        if self.cycle is None or self.cycle.response_complete:
            self.transport.write(
                b"%bcontent-type: application/json\r\ncontent-length: %d\r\nx-request-id: %b\r\n"
                b"connection: close\r\n\r\n%b"
                % (STATUS_LINE[refusal.status], len(body), request_id, body)
            )
        self.transport.close()
