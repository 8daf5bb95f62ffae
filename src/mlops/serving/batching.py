"""Small requests that are here at the same time are predicted together.

Most of what one row costs is what NumPy and ONNX Runtime do for each call. Nobody waits for others:
a batch is what the event loop has read when it comes to predicting.
"""

import asyncio
from collections.abc import Callable
from typing import Any

from mlops.serving.predictor import Predicted, Predictor

SMALL = 10  # rows; a larger request gains nothing by company


class Batching:
    """Predicts requests with ``predictor``; ``note`` is told of every batch."""

    def __init__(self, predictor: Predictor, note: Callable[[Predicted], None]) -> None:
        self._predictor = predictor
        self._note = note
        self._waiting: list[tuple[list[Any], asyncio.Future[Predicted]]] = []

    async def predict(self, rows: list[Any]) -> Predicted:
        """Predict the rows of a request.

        Raises
        ------
        Refusal
            As :meth:`Predictor.predict` does, and only for rows of this request.
        """
        if len(rows) > SMALL:
            return self._predict(rows)
        loop = asyncio.get_running_loop()
        if not self._waiting:
            loop.call_soon(self._predict_waiting)
        answer: asyncio.Future[Predicted] = loop.create_future()
        self._waiting.append((rows, answer))
        return await answer

    def _predict(self, rows: list[Any]) -> Predicted:
        predicted = self._predictor.predict(rows)
        self._note(predicted)
        return predicted

    def _predict_waiting(self) -> None:
        waiting, self._waiting = self._waiting, []
        if len(waiting) > 1:
            try:
                together = self._predict([row for rows, _ in waiting for row in rows])
            except Exception:
                pass  # one of them is at fault; each by itself, then
            else:
                start = 0
                for rows, answer in waiting:
                    stop = start + len(rows)
                    if not answer.done():  # as it is when its request was cancelled
                        answer.set_result(together.part(start, stop))
                    start = stop
                return
        for rows, answer in waiting:
            if answer.done():
                continue
            try:
                answer.set_result(self._predict(rows))
            except Exception as error:
                answer.set_exception(error)
