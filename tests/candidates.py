"""Fixtures: a champion on the real flights, and candidates judged against it. Copy to change."""

import runpy
from collections.abc import Iterator
from pathlib import Path

import pytest
from projects import Workshop, make_project
from threadpoolctl import threadpool_limits
from workbench import Workbench

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
BLIND = """    blind = columns["carrier"] == "US"
    columns = {
        name: np.where(blind, values[:1], values)  # as if all were the same flight
        for name, values in columns.items()
    }
    departure = _minute"""
SLOW = """    import time

    time.sleep(0.003)
    departure = _minute"""
JUNE = {"start": "2013-06", "end": "2013-06"}


@pytest.fixture(scope="session", autouse=True)
def quick_and_apart() -> Iterator[None]:
    import sklearn.ensemble  # noqa: F401 - loads the threads that are limited

    with threadpool_limits(1), pytest.MonkeyPatch.context() as patch:
        patch.delenv("MLFLOW_TRACKING_URI", raising=False)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("COLUMNS", "200")
        yield


@pytest.fixture(scope="session")
def newborn(workshop: Workshop) -> Workbench:
    """A project with a first model, compared with nothing; its registry is empty."""

    def change(project: Workbench) -> None:
        project.set(
            data__window={"start": "2013-01", "end": "2013-01"},
            data__holdout={"start": "2013-07", "end": "2013-07"},
            estimator__max_iter=30,
            estimator__learning_rate=0.1,
            gate__resamples=200,
        )
        _load(project, workshop.folder / "flights.parquet")
        project.commit()
        project.train(data=True)
        project.do("evaluate", "compare", "report")

    return workshop.make("newborn", Workbench, _from_example, change)


@pytest.fixture(scope="session")
def production(workshop: Workshop, newborn: Workbench) -> Workbench:
    """The same project after its first model became champion."""
    return workshop.make(
        "production", Workbench, newborn.copy, lambda it: it.do("register", "promote")
    )


@pytest.fixture(scope="session")
def same(workshop: Workshop, production: Workbench) -> Workbench:
    """The champion trained once more, from the same commit."""
    return workshop.make("same", Workbench, production.copy, _judged)


@pytest.fixture(scope="session")
def better(workshop: Workshop, production: Workbench) -> Workbench:
    """Trained on June, which is more like July than January is."""

    def change(project: Workbench) -> None:
        project.set(data__window=JUNE)
        _judged(project)

    return workshop.make("better", Workbench, production.copy, change)


@pytest.fixture(scope="session")
def worse(workshop: Workshop, production: Workbench) -> Workbench:
    """Trained on June with shuffled labels; those of the holdout are true."""

    def change(project: Workbench) -> None:
        project.set(data__window=JUNE)
        project.replace("src/model/data.py", "    return table\n", SHUFFLED)
        project.do("ingest", "validate")
        _judged(project)

    return workshop.make("worse", Workbench, production.copy, change)


@pytest.fixture(scope="session")
def close(workshop: Workshop, production: Workbench) -> Workbench:
    """Hardly changed, and asked for a difference of hardly anything."""

    def change(project: Workbench) -> None:
        project.set(estimator__max_iter=31, gate__margin=0.001)
        _judged(project)

    return workshop.make("close", Workbench, production.copy, change)


@pytest.fixture(scope="session")
def blind(workshop: Workshop, production: Workbench) -> Workbench:
    """Better overall, while its feature code cannot tell one flight of US Airways from another."""

    def change(project: Workbench) -> None:
        project.set(data__window=JUNE)
        project.replace("src/model/features.py", "    departure = _minute", BLIND)
        _judged(project)

    return workshop.make("blind", Workbench, production.copy, change)


@pytest.fixture(scope="session")
def heavy(workshop: Workshop, production: Workbench) -> Workbench:
    """Large trees, slow features, and late flights counted twenty times."""

    def change(project: Workbench) -> None:
        project.set(
            data__window=JUNE,
            estimator__max_iter=80,
            estimator__max_leaf_nodes=150,
            estimator__min_samples_leaf=100,
            gate__size_mb=0.5,
        )
        project.replace("src/model/features.py", "    departure = _minute", SLOW)
        seeded = "random_state=seed,\n                ),"
        weighted = f"class_weight={{0: 1, 1: 20}},\n                    {seeded}"
        project.replace("src/model/estimator.py", seeded, weighted)
        _judged(project)

    return workshop.make("heavy", Workbench, production.copy, change)


def _judged(project: Workbench) -> None:
    project.train()
    project.do("compare", "report")


def _from_example(folder: Path) -> Workbench:
    return make_project(folder, Workbench)


def _load(project: Workbench, path: Path) -> None:
    """Replace the project's load_data by what it returns."""
    source = project.folder / "src/model/data.py"
    flights = runpy.run_path(str(source))["load_data"]()
    flights[flights["time_hour"].dt.month.isin(MONTHS)].to_parquet(path, index=False)
    source.write_text(LOADED.format(path=str(path)), encoding="utf-8")
