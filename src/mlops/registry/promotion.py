"""Which version is champion: promote, roll back, and finish what a killed process began."""

from typing import TYPE_CHECKING

from mlops.project.errors import MlopsError
from mlops.project.params import Params
from mlops.registry import model_version, tracking, transition
from mlops.registry.model_version import CHALLENGER, CHAMPION, NONE, PREVIOUS
from mlops.registry.transition import Action, Transition

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

REASON_LENGTH = 1000  # the journal must fit into one tag


def promote(
    client: "MlflowClient", params: Params, version: int | None = None, override: str | None = None
) -> str:
    """Make a version champion; the old champion becomes ``previous``.

    Parameters
    ----------
    version : int, optional
        Without it, the version that is ``challenger``.
    override : str, optional
        Why a version that the gate refused is promoted nevertheless; kept in the audit record.

    Returns
    -------
    str
        What was done, in a sentence.

    Raises
    ------
    MlopsError
        When the version is unknown, did not pass the gate, was judged against another champion
        than today's, or cannot be loaded.
    """
    return _transition(client, params, "promote", version, override)


def check_promotion(
    client: "MlflowClient", params: Params, version: int | None = None, override: str | None = None
) -> str:
    """Say what :func:`promote` would do, and refuse what it would refuse; moves nothing."""
    record, champion = _checked(client, params, "promote", version, override)
    if int(record.version) == champion:
        return f"{record.name} version {champion} is champion already; nothing would change"
    would = f"{record.name} version {record.version} can become champion"
    return f"{would} (now: version {champion or NONE})"


def rollback(client: "MlflowClient", params: Params, version: int | None = None) -> str:
    """Make an earlier version champion again; the one it replaces becomes ``previous``.

    Rolling back twice therefore rolls forward. Without ``version`` it is the one that is
    ``previous``. Returns what was done, in a sentence.

    Raises
    ------
    MlopsError
        When there is no champion, no version to go back to, or it cannot be loaded.
    """
    return _transition(client, params, "rollback", version, None)


def check_rollback(client: "MlflowClient", params: Params, version: int | None = None) -> int:
    """Return the version that :func:`rollback` would go to, after its checks; moves nothing."""
    record, _ = _checked(client, params, "rollback", version, None)
    return int(record.version)


def _transition(
    client: "MlflowClient",
    params: Params,
    action: Action,
    version: int | None,
    override: str | None,
) -> str:
    name = params.name
    with tracking.answers(client.tracking_uri), tracking.store_lock():
        finished = transition.finish(client, name)
        if finished and _is_asked(finished, action, version):
            return f"finished: {transition.sentence(finished)}"
        now = model_version.aliases(client, name)
        record = _target(client, name, now, action, version, override)
        if int(record.version) == now.get(CHAMPION):
            return f"{name} version {record.version} is champion already; nothing changed"
        moved = transition.move(client, action, record, now.get(CHAMPION), override)
        return transition.sentence(moved)


def _checked(
    client: "MlflowClient",
    params: Params,
    action: Action,
    version: int | None,
    override: str | None,
) -> "tuple[ModelVersion, int | None]":
    """Return the version that a transition would make champion, and today's champion."""
    name = params.name
    with tracking.answers(client.tracking_uri), tracking.store_lock():
        now = model_version.aliases(client, name)
        # What a killed process began, whoever comes next finishes first.
        if pending := transition.pending(client, name):
            if _is_asked(pending, action, version):
                return model_version.find(client, name, pending["to"]), pending["from"]
            now[CHAMPION] = pending["to"]
            if pending["from"] is not None:
                now[PREVIOUS] = pending["from"]
            if now.get(CHALLENGER) == pending["to"]:
                del now[CHALLENGER]
        return _target(client, name, now, action, version, override), now.get(CHAMPION)


def _is_asked(written: Transition, action: Action, version: int | None) -> bool:
    return written["action"] == action and version in (None, written["to"])


def _target(
    client: "MlflowClient",
    name: str,
    now: dict[str, int],
    action: Action,
    version: int | None,
    override: str | None,
) -> "ModelVersion":
    """Return the version to make champion, refusing one that may not or cannot be."""
    if override is not None and not 0 < len(override.strip()) <= REASON_LENGTH:
        raise MlopsError(f"the override needs a reason of 1 to {REASON_LENGTH} characters")
    champion = now.get(CHAMPION)
    if action == "rollback" and champion is None:
        raise MlopsError(f"{name} has no {CHAMPION} to roll back; run `mlops promote` first")
    alias = CHALLENGER if action == "promote" else PREVIOUS
    target = now.get(alias) if version is None else version
    if target is None and action == "promote":
        raise MlopsError(
            f"{name} has no {CHALLENGER} (champion: version {champion or NONE}); "
            "run `mlops register` first, or name a version"
        )
    if target is None:
        raise MlopsError(
            f"{name} has no {PREVIOUS} champion (version {champion} is the first); "
            "name the version to go to"
        )
    record = model_version.find(client, name, target)
    if target != champion:
        model_version.load(client, record)
        if action == "promote" and override is None:
            _check_judgement(record, champion)
    return record


def _check_judgement(record: "ModelVersion", champion: int | None) -> None:
    finding, passed = record.tags.get("finding", "unknown"), record.tags.get("passed")
    if passed != "true":
        raise MlopsError(
            f"{record.name} version {record.version} did not pass the gate (finding: {finding}); "
            "promote another version, or give a reason with --override"
        )
    judged, current = record.tags.get("compared_with", NONE), str(champion or NONE)
    if judged != current:
        raise MlopsError(
            f"{record.name} version {record.version} was compared with champion {judged}, but "
            f"the champion now is {current}; run `mlops compare` and `mlops register` again, "
            "or give a reason with --override"
        )
