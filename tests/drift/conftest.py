"""A champion of the real flights, copied for each test that watches it."""

from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
from projects import Project, Workshop
from threadpoolctl import threadpool_limits
from watched_project import Flights, Watched

FEW_FEATURES = """

def build_features(columns):
    return {
        "carrier": _codes(columns["carrier"], CARRIER_CODES),
        "dest": _codes(columns["dest"], DESTINATION_CODES),
        "departure": _minute_of_day(columns["sched_dep_time"]),
        "hour": columns["time_hour"].astype("datetime64[h]").astype(np.int64) % 24,
        **{name: columns[name] for name in ("distance", "wind_speed", "seats")},
    }
"""


@pytest.fixture(scope="session", autouse=True)
def _quick_and_apart() -> Iterator[None]:
    import sklearn.ensemble  # noqa: F401 - loads the threads that are limited

    with threadpool_limits(1), pytest.MonkeyPatch.context() as patch:
        for name in ("MLFLOW_TRACKING_URI", "PREDICTION_LOG_URI", "PUSHGATEWAY_URL"):
            patch.delenv(name, raising=False)
        patch.setenv("MLFLOW_DISABLE_TELEMETRY", "true")
        patch.setenv("COLUMNS", "200")
        yield


@pytest.fixture(scope="session")
def flights(trained: Project) -> Flights:
    table = pd.read_parquet(trained / "data/checked.parquet")
    # Days that stay inside one month when they are moved by whole weeks.
    inside = table["time_hour"].between("2013-04-01", "2013-04-26", inclusive="left")
    return Flights(table[inside])


@pytest.fixture(scope="session")
def newborn(workshop: Workshop, trained: Project) -> Watched:
    """A model of few columns, as Evidently takes its time to draw each; nothing is registered."""

    def start(folder: Path) -> Watched:
        return Watched(trained.folder).copy(folder)

    def change(project: Watched) -> None:
        with (project / "src/model/features.py").open("a", encoding="utf-8") as file:
            file.write(FEW_FEATURES)
        project.set(gate__resamples=200, estimator__max_iter=50, drift__replay=False)
        project.commit()
        project.train()
        project.do("evaluate", "compare")

    return workshop.make("drift-newborn", Watched, start, change)


@pytest.fixture(scope="session")
def production(workshop: Workshop, newborn: Watched) -> Watched:
    """The same project after its model became champion."""
    return workshop.make(
        "drift-production", Watched, newborn.copy, lambda it: it.do("register", "promote")
    )


@pytest.fixture
def watched(production: Watched, tmp_path: Path) -> Watched:
    """A copy of it, to do anything with."""
    return production.copy(tmp_path / "project")
