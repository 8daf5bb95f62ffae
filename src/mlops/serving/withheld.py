"""What of a row nobody is to find in a log: columns left out, or a hash in the place of a value."""

import hashlib
import hmac
from collections.abc import Collection
from difflib import get_close_matches
from typing import Any

import msgspec

from mlops.project.errors import MlopsError

SETTING, KEY = "PREDICTION_LOG_EXCLUDE", "PREDICTION_LOG_HASH_KEY"
HASHED = ":hash"  # behind a column's name


class Withheld:
    """The columns that a log does not hold as they were sent.

    A hash is HMAC-SHA256 in hexadecimal, so equal values stay equal, and only who has the key can
    try values. Without a key it is SHA-256, which anybody can compare with the hash of a guess.

    Parameters
    ----------
    setting : str
        Names of columns with commas between them; behind one that is to be hashed, ``:hash``.
    key : str
        Of the hashes; may be empty.
    known : collection of str
        All columns that a row may have.

    Raises
    ------
    MlopsError
        When there is no such column, as a misspelt one would be logged.
    """

    def __init__(self, setting: str, key: str, known: Collection[str]) -> None:
        names = [name for part in setting.split(",") if (name := part.strip())]
        self.hashed = [name.removesuffix(HASHED) for name in names if name.endswith(HASHED)]
        self.left_out = [name for name in names if not name.endswith(HASHED)]
        self._key = key.encode()
        for name in (*self.left_out, *self.hashed):
            if name not in known:
                near = get_close_matches(name, known, n=1)
                meant = f"did you mean {near[0]}?" if near else f"there are {', '.join(known)}"
                raise MlopsError(f"{SETTING}: the model has no column {name!r}; {meant}")

    def __bool__(self) -> bool:
        return bool(self.left_out or self.hashed)

    def without(self, rows: list[Any]) -> list[Any]:
        """Return ``n`` rows as a log may have them; those given stay as they are."""
        return [self._without(msgspec.to_builtins(row)) for row in rows] if self else rows

    def _without(self, row: dict[str, Any]) -> dict[str, Any]:
        for name in self.left_out:
            row.pop(name, None)
        for name in self.hashed:
            if row.get(name) is not None:  # that a value is missing stays visible
                row[name] = self._hash(row[name])
        return row

    def _hash(self, value: Any) -> str:
        text = value.encode() if isinstance(value, str) else msgspec.json.encode(value)
        if self._key:
            return hmac.digest(self._key, text, "sha256").hex()
        return hashlib.sha256(text).hexdigest()
