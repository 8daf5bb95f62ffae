"""The checks of a deployment: who built it, smoke test, canary, and whether it keeps serving."""

import os
import statistics
import time
from collections.abc import Callable
from pathlib import Path

from mlops.delivery.command import Command
from mlops.judgement.gate import Check
from mlops.project import actions
from mlops.project.errors import MlopsError
from mlops.project.params import Params
from mlops.trial import canary, counters, smoke
from mlops.trial.counters import Counted
from mlops.trial.service_client import Service

ATTESTED = "ATTESTED"  # true or false; not set outside a workflow
SIGNER = ".github/workflows/deploy.yml"
TIMES = 20
WATCH_SECONDS = "DEPLOY_WATCH_SECONDS"
WATCH_DEFAULT = "30"
PAUSE = 0.5
ACCEPT = "deploy with --accept-inconclusive"


class InconclusiveError(MlopsError):
    """A canary could neither pass nor stop the candidate."""


def built_here(image: str) -> str:
    """Verify the signature under where an image is from: it must be that of deploy.yml.

    The registry names the image, and whoever may push can change what it says, or push an image of
    their own under the name of this repository. They cannot sign as deploy.yml of this branch does:
    https://docs.github.com/en/actions/concepts/security/artifact-attestations

    Raises
    ------
    MlopsError
        When no signature says so.
    """
    if os.environ[ATTESTED] != "true":
        return "not proved: GitHub does not sign here, or the variable ATTEST says false"
    source = image.partition("@")[0].removeprefix("ghcr.io/")
    repository = os.environ["GITHUB_REPOSITORY"]
    if source == repository.lower():  # else what it was called (serving.former_images)
        source = repository
    workflow, ref = f"{source}/{SIGNER}", f"refs/heads/{os.environ['DEFAULT_BRANCH']}"
    asked = ["--repo", source, "--signer-workflow", workflow, "--source-ref", ref]
    try:
        Command("gh")("attestation", "verify", f"oci://{image}", *asked)
    except MlopsError as error:
        raise MlopsError(
            f"nothing proves that {SIGNER} built {image} from {ref} ({error}); build it by a push "
            "to that branch, or, if it is older than your signatures and you know where it is "
            "from, set the variable ATTEST to false until it is deployed"
        ) from None
    return f"signed by {workflow} at {ref}"


def smoke_test(url: str, export: Path, params: Params) -> str:
    """Run the smoke test; what a request takes on its way there is not the service's to answer for.

    The way through an SSH connection or a cluster's API is long, and ``serving.latency_ms`` is not
    about it: half of the requests for ``/live``, which does nothing, take less than what is added.
    """
    with Service(url) as service:
        way = statistics.median(service.get("/live").seconds for _ in range(TIMES))
    limit = params.serving.latency_ms + 1000 * way
    serving = params.serving.model_copy(update={"latency_ms": round(limit, 1)})
    report = smoke.run(params.model_copy(update={"serving": serving}), url, export)
    return "; ".join(report["said"])


def compare(
    champion: str,
    candidate: str,
    export: Path,
    params: Params,
    accepted_by: Callable[[], str | None],
) -> str:
    """Run the canary.

    Parameters
    ----------
    accepted_by : callable
        Returns who has accepted that it cannot decide; asked only where it cannot.

    Raises
    ------
    InconclusiveError
        With its reasons, when it cannot decide, and nobody has accepted that.
    MlopsError
        With its reasons, when the candidate did not pass.
    """
    report = canary.run(params, champion, candidate, export)
    finding, asked = repr(report["finding"]), report["asked"]["said"]
    if report["outcome"] == "passed":
        return f"finding {finding}, as good as the champion; {asked}"
    why = "; ".join(report["reasons"])
    if report["outcome"] == "stopped":
        raise MlopsError(f"finding {finding}: {why} ({asked})")
    if who := accepted_by():
        return f"inconclusive, which {who} has accepted: {why} ({asked})"
    how = "re-run the failed jobs" if actions.may_ask() else ACCEPT
    raise InconclusiveError(f"inconclusive: {why}; to accept that, {how}")


class Watch:
    """What is watched after the switch: readiness, and what the service counts of its users."""

    def __init__(self, params: Params) -> None:
        self.serving = params.serving
        self.seconds = watch_seconds()
        self.champion: Counted | None = None

    def hold_against(self, url: str) -> None:
        """Note what the champion has counted so far."""
        with Service(url) as service:
            self.champion = counters.read(service)

    def __call__(self, url: str) -> str:
        """Look for a while whether the service stays ready, and no rule speaks.

        Raises
        ------
        MlopsError
            At the first answer that is none, or with the first rule that does not hold.
        """
        until, asked = time.monotonic() + self.seconds, 0
        held: list[Check] = []
        with Service(url) as service:
            start = counters.read(service)
            while not asked or time.monotonic() < until:
                answer = service.get("/ready")
                asked += 1
                if answer.status != 200:
                    raise MlopsError(f"it stopped being ready: GET /ready answers {answer.error}")
                if start and (now := counters.read(service)):
                    held = list(counters.rules(now - start, self.champion, self.serving))
                for rule in held:
                    if not rule.passed:
                        raise MlopsError(f"the rule {rule.name!r} spoke: {rule.reason}")
                time.sleep(PAUSE)
        said = f"ready all {asked} times that it was asked"
        if not held:
            return f"{said}; its metrics cannot be read there, so no rule could speak"
        return f"{said}; {', '.join(f'{rule.name} {rule.value}' for rule in held)}"


def watch_seconds() -> float:
    """Return how long to watch, from the environment."""
    text = os.environ.get(WATCH_SECONDS) or WATCH_DEFAULT
    try:
        return float(text)
    except ValueError:
        raise MlopsError(f"{WATCH_SECONDS} is {text!r}; expected a number of seconds") from None
