"""A registered model version: how its folder is made, found and fetched."""

import functools
import shutil
import tempfile
from collections.abc import Callable
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from mlops.artifact import boosters, model_folder
from mlops.artifact.model_folder import Facts
from mlops.artifact.skops_model import trusted_types
from mlops.project import actions, files
from mlops.project.errors import MlopsError
from mlops.registry import audit, database

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

T = TypeVar("T")

CHAMPION = "champion"
CHALLENGER = "challenger"
PREVIOUS = "previous"
APPROVED_BY = "approved_by"  # tag of each version that was promoted

JOURNAL = "transition"  # tag of the registered model: what :mod:`mlops.registry.promotion` began
NONE = "none"  # tags cannot be empty
FEATURES_DTYPE = "float32"  # as artifact.to_matrix makes them


def build_folder(folder: Path) -> None:
    """Fill ``folder`` with what a version consists of.

    That is an MLflow model in the ``sklearn`` and ``pyfunc`` flavours, around the very
    ``model.skops`` that training wrote, and beside it the files of
    :mod:`mlops.artifact.model_folder` and the reports about the model.

    Raises
    ------
    MlopsError
        When the model needs types that nobody could load safely.
    """
    import mlflow.sklearn
    import numpy as np
    import skops.io
    from mlflow.models import ModelSignature
    from mlflow.types import ColSpec, Schema, TensorSpec

    skops_file = files.MODEL / model_folder.SKOPS
    trusted = trusted_types(skops_file)
    facts = model_folder.load(files.MODEL).facts
    inputs = Schema([TensorSpec(np.dtype(FEATURES_DTYPE), (-1, len(facts.features)))])
    if facts.texts:
        kinds = ("string" if name in facts.texts else "float" for name in facts.features)
        inputs = Schema([ColSpec(*pair) for pair in zip(kinds, facts.features, strict=True)])
    estimator = skops.io.load(skops_file, trusted=trusted)
    mlflow.sklearn.save_model(
        estimator,
        str(folder),
        serialization_format="skops",
        skops_trusted_types=trusted,
        signature=ModelSignature(inputs=inputs),
        # Given, because MLflow would start a process to find them out.
        pip_requirements=[
            *mlflow.sklearn.get_default_pip_requirements(include_skops=True),
            *(f"{name}=={import_module(name).__version__}" for name in boosters.used(estimator)),
        ],
    )
    for path in files.MODEL.iterdir():
        if path.is_file():
            shutil.copyfile(path, folder / path.name)
    for report in (files.METRICS, files.COMPARISON):
        if report.is_file():
            shutil.copyfile(report, folder / report.name)


def judgement(reports: Path, facts: Facts) -> dict[str, Any] | None:
    """Return the comparison in a folder of reports, if there is one of this very model."""
    path = reports / files.COMPARISON.name
    if not path.is_file():
        return None
    found: dict[str, Any] = files.read_json(path, "mlops compare")
    judged = found["candidate"]
    known = (judged["model_md5"], judged.get("threshold")) == (facts.model_md5, facts.threshold)
    return found if known else None


def aliases(client: "MlflowClient", name: str) -> dict[str, int]:
    """Return version by alias; empty when the model is not registered."""
    return _aliases(registered(client, name))


def standing(client: "MlflowClient", name: str) -> dict[str, int]:
    """Return version by alias, after checking that the champion is one that a promotion made.

    The audit record may lie behind a server's registry, so tags of the registry count as well.

    Raises
    ------
    MlopsError
        When a champion is on record and the registry, changed by hand, has none or one that
        nobody promoted: a candidate would be judged against nothing, or against that.
    """
    # Read in this order, and written the other way around: a promotion meanwhile is no alarm.
    made = [int(line["to"]) for line in audit.read() if line["model"] == name]
    model = registered(client, name)
    tags = model.tags if model else {}
    if CHAMPION in tags:
        made.append(int(tags[CHAMPION]))
    now = _aliases(model)
    if JOURNAL in tags or not made or _promoted(client, name, now.get(CHAMPION)):
        return now
    champion, last = now.get(CHAMPION), made[-1]
    there = _promoted(client, name, last)
    raise MlopsError(
        f"the registry was changed by hand: {name} version {last}, which was made {CHAMPION}, is "
        f"{'no longer it' if there else 'gone'}, and "
        f"{f'version {champion}, which nobody promoted,' if champion else 'none'} is now; "
        "restore it (built-in store: `mlops store pull` or `mlops store restore DIR`), or choose "
        f"on record: `mlops promote {last if there else 'VERSION'} --override REASON`"
    )


def _promoted(client: "MlflowClient", name: str, version: int | None) -> bool:
    record = find_or_none(client.get_model_version, name, str(version)) if version else None
    return record is not None and APPROVED_BY in record.tags


def _aliases(model: "RegisteredModel | None") -> dict[str, int]:
    return {alias: int(version) for alias, version in model.aliases.items()} if model else {}


def registered(client: "MlflowClient", name: str) -> "RegisteredModel | None":
    """Return the registered model with its aliases and tags."""
    return find_or_none(client.get_registered_model, name)


