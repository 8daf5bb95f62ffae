"""Rows of a table, held to what the service holds a request to, whole columns at a time.

What can be seen of a column is compared at once. Each row about which that leaves a doubt is sent
through the service's own decoder: what it takes is taken, and what it says is the reason.
"""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import msgspec
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from mlops.artifact.model_folder import Array, Column, Facts
from mlops.serving.request import Refusal, encode
from mlops.serving.rows import RowType, limits, period

SAFE = 2**53  # up to here, floats hold every whole number
WHOLE = re.compile(r"[-+]?\d+")
# Times as both Arrow and the service read them; others are the service's to judge.
CLOCK = r"^\d{4}-\d\d-\d\d[T ]\d\d:\d\d:\d\d(\.\d{1,6})?"
ZONED, LOCAL = rf"{CLOCK}(Z|[-+]([01]\d|2[0-3]):[0-5]\d)$", rf"{CLOCK}$"


@dataclass(frozen=True)
class Reject:
    """A row that gets no score: where it is, counted from 0, and why."""

    row: int
    column: str
    reason: str


@dataclass
class Plain:
    """A column of ``n`` values; where one is ``missing``, the value says nothing.

    Whole numbers are int64, numbers float64, texts objects, times ``datetime64[us]`` in UTC.
    """

    values: Array
    missing: Array


@dataclass(frozen=True)
class Checked:
    """The ``good`` rows of a table, as positions, with their ``columns``; and the ``rejects``."""

    good: Array
    columns: dict[str, Plain]
    rejects: list[Reject]


class Checker:
    """Checks rows for one model."""

    def __init__(self, facts: Facts) -> None:
        self._columns = {column.name: column for column in facts.columns}
        self._limits = {column.name: limits(column) for column in facts.columns}
        self._type = RowType(facts.columns, max_rows=1)

    def check(self, table: pa.Table, texts: bool) -> Checked:
        """Check the rows of a table that has all columns.

        ``texts``: all columns are texts, as in CSV, and numbers are to be read from them.
        """
        arrays = {name: _sendable(table[name]) for name in self._columns}
        doubt = np.zeros(len(table), bool)
        columns = {}
        for name, array in arrays.items():
            columns[name], doubtful = self._plain(self._columns[name], array, texts)
            doubt |= doubtful
        rejects = []
        good = np.ones(len(table), bool)
        for row in np.flatnonzero(doubt).tolist():
            sent = {name: array[row] for name, array in arrays.items()}
            answer = self._ask(sent, texts)
            if isinstance(answer, tuple):
                rejects.append(Reject(row, *answer))
                good[row] = False
                continue
            for plain, value in zip(columns.values(), answer, strict=True):
                plain.missing[row] = value is None
                if value is not None:
                    plain.values[row] = value
        kept = np.flatnonzero(good)
        if rejects:
            columns = {
                name: Plain(it.values[kept], it.missing[kept]) for name, it in columns.items()
            }
        return Checked(kept, columns, rejects)

    def in_training_form(self, columns: dict[str, Plain]) -> dict[str, Array]:
        """Return arrays as :meth:`RowType.to_table` makes them."""
        return {
            name: _in_training_form(plain, np.dtype(self._columns[name].dtype))
            for name, plain in columns.items()
        }

    def as_sent(self, columns: dict[str, Plain]) -> list[dict[str, Any]]:
        """Return rows as the service would have decoded them."""
        lists = {}
        for name, plain in columns.items():
            values = plain.values.tolist()
            if self._columns[name].type == "datetime" and self._columns[name].zoned:
                values = [it and it.replace(tzinfo=UTC) for it in values]
            if plain.missing.any():
                gone = plain.missing.tolist()
                values = [None if no else it for it, no in zip(values, gone, strict=True)]
            lists[name] = values
        return [dict(zip(lists, row, strict=True)) for row in zip(*lists.values(), strict=True)]

    def _ask(self, sent: dict[str, Any], texts: bool) -> tuple[str, str] | list[Any]:
        """Return what the service makes of a row: its values, or column and reason."""
        row = {}
        for name, value in sent.items():
            try:
                row[name] = _as_json(value.as_py(), self._columns[name].type if texts else "")
            except (ValueError, OverflowError):  # a time that Python cannot say
                return name, "too early or late"
        try:
            (decoded,) = self._type.decode(encode(row))
            self._type.to_table([decoded])
        except Refusal as refusal:
            message = refusal.message
            for name in sorted(self._columns, key=len, reverse=True):
                if message.startswith(start := f"row 0, column {name}: "):
                    return name, message.removeprefix(start)
            return "", message.removeprefix("row 0: ")
        values = msgspec.structs.astuple(decoded)
        return [_in_utc(value) for value in values]

    def _plain(self, column: Column, array: pa.Array, texts: bool) -> tuple[Plain, Array]:
        """Return a column's values, and where its rows are in doubt."""
        reading: Callable[..., tuple[Plain, Array]] = {
            "integer": _integers,
            "number": _numbers,
            "string": _strings,
            "boolean": _booleans,
            "datetime": _times,
        }[column.type]
        plain, doubt = reading(column, array, texts)
        if not column.nullable:
            doubt = doubt | plain.missing
        return plain, doubt | (~plain.missing & ~self._inside(column, plain))

    def _inside(self, column: Column, plain: Plain) -> Array:
        """Return where values keep the column's bounds."""
        inside = np.ones(len(plain.values), bool)
        bounds = self._limits[column.name]
        if column.type == "datetime":
            low, high = (np.datetime64(it.replace(tzinfo=None), "us") for it in period(column))
            return (plain.values >= low) & (plain.values <= high)
        if bounds.ge is not None:
            inside &= plain.values >= bounds.ge
        if bounds.le is not None:
            inside &= plain.values <= bounds.le
        return inside


