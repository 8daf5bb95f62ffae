"""The model registry as a branch keeps it: the versions, and which of them is the champion."""

import json
import sqlite3
import tempfile
from dataclasses import dataclass
from pathlib import Path

# Read from its tables: to be asked, MLflow would first have to be imported and migrate them.
VERSIONS = """
    SELECT version, name,
        (SELECT json_group_array(alias) FROM registered_model_aliases a
            WHERE a.name = v.name AND a.version = v.version),
        (SELECT json_group_object(key, value) FROM model_version_tags t
            WHERE t.name = v.name AND t.version = v.version)
    FROM model_versions v ORDER BY name, version DESC
"""


@dataclass(frozen=True)
class Version:
    number: int
    name: str
    aliases: list[str]
    tags: dict[str, str]


def versions(database: bytes) -> list[Version]:
    """Return the versions in an ``mlflow.db``, the newest first."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder, "mlflow.db")
        path.write_bytes(database)
        connection = sqlite3.connect(path)
        try:
            rows = connection.execute(VERSIONS).fetchall()
        finally:
            connection.close()
    return [
        Version(number, name, sorted(json.loads(aliases)), json.loads(tags))
        for number, name, aliases, tags in rows
    ]
