"""What a training leaves beside its model: commit, run and cost, in ``reports/training.json``.

It stays where the model was trained, and travels with a workflow's artifacts. DVC does not keep it:
a clock would make another ``dvc.lock`` on each machine.
"""

from pathlib import Path
from typing import Any

from mlops.artifact.model_folder import Facts
from mlops.project import files, git
from mlops.project.git import Commit

# What only the machine knows that trained.
MEASURED = ("run_id", "started", "seconds", "peak_memory_mb", "python", "platform")


def of_model(facts: Facts, commit: Commit | None = None) -> dict[str, Any]:
    """Return what ``reports/training.json`` says about a model.

    A model that DVC brought, trained elsewhere or earlier, has no such file, or one of another
    model. Then what was measured is None, and the commit is the one that ``dvc.lock`` gives this
    model at: ``commit``, by default the working folder's.
    """
    identity = {"model_md5": facts.model_md5, "threshold": facts.threshold}
    written: dict[str, Any] = {}
    if files.TRAINING.is_file():
        written = files.read_json(files.TRAINING, files.REPRO)
    if all(written.get(name) == value for name, value in identity.items()):
        return written
    at = commit or git.head()
    return {
        **dict.fromkeys(MEASURED),
        "commit": at.sha,
        "dirty": at.dirty,
        "requirements_md5": facts.requirements_md5,
        **identity,
    }


def of_version(folder: Path) -> dict[str, Any]:
    """Return what a registered version's folder says about its training."""
    written: dict[str, Any] = files.read_json(folder / files.TRAINING.name, files.REPRO)
    return written


def told(training: dict[str, Any]) -> dict[str, Any]:
    """Return commit, run and cost, as the comparison of two models tells them."""
    kept = ("commit", "dirty", "run_id", "started", "seconds", "peak_memory_mb", "python")
    return {name: training.get(name) for name in kept}
