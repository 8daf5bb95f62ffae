"""What a request to the service may hold, from the schema of the raw data and the rows that train.

Of Pandera's checks, ``in_range``, ``gt``, ``ge``, ``lt``, ``le``, ``isin``, ``str_matches`` and
``str_length`` become bounds of requests. A check that is a function cannot: it guards training
only, so give such a column bounds beside it. A text whose length the schema does not limit may
have 1,000 characters, or as many as the longest that trains.
"""

import math
from collections.abc import Callable, Mapping
from typing import Any, Literal

import numpy as np
import pandas as pd
from pandera.pandas import Check
from pandera.pandas import Column as AnyColumn

from mlops.artifact.model_folder import Array, Column
from mlops.artifact.table import Nullable, to_columns

Kind = Literal["integer", "number", "string", "boolean", "datetime"]
KINDS: dict[str, Kind] = {
    **{"i": "integer", "u": "integer", "f": "number", "b": "boolean", "M": "datetime"},
}
LONGEST = 1000  # characters
ANY = AnyColumn(nullable=True)
OBJECTS: dict[type, Kind] = {str: "string", bool: "boolean", int: "integer", float: "number"}


def describe(training: pd.DataFrame, rules: Mapping[str, AnyColumn], target: str) -> list[Column]:
    """Return what a request may hold, for each column but the target and those JSON cannot hold.

    ``training`` are the checked rows that train; they decide types and examples. ``rules`` are the
    schema's, by column.
    """
    return [
        _column(name, values, kind, training[name].dtype, rules.get(name, ANY))
        for name, values in to_columns(training).items()
        if name != target and (kind := _kind(values, training[name].dtype))
    ]


def _column(name: str, values: Array, kind: Kind, dtype: Any, rules: AnyColumn) -> Column:
    zoned = kind != "datetime" or isinstance(dtype, pd.DatetimeTZDtype)

    def to_json(value: Any) -> Any:
        return _to_json(value) if zoned else str(_to_json(value)).removesuffix("Z")

    categories = list(getattr(rules.dtype, "categories", None) or [])
    bounds: dict[str, Any] = {"categories": categories} if categories else {}
    for check in rules.checks:
        for bound, value in _bounds(check, kind).items():
            bounds[bound] = _narrower(bound, bounds.get(bound), value)
    known = values[~pd.isna(values)]
    if kind == "string":  # without a limit, one row could be as long as a whole request
        bounds.setdefault("max_length", max([LONGEST, *map(len, known)]))
    return Column(
        name=name,
        type=kind,
        dtype=str(values.dtype),
        nullable=rules.nullable and values.dtype.kind in "fMO",  # the others have no missing value
        zoned=zoned,
        example=_example(known, kind, to_json),
        **{bound: to_json(value) for bound, value in bounds.items()},
    )


def _kind(values: Array, dtype: Any) -> Kind | None:
    if isinstance(dtype, Nullable):  # floats in training, as what is missing has no other place
        if pd.api.types.is_bool_dtype(dtype):
            return "boolean"
        if pd.api.types.is_integer_dtype(dtype):
            return "integer"
    if values.dtype.kind != "O":
        return KINDS.get(values.dtype.kind)
    held = {type(value) for value in values[~pd.isna(values)]} or {str}
    return OBJECTS.get(held.pop()) if len(held) == 1 else None


def _bounds(check: Check, kind: Kind) -> dict[str, Any]:
    """Return what one check demands, with bounds that include their ends."""
    said = check.statistics or {}
    match check.name:
        case "greater_than_or_equal_to":
            return {"minimum": said["min_value"]}
        case "less_than_or_equal_to":
            return {"maximum": said["max_value"]}
        case "greater_than":
            return {"minimum": _beyond(said["min_value"], 1, kind)}
        case "less_than":
            return {"maximum": _beyond(said["max_value"], -1, kind)}
        case "in_range":
            low, high = said["min_value"], said["max_value"]
            return {
                "minimum": low if said.get("include_min", True) else _beyond(low, 1, kind),
                "maximum": high if said.get("include_max", True) else _beyond(high, -1, kind),
            }
        case "isin":
            return {"categories": [_to_json(value) for value in said["allowed_values"]]}
        case "str_matches":  # as re.match does, from the first character on
            return {"pattern": f"^(?:{said['pattern']})"}
        case "str_length":
            found = {"min_length": said.get("min_value"), "max_length": said.get("max_value")}
            return {bound: value for bound, value in found.items() if value is not None}
    return {}


def _beyond(value: Any, direction: int, kind: Kind) -> Any:
    """Return the value next to ``value``."""
    if kind == "datetime":
        return pd.Timestamp(value) + direction * pd.Timedelta(1, "us")
    if kind == "integer":
        return math.floor(value) + 1 if direction > 0 else math.ceil(value) - 1
    return math.nextafter(value, direction * math.inf)


def _narrower(bound: str, known: Any, new: Any) -> Any:
    if known is None:
        return new
    if bound.startswith("min"):
        return max(known, new)
    return min(known, new) if bound.startswith("max") else new


def _to_json(value: Any) -> Any:
    if isinstance(value, list | str | bool | int | float):
        return value
    if isinstance(value, np.number | np.bool):
        return value.item()
    instant = pd.Timestamp(value)
    instant = instant.tz_localize("UTC") if instant.tz is None else instant.tz_convert("UTC")
    return instant.isoformat().replace("+00:00", "Z")


def _example(known: Array, kind: Kind, to_json: Callable[[Any], Any]) -> Any:
    """Return the median, or what is most frequent; no row, so that it is nobody's."""
    if not len(known):
        return None
    if kind in ("string", "boolean"):
        counts = pd.Series(known, dtype=object).value_counts()
        often = min(counts.index[counts == counts.iloc[0]])
        return str(often) if kind == "string" else bool(often)
    half = len(known) // 2
    middle = np.partition(known, half)[half]
    if kind == "datetime":
        return to_json(middle.astype("datetime64[s]"))
    return int(middle) if kind == "integer" else float(middle)
