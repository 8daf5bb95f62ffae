"""Requests that a service must refuse, built from what it says about its own columns.

Each is wrong for any project and for any limits that the service is configured with: one that is
too large, say, is also broken at its end.
"""

import gzip
import itertools
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from mlops.trial.service_client import JSON

COUNT = 40
LARGE = 2**21  # bytes; twice what the service takes by default
MANY = 2_000  # rows; twice what the service takes by default
DEEP = 100_000

Row = dict[str, Any]
ColumnFacts = Mapping[str, Any]


@dataclass(frozen=True)
class Malformed:
    """A request, and in a few words what is wrong with it."""

    wrong: str
    body: bytes
    method: str = "POST"
    path: str = "/predict"
    headers: Mapping[str, str] = field(default_factory=lambda: JSON)


def requests(row: Row, columns: list[ColumnFacts], unknown_fields: str) -> list[Malformed]:
    """Return 40 requests to refuse; fewer when the columns have no more to offer.

    Parameters
    ----------
    row : dict
        A good row.
    columns : list of mappings
        As ``GET /model`` describes them, see :class:`mlops.artifact.model_folder.Column`.
    unknown_fields : str
        What the service does with them; ``refuse`` adds a request.
    """
    whole = [*_not_json(row), *_not_rows(row), *_not_http(row)]
    if unknown_fields == "refuse":
        misspelt = json.dumps({**row, f"{next(iter(row))}, misspelt": 1})
        whole.append(Malformed("a field that nobody knows", misspelt.encode()))
    return [*whole, *itertools.islice(_wrong_values(row, columns), COUNT - len(whole))]


def _not_json(row: Row) -> list[Malformed]:
    good = json.dumps(row).encode()
    name = json.dumps(next(iter(row))).encode()
    return [
        Malformed("nothing at all", b""),
        Malformed("blanks", b" \n\t "),
        Malformed("half a row", good[: len(good) // 2]),
        Malformed("a comma at the end", good[:-1] + b",}"),
        Malformed("single quotes", good.replace(b'"', b"'")),
        Malformed("two rows without an array", good + good),
        Malformed("a comment", b"/* one row */" + good),
        Malformed("NaN, which JSON does not have", b"{" + name + b": NaN}"),
        Malformed("Infinity, which JSON does not have", b"{" + name + b": -Infinity}"),
        Malformed("bytes that are not UTF-8", b"{" + name + b': "\xff\xfe\x80"}'),
        Malformed("UTF-16", good.decode().encode("utf-16")),
        Malformed("half of a surrogate pair", b"{" + name + b': "\\ud800"}'),
        Malformed("a line break inside a string", b"{" + name + b': "one\ntwo"}'),
        Malformed("deep nesting", b"[" * DEEP + b"]" * DEEP),
        Malformed("deep nesting, never closed", good[:-1] + b', "none": ' + b"[" * DEEP),
        Malformed("too large, and never closed", b"[" + b" " * LARGE),
    ]


def _not_rows(row: Row) -> list[Malformed]:
    wrong = {
        "null instead of a row": None,
        "a number instead of a row": 1,
        "a string instead of a row": json.dumps(row),
        "no rows": [],
        "rows in an array in an array": [[row]],
        "null among rows": [row, None],
        "too many rows, and a number at their end": [*[row] * MANY, 0],
    }
    return [Malformed(name, json.dumps(body).encode()) for name, body in wrong.items()]


def _not_http(row: Row) -> list[Malformed]:
    good = json.dumps(row).encode()
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    return [
        Malformed("text/plain", good, headers={"Content-Type": "text/plain"}),
        Malformed("a form", b"row=1", headers=form),
        Malformed("compressed", gzip.compress(good), headers=JSON | {"Content-Encoding": "gzip"}),
        Malformed("GET instead of POST", b"", method="GET"),
        Malformed("DELETE instead of POST", b"", method="DELETE"),
        Malformed("an address that does not exist", good, path="/predictions"),
    ]


def _wrong_values(row: Row, columns: list[ColumnFacts]) -> Iterator[Malformed]:
    """Spoil one value after another, each time in another way and in another column."""
    ways: dict[str, list[tuple[str, Row]]] = {}
    for column in columns:
        for wrong, bad in _spoilt(row, column):
            ways.setdefault(wrong, []).append((f"{wrong} in column {column['name']}", bad))
    for done in range(max(map(len, ways.values()), default=0)):
        for turn, found in enumerate(ways.values()):
            if done < len(found):
                said, bad = found[(done + turn) % len(found)]
                yield Malformed(said, json.dumps([row, row, bad] if turn % 2 else bad).encode())


def _spoilt(row: Row, column: ColumnFacts) -> Iterator[tuple[str, Row]]:
    name, kind = column["name"], column["type"]

    def with_value(wrong: str, value: object) -> tuple[str, Row]:
        return wrong, {**row, name: value}

    number = kind in ("integer", "number")
    if number:
        yield with_value("a string for a number", "twelve")
    if kind == "datetime":
        yield with_value("a day that does not exist", "2013-02-30T00:00:00Z")
        zoned = column.get("zoned", True)
        wrong = "a time without its zone" if zoned else "a time with a zone, which nothing had"
        yield with_value(wrong, f"2013-03-30T00:00:00{'' if zoned else 'Z'}")
    if kind in ("string", "datetime"):
        yield with_value("a number for a string", 12.5)
    if not column["nullable"]:
        yield "no value", {key: value for key, value in row.items() if key != name}
        yield with_value("null", None)
    if number and column["minimum"] is not None:
        yield with_value("a value below the least", _far(column["minimum"], -1))
    if number and column["maximum"] is not None:
        yield with_value("a value above the greatest", _far(column["maximum"], 1))
    if kind == "string" and column.get("max_length") is not None:
        yield with_value("a text that is too long", "x" * (column["max_length"] + 1))
    if kind == "integer":
        yield with_value("a fraction for an integer", 1.5)
    if kind != "boolean":
        yield with_value("true", True)
    yield with_value("an object", {"value": 1})
    yield with_value("an array", [1, 2])


def _far(bound: float, direction: int) -> float:
    return bound + direction * (abs(bound) + 1)
