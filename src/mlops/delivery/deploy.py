"""Deploys one image to one environment: what serves changes only after every check has passed."""

import os
import re
import signal
import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager, suppress
from dataclasses import asdict
from pathlib import Path
from typing import Any

from mlops.delivery import checks, summary
from mlops.delivery.steps import Steps, reason
from mlops.delivery.target import Target
from mlops.project import actions, files
from mlops.project.errors import MlopsError
from mlops.project.params import Environment, Params

DIGEST = re.compile(r"[^\s@]+@sha256:[0-9a-f]{64}")


def run(
    params: Params,
    environment: Environment,
    image: str,
    export: Path,
    champion: str | None = None,
    canary: bool = True,
) -> dict[str, Any]:
    """Start ``image`` beside what serves, check it, let it serve, check again.

    Parameters
    ----------
    image : str
        Reference by digest, ``host/repository@sha256:...``.
    export : Path
        What ``mlops export`` wrote for the version in the image.
    champion : str, optional
        Image of the champion: used where the place itself cannot tell what serves.
    canary : bool
        In production, compare with what serves before the switch.

    Returns
    -------
    dict
        What ``reports/deployment.json`` holds.

    Raises
    ------
    MlopsError
        Naming the step that failed and why; what served before serves again by then.
    """
    for reference in filter(None, (image, champion)):
        if not DIGEST.fullmatch(reference):
            raise MlopsError(
                f"image {reference!r}: expected a reference by digest, such as "
                "ghcr.io/owner/name@sha256:..., as `docker push` prints it"
            )
    version = files.read_json(export / "model" / "version.json", f"mlops export {export}")
    steps = Steps()
    target = open_target(params, environment, image, champion, str(version["version"]))
    record: dict[str, Any] = {
        "environment": environment,
        "target": params.serving.target,
        "image": image,
        "version": version["version"],
        "before": None,
        "passed": False,
        "failed": None,
        "steps": [],
        "url": os.environ.get("DEPLOY_URL", ""),
    }
    try:
        with interruptible():
            take_all(steps, target, params, export, environment == "production" and canary)
        record["passed"] = True
        return record
    except (Exception, KeyboardInterrupt) as error:
        record["failed"] = failed = steps.failed.name if steps.failed else "deploy"
        back = put_back(steps, target)
        expected = isinstance(error, MlopsError | OSError | KeyboardInterrupt)
        sentence = f"{environment}: step {failed!r} failed: {reason(error)}; {back}"
        raise MlopsError(sentence) from (None if expected else error)
    finally:
        target.close()
        record["before"] = target.current
        record["steps"] = [asdict(step) for step in steps.done]
        files.write_json(files.DEPLOYMENT, record)
        actions.summary(summary.table(record))
        if record["passed"]:
            actions.outputs(url=record["url"])


def open_target(
    params: Params, environment: str, image: str, champion: str | None, version: str
) -> Target:
    if params.serving.target == "image":
        from mlops.delivery.image import ImageTarget

        return ImageTarget(params.name, environment, image, champion)
    if params.serving.target == "compose":
        from mlops.delivery.compose import ComposeTarget

        return ComposeTarget(params.name, environment, image)
    from mlops.delivery.kubernetes import KubernetesTarget

    return KubernetesTarget(params.name, environment, image, version)


def take_all(steps: Steps, target: Target, params: Params, export: Path, canary: bool) -> None:
    """Take the steps in order; the first one that fails ends it."""
    steps.take("look", target.look)
    steps.take("start", target.start)
    steps.take("smoke", lambda: checks.smoke_test(target.candidate_url, export, params))
    if canary and target.current is None:
        steps.take("canary", lambda: "skipped: nothing serves yet that it could be compared with")
    elif canary:
        steps.take("start champion", target.start_champion)
        steps.take(
            "canary",
            lambda: checks.compare(target.champion_url, target.candidate_url, export, params),
        )
    steps.take("switch", target.switch)
    steps.take("confirm", target.confirm)
    if target.url:
        steps.take("smoke at the address", lambda: checks.smoke_test(target.url, export, params))
        steps.take("watch", target.watch)
    # Nothing is undone any more: the new version serves, and has proved it.
    with suppress(MlopsError):
        steps.take("settle", target.settle)


def put_back(steps: Steps, target: Target) -> str:
    """Undo; returns in a sentence what serves now."""
    try:
        with undisturbed():
            steps.take("undo", target.undo)
    except (Exception, KeyboardInterrupt) as error:
        return f"and undoing it FAILED, look at it now: {reason(error)}"
    return steps.done[-1].said


def interruptible() -> AbstractContextManager[None]:
    """Turn the signal that ends a cancelled workflow into an exception, so that it is undone."""

    def interrupt(number: int, frame: object) -> None:
        raise KeyboardInterrupt(f"stopped by signal {signal.Signals(number).name}")

    return signals(interrupt, signal.SIGTERM)


def undisturbed() -> AbstractContextManager[None]:
    """Let nobody interrupt an undo: a cancelled workflow sends more than one signal."""
    return signals(signal.SIG_IGN, signal.SIGTERM, signal.SIGINT)


@contextmanager
def signals(handler: Any, *numbers: signal.Signals) -> Iterator[None]:
    if threading.current_thread() is not threading.main_thread():  # which alone may set them
        yield
        return
    before = {number: signal.signal(number, handler) for number in numbers}
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)
