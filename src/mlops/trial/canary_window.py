"""What a canary looks at: two running services, asked for the same rows in turn."""

import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import numpy.typing as npt

from mlops.project.errors import MlopsError
from mlops.project.params import Canary
from mlops.registry.export import Sample
from mlops.trial.service_client import NoAnswerError, Service, scores

Float = npt.NDArray[np.float64]

WARMING = 10  # requests that do not count: the first ones open connections and load libraries
GIVEN_UP = 20  # failures of one service, at least; asking on would tell no more


@dataclass(frozen=True)
class Party:
    """One of the two services, and how to speak its language.

    ``defaults`` are its input columns with a value for each that the sample may lack.
    """

    service: Service
    defaults: Mapping[str, Any]
    classes: list[str] | None

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        return {name: row.get(name, default) for name, default in self.defaults.items()}


@dataclass
class Side:
    """What one service did: for each request, whether and how fast it answered, and what."""

    answered: list[bool] = field(default_factory=list)
    seconds: list[float] = field(default_factory=list)
    scores: list[list[float]] = field(default_factory=list)
    failures: Counter[str] = field(default_factory=Counter)

    @property
    def failed(self) -> int:
        return self.failures.total()

    @property
    def most_often(self) -> str:
        """The failure that was met most often."""
        return max(self.failures, key=lambda reason: self.failures[reason], default="")


@dataclass(frozen=True)
class Window:
    """Request ``i`` of both sides was the same row, at about the same time."""

    champion: Side
    candidate: Side

    @property
    def requests(self) -> int:
        return len(self.champion.answered)

    @property
    def both(self) -> npt.NDArray[np.bool_]:
        """Which of the ``n`` requests both have answered."""
        return np.logical_and(self.champion.answered, self.candidate.answered)

    def seconds(self, side: Side) -> Float:
        """Return the latency of the requests that both answered, shape (m,)."""
        return np.array(side.seconds)[self.both]

    def scores(self, side: Side) -> Float:
        """Return the scores of the requests that both answered, shape (m, k)."""
        rows = [one for one, both in zip(side.scores, self.both, strict=True) if both]
        return np.array(rows, np.float64)


def watch(
    parties: tuple[Party, Party],
    sample: Sample,
    limits: Canary,
    seed: int,
    progress: Callable[[float], None],
) -> Window:
    """Send ``limits.requests`` rows to both services, ``parties``: champion and candidate.

    Each row goes to both, one right after the other and in random order, so that whatever else
    the machines and the network do meets both alike. The window ends early when one has failed
    more than twice as often as it may (and 20 times): a dead one would take its timeout each time.
    """
    rng = np.random.default_rng(seed)
    window = Window(Side(), Side())
    sides = (window.champion, window.candidate)
    enough = max(GIVEN_UP, 2 * limits.error_rate * limits.requests)
    for at in _rows(rng, len(sample.rows), WARMING):
        for party in parties:
            _ask(party, sample.rows[at], Side())
    started = time.monotonic()
    for done, at in enumerate(_rows(rng, len(sample.rows), limits.requests)):
        due = started + done * limits.seconds / limits.requests
        time.sleep(max(0.0, due - time.monotonic()))
        for turn in rng.permutation(2):
            _ask(parties[turn], sample.rows[at], sides[turn])
        progress(done + 1)
        if any(side.failed >= enough for side in sides):
            break
    return window


def _rows(rng: np.random.Generator, available: int, wanted: int) -> list[int]:
    """Return row numbers in random order; each comes up again only after all others."""
    rounds = -(-wanted // available)
    order = np.concatenate([rng.permutation(available) for _ in range(rounds)])
    return [int(at) for at in order[:wanted]]


def _ask(party: Party, row: Mapping[str, Any], side: Side) -> None:
    clock = time.perf_counter()
    try:
        answer = party.service.predict(party.row(row))
        side.scores.append(scores(answer, 1, party.classes)[0])
        side.answered.append(True)
        side.seconds.append(answer.seconds)
    except MlopsError as error:
        reason = "no answer" if isinstance(error, NoAnswerError) else str(error)
        side.failures[reason] += 1
        side.scores.append([])
        side.answered.append(False)
        side.seconds.append(time.perf_counter() - clock)
