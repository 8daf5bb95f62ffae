"""Another version becomes champion: written down first, then carried out to the end.

The registry moves one alias at a time, so a transition is written down first, as a tag of the
registered model. Whoever comes next finds it and carries it out to the end: every step may be
repeated. The champion alias itself moves in one call, so that a reader always finds a model.
"""

import json
import uuid
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Literal

from mlops.project.errors import MlopsError
from mlops.registry import audit, model_version
from mlops.registry.model_version import CHALLENGER, CHAMPION, PREVIOUS

if TYPE_CHECKING:
    from mlflow import MlflowClient
    from mlflow.entities.model_registry import ModelVersion, RegisteredModel

Action = Literal["promote", "rollback"]
Transition = dict[str, Any]

JOURNAL = "transition"


def move(
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
    written = finish(client, record.name)
    if written is None or written["id"] != transition["id"]:
        raise MlopsError(f"another process moved {record.name}'s {CHAMPION}; look, then try again")
    return written


def finish(client: "MlflowClient", name: str) -> Transition | None:
    """Carry out the transition that is written down, if any, and return it."""
    model = model_version.registered(client, name)
    transition = _written(model)
    if model is None or transition is None:
        return None
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


def pending(client: "MlflowClient", name: str) -> Transition | None:
    """Return the transition that is written down and not yet carried out."""
    return _written(model_version.registered(client, name))


def _written(model: "RegisteredModel | None") -> Transition | None:
    written = model.tags.get(JOURNAL) if model else None
    return dict(json.loads(written)) if written else None


def sentence(transition: Transition) -> str:
    """Say what a transition has done."""
    was = f"was version {transition['from']}" if transition["from"] else "the first"
    return f"{transition['model']} version {transition['to']} is now champion ({was})"
