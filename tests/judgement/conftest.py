"""A champion on the real flights, and candidates judged against it. Copy one to change it."""

import os
import runpy
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest
from threadpoolctl import threadpool_limits
from workbench import Project, Workshop

ROOT = Path(__file__).parents[2]
EXAMPLE = ROOT / "tests" / "example"
MONTHS = (1, 6, 7)  # a champion of winter, candidates of early summer, July to judge them
LOADED = """\"\"\"What the example's load_data has loaded, cut to the months in use.\"\"\"

import pandas as pd


def load_data() -> pd.DataFrame:
    table = pd.read_parquet({path!r})
    return table
"""

SHUFFLED = """    import numpy as np

    inside = table["time_hour"].dt.month == 6
    labels = table.loc[inside, "late"]
    table.loc[inside, "late"] = np.random.default_rng(0).permutation(labels)
    return table
"""
BLIND = """    blind = columns["carrier"] == "UA"
    columns = {
        name: np.where(blind, values[:1], values)  # as if all were the same flight
        for name, values in columns.items()
    }
    departure = _minute"""
SLOW = """    import time

    time.sleep(0.003)
    departure = _minute"""
JUNE = {"start": "2013-06", "end": "2013-06"}
ONE_DAY = {"start": "2013-07-03", "end": "2013-07-03"}


@pytest.fixture(scope="session", autouse=True)
def _quick_and_apart() -> Iterator[None]:
    import sklearn.ensemble  # noqa: F401 - loads the threads that are limited

    with threadpool_limits(1), pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("COLUMNS", "200")
        yield


@pytest.fixture(scope="session")
def workshop(tmp_path_factory: pytest.TempPathFactory) -> Workshop:
    shared = tmp_path_factory.getbasetemp()
    if "PYTEST_XDIST_WORKER" in os.environ:
        shared = shared.parent
    folder = shared / "judgement"
    folder.mkdir(exist_ok=True)
    return Workshop(folder)


@pytest.fixture(scope="session")
def newborn(workshop: Workshop) -> Project:
    """A project with a first model, compared with nothing; its registry is empty."""

    def change(project: Project) -> None:
        project.set(
            data__window={"start": "2013-01", "end": "2013-01"},
            data__holdout={"start": "2013-07-01", "end": "2013-07-10"},
            estimator__max_iter=30,
            estimator__learning_rate=0.1,
            gate__resamples=200,
        )
        _load(project, workshop.folder / "flights.parquet")
        project.commit()
        project.train(data=True)
        project.do("evaluate", "compare", "report")

    return workshop.make("newborn", _from_example, change)


@pytest.fixture(scope="session")
def production(workshop: Workshop, newborn: Project) -> Project:
    """The same project after its first model became champion."""
    return workshop.make("production", newborn.copy, lambda it: it.do("register", "promote"))


@pytest.fixture(scope="session")
def same(workshop: Workshop, production: Project) -> Project:
    """The champion trained once more, from the same commit."""
    return workshop.make("same", production.copy, _judged)


@pytest.fixture(scope="session")
def better(workshop: Workshop, production: Project) -> Project:
    """Trained on June, which is more like July than January is."""

    def change(project: Project) -> None:
        project.set(data__window=JUNE)
        _judged(project)

    return workshop.make("better", production.copy, change)


@pytest.fixture(scope="session")
def worse(workshop: Workshop, production: Project) -> Project:
    """Trained on June with shuffled labels; those of the holdout are true."""

    def change(project: Project) -> None:
        project.set(data__window=JUNE)
        project.edit("src/model/data.py", "    return table\n", SHUFFLED)
        project.do("ingest", "validate")
        _judged(project)

    return workshop.make("worse", production.copy, change)


@pytest.fixture(scope="session")
def close(workshop: Workshop, production: Project) -> Project:
    """Hardly changed, and judged on a single day."""

    def change(project: Project) -> None:
        project.set(data__holdout=ONE_DAY, estimator__min_samples_leaf=201)
        _judged(project)

    return workshop.make("close", production.copy, change)


@pytest.fixture(scope="session")
def blind(workshop: Workshop, production: Project) -> Project:
    """Better overall, while its feature code cannot tell one flight of United from another."""

    def change(project: Project) -> None:
        project.set(data__window=JUNE)
        project.edit("src/model/features.py", "    departure = _minute", BLIND)
        _judged(project)

    return workshop.make("blind", production.copy, change)


@pytest.fixture(scope="session")
def heavy(workshop: Workshop, production: Project) -> Project:
    """Large trees, slow features, and late flights counted twenty times."""

    def change(project: Project) -> None:
        project.set(
            data__window=JUNE,
            estimator__max_leaf_nodes=500,
            estimator__min_samples_leaf=5,
            gate__size_mb=0.5,
        )
        project.edit("src/model/features.py", "    departure = _minute", SLOW)
        seeded = "random_state=seed,\n                ),"
        weighted = f"class_weight={{0: 1, 1: 20}},\n                    {seeded}"
        project.edit("src/model/estimator.py", seeded, weighted)
        _judged(project)

    return workshop.make("heavy", production.copy, change)


def _judged(project: Project) -> None:
    project.train()
    project.do("compare", "report")


def _from_example(folder: Path) -> Project:
    shutil.copytree(EXAMPLE / "model", folder / "src/model")
    for path in (EXAMPLE / "params.yaml", ROOT / "requirements.txt"):
        shutil.copy(path, folder)
    (folder / ".gitignore").write_text("/data\n/models\n/reports\n/.store\n", encoding="utf-8")
    return Project(folder)


def _load(project: Project, path: Path) -> None:
    """Replace the project's load_data by what it returns."""
    source = project.folder / "src/model/data.py"
    flights = runpy.run_path(str(source))["load_data"]()
    flights[flights["time_hour"].dt.month.isin(MONTHS)].to_parquet(path, index=False)
    source.write_text(LOADED.format(path=str(path)), encoding="utf-8")
