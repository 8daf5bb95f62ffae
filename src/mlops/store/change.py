"""Changes of the store on its branch, made again on the newest one when somebody else was faster.

For jobs that cannot hold a lock from reading to saving, as they may wait for reviewers between.
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


def promote(params: Params, version: int, image: str) -> str:
    """Note which image serves a version, and make it champion; all is deployed then."""

    def do() -> str:
        client = tracking.connect()
        versions.record_image(client, params, version, image)
        return promotion.promote(client, params, version)

    return _saved(do, deployed=True)


def rollback(params: Params, version: int) -> str:
    """Make an earlier version champion again."""
    return _saved(lambda: promotion.rollback(tracking.connect(), params, version))


def record() -> str:
    """Add what ``reports/drift.json`` says to the history of drift checks."""
    return _saved(lambda: history.record(files.read_json(files.DRIFT, "mlops drift")))


def add_data(objects: list[Path]) -> str:
    """Add files below ``.store/dvc``, as :func:`mlops.store.branch.add_data` does."""
    for _ in range(ATTEMPTS - 1):
        with contextlib.suppress(MlopsError):  # the last one says why
            return branch.add_data(objects)
    return branch.add_data(objects)


def _saved(do: Callable[[], str], deployed: bool = False) -> str:
    """Pull, change and push; returns what was done and saved.

    Raises
    ------
    MlopsError
        When the change is refused, or the last push was. What others saved stays as it is.
    """
    left = ATTEMPTS
    while True:
        console.print(branch.pull(), markup=False)
        said = do()
        try:
            return f"{said}\n\n{branch.push(deployed=deployed)}"
        except MlopsError as error:
            left -= 1
            if not left:
                raise
            console.print(f"{error}; trying again", markup=False)
