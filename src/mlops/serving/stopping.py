"""SIGTERM: first say so, then stop taking requests, so that a load balancer loses none."""

import asyncio
import signal
from collections.abc import Callable
from types import FrameType


def drain(seconds: float, begin: Callable[[], None]) -> None:
    """Have SIGTERM call ``begin``, and its present handler ``seconds`` later.

    To be called on the event loop; a second SIGTERM does not wait.
    """
    loop, stop = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)
    if not callable(stop):
        return

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, stop)
        loop.call_soon_threadsafe(begin)
        loop.call_soon_threadsafe(loop.call_later, seconds, stop, number, None)

    signal.signal(signal.SIGTERM, handle)
