"""The checks of a deployment: who built it, smoke test, canary, and whether it keeps serving."""

import os
import statistics
import time
from pathlib import Path

from mlops.delivery.command import Command
from mlops.project.errors import MlopsError
from mlops.project.params import Params
from mlops.trial import canary, smoke
from mlops.trial.service_client import Service

ATTESTED = "ATTESTED"  # true or false; not set outside a workflow
SIGNER = ".github/workflows/deploy.yml"
TIMES = 20
WATCH_SECONDS = "DEPLOY_WATCH_SECONDS"
WATCH_DEFAULT = "30"
PAUSE = 0.5


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


def compare(champion: str, candidate: str, export: Path, params: Params) -> str:
    """Run the canary.

    Raises
    ------
    MlopsError
        With its reasons, when the candidate did not pass.
    """
    report = canary.run(params, champion, candidate, export)
    finding, asked = repr(report["finding"]), report["asked"]["said"]
    if not report["passed"]:
        raise MlopsError(f"finding {finding}: {'; '.join(report['reasons'])} ({asked})")
    return f"finding {finding}, as good as the champion; {asked}"


def watch_seconds() -> float:
    """Return how long to watch, from the environment."""
    text = os.environ.get(WATCH_SECONDS) or WATCH_DEFAULT
    try:
        return float(text)
    except ValueError:
        raise MlopsError(f"{WATCH_SECONDS} is {text!r}; expected a number of seconds") from None


def keeps_ready(url: str, until: float) -> str:
    """Ask until the moment ``until`` (of ``time.monotonic``) whether the service is ready.

    Raises
    ------
    MlopsError
        At the first answer that is none, or another than 200.
    """
    asked = 0
    with Service(url) as service:
        while not asked or time.monotonic() < until:
            answer = service.get("/ready")
            asked += 1
            if answer.status != 200:
                raise MlopsError(f"it stopped being ready: GET /ready answers {answer.error}")
            time.sleep(PAUSE)
    return f"ready all {asked} times that it was asked"
