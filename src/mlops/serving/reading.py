"""The head and the body of a request to /predict, refused as early as possible."""

import asyncio
import hmac

from starlette.types import Receive, Scope

from mlops.serving.exchange import JSON
from mlops.serving.refusal import Refusal


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

    async def read(self, scope: Scope, receive: Receive) -> bytes:
        """Return the body.

        Raises
        ------
        Refusal
            When the client may not ask, or asks with anything but JSON within the limits.
        ClientGone
            When it does not wait.
        """
        self._check(dict(scope["headers"]))
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

    def _check(self, headers: dict[bytes, bytes]) -> None:
        if self._authorization is not None and not hmac.compare_digest(
            headers.get(b"authorization", b""), self._authorization
        ):
            raise Refusal("unauthorized", "send the header Authorization: Bearer API_KEY")
        content_type = headers.get(b"content-type", b"")
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