def _sendable(values: pa.ChunkedArray) -> pa.Array:
    """Return a column in one of the types that stand for something in JSON."""
    array = values.combine_chunks() if values.num_chunks != 1 else values.chunk(0)
    kind = array.type
    if pa.types.is_dictionary(kind):
        array = array.dictionary_decode()
        kind = array.type
    if pa.types.is_decimal(kind) or pa.types.is_float16(kind):
        return array.cast(pa.float64())
    if pa.types.is_large_string(kind) or pa.types.is_string_view(kind):
        return array.cast(pa.string())
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return array.cast(pa.timestamp("us", kind.tz), safe=False)  # no finer than the service's
    return array


def _as_json(value: Any, of_text: str) -> Any:
    """Return a value as a request has it; ``of_text``: what the text is to be."""
    if isinstance(value, str) and of_text in ("integer", "number"):
        try:
            value = int(value) if WHOLE.fullmatch(value.strip()) else float(value)
        except ValueError:
            return value
    if isinstance(value, str) and of_text == "boolean":
        return {"true": True, "false": False, "1": True, "0": False}.get(value.lower(), value)
    if isinstance(value, bytes):
        return list(value)  # which msgspec would make a text of
    if isinstance(value, float) and abs(value) == np.inf:
        return msgspec.Raw(b"1e999")
    return value


def _in_utc(value: Any) -> Any:
    if isinstance(value, datetime) and value.tzinfo:
        return value.astimezone(UTC).replace(tzinfo=None)
    return value


def _cast(array: pa.Array, kind: pa.DataType) -> tuple[pa.Array, Array]:
    """Cast a column; return where that is not possible, and nulls in those places."""
    try:
        return array.cast(kind), np.zeros(len(array), bool)
    except pa.ArrowInvalid:
        if len(array) == 1:
            return pa.nulls(1, kind), np.ones(1, bool)
    except pa.ArrowNotImplementedError:
        return pa.nulls(len(array), kind), _valid(array)
    half = len(array) // 2
    halves = [_cast(array[:half], kind), _cast(array[half:], kind)]
    values = pa.concat_arrays([cast for cast, _ in halves])
    return values, np.concatenate([failed for _, failed in halves])


def _valid(array: pa.Array) -> Array:
    valid: Array = array.is_valid().to_numpy(zero_copy_only=False)
    return valid


def _filled(array: pa.Array, filling: Any) -> Plain:
    missing = ~_valid(array)
    if array.null_count:
        array = array.fill_null(filling)
    values = array.to_numpy(zero_copy_only=False)
    return Plain(values if values.flags.writeable else values.copy(), missing)


