"""The database of the built-in registry: made once, read directly, and what a damaged one says."""

import sqlite3
import subprocess
import sys
from pathlib import Path

import pytest
from toy_project import NAME, ToyProject, refused, truncate

from mlops.project import files
from mlops.registry import database, model_version, tracking

CONNECT = "from mlops.registry import tracking; tracking.connect()"


def test_two_first_users_share_one_registry(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv(tracking.URI, raising=False)
    both = [
        subprocess.Popen([sys.executable, "-c", CONNECT], cwd=tmp_path, stderr=subprocess.PIPE)
        for _ in range(2)
    ]
    said = [process.communicate()[1].decode() for process in both]
    assert "".join(said).strip() == "Making the model registry in .store (once, a few seconds)"
    assert database.damage(tmp_path / ".store" / database.NAME) is None
    assert sorted(path.name for path in (tmp_path / ".store").iterdir()) == ["lock", "mlflow.db"]


def test_what_is_read_without_mlflow_is_what_mlflow_says(project: ToyProject) -> None:
    mlflow, reader = tracking.connect(), tracking.connect(reading=True)
    mlflow.set_registered_model_tag(NAME, "transition", "{}")
    project.register(3)
    mlflow.delete_model_version(NAME, "3")
    for ask in (
        lambda client: model_version.registered(client, NAME),
        lambda client: model_version.find(client, NAME, 2),
        lambda client: min(client.search_model_versions(f"name='{NAME}'"), key=lambda v: v.version),
    ):
        told, theirs = vars(ask(reader)), ask(mlflow)
        assert told == {field: getattr(theirs, field) for field in told}
    assert model_version.registered(reader, "nobody") is None
    assert refused(lambda: model_version.find(reader, NAME, 3)) == refused(
        lambda: model_version.find(mlflow, NAME, 3)
    )


@pytest.mark.parametrize("uri", ["sqlite:///a/b.db", "sqlite:////a%25b%3Fc d.db?timeout=5"])
def test_a_database_is_where_sqlalchemy_opens_it(uri: str) -> None:
    from sqlalchemy.engine import make_url

    assert database.to_path(uri) == Path(str(make_url(uri).database)).absolute()


# Damage


def test_a_truncated_database_is_named_and_left_alone(project: ToyProject) -> None:
    left = truncate()
    sentence = refused(tracking.connect)
    assert sentence.startswith(f"{Path.cwd()}/.store/mlflow.db is damaged (")
    assert "restore it with `mlops store restore DIR`, or delete" in sentence
    assert (files.STORE / database.NAME).read_bytes() == left


def test_an_empty_database_is_not_filled_anew(project: ToyProject) -> None:
    (files.STORE / database.NAME).write_bytes(b"")
    assert "it holds no MLflow registry" in refused(tracking.connect)
    assert (files.STORE / database.NAME).read_bytes() == b""


def test_a_missing_database_beside_artifacts_is_not_made_anew(project: ToyProject) -> None:
    (files.STORE / database.NAME).unlink()
    assert "mlflow.db is not there but" in refused(tracking.connect)
    assert not (files.STORE / database.NAME).exists()


def test_a_schema_of_another_mlflow_is_one_line(project: ToyProject) -> None:
    with sqlite3.connect(files.STORE / database.NAME) as connection:
        connection.execute("UPDATE alembic_version SET version_num = '0'")
    connection.close()
    sentence = refused(tracking.connect)
    assert sentence.startswith(f"MLflow fails at {Path.cwd()}/.store/mlflow.db: Detected out-of-d")


def test_a_locked_database_is_not_called_damaged(
    project: ToyProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(database, "LOCK_SECONDS", 0.1)
    other = sqlite3.connect(files.STORE / database.NAME)
    other.execute("BEGIN EXCLUSIVE")
    assert "is locked by another process; try again later" in refused(tracking.connect)
    other.close()
