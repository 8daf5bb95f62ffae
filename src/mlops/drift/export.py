"""The decision and its numbers for Prometheus: as a file, and pushed to a Pushgateway."""

import os
import sys
from collections.abc import Mapping
from datetime import datetime
from functools import partial
from http.client import HTTPException
from typing import Any
from urllib.parse import unquote, urlsplit, urlunsplit

from prometheus_client import CollectorRegistry, Gauge, exposition

from mlops.drift import history
from mlops.project import files

ADDRESS = "PUSHGATEWAY_URL"
JOB = "drift"
TIMEOUT_SECONDS = 10
DECISIONS = ("none", "watch", "retrain")


def write(drift: Mapping[str, Any]) -> None:
    """Write ``reports/drift.prom``, as node_exporter's textfile collector reads it."""
    files.write_text(files.DRIFT_METRICS, exposition.generate_latest(metrics(drift)).decode())


def push(drift: Mapping[str, Any]) -> None:
    """Push the numbers to ``PUSHGATEWAY_URL``, if it is set, in place of those of earlier checks.

    A check does not fail because nobody collects its numbers: then a sentence on stderr says so.
    It never holds the address, which may carry a user and a password.
    """
    if not (address := os.environ.get(ADDRESS, "").strip()):
        return
    # Without new data, the numbers of the window that was judged last stay beside the new ones.
    stay = not drift["new_data"] and _decision_on_record(drift) is not None
    send = exposition.pushadd_to_gateway if stay else exposition.push_to_gateway
    try:
        url, handler = _gateway(address)
    except ValueError:  # its text may quote the password
        _warn(f"{ADDRESS} is not like https://user:password@host:port, with %40 for @ in either")
        return
    try:
        send(
            url,
            job=JOB,
            registry=metrics(drift),
            grouping_key={"model": drift["model"]},
            timeout=TIMEOUT_SECONDS,
            handler=handler,
        )
    except OSError as error:
        _warn(" ".join(str(error).split()))
    except HTTPException as error:
        _warn(type(error).__name__)


def metrics(drift: Mapping[str, Any]) -> CollectorRegistry:
    """Return ``reports/drift.json`` as gauges; what a check did not answer has none.

    Without new data the decision is the one on record for this champion.
    """
    shown = _Gauges(drift["model"])
    checked = datetime.fromisoformat(drift["checked"]).timestamp()
    shown("drift_check_timestamp_seconds", "When drift was checked last", checked)
    held = drift["decision"] if drift["new_data"] else _decision_on_record(drift) or "none"
    for decision in DECISIONS:
        holds = decision == held
        shown("drift_decision", "1 for the decision, 0 for the others", holds, decision=decision)
    for side in ("reference", "current") if drift["new_data"] else ():
        rows = (drift[side] or {}).get("rows")
        shown("drift_rows", "Rows that were compared", rows, side=side)
    for name, question in drift["questions"].items():
        value, threshold = question["value"], question["threshold"]
        if name == "concept":
            value = _worse(question, "value")
        shown("drift_value", "The number that answers a question", value, question=name)
        shown("drift_threshold", "Where the number becomes too large", threshold, question=name)
        answered = question["state"] in ("ok", "violated")
        violated = question["state"] == "violated" if answered else None
        shown("drift_violated", "1 for a question that is violated", violated, question=name)
    for column in drift["questions"].get("data", {}).get("columns", []):
        name, score, threshold = column["name"], column["score"], column["threshold"]
        shown("drift_column_score", "Distance of a column from training", score, column=name)
        shown("drift_column_threshold", "Where the distance is drift", threshold, column=name)
    concept = drift["questions"].get("concept", {})
    bounds = [it for key in ("low", "high") if (it := _worse(concept, key)) is not None]
    for name, bound in zip(("low", "high"), sorted(bounds), strict=False):
        shown(f"drift_concept_{name}", f"The {name} end of concept drift's interval", bound)
    return shown.registry


class _Gauges:
    """Gauges with the label ``model``, made when the first value is there to be shown."""

    def __init__(self, model: str) -> None:
        self.registry = CollectorRegistry()
        self._model = model
        self._made: dict[str, Gauge] = {}

    def __call__(self, name: str, meaning: str, value: float | None, **labels: str) -> None:
        if value is None:
            return
        if name not in self._made:
            self._made[name] = Gauge(name, meaning, ["model", *labels], registry=self.registry)
        self._made[name].labels(model=self._model, **labels).set(value)


def _worse(concept: Mapping[str, Any], key: str) -> float | None:
    """Return a difference in score as a number that is large when the newest window is worse."""
    difference: float | None = concept.get(key)
    if difference is None:
        return None
    return -difference if concept["greater_is_better"] else difference


def _decision_on_record(drift: Mapping[str, Any]) -> str | None:
    """Return what was decided last about the champion; None before the first window of its own."""
    version = (drift["champion"] or {}).get("version")
    decisions = [entry["decision"] for entry in history.read() if entry["champion"] == version]
    return decisions[-1] if decisions else None


def _gateway(address: str) -> tuple[str, Any]:
    """Split an address into one without user and password, and a handler that sends those."""
    parts = urlsplit(address if "://" in address else f"http://{address}")
    login, _, host = parts.netloc.rpartition("@")
    plain = urlsplit(urlunsplit(parts._replace(netloc=host)))
    if plain.scheme not in ("http", "https") or not plain.hostname or "@" in plain.geturl():
        raise ValueError
    _ = plain.port  # raises when it is none
    if not login:
        return plain.geturl(), exposition.default_handler
    user, _, password = map(unquote, login.partition(":"))
    send = partial(exposition.basic_auth_handler, username=user, password=password)
    return plain.geturl(), send


def _warn(reason: str) -> None:
    print(f"mlops: drift's numbers are not pushed: {reason}; the check goes on", file=sys.stderr)
