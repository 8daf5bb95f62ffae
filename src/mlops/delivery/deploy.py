"""Deploys one image to one environment: what serves changes only after every check has passed."""

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, Protocol

from mlops.delivery import checks
from mlops.delivery.checks import Watch
from mlops.project import actions, files, images
from mlops.project.errors import MlopsError
from mlops.project.params import Environment, Params
from mlops.project.progress import console
from mlops.report.comment import sentence

STOPS = (signal.SIGINT, signal.SIGTERM)


class Target(Protocol):
    """A place where one version serves, and another can be started beside it.

    Every method but ``close`` returns a sentence for the record, and raises `MlopsError` with a
    reason. Until ``switch`` is called, nothing that the users of the service can see may change.
    """

    current: str | None
    """Image that serves now; known after ``look``. None before the first deployment."""
    candidate_url: str
    """Where the new version answers, after ``start``."""
    champion_url: str
    """Where the current version answers, after ``start_champion``."""
    url: str
    """Where the users' requests go, as far as this machine can ask there; empty: nowhere."""

    def look(self) -> str:
        """Find out what serves now, and whether the place is ready for a deployment."""

    def start(self) -> str:
        """Start the new version beside the current one, and wait until it answers."""

    def start_champion(self) -> str:
        """Make the current version answer at ``champion_url``, for comparison."""

    def switch(self) -> str:
        """Let the new version serve."""

    def confirm(self) -> str:
        """Check from outside that what serves is the new version."""

    def watch(self, look: Callable[[str], str]) -> str:
        """Let ``look`` watch for a while how users fare; only where ``url`` is known."""

    def settle(self) -> str:
        """End what served before, after the new version has proved itself."""

    def undo(self) -> str:
        """Let what served before serve again, whatever happened; end the new version."""

    def close(self) -> None:
        """Let go of what only this deployment needed. Never raises."""


@dataclass(frozen=True)
class Step:
    """One step; ``said`` is a sentence: what it found, or why it failed."""

    name: str
    seconds: float
    ok: bool
    said: str


@dataclass
class Steps:
    """Steps in the order in which they were taken."""

    done: list[Step] = field(default_factory=list)

    def take(self, name: str, action: Callable[[], str]) -> None:
        """Do ``action``, which returns a sentence; what it raises is recorded and goes on."""
        started = time.perf_counter()
        try:
            console.print(f"{name} ...", markup=False)
            said, ok = action(), True
        except BaseException as error:
            said, ok = reason(error), False
            raise
        finally:
            step = Step(name, round(time.perf_counter() - started, 2), ok, said)
            self.done.append(step)
            outcome = said if ok else f"FAILED: {said}"
            console.print(f"{name}: {outcome} ({step.seconds:.1f} s)", markup=False)

    @property
    def failed(self) -> Step | None:
        return next((step for step in self.done if not step.ok), None)


def reason(error: BaseException) -> str:
    """Say an error in one line."""
    # A signal may come in the middle of what makes another error of it, as codecs do.
    if isinstance(error.__cause__, KeyboardInterrupt):
        error = error.__cause__
    text = " ".join(str(error).split())
    if isinstance(error, KeyboardInterrupt):
        return text or "interrupted"
    return text or type(error).__name__


def run(
    params: Params,
    environment: Environment,
    image: str,
    export: Path,
    champion: str | None = None,
    canary: bool = True,
    accept: bool = False,
) -> dict[str, Any]:
    """Start ``image`` beside what serves, check it, let it serve, check again.

    Returns what ``reports/deployment.json`` holds.

    Parameters
    ----------
    image : str
        Reference by digest, ``host/repository@sha256:...``; in a workflow, to an image of this
        repository.
    export : Path
        What ``mlops export`` wrote for the version in the image.
    champion : str, optional
        Image of the champion: used where the place itself cannot tell what serves.
    canary : bool
        In production, compare with what serves before the switch.
    accept : bool
        Whether to go on where the canary cannot decide. In a workflow, whoever lets its failed jobs
        run again has accepted that.

    Raises
    ------
    MlopsError
        Naming the step that failed and why; what served before serves again by then.
    """
    for reference in filter(None, (image, champion)):
        images.check(reference, params.serving.former_images)
    version = files.read_json(export / "model" / "version.json", f"mlops export {export}")
    steps, watch = Steps(), Watch(params)
    doubt = f"inconclusive-{image[-12:]}"

    def accepted_by() -> str | None:
        return "whoever deploys" if accept else actions.accepted_by(doubt)

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
    with stoppable(), closing(target):
        try:
            if os.environ.get(checks.ATTESTED):
                steps.take("verify", lambda: checks.built_here(image))
            compared = environment == "production" and canary
            take_all(steps, target, params, export, watch, compared, accepted_by)
            record["passed"] = True
            return record
        except (Exception, KeyboardInterrupt) as error:
            record["failed"] = failed = steps.failed.name if steps.failed else "deploy"
            if isinstance(error, checks.InconclusiveError):
                actions.outputs(inconclusive=doubt)
            back = put_back(steps, target)
            expected = isinstance(error, MlopsError | OSError | KeyboardInterrupt)
            why = f"{environment}: step {failed!r} failed: {reason(error)}; {back}"
            raise MlopsError(why) from (None if expected else error)
        finally:
            record["before"] = target.current
            record["steps"] = [asdict(step) for step in steps.done]
            files.write_json(files.DEPLOYMENT, record)
            actions.summary(summary(record))
            say_what_serves(steps, target, image if record["passed"] else None)


