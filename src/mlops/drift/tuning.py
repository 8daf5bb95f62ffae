"""Which lines of ``params.yaml`` would have kept a check from speaking up."""

import math
from decimal import Decimal
from typing import Any

import yaml

# Characters of the names of columns that get thresholds of their own. With more, what is to change
# is how many may drift.
LONGEST = 120

Settings = dict[str, Any]


def diff(drift: dict[str, Any]) -> str:
    """Return the smallest changes with which no question would have been violated.

    Parameters
    ----------
    drift : dict
        What ``reports/drift.json`` holds.

    Returns
    -------
    str
        A diff of the section ``drift`` in ``params.yaml``; empty when nothing was violated.
    """
    lines = []
    for key, then in changes(drift["questions"], drift["settings"]).items():
        *parents, name = key.split(".")
        now, indent = drift["settings"], "  "
        for parent in parents:
            now, indent = now[parent], f"{indent}  "
            lines.append(f"   {parent}:")
        lines.append(f"-{indent}{name}: {_yaml(now[name])}")
        lines.append(f"+{indent}{name}: {_yaml(then)}")
    return "\n".join([" drift:", *lines]) if lines else ""


def changes(questions: dict[str, Any], settings: Settings) -> Settings:
    """Return new values by their keys below ``drift``, in the order of the file."""
    violated = {name: it for name, it in questions.items() if it["state"] == "violated"}
    found: Settings = {}
    if "data" in violated:
        found = _of_columns(violated["data"]["columns"], settings)
    if "predictions" in violated:
        found["predictions"] = max(_beyond(it) for it in violated["predictions"]["columns"])
    if "concept" in violated:
        found["concept"] = above(abs(violated["concept"]["value"]))
    if "staleness" in violated:
        found["stale_days"] = above(violated["staleness"]["value"])
    return found


def _of_columns(columns: list[dict[str, Any]], settings: Settings) -> Settings:
    drifted = [it for it in columns if it["drifted"]]
    far = {it["name"]: _beyond(it) for it in drifted if "score" in it["why"]}
    if len(", ".join(far)) > LONGEST:
        return {"columns.at_least": len(drifted) + 1}
    found: Settings = {}
    if far:
        found["columns.own"] = settings["columns"]["own"] | far
    if new := [it["new_share"] for it in drifted if "new categories" in it["why"]]:
        found["new_categories"] = min(1.0, above(max(new)))
    gone = [it["missing"] for it in drifted if "missing" in it["why"]]
    if gone:
        rise = max(share["current"] - share["reference"] for share in gone)
        found["missing"] = min(1.0, above(rise))
    return found


def _beyond(column: dict[str, Any]) -> float:
    """Return a threshold that a column stays below, also once it is judged on all rows."""
    return above(column["score"] + (column["sampling_error"] or 0.0))


def above(value: float) -> float:
    """Return the next larger number of two digits; of whole numbers, the next one.

    Examples
    --------
    >>> above(0.3141), above(1.3), above(204)
    (0.32, 1.4, 205)
    """
    if isinstance(value, int):
        return value + 1
    step = Decimal(10) ** (math.floor(math.log10(value)) - 1)
    return float((Decimal(repr(value)) // step + 1) * step)


def _yaml(value: Any) -> str:
    """Write a value as it stands in one line of YAML; names that do not print are escaped."""
    if not isinstance(value, dict):
        return f"{value:g}"
    text = yaml.safe_dump(
        value,
        default_flow_style=True,
        sort_keys=False,
        width=math.inf,
        allow_unicode=all(name.isprintable() for name in value),
    )
    return f"{{ {text.strip()[1:-1]} }}" if value else "{}"
