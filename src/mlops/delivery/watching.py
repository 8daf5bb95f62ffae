"""Whether a new version keeps serving, while the old one could still take over."""

import os
import time

from mlops.project.errors import MlopsError
from mlops.trial.service_client import Service

SECONDS = "DEPLOY_WATCH_SECONDS"
DEFAULT = "30"
PAUSE = 0.5


def watch_seconds() -> float:
    """Return how long to watch, from the environment."""
    text = os.environ.get(SECONDS) or DEFAULT
    try:
        return float(text)
    except ValueError:
        raise MlopsError(f"{SECONDS} is {text!r}; expected a number of seconds") from None


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
