"""Which version is champion: promote, roll back, and finish what a killed process began.

The registry moves one alias at a time, so a transition is written down first, as a tag of the
registered model. Whoever comes next finds it and carries it out to the end: every step may be
repeated. The champion alias itself moves in one call, so that a reader always finds a model.
"""

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from mlops.project import files, images
from mlops.project.errors import MlopsError
from mlops.project.params import Params
from mlops.registry import audit, model_version, tracking
from mlops.registry.model_version import APPROVED_BY, CHALLENGER, CHAMPION, JOURNAL, NONE, PREVIOUS

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

Action = Literal["promote", "rollback"]
Transition = dict[str, Any]

REASON_LENGTH = 1000  # the journal must fit into one tag


def promote(
    client: "MlflowClient", params: Params, version: int | None = None, override: str | None = None
) -> str:
    """Make a version champion; the old champion becomes ``previous``.

    Returns what was done, in a sentence.

    Parameters
    ----------
    version : int, optional
        Without it, the version that is ``challenger``.
    override : str, optional
        Why a version that the gate refused is promoted nevertheless; kept in the audit record.

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
        finished = _finish(client, name)
        if finished and _is_asked(finished, action, version):
            return f"finished: {_sentence(finished)}"
        now = _standing(client, name, override)
        record = _target(client, params, now, action, version, override)
        if int(record.version) == now.get(CHAMPION):
            return f"{name} version {record.version} is champion already; nothing changed"
        moved = _move(client, action, record, now.get(CHAMPION), override)
        return _sentence(moved)


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
        now = _standing(client, name, override)
        # What a killed process began, whoever comes next finishes first.
        if pending := _written(model_version.registered(client, name)):
            if _is_asked(pending, action, version):
                return model_version.find(client, name, pending["to"]), pending["from"]
            now[CHAMPION] = pending["to"]
            if pending["from"] is not None:
                now[PREVIOUS] = pending["from"]
            if now.get(CHALLENGER) == pending["to"]:
                del now[CHALLENGER]
        return _target(client, params, now, action, version, override), now.get(CHAMPION)


def _standing(client: "MlflowClient", name: str, override: str | None) -> dict[str, int]:
    """Return version by alias; an override may begin anew where the champion on record is gone."""
    try:
        return model_version.standing(client, name)
    except MlopsError:
        if override is None:
            raise
        now = model_version.aliases(client, name)
        return {alias: version for alias, version in now.items() if alias != CHAMPION}


def _is_asked(written: Transition, action: Action, version: int | None) -> bool:
    return written["action"] == action and version in (None, written["to"])


def _target(
    client: "MlflowClient",
    params: Params,
    now: dict[str, int],
    action: Action,
    version: int | None,
    override: str | None,
) -> "ModelVersion":
    """Return the version to make champion, refusing one that may not or cannot be."""
    name = params.name
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
        if image := record.tags.get("image"):
            images.check(image, params.serving.former_images)
        if action == "promote" and override is None:
            _check_judgement(client, record, champion)
    return record


def _check_judgement(client: "MlflowClient", record: "ModelVersion", champion: int | None) -> None:
    finding, passed = record.tags.get("finding", "unknown"), record.tags.get("passed")
    if passed != "true":
        report = model_version.folder_of(client, record) / files.COMPARISON.name
        checks = files.read_json(report, "mlops compare")["checks"] if report.is_file() else []
        failed = (check for check in checks if not check["passed"])
        reasons = "".join(f"; {check.get('reason', check['name'])}" for check in failed)
        raise MlopsError(
            f"{record.name} version {record.version} did not pass the gate (finding: {finding}"
            f"{reasons}); promote another version, or give a reason with --override"
        )
    judged, current = record.tags.get("compared_with", NONE), str(champion or NONE)
    if judged != current:
        raise MlopsError(
            f"{record.name} version {record.version} was compared with champion {judged}, but "
            f"the champion now is {current}; run `mlops compare` and `mlops register` again, "
            "or give a reason with --override"
        )


def _move(
    client: "MlflowClient",
    action: Action,
    record: "ModelVersion",
    champion: int | None,
    override: str | None,
) -> Transition:
    """Write the transition down, then carry it out."""
    transition = {
        "id": uuid.uuid4().hex,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": audit.who(),
        "approved_by": audit.approved_by(),
        "action": action,
        "model": record.name,
        "from": champion,
        "to": int(record.version),
        "commit": record.tags.get("git_commit"),
        "data_md5": record.tags.get("data_md5"),
        "finding": record.tags.get("finding"),
        "image": record.tags.get("image"),
        "override": override,
    }
    client.set_registered_model_tag(record.name, JOURNAL, json.dumps(transition))
    written = _finish(client, record.name)
    if written is None or written["id"] != transition["id"]:
        raise MlopsError(f"another process moved {record.name}'s {CHAMPION}; look, then try again")
    return written


def _finish(client: "MlflowClient", name: str) -> Transition | None:
    """Carry out the transition that is written down, if any, and return it."""
    model = model_version.registered(client, name)
    transition = _written(model)
    if model is None or transition is None:
        return None
    target = str(transition["to"])
    # Before the alias: whoever sees a champion sees that it was promoted.
    # Empty where nobody had to approve it. What an older version began does not say.
    approved = transition.get("approved_by", transition["who"]) or ""
    client.set_model_version_tag(name, target, APPROVED_BY, approved)
    client.set_registered_model_alias(name, CHAMPION, target)
    if transition["from"] is not None:
        client.set_registered_model_alias(name, PREVIOUS, str(transition["from"]))
    if str(model.aliases.get(CHALLENGER)) == target:
        client.delete_registered_model_alias(name, CHALLENGER)
    client.set_registered_model_tag(name, CHAMPION, target)
    audit.append(transition)
    client.delete_registered_model_tag(name, JOURNAL)
    return transition


def _written(model: "RegisteredModel | None") -> Transition | None:
    """Return the transition that is written down and not yet carried out."""
    written = model.tags.get(JOURNAL) if model else None
    return dict(json.loads(written)) if written else None


def _sentence(transition: Transition) -> str:
    """Say what a transition has done."""
    was = f"was version {transition['from']}" if transition["from"] else "the first"
    return f"{transition['model']} version {transition['to']} is now champion ({was})"
