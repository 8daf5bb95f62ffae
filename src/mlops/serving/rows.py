"""Rows of a request: their type, made from the model's columns, and the arrays they become.

The type checks requests and describes the API.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches
from math import ceil, floor, nan
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from mlops.artifact.model_folder import Array, Column
from mlops.serving.request import Refusal, encode
from mlops.serving.settings import UnknownFields

TYPES: dict[str, type] = {
    "integer": int,
    "number": float,
    "string": str,
    "boolean": bool,
    "datetime": datetime,
}
NOUNS = {
    "integer": "an integer",
    "number": "a number",
    "string": "a text",
    "boolean": "true or false",
    "datetime": "a time in ISO 8601 with its zone",
}
LOCAL = "a time in ISO 8601 without a zone, as training had none"
INT64 = np.iinfo(np.int64)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LOCAL_EPOCH = EPOCH.replace(tzinfo=None)
MICROSECOND = timedelta(microseconds=1)
NOT_INT = "got `float`"
UNKNOWN = "unknown field"
NAME_LENGTH = 60  # of a field's name that is repeated
WHERE = re.compile(r"(?: - at `\$(?:\[(?P<row>\d+)\])?(?:\.(?P<column>.+))?`)?$")
NAMED = re.compile(r"field `(?P<column>.+)`$")


@dataclass
class Table:
    """The columns of a request as training had them, and what is odd about them, by column."""

    columns: dict[str, Array]
    missing: dict[str, int]
    unknown: dict[str, int]


class RowType:
    """What a row is for one model.

    ``type`` is a :class:`msgspec.Struct`, from which validation and OpenAPI both follow.

    Parameters
    ----------
    columns : list of Column
        What the model reads.
    max_rows : int
        Of one request.
    unread : collection of str
        Further columns of the raw data, which a row may have; they are dropped.
    unknown_fields : {"refuse", "ignore"}
        What is done with a row that has fields beside all of these.
    """

    def __init__(
        self,
        columns: list[Column],
        max_rows: int,
        unread: Collection[str] = (),
        unknown_fields: UnknownFields = "refuse",
    ) -> None:
        self._by_name = {column.name: column for column in columns}
        self._names = list(self._by_name)
        self._max_rows = max_rows
        self._unread = frozenset(unread)
        self._numbers: dict[np.dtype[Any], list[int]] = {}  # of the columns of each dtype
        self._known: list[tuple[int, frozenset[Any]]] = []
        self._nullable: list[int] = []
        self._periods: list[tuple[int, datetime, datetime]] = []
        for number, column in enumerate(columns):
            self._numbers.setdefault(np.dtype(column.dtype), []).append(number)
            if column.categories is not None:
                self._known.append((number, frozenset([*column.categories, None])))
            if column.nullable:
                self._nullable.append(number)
            if column.type == "datetime":
                self._periods.append((number, *period(column)))
        self.type = row_struct(columns, unknown_fields)
        self.example = {column.name: column.example for column in columns}
        many = Annotated[list[self.type], Meta(min_length=1)]  # type: ignore[name-defined]
        self._rows = self.type | many
        self._decoder = msgspec.json.Decoder(self._rows)

    def decode(self, body: bytes) -> list[Any]:
        """Return the rows in a body: one object, or an array of them.

        Raises
        ------
        Refusal
            ``malformed``, ``invalid`` or ``too_many_rows``, saying where and what is allowed.
        """
        try:
            try:
                rows = self._decoder.decode(body)
            except msgspec.ValidationError as error:
                if said := self._wrapped(body):
                    raise Refusal("invalid", said) from None
                if NOT_INT not in str(error) and UNKNOWN not in str(error):
                    raise
                rows = msgspec.convert(self._mended(msgspec.json.decode(body)), self._rows)
        except msgspec.ValidationError as error:
            raise Refusal("invalid", self._sentence(str(error))) from None
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
            raise Refusal("malformed", f"the body is not JSON: {error}") from None
        if not isinstance(rows, list):
            return [rows]
        if len(rows) > self._max_rows:
            raise Refusal(
                "too_many_rows", f"{len(rows)} rows; at most {self._max_rows} in one request"
            )
        return rows

    def to_table(self, rows: list[Any]) -> Table:
        """Return ``n`` rows as arrays of shape (n,), in the form that training had.

        Raises
        ------
        Refusal
            When a time lies outside of its bounds.
        """
        values = list(zip(*map(msgspec.structs.astuple, rows), strict=True))
        names = self._names
        table = Table({}, {}, {})
        for number, known in self._known:
            if not known.issuperset(values[number]):
                table.unknown[names[number]] = sum(one not in known for one in values[number])
        for number in self._nullable:
            if None in values[number]:
                table.missing[names[number]] = values[number].count(None)
        for number, first, last in self._periods:
            for row, time in enumerate(values[number]):
                if time is not None and not first <= time <= last:
                    raise Refusal("invalid", self._at(row, names[number], "too early or late"))
        # An array for each column would take twice as long, when there is one row.
        for dtype, numbers in self._numbers.items():
            arrays = _in_training_form([values[number] for number in numbers], dtype)
            for number, array in zip(numbers, arrays, strict=True):
                table.columns[names[number]] = array
        return table

    def _wrapped(self, body: bytes) -> str:
        """Say what to send instead of rows in an object, as other services want it, or nothing."""
        try:
            content = msgspec.json.decode(body)
        except (msgspec.DecodeError, UnicodeDecodeError, RecursionError):
            return ""
        names = list(content) if isinstance(content, dict) else []
        if len(names) != 1 or names[0] in self._by_name or not isinstance(content[names[0]], list):
            return ""
        return (
            f'send the rows themselves, not {{"{names[0][:40]}": [...]}}: an object for one row, '
            f"an array of objects for several, such as {encode([self.example]).decode()}"
        )

    def _mended(self, content: Any) -> Any:
        """Return a body without the columns that the model does not read, and with 12 for 12.0.

        JSON says that these two are the same, and pandas writes either.
        """
        integers = [name for name, column in self._by_name.items() if column.type == "integer"]
        for number, row in enumerate(content if isinstance(content, list) else [content]):
            if not isinstance(row, dict):
                continue
            for name in row.keys() - self._by_name.keys():
                if name not in self._unread and self.type.__struct_config__.forbid_unknown_fields:
                    raise Refusal("invalid", f"row {number}: {self._unknown(name)}")
                del row[name]
            for name in integers:
                if isinstance(value := row.get(name), float) and value.is_integer():
                    row[name] = int(value)
        return content

    def _unknown(self, name: str) -> str:
        shown = "".join(one if one.isprintable() else "?" for one in name[:NAME_LENGTH])
        near = get_close_matches(shown, self._names, n=1)
        cut = "…" if len(name) > NAME_LENGTH else ""
        meant = f"did you mean {near[0]}?" if near else "GET /model lists all columns"
        return f"there is no field {shown}{cut}; {meant}"

    def _at(self, row: int | str, name: str, problem: str) -> str:
        allowed = allowed_in_words(self._by_name[name])
        return f"row {row}, column {name}: {problem}; allowed: {allowed}"

    def _sentence(self, said: str) -> str:
        where = WHERE.search(said)
        assert where
        problem = said[: where.start()]
        row, name = where["row"], where["column"]
        if found := NAMED.search(problem):
            name = found["column"]
        if name not in self._by_name:
            rows = "the body must be a row (an object) or an array of rows"
            return f"row {row}: {problem}; {rows}" if row else f"{problem}; {rows}"
        return self._at(row or 0, name, problem)


def period(column: Column) -> tuple[datetime, datetime]:
    """Return the first and the last time that a column may hold."""
    # What NumPy can count in nanoseconds since 1970 and, by what ISO 8601 can say, in microseconds.
    first, last = ("1678", "2261") if column.dtype == "datetime64[ns]" else ("0001", "9999")
    zone = "Z" if column.zoned else ""
    return (
        datetime.fromisoformat(str(column.minimum or f"{first}-01-01T00:00:00{zone}")),
        datetime.fromisoformat(str(column.maximum or f"{last}-12-31T23:59:59.999999{zone}")),
    )


def _in_training_form(values: list[tuple[Any, ...]], dtype: np.dtype[Any]) -> Array:
    """Return columns of one dtype as an array of shape (columns, rows)."""
    if dtype.kind == "O":
        return np.array([[nan if one is None else one for one in row] for row in values], dtype)
    if dtype.kind != "M":
        return np.array(values, dtype)
    instants = [
        [
            None if one is None else (one - (EPOCH if one.tzinfo else LOCAL_EPOCH)) // MICROSECOND
            for one in row
        ]
        for row in values
    ]
    return np.array(instants, "datetime64[us]").astype(dtype, copy=False)


def allowed_in_words(column: Column) -> str:
    """Say what a request may hold in a column."""
    bounds = {
        "from {}": column.minimum,
        "up to {}": column.maximum,
        "of at least {} characters": column.min_length,
        "of at most {} characters": column.max_length,
        "that matches {}": column.pattern,
    }
    parts = [said.format(bound) for said, bound in bounds.items() if bound is not None]
    if column.nullable:
        parts.append("or null")
    noun = NOUNS[column.type] if column.zoned else LOCAL
    if column.type == "datetime" and column.example is not None:
        noun += f", such as {column.example}"
    return " ".join([noun, *parts])


def row_struct(columns: list[Column], unknown_fields: UnknownFields) -> Any:
    """Return a :class:`msgspec.Struct` with a field for each column, in their order."""
    fields = []
    for number, column in enumerate(columns):
        kind: Any = Annotated[TYPES[column.type], limits(column)]
        default = {"default": None} if column.nullable else {}
        fields.append(
            (
                f"c{number}",  # a column's name need not be one in Python
                kind | None if column.nullable else kind,
                msgspec.field(name=column.name, **default),
            )
        )
    strict = unknown_fields == "refuse"
    return msgspec.defstruct("Row", fields, kw_only=True, gc=False, forbid_unknown_fields=strict)


def limits(column: Column) -> Meta:
    """Return what msgspec holds a column's values to: their bounds, and of times the zone."""
    bounds: dict[str, Any] = {}
    if column.type == "integer":
        held = np.iinfo(column.dtype) if column.dtype[0] in "iu" else INT64
        low, high = max(held.min, INT64.min), min(held.max, INT64.max)
        low = low if column.minimum is None else max(low, ceil(float(column.minimum)))
        high = high if column.maximum is None else min(high, floor(float(column.maximum)))
        bounds = {"ge": int(low), "le": int(high)}
    elif column.type == "number":
        bounds = {"ge": column.minimum, "le": column.maximum}
    elif column.type == "string":
        bounds = {
            "min_length": column.min_length,
            "max_length": column.max_length,
            "pattern": column.pattern,
        }
    elif column.type == "datetime":
        bounds = {"tz": column.zoned}
    known = ""
    if column.categories is not None:
        shown = ", ".join(map(str, column.categories[:10]))
        more = ", …" if len(column.categories) > 10 else ""
        known = f"{len(column.categories)} known values: {shown}{more}; others are taken, too"
    return Meta(description=known or None, examples=[column.example], **bounds)
