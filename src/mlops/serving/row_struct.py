"""The type of a row, made from the model's columns: what checks requests and describes the API."""

from datetime import datetime
from math import ceil, floor
from typing import Annotated, Any

import msgspec
import numpy as np
from msgspec import Meta

from mlops.artifact.model_folder import Column

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
    "datetime": "a time in ISO 8601 with its zone, such as 2013-04-01T12:00:00Z",
}
INT64 = np.iinfo(np.int64)


def allowed_in_words(column: Column) -> str:
    """Say what a request may hold in a column."""
    parts = [NOUNS[column.type]]
    if column.minimum is not None:
        parts.append(f"from {column.minimum}")
    if column.maximum is not None:
        parts.append(f"up to {column.maximum}")
    if column.min_length is not None:
        parts.append(f"of at least {column.min_length} characters")
    if column.max_length is not None:
        parts.append(f"of at most {column.max_length} characters")
    if column.pattern is not None:
        parts.append(f"that matches {column.pattern}")
    if column.nullable:
        parts.append("or null")
    return " ".join(parts)


def row_struct(columns: list[Column]) -> Any:
    """Return a :class:`msgspec.Struct` with a field for each column, in their order."""
    fields = []
    for number, column in enumerate(columns):
        kind: Any = Annotated[TYPES[column.type], _meta(column)]
        default = {"default": None} if column.nullable else {}
        fields.append(
            (
                f"c{number}",  # a column's name need not be one in Python
                kind | None if column.nullable else kind,
                msgspec.field(name=column.name, **default),
            )
        )
    return msgspec.defstruct("Row", fields, kw_only=True, gc=False)


def _meta(column: Column) -> Meta:
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
        bounds = {"tz": True}
    known = ""
    if column.categories is not None:
        shown = ", ".join(map(str, column.categories[:10]))
        more = ", …" if len(column.categories) > 10 else ""
        known = f"{len(column.categories)} known values: {shown}{more}; others are taken, too"
    return Meta(description=known or None, examples=[column.example], **bounds)
