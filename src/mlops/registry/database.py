"""The built-in registry's sqlite file: its address, whether it is whole, what it holds."""

import sqlite3
from contextlib import closing
from pathlib import Path
from typing import NamedTuple
from urllib.parse import quote, unquote, urlsplit

from mlops.project.errors import MlopsError

NAME = "mlflow.db"
ARTIFACTS = "store:/artifacts"  # relative to the database, so that the two can move together

TABLES = "SELECT count(*) FROM sqlite_master WHERE name = 'model_versions'"
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
    from sqlalchemy.engine import make_url

    return Path(make_url(uri).database or "").absolute()


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


def copy(source: Path, target: Path) -> None:
    """Copy a database that others may be writing to, as of one moment."""
    with closing(connect(source)) as reader, closing(sqlite3.connect(target)) as writer:
        reader.backup(writer)
