"""One of the two services that a canary compares, and how to ask it."""

import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlops.project.errors import MlopsError
from mlops.trial.canary_gate import Side
from mlops.trial.service_client import NoAnswerError, Service, scores


@dataclass(frozen=True)
class Party:
    """A service that is asked a row at a time.

    ``columns`` are its inputs; where a row lacks one, it gets the example of it.
    """

    service: Service
    columns: list[dict[str, Any]]
    classes: list[str] | None

    def ask(self, row: Mapping[str, Any], side: Side) -> None:
        """Ask for the prediction of a row, and note in ``side`` what came of it."""
        clock = time.perf_counter()
        try:
            answer = self.service.predict(self.row(row))
            side.scores.append(scores(answer, 1, self.classes)[0])
            side.answered.append(True)
            side.seconds.append(answer.seconds)
        except MlopsError as error:
            reason = "no answer" if isinstance(error, NoAnswerError) else str(error)
            side.failures[reason] += 1
            side.scores.append([])
            side.answered.append(False)
            side.seconds.append(time.perf_counter() - clock)

    def row(self, row: Mapping[str, Any]) -> dict[str, Any]:
        """Return a row as this service takes it."""
        return {it["name"]: _sent(row.get(it["name"], it["example"]), it) for it in self.columns}


def _sent(value: Any, column: Mapping[str, Any]) -> Any:
    """Return a value as its column takes it; a champion may be older than a way to say it."""
    if isinstance(value, bool | float) and column["type"] in ("number", "boolean"):
        return float(value) if column["type"] == "number" else bool(value)
    if column["type"] == "datetime" and isinstance(value, str):
        return value.removesuffix("Z") + ("Z" if column.get("zoned", True) else "")
    return value
