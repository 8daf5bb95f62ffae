"""Changes of the store, made on the newest one and handed over to the job that saves them.

For jobs that may write nothing, as they run much code; and that cannot hold a lock from reading to
saving, as they may wait for reviewers between.
"""

import contextlib
from collections.abc import Callable
from pathlib import Path

from mlops.drift import history
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Params
from mlops.project.progress import console
from mlops.registry import promotion, tracking, versions
from mlops.store import branch

ATTEMPTS = 3


def promote(params: Params, version: int, image: str, directory: Path) -> str:
    """Note which image serves a version, and make it champion; all is deployed then."""

    def do() -> str:
        client = tracking.connect()
        versions.record_image(client, params, version, image)
        return promotion.promote(client, params, version)

    return _handed_over(do, directory, deployed=True)


def rollback(params: Params, version: int, directory: Path) -> str:
    """Make an earlier version champion again."""
    return _handed_over(lambda: promotion.rollback(tracking.connect(), params, version), directory)


def record(directory: Path) -> str:
    """Add what ``reports/drift.json`` says to the history of drift checks."""
    return _handed_over(
        lambda: history.record(files.read_json(files.DRIFT, "mlops drift")), directory
    )


def add_data(objects: list[Path]) -> str:
    """Add files below ``.store/dvc``, as :func:`mlops.store.branch.add_data` does."""
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(MlopsError):  # the last one says why
            return branch.add_data(objects)
    return branch.add_data(objects)


def _handed_over(do: Callable[[], str], directory: Path, deployed: bool = False) -> str:
    """Pull, change and hand over; returns what was done.

    Raises
    ------
    MlopsError
        When the change is refused. What others saved stays as it is.
    """
    console.print(branch.pull(), markup=False)
    said = do()
    console.print(branch.hand_over(directory, deployed), markup=False)
    return said
