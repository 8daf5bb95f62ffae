"""What differs between two models besides their predictions."""

from typing import Any

from mlops.artifact.model_folder import Facts
from mlops.project.params import flatten

WINDOWS = ("data.window.", "data.holdout.")


def between(
    old: Facts, new: Facts, old_gate: dict[str, Any] | None, new_gate: dict[str, Any]
) -> dict[str, Any]:
    """Return what changed from the champion to the candidate.

    Returns
    -------
    dict
        ``window`` and ``data``: None, or ``{"champion", "candidate"}``. ``params``: the settings
        that differ, the gate's own among them; ``gate``: whether there are any of those.
        ``schema``: the columns whose rules differ. ``code``: the files of ``src/model``
        that differ. ``features``: added and removed.
    """
    gate = _differences({"gate": old_gate}, {"gate": new_gate}) if old_gate else []
    return {
        "window": _pair(str(old.window), str(new.window)),
        "data": _pair(old.data_md5, new.data_md5),
        "rows": {"champion": old.rows, "candidate": new.rows},
        "params": [*_differences(_settings(old), _settings(new)), *gate],
        "gate": bool(gate),
        "schema": _differences(old.schema_columns, new.schema_columns),
        "code": sorted(name for name in new.code if new.code[name] != old.code.get(name)),
        "features": {
            "added": [name for name in new.features if name not in old.features],
            "removed": [name for name in old.features if name not in new.features],
        },
        "requirements": old.requirements_md5 != new.requirements_md5,
    }


def _settings(facts: Facts) -> dict[str, Any]:
    return {**facts.params, "serving": {"runtime": facts.runtime}}


def _pair(old: str, new: str) -> dict[str, str] | None:
    return None if old == new else {"champion": old, "candidate": new}


def _differences(old: dict[str, Any], new: dict[str, Any]) -> list[dict[str, Any]]:
    before, after = flatten(old), flatten(new)
    return [
        {"key": key, "champion": before.get(key), "candidate": after.get(key)}
        for key in dict.fromkeys([*before, *after])
        if before.get(key) != after.get(key) and not key.startswith(WINDOWS)
    ]
