"""The built-in registry's sqlite file: its address, whether it is whole, what it holds."""

import sqlite3
from contextlib import closing
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple
from urllib.parse import quote, unquote, urlsplit

from mlops.project.errors import MlopsError

NAME = "mlflow.db"
ARTIFACTS = "store:/artifacts"  # relative to the database, so that the two can move together

TABLES = "SELECT count(*) FROM sqlite_master WHERE name = 'model_versions'"
VERSIONS = (
    "SELECT version, source, run_id FROM model_versions"
    " WHERE current_stage != 'Deleted_Internal' AND name = ?"
)
LOCK_SECONDS = 20  # as long as MLflow itself waits for another writer


class Version(NamedTuple):
    """A registered version; its source tells apart two that were given the same number."""

    name: str
    number: int
    source: str

    def __str__(self) -> str:
        return f"{self.name} {self.number}"


def to_uri(path: Path) -> str:
    """Return the URI of a database file."""
    # Nothing else is escaped, because MLflow also cuts the path out of the URI as it stands.
    return f"sqlite:///{path.absolute()}".replace("%", "%25").replace("?", "%3F")


def to_path(uri: str) -> Path:
    """Return the file that a ``sqlite:`` URI names."""
    # As SQLAlchemy's make_url does; importing that takes longer than all else of a look-up.
    return Path(unquote(uri.partition("?")[0].partition(":///")[2])).absolute()


def artifact_path(database: Path, artifact_uri: str) -> Path:
    """Return the path that ``store:/...`` means beside ``database``, refusing one elsewhere."""
    root = database.parent.resolve()
    path = (root / unquote(urlsplit(artifact_uri).path).lstrip("/")).resolve()
    if not path.is_relative_to(root):
        raise MlopsError(f"artifact {artifact_uri} would lie outside {root}; it is not read")
    return path


def connect(path: Path) -> sqlite3.Connection:
    """Open an existing database; a missing one is an error, never made."""
    # Not mode=ro: after a kill in mid-write, opening has to roll the unfinished write back.
    return sqlite3.connect(
        f"file:{quote(str(path.absolute()))}?mode=rw", timeout=LOCK_SECONDS, uri=True
    )


def damage(path: Path) -> str | None:
    """Say what is wrong with the database, or None when it is whole."""
    if not path.is_file():
        return "it is not there"
    try:
        with closing(connect(path)) as connection:
            found = str(connection.execute("PRAGMA quick_check(1)").fetchone()[0])
            # An empty file is a valid database to sqlite, and MLflow would fill it anew.
            tables = connection.execute(TABLES).fetchone()[0]
    except sqlite3.DatabaseError as error:
        if "locked" in str(error):
            raise MlopsError(f"{path} is locked by another process; try again later") from None
        return str(error)
    if found != "ok":
        return " ".join(found.split())
    return None if tables else "it holds no MLflow registry"


def versions(path: Path) -> set[Version]:
    """Return every registered version."""
    # Not through MLflow: importing it and opening a store takes seconds for each.
    with closing(connect(path)) as connection:
        rows = connection.execute("SELECT name, version, source FROM model_versions")
        return {Version(*row) for row in rows}


class Reader:
    """What ``MlflowClient`` answers about registered models, read without MLflow.

    Importing MLflow and opening its store takes more processor time than all that most commands do,
    so those that only look something up read its tables. What is not there is None, here as in
    :func:`mlops.registry.model_version.find_or_none`; before its first use the registry is empty.
    """

    def __init__(self, tracking_uri: str) -> None:
        self.tracking_uri = tracking_uri

    def get_registered_model(self, name: str) -> SimpleNamespace | None:
        if not self._rows("SELECT name FROM registered_models WHERE name = ?", name):
            return None
        aliases = "SELECT alias, version FROM registered_model_aliases WHERE name = ?"
        tags = "SELECT key, value FROM registered_model_tags WHERE name = ?"
        return SimpleNamespace(
            # The tags first, as :func:`mlops.registry.model_version.standing` asks for.
            tags=dict(self._rows(tags, name)),
            name=name,
            aliases=dict(self._rows(aliases, name)),
        )

    def get_model_version(self, name: str, version: str) -> SimpleNamespace | None:
        tags = "SELECT key, value FROM model_version_tags WHERE name = ? AND version = ?"
        for one in self.search_model_versions(f"name='{name}'"):
            if str(one.version) == version:
                one.tags = dict(self._rows(tags, name, version))
                return one
        return None

    def search_model_versions(self, filter_string: str) -> list[SimpleNamespace]:
        name = filter_string.removeprefix("name='").removesuffix("'")
        return [
            SimpleNamespace(name=name, version=number, source=source, run_id=run)
            for number, source, run in self._rows(VERSIONS, name)
        ]

    def _rows(self, query: str, *values: str) -> list[Any]:
        path = to_path(self.tracking_uri)
        if not path.exists():
            return []
        with closing(connect(path)) as connection:
            return connection.execute(query, values).fetchall()


def copy(source: Path, target: Path) -> None:
    """Copy a database that others may be writing to, as of one moment."""
    with closing(connect(source)) as reader, closing(sqlite3.connect(target)) as writer:
        reader.backup(writer)
