"""From the bytes of a request to the bytes of its answer; small requests are predicted together."""

import asyncio
import itertools
import secrets
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np

from mlops.artifact.model_folder import Array
from mlops.serving.request import Refusal
from mlops.serving.rows import RowType, Table
from mlops.serving.served_model import ServedModel
from mlops.serving.settings import UnknownFields
from mlops.serving.withheld import Withheld

SMALL = 10  # rows; a larger request gains nothing by company


class Prediction(msgspec.Struct, gc=False):
    """The probability of the second class, or the value that a regression predicts."""

    id: str
    score: float


class LabelledPrediction(Prediction, gc=False):
    """The probability of the second class, and the class that the model's threshold makes of it."""

    label: str | int


class ClassPrediction(msgspec.Struct, gc=False):
    """The probability of each class."""

    id: str
    scores: dict[str, float]


class Answer(msgspec.Struct, gc=False):
    """Predictions in the order of the request; ``logged``: they are on record."""

    model_version: str
    logged: bool
    predictions: list[Prediction]


class LabelledAnswer(msgspec.Struct, gc=False):
    """Predictions in the order of the request; ``logged``: they are on record."""

    model_version: str
    logged: bool
    predictions: list[LabelledPrediction]


class ClassAnswer(msgspec.Struct, gc=False):
    """Predictions in the order of the request; ``logged``: they are on record."""

    model_version: str
    logged: bool
    predictions: list[ClassPrediction]


class Record(msgspec.Struct, gc=False, omit_defaults=True):
    """A line of the prediction log; ``left_out`` and ``hashed`` name columns, if there are any.

    ``trial`` is there where a smoke test or a canary asked, and not a user.
    """

    id: str
    time: datetime
    model_version: str
    score: float
    features: Any
    left_out: list[str] = []
    hashed: list[str] = []
    trial: bool = False


class ClassRecord(msgspec.Struct, gc=False, omit_defaults=True):
    """The same, of a model of several classes."""

    id: str
    time: datetime
    model_version: str
    scores: dict[str, float]
    features: Any
    left_out: list[str] = []
    hashed: list[str] = []
    trial: bool = False


@dataclass
class Predicted:
    """Rows with what the model says about them."""

    rows: list[Any]
    table: Table
    scores: Array
    predictions: list[Any]

    def part(self, start: int, stop: int) -> "Predicted":
        """Return what belongs to some of the rows; the table stays that of all."""
        some = slice(start, stop)
        return Predicted(self.rows[some], self.table, self.scores[some], self.predictions[some])


class Predictor:
    """Predicts with one model and gives every prediction an id that no other ever gets."""

    def __init__(
        self,
        model: ServedModel,
        max_rows: int,
        unknown_fields: UnknownFields = "refuse",
        exclude: str = "",
        hash_key: str = "",
    ) -> None:
        facts = model.facts
        known = dict.fromkeys([*(column.name for column in facts.columns), *facts.schema_columns])
        self.withheld = Withheld(exclude, hash_key, known)
        self.row_type = RowType(facts.columns, max_rows, facts.schema_columns, unknown_fields)
        self._model = model.artifact
        self._version = model.version
        self._classes = None
        self._threshold, self._pair = facts.threshold, facts.classes or []
        self.answer_type: type[Answer | LabelledAnswer | ClassAnswer] = Answer
        if facts.threshold is not None:
            self.answer_type = LabelledAnswer
        if facts.task == "multiclass":
            self._classes = [str(label) for label in facts.classes or []]
            self.answer_type = ClassAnswer
        self._prefix = secrets.token_hex(8)  # of this process; 64 bits do not meet by chance
        self._numbers = itertools.count(1)
        self._encoder = msgspec.json.Encoder()
        self.predict(self.row_type.decode(self._encoder.encode(self.row_type.example)))

    def predict(self, rows: list[Any]) -> Predicted:
        """Predict ``n`` rows.

        Raises
        ------
        Refusal
            ``invalid``, when the model has no finite prediction for a row.
        """
        table = self.row_type.to_table(rows)
        scores = self._model.predict(table.columns)
        if not np.isfinite(scores).all():
            row = int(np.argmin(np.isfinite(scores).reshape(len(rows), -1).all(axis=1)))
            raise Refusal("invalid", f"row {row}: the model has no finite prediction for it")
        ids = [f"{self._prefix}-{next(self._numbers)}" for _ in rows]
        values = scores.tolist()
        if self._threshold is not None:
            labels = [self._pair[score >= self._threshold] for score in values]
            predictions: list[Any] = list(map(LabelledPrediction, ids, values, labels))
        elif self._classes is None:
            predictions = list(map(Prediction, ids, values))
        else:
            predictions = [
                ClassPrediction(one, dict(zip(self._classes, probabilities, strict=True)))
                for one, probabilities in zip(ids, values, strict=True)
            ]
        return Predicted(rows, table, scores, predictions)

    def records(self, predicted: Predicted, trial: bool = False) -> bytes:
        """Return the lines of the prediction log."""
        now, version = datetime.now(UTC), self._version
        left_out, hashed = self.withheld.left_out, self.withheld.hashed
        pairs = zip(predicted.predictions, self.withheld.without(predicted.rows), strict=True)
        if self._classes is None:
            lines: list[Any] = [
                Record(one.id, now, version, one.score, row, left_out, hashed, trial)
                for one, row in pairs
            ]
        else:
            lines = [
                ClassRecord(one.id, now, version, one.scores, row, left_out, hashed, trial)
                for one, row in pairs
            ]
        return self._encoder.encode_lines(lines)

    def answer(self, predicted: Predicted, logged: bool) -> bytes:
        """Return the body of the answer."""
        return self._encoder.encode(self.answer_type(self._version, logged, predicted.predictions))


class Batching:
    """Predicts small requests that are here at once together; ``note`` is told of every batch.

    Most of what one row costs is what NumPy and ONNX Runtime do for each call. Nobody waits for
    others: a batch is what the event loop has read when it comes to predicting.
    """

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
            except Exception:  # noqa: S110
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
