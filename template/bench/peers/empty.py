"""The least that uvicorn can do: read the request, answer a constant. Validates nothing."""

from typing import Any

ANSWER = b'{"predictions":[{"id":"0","score":0.5}]}'
HEADERS = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(ANSWER))]


async def app(scope: Any, receive: Any, send: Any) -> None:
    while (await receive()).get("more_body"):
        pass
    await send({"type": "http.response.start", "status": 200, "headers": HEADERS})
    await send({"type": "http.response.body", "body": ANSWER})
