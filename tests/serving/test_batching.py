"""Requests that are predicted together: each gets its own answer, and its own refusal."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from handmade_model import ROWS, write_model

from mlops.serving import served_model
from mlops.serving.predictor import SMALL, Batching, Predicted, Predictor
from mlops.serving.request import Refusal

INFINITE = {"x": 1e300, "a text": "ab", "seen": True}  # no float32 holds it


class Asked:
    """Requests that arrive at the same time, and the sizes of the batches that were predicted."""

    def __init__(self, predictor: Predictor) -> None:
        self.batches: list[int] = []
        self.predictor = predictor
        self.batching = Batching(predictor, lambda batch: self.batches.append(len(batch.rows)))

    def together(self, *requests: Any) -> list[Predicted | BaseException]:
        decode, encode = self.predictor.row_type.decode, self.predictor._encoder.encode

        async def ask() -> list[Predicted | BaseException]:
            asked = (self.batching.predict(decode(encode(request))) for request in requests)
            async with asyncio.timeout(20):  # who is forgotten would wait for ever
                return await asyncio.gather(*asked, return_exceptions=True)

        return asyncio.run(ask())


@pytest.fixture
def asked(tmp_path: Path) -> Asked:
    model = write_model(tmp_path / "model", "regression", 1, False)
    return Asked(Predictor(served_model.load(model), max_rows=1000))


def test_each_request_gets_its_own_scores(asked: Asked) -> None:
    answers = asked.together(ROWS[0], ROWS, ROWS[1])
    assert asked.batches == [4]
    first, both, second = (answer for answer in answers if isinstance(answer, Predicted))
    assert [*first.scores, *second.scores] == list(both.scores)
    assert first.scores[0] != second.scores[0]
    ids = [one.id for answer in (first, both, second) for one in answer.predictions]
    assert len(set(ids)) == 4


@pytest.mark.filterwarnings("ignore:overflow encountered in cast")
def test_one_that_fails_fails_alone(asked: Asked) -> None:
    good, bad, late = asked.together(ROWS[0], [ROWS[0], INFINITE], ROWS[1])
    assert isinstance(bad, Refusal)
    assert str(bad.message).startswith("row 1:")  # of its own rows
    assert isinstance(good, Predicted)
    assert isinstance(late, Predicted)
    assert asked.batches == [1, 1]  # what was refused is not counted


def test_a_large_request_waits_for_nobody(asked: Asked) -> None:
    asked.together(ROWS[0], ROWS * SMALL, ROWS[1])
    assert asked.batches == [2 * SMALL, 2]


def test_a_request_that_was_given_up_holds_up_no_other(asked: Asked) -> None:
    async def ask() -> Predicted:
        decode, encode = asked.predictor.row_type.decode, asked.predictor._encoder.encode
        rows = decode(encode(ROWS[0]))
        gone = asyncio.ensure_future(asked.batching.predict(rows))
        stays = asyncio.ensure_future(asked.batching.predict(rows))
        await asyncio.sleep(0)
        gone.cancel()
        return await stays

    assert len(asyncio.run(ask()).rows) == 1
