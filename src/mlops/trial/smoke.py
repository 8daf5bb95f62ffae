"""``mlops smoke``: whether a running service is the version that it should be, and behaves."""

from pathlib import Path
from typing import Any

from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Params
from mlops.registry import export
from mlops.trial.service_client import Service
from mlops.trial.smoke_checks import CHECKS, Trial

WAIT = 60.0  # seconds until a service must be ready


def run(params: Params, url: str, directory: Path, wait: float = WAIT) -> dict[str, Any]:
    """Try the service at ``url``, print what holds, and write ``reports/smoke.json``.

    Parameters
    ----------
    params : Params
    url : str
    directory : Path
        An export of the version that the service should serve.
    wait : float
        Seconds until it must be ready.

    Returns
    -------
    dict
        What was written: ``passed``, ``said``, ``reason``, ``measured``.

    Raises
    ------
    MlopsError
        With the first thing that does not hold.
    """
    files.SMOKE.unlink(missing_ok=True)
    expected = export.read(directory)
    report: dict[str, Any] = {"url": url, "version": expected.version, "passed": False}
    report |= {"reason": None, "said": []}
    with Service(url) as service:
        trial = Trial(service, expected, params.serving.latency_ms, wait)
        try:
            for check in CHECKS:
                said = check(trial)
                print(said)
                report["said"].append(said)
            report["passed"] = True
        except MlopsError as error:
            report["reason"] = str(error)
            raise
        finally:
            files.write_json(files.SMOKE, {**report, "measured": trial.measured})
    return {**report, "measured": trial.measured}
