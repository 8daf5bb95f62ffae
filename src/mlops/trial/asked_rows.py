"""What a canary asks: the newest rows of the prediction log, else rows of the holdout.

The gate has judged the holdout before anything is deployed, so its rows tell little that is new.
What users ask now is in the log of the services.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from mlops.project.params import Canary
from mlops.registry.export import Exported
from mlops.trial import asked_log
from mlops.trial.asked_log import Columns, OutOfReachError, Row

FEWEST = 100  # other rows; with fewer, what the users of an hour asked would stand for all
POOL = 10  # times the requests: so many of the newest rows are drawn from


@dataclass(frozen=True)
class Asked:
    """``rows`` to ask, from the ``source`` "prediction log" or "holdout"; ``said`` tells why."""

    rows: list[Row]
    source: str
    said: str

    def lacks(self, columns: Columns) -> list[str]:
        """Return the names of the columns that the rows do not have."""
        return [it["name"] for it in columns if it["name"] not in self.rows[0]]


@dataclass(frozen=True)
class Logged:
    """A row of the log."""

    row: Row
    rank: tuple[str, float]  # orders rows by what was answered


def choose(expected: Exported, champion: Columns, candidate: Columns, limits: Canary) -> Asked:
    """Return the rows that champion and candidate are asked.

    Parameters
    ----------
    expected : Exported
        The candidate's, with its sample of the holdout.
    champion, candidate : sequence of mappings
        The columns that each takes, as ``GET /model`` says them.

    Raises
    ------
    MlopsError
        When the log is there and cannot be read.
    """
    assert expected.sample
    sample = expected.sample.rows
    try:
        if limits.rows == "holdout":
            raise OutOfReachError("serving.canary.rows in params.yaml says so")
        columns = [*champion, *candidate]
        logged = _newest(asked_log.uri(), columns, sample, POOL * limits.requests)
    except OutOfReachError as why:
        count = min(len(sample), limits.requests)
        return Asked(sample, "holdout", f"asked {count} rows of the holdout: {why}")
    rows = [each.row for each in stratified(logged, limits.requests)]
    said = f"asked {len(rows)} of the newest {len(logged)} rows of the prediction log"
    return Asked(rows, "prediction log", said)


def stratified(logged: list[Logged], wanted: int) -> list[Logged]:
    """Return ``wanted`` rows, one from each of as many equal parts of the order of the scores.

    So they are spread over the scores as all of them are, rare high ones included, while a plain
    draw would have too few of these in one canary and too many in the next.
    """
    order = sorted(logged, key=lambda each: each.rank)
    count = min(wanted, len(order))
    return [order[int((part + 0.5) * len(order) / count)] for part in range(count)]


def _newest(uri: str, columns: Columns, sample: list[Row], most: int) -> list[Logged]:
    """Return up to ``most`` different rows, the newest first, and none that is in the sample.

    What smoke tests and canaries asked is logged, too, by older services without a mark.
    """
    known = {_key(row, sample[0]) for row in sample}
    found: dict[Any, Logged] = {}
    withheld: set[str] = set()
    for record in asked_log.newest_first(uri):
        hidden = asked_log.withheld(record, columns)
        row = None if hidden else asked_log.row(record, columns)
        withheld |= hidden
        if row is None or _key(row, sample[0]) in known:
            continue
        found.setdefault(_key(row, sorted(row)), Logged(row, _rank(record)))
        if len(found) == most:
            break
    if len(found) >= FEWEST:
        return list(found.values())
    if withheld:
        raise OutOfReachError(asked_log.not_held(withheld))
    raise OutOfReachError(
        f"the prediction log in {uri} has {len(found)} other rows that both services take, "
        f"and {FEWEST} are needed"
    )


def _key(row: Mapping[str, Any], names: Collection[str]) -> tuple[Any, ...]:
    """Return what two rows have in common that are the same to a model."""
    values = ((name, row.get(name)) for name in names)
    return tuple(
        (name, value.removesuffix("Z") if isinstance(value, str) else value)
        for name, value in values
    )


def _rank(record: Mapping[str, Any]) -> tuple[str, float]:
    """Return the score; with several classes, the most likely one and its score."""
    if scores := record.get("scores"):
        likeliest = max(scores, key=scores.__getitem__)
        return likeliest, scores[likeliest]
    return "", record.get("score", 0.0)
