"""Smoke test and canary, as steps of a deployment."""

import statistics
from pathlib import Path

from mlops.project.errors import MlopsError
from mlops.project.params import Params
from mlops.trial import canary, smoke
from mlops.trial.service_client import Service

TIMES = 20


def smoke_test(url: str, export: Path, params: Params) -> str:
    """Run the smoke test; what a request takes on its way there is not the service's to answer for.

    The way through an SSH connection or a cluster's API is long, and ``serving.latency_ms`` is not
    about it: half of the requests for ``/live``, which does nothing, take less than what is added.
    """
    limit = params.serving.latency_ms + way_ms(url)
    serving = params.serving.model_copy(update={"latency_ms": round(limit, 1)})
    report = smoke.run(params.model_copy(update={"serving": serving}), url, export)
    return "; ".join(report["said"])


def way_ms(url: str) -> float:
    """Return the milliseconds that a request for nothing takes (median)."""
    with Service(url) as service:
        return 1000 * statistics.median(service.get("/live").seconds for _ in range(TIMES))


def compare(champion: str, candidate: str, export: Path, params: Params) -> str:
    """Run the canary.

    Raises
    ------
    MlopsError
        With its reasons, when the candidate did not pass.
    """
    report = canary.run(params, champion, candidate, export)
    if not report["passed"]:
        raise MlopsError(f"finding {report['finding']!r}: {'; '.join(report['reasons'])}")
    return f"finding {report['finding']!r}, as good as the champion"