def ask(params: Params, environment: Environment, image: str) -> str:
    """Ask the place what serves there, for whoever lost sight of a deployment of ``image``.

    Returns a sentence, which is also in the summary of the run.
    """
    images.check(image, params.serving.former_images)
    target = open_target(params, environment, image, None, "")
    with closing(target):
        target.look()
    actions.outputs(serves=target.current or "none")
    told = f"In {environment}, {target.current or 'nothing'} serves now."
    actions.summary(f"{told}\n")
    return told


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


def take_all(
    steps: Steps,
    target: Target,
    params: Params,
    export: Path,
    watch: Watch,
    canary: bool,
    accepted_by: Callable[[], str | None],
) -> None:
    """Take the steps in order; the first one that fails ends it."""
    steps.take("look", target.look)
    steps.take("start", target.start)
    steps.take("smoke", lambda: checks.smoke_test(target.candidate_url, export, params))
    if canary and target.current is None:
        steps.take("canary", lambda: "skipped: nothing serves yet that it could be compared with")
    elif canary:

        def start_champion() -> str:
            said = target.start_champion()
            watch.hold_against(target.champion_url)
            return said

        steps.take("start champion", start_champion)
        steps.take(
            "canary",
            lambda: checks.compare(
                target.champion_url, target.candidate_url, export, params, accepted_by
            ),
        )
    # Before: whoever ends the process from here on must find where it serves.
    actions.outputs(url=os.environ.get("DEPLOY_URL", ""))
    steps.take("switch", target.switch)
    steps.take("confirm", target.confirm)
    if target.url:
        steps.take("smoke at the address", lambda: checks.smoke_test(target.url, export, params))
        steps.take("watch", lambda: target.watch(watch))
    # Nothing is undone any more: the new version serves, and has proved it.
    ignore_signals()
    with suppress(MlopsError):
        steps.take("settle", target.settle)


def put_back(steps: Steps, target: Target) -> str:
    """Undo; returns in a sentence what serves now."""
    try:
        ignore_signals()
        steps.take("undo", target.undo)
    except Exception as error:
        return f"and undoing it FAILED, look at it now: {reason(error)}"
    return steps.done[-1].said


def say_what_serves(steps: Steps, target: Target, image: str | None) -> None:
    """Set the output ``serves``: an image, or ``none``; nothing where that is not known.

    After a failure it is asked for anew, unless the undo failed.
    """
    if image is None:
        if steps.failed is None or not steps.done[-1].ok:
            return
        try:
            target.look()
        except (MlopsError, OSError):
            return
    actions.outputs(serves=image or target.current or "none")


@contextmanager
def stoppable() -> Iterator[None]:
    """Turn the first signal that ends a cancelled workflow into an exception, so that it is undone.

    GitHub sends SIGINT, after 7.5 s SIGTERM, and after 2.5 s SIGKILL: an undo has these ten seconds
    if nothing but the last interrupts it.
    """

    def stop(number: int, _: object) -> None:
        ignore_signals()
        raise KeyboardInterrupt(f"stopped by signal {signal.Signals(number).name}")

    if not _may_set_signals():
        yield
        return
    before = {number: signal.signal(number, stop) for number in STOPS}
    try:
        yield
    finally:
        for number, was in before.items():
            signal.signal(number, was)


def ignore_signals() -> None:
    """Let nobody interrupt what has to be whole: an undo, or the end of what served before."""
    if _may_set_signals():
        for number in STOPS:
            signal.signal(number, signal.SIG_IGN)


def _may_set_signals() -> bool:
    return threading.current_thread() is threading.main_thread()


def summary(record: dict[str, Any]) -> str:
    """Return the steps as Markdown."""
    outcome = "serves" if record["passed"] else f"was not deployed: step `{record['failed']}`"
    lines = [
        f"### {record['environment']}: version {record['version']} {outcome}",
        "",
        "| step | | seconds | |",
        "|---|---|---:|---|",
    ]
    for step in record["steps"]:
        mark = "✅" if step["ok"] else "❌"
        lines.append(
            f"| {step['name']} | {mark} | {step['seconds']:.1f} | {sentence(step['said'])} |"
        )
    lines += ["", f"Target `{record['target']}`, image `{record['image']}`", "", ""]
    return "\n".join(lines)
