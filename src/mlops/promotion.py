"""Which version is champion: promote, roll back, and finish what a killed process began.

The registry moves one alias at a time, so a transition is written down first, as a tag of the
registered model. Whoever comes next finds it and carries it out to the end: every step may be
repeated. The champion alias itself moves in one call, so that a reader always finds a model.
"""

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from mlops import audit, model_version, tracking
from mlops.errors import MlopsError
from mlops.model_version import CHALLENGER, CHAMPION, NONE, PREVIOUS
from mlops.params import Params

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion

JOURNAL = "transition"
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
    name = params.name
    if override is not None and not 0 < len(override.strip()) <= REASON_LENGTH:
        raise MlopsError(f"the override needs a reason of 1 to {REASON_LENGTH} characters")
    with tracking.answers(client.tracking_uri), tracking.store_lock():
        finished = _finish(client, name)
        if finished and finished["action"] == "promote" and version in (None, finished["to"]):
            return f"finished: {_sentence(finished)}"
        now = model_version.aliases(client, name)
        champion = now.get(CHAMPION)
        target = now.get(CHALLENGER) if version is None else version
        if target is None:
            raise MlopsError(
                f"{name} has no {CHALLENGER} (champion: version {champion or NONE}); "
                "run `mlops register` first, or name a version"
            )
        record = model_version.find(client, name, target)
        if target == champion:
            return f"{name} version {target} is champion already; nothing changed"
        model_version.load(client, record)
        if override is None:
            _check_judgement(record, champion)
        return _sentence(_move(client, "promote", record, champion, override))


def rollback(client: "MlflowClient", params: Params, version: int | None = None) -> str:
    """Make an earlier version champion again; the one it replaces becomes ``previous``.

    Rolling back twice therefore rolls forward. Without ``version`` it is the one that is
    ``previous``. Returns what was done, in a sentence.

    Raises
    ------
    MlopsError
        When there is no champion, no version to go back to, or it cannot be loaded.
    """
    name = params.name
    with tracking.answers(client.tracking_uri), tracking.store_lock():
        finished = _finish(client, name)
        if finished and finished["action"] == "rollback" and version in (None, finished["to"]):
            return f"finished: {_sentence(finished)}"
        now = model_version.aliases(client, name)
        champion = now.get(CHAMPION)
        if champion is None:
            raise MlopsError(f"{name} has no {CHAMPION} to roll back; run `mlops promote` first")
        target = now.get(PREVIOUS) if version is None else version
        if target is None:
            raise MlopsError(
                f"{name} has no {PREVIOUS} champion (version {champion} is the first); "
                "name the version to go to"
            )
        record = model_version.find(client, name, target)
        if target == champion:
            return f"{name} version {target} is champion already; nothing changed"
        model_version.load(client, record)
        return _sentence(_move(client, "rollback", record, champion, None))


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


def _move(
    client: "MlflowClient",
    action: str,
    record: "ModelVersion",
    champion: int | None,
    override: str | None,
) -> dict[str, Any]:
    """Write the transition down, then carry it out."""
    transition = {
        "id": uuid.uuid4().hex,
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "who": audit.who(),
        "action": action,
        "model": record.name,
        "from": champion,
        "to": int(record.version),
        "commit": record.tags.get("git_commit"),
        "data_md5": record.tags.get("data_md5"),
        "finding": record.tags.get("finding"),
        "override": override,
    }
    client.set_registered_model_tag(record.name, JOURNAL, json.dumps(transition))
    written = _finish(client, record.name)
    if written is None or written["id"] != transition["id"]:
        raise MlopsError(f"another process moved {record.name}'s {CHAMPION}; look, then try again")
    return written


def _finish(client: "MlflowClient", name: str) -> dict[str, Any] | None:
    """Carry out the transition that is written down, if any, and return it."""
    model = model_version.registered(client, name)
    if model is None or not model.tags.get(JOURNAL):
        return None
    transition: dict[str, Any] = json.loads(model.tags[JOURNAL])
    target = str(transition["to"])
    client.set_registered_model_alias(name, CHAMPION, target)
    if transition["from"] is not None:
        client.set_registered_model_alias(name, PREVIOUS, str(transition["from"]))
    if str(model.aliases.get(CHALLENGER)) == target:
        client.delete_registered_model_alias(name, CHALLENGER)
    client.set_model_version_tag(name, target, "approved_by", transition["who"])
    audit.append(transition)
    client.delete_registered_model_tag(name, JOURNAL)
    return transition


def _sentence(transition: dict[str, Any]) -> str:
    was = f"was version {transition['from']}" if transition["from"] else "the first"
    return f"{transition['model']} version {transition['to']} is now champion ({was})"