def find_or_none(ask: Callable[..., T], *arguments: str) -> T | None:
    """Return what a client answers, or None when what is asked for does not exist."""
    try:
        return ask(*arguments)
    except Exception as error:
        # MlflowException, by what it has: its import alone takes seconds.
        if getattr(error, "error_code", None) == "RESOURCE_DOES_NOT_EXIST":
            return None
        raise


def find(client: "MlflowClient", name: str, version: int) -> "ModelVersion":
    """Return a version's record.

    Raises
    ------
    MlopsError
        When it does not exist, naming those that do.
    """
    if record := find_or_none(client.get_model_version, name, str(version)):
        return record
    existing = sorted(int(one.version) for one in client.search_model_versions(f"name='{name}'"))
    listed = ", ".join(map(str, existing)) or "none; run `mlops register` first"
    raise MlopsError(f"{name} has no version {version}; registered: {listed}")


def resolve(client: "MlflowClient", name: str, alias_or_version: str | int) -> "ModelVersion":
    """Return the record of a version by its number or alias, refusing what does not exist."""
    given = str(alias_or_version)
    if given.isdecimal():
        return find(client, name, int(given))
    known = standing(client, name) if given == CHAMPION else aliases(client, name)
    if given not in known:
        listed = ", ".join(f"{alias} ({number})" for alias, number in sorted(known.items()))
        raise MlopsError(
            f"{name} has no version with the alias {given}; "
            f"aliases: {listed or 'none; run `mlops register` first'}"
        )
    return find(client, name, known[given])


def fetch(
    client: "MlflowClient", name: str, alias_or_version: str | int
) -> "tuple[ModelVersion, Path] | None":
    """Return a version and a folder with its files, or None when there is no such version.

    The built-in store's own folder is returned, which must not be written to; from a server the
    files are downloaded once for each process.

    Raises
    ------
    MlopsError
        When the version exists and its files do not.
    """
    if str(alias_or_version).isdigit():
        number: int | None = int(alias_or_version)
    else:
        known = standing if alias_or_version == CHAMPION else aliases
        number = known(client, name).get(str(alias_or_version))
    if number is None:
        return None
    record = find_or_none(client.get_model_version, name, str(number))
    return None if record is None else (record, folder_of(client, record))


def load(client: "MlflowClient", version: "ModelVersion") -> model_folder.ModelArtifact:
    """Load a version's model after checking that its bytes are those that were registered."""
    folder = folder_of(client, version)
    loaded = model_folder.load(folder)
    if files.md5(loaded.model_path) != version.tags.get("model_md5"):
        raise MlopsError(
            f"{loaded.model_path} is not what was registered as {version.name} version "
            f"{version.version}; restore the store with `mlops store restore DIR`"
        )
    return loaded


def check_code(version: str, model: model_folder.ModelArtifact) -> None:
    """Refuse a champion whose feature code nobody ever merged, where GitHub can be asked.

    The store holds that code beside the model, and whoever may push can change it: a champion that
    looks worse than it is lets any candidate pass.

    Raises
    ------
    MlopsError
        When the default branch never had it, or GitHub does not answer.
    """
    if not actions.may_ask():
        return
    file, path = model.folder / model_folder.FEATURES, f"src/model/{model_folder.FEATURES}"
    if not actions.was_on_default_branch(path, file.read_bytes()):
        raise MlopsError(
            f"champion v{version} has feature code that {path} never was on the default branch: "
            "the store was changed by hand (`mlops store pull` and `mlops store restore DIR` bring "
            f"an earlier one back), or the branch was rewritten (then commit {file} there once)"
        )


def folder_of(client: "MlflowClient", version: "ModelVersion") -> Path:
    """Return a folder with a version's files, as :func:`fetch` does."""
    source = version.source or ""
    if source.startswith("store:"):
        folder = database.artifact_path(database.to_path(client.tracking_uri), source)
    else:
        folder = _download(client.tracking_uri, source)
    known = (folder / model_folder.FACTS).is_file()
    predicts = model_folder.load_facts(folder).model_file if known else model_folder.ONNX
    needed = ("MLmodel", predicts, model_folder.FEATURES, model_folder.FACTS)
    if missing := [file for file in needed if not (folder / file).is_file()]:
        raise MlopsError(
            f"{version.name} version {version.version} lacks {', '.join(missing)} in "
            f"{folder if source.startswith('store:') else source}; restore the artifacts "
            "(built-in store: `mlops store restore DIR`), or use another version"
        )
    return folder


@functools.cache
def _download(tracking_uri: str, source: str) -> Path:
    import mlflow.artifacts
    from mlflow.exceptions import MlflowException

    target = tempfile.mkdtemp(dir=_downloads().name)
    try:
        return Path(
            mlflow.artifacts.download_artifacts(
                artifact_uri=source, dst_path=target, tracking_uri=tracking_uri
            )
        )
    except (MlflowException, OSError) as error:
        reason = " ".join(str(error).split())
        raise MlopsError(
            f"the artifacts in {source} cannot be downloaded ({reason}); "
            "restore them on the server, or use another version"
        ) from None


@functools.cache
def _downloads() -> "tempfile.TemporaryDirectory[str]":
    """Return a folder that goes when the process ends."""
    return tempfile.TemporaryDirectory(prefix="mlops-")