def _numbers(column: Column, array: pa.Array, texts: bool) -> tuple[Plain, Array]:
    kind = array.type
    number = pa.types.is_floating(kind) or pa.types.is_integer(kind) or pa.types.is_null(kind)
    if not number and not (texts and pa.types.is_string(kind)):
        return _all_in_doubt(array, np.float64)
    if pa.types.is_integer(kind):
        whole = array.fill_null(0).to_numpy()  # Arrow refuses what float64 cannot hold exactly
        return Plain(whole.astype(np.float64), ~_valid(array)), np.zeros(len(array), bool)
    cast, failed = _cast(array, pa.float64())
    plain = _filled(cast, np.nan)
    plain.missing |= np.isnan(plain.values)
    return plain, failed | np.isinf(plain.values)


def _integers(column: Column, array: pa.Array, texts: bool) -> tuple[Plain, Array]:
    kind = array.type
    if pa.types.is_integer(kind) or (texts and pa.types.is_string(kind)):
        cast, failed = _cast(array, pa.int64())
        if pa.types.is_integer(kind) or not failed.any():
            return _filled(cast, 0), failed
    plain, doubt = _numbers(column, array, texts)
    with np.errstate(invalid="ignore"):
        whole = (np.floor(plain.values) == plain.values) & (abs(plain.values) < SAFE)
    doubt = doubt | (~whole & ~plain.missing)
    values = np.where(whole, plain.values, 0).astype(np.int64)
    return Plain(values, plain.missing), doubt


def _booleans(column: Column, array: pa.Array, texts: bool) -> tuple[Plain, Array]:
    if not (pa.types.is_boolean(array.type) or pa.types.is_null(array.type)):
        if not (texts and pa.types.is_string(array.type)):
            return _all_in_doubt(array, np.bool)
        array, failed = _cast(array, pa.bool_())  # true and false, 1 and 0
        plain = _filled(array, False)
        return plain, failed
    return _filled(array.cast(pa.bool_()), False), np.zeros(len(array), bool)


def _strings(column: Column, array: pa.Array, texts: bool) -> tuple[Plain, Array]:
    if not (pa.types.is_string(array.type) or pa.types.is_null(array.type)):
        return _all_in_doubt(array, np.object_)
    # Each text once: as an object, and for its bounds.
    coded = array.cast(pa.string()).dictionary_encode()
    known = [*coded.dictionary.to_pylist(), None]
    bounds = limits(column)
    least, most = bounds.min_length or 0, bounds.max_length
    fits = [
        text is None
        or (
            len(text) >= least
            and (most is None or len(text) <= most)
            and (bounds.pattern is None or re.search(bounds.pattern, text) is not None)
        )
        for text in known
    ]
    codes = coded.indices.fill_null(len(known) - 1).to_numpy()
    plain = Plain(np.array(known, object)[codes], codes == len(known) - 1)
    return plain, ~np.array(fits)[codes]


def _times(column: Column, array: pa.Array, texts: bool) -> tuple[Plain, Array]:
    kind = pa.timestamp("us", "UTC" if column.zoned else None)
    if pa.types.is_string(array.type):
        form = pc.match_substring_regex(array, ZONED if column.zoned else LOCAL)
        cast, failed = _cast(pc.if_else(form, array, None), kind)
        plain = _filled(cast, 0)
        doubt = failed | (plain.missing & _valid(array))
    elif pa.types.is_timestamp(array.type) and bool(array.type.tz) == column.zoned:
        cast, doubt = _cast(array, pa.timestamp("us", array.type.tz))
        plain = _filled(cast, 0)
    elif pa.types.is_null(array.type):
        plain, doubt = _filled(array.cast(kind), 0), np.zeros(len(array), bool)
    else:
        return _all_in_doubt(array, "datetime64[us]")
    plain.missing = ~_valid(array)
    return plain, doubt


def _all_in_doubt(array: pa.Array, dtype: Any) -> tuple[Plain, Array]:
    known = _valid(array)
    return Plain(np.zeros(len(array), dtype), ~known), known


def _in_training_form(plain: Plain, dtype: np.dtype[Any]) -> Array:
    values = plain.values.astype(dtype)
    if plain.missing.any():
        values[plain.missing] = np.datetime64("NaT") if dtype.kind == "M" else np.nan
    return values
