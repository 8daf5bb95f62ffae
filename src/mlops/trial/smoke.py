"""``mlops smoke``: whether a running service is the version that it should be, and behaves."""

import itertools
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np

from mlops.artifact.onnx_graph import TOLERANCE
from mlops.artifact.sample import NAME as SAMPLE
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Params
from mlops.registry import export
from mlops.registry.export import Exported
from mlops.trial import malformed
from mlops.trial.service_client import Answer, NoAnswerError, Service, scores

WAIT = 60.0  # seconds until a service must be ready
PAUSE = 0.1
BATCH = 100
ALONE = 50
TIMED = 200
ROUNDS = 3  # a stall of the machine spoils one round, a slow service all of them


def run(params: Params, url: str, directory: Path, wait: float = WAIT) -> dict[str, Any]:
    """Try the service at ``url``, print what holds, and write ``reports/smoke.json``.

    Returns what was written: ``passed``, ``said``, ``reason``, ``measured``.

    Parameters
    ----------
    directory : Path
        An export of the version that the service should serve.
    wait : float
        Seconds until it must be ready.

    Raises
    ------
    MlopsError
        With the first thing that does not hold.
    """
    files.SMOKE.unlink(missing_ok=True)
    expected = export.read(directory)
    report: dict[str, Any] = {"url": url, "version": expected.version, "passed": False}
    with Service(url) as service:
        trial = Trial(service, expected, params.serving.latency_ms, wait)
        report |= {"reason": None, "said": [], "measured": trial.measured}
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
            files.write_json(files.SMOKE, report)
    return report


@dataclass
class Trial:
    """A service on trial, and what was measured of it so far."""

    service: Service
    expected: Exported
    limit_ms: float
    wait: float
    measured: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)  # what GET /model says

    @property
    def rows(self) -> list[dict[str, Any]]:
        """Rows that the service must take."""
        if self.expected.sample:
            return self.expected.sample.rows
        return [{column["name"]: column["example"] for column in self.about["columns"]}]


def becomes_ready(trial: Trial) -> str:
    """Wait for ``GET /ready``."""
    started = time.monotonic()
    while True:
        try:
            answer = trial.service.get("/ready")
            last = f"GET /ready answers {answer.status}"
            if answer.status == 200:
                break
        except NoAnswerError as error:
            last = str(error)
        if time.monotonic() - started > trial.wait:
            raise MlopsError(
                f"the service at {trial.service.url} was not ready within {trial.wait:g} s: {last}"
            )
        time.sleep(PAUSE)
    return f"ready after {time.monotonic() - started:.1f} s"


def serves_this_version(trial: Trial) -> str:
    """Compare version and model with those of the export."""
    url, expected = trial.service.url, trial.expected
    trial.about = trial.service.about()
    served = str(trial.about.get("version"))
    if served != expected.version:
        raise MlopsError(
            f"the service at {url} serves version {served}, and {expected.folder} holds version "
            f"{expected.version}; build the image from this export, or name the export it is from"
        )
    ready = _page(trial, "/ready").json()
    for page, content in (("/model", trial.about), ("/ready", ready)):
        if content.get("model_md5") != expected.facts.model_md5:
            raise MlopsError(
                f"the service at {url} says that it serves version {served}, but its model is not "
                f"the one in {expected.folder}: GET {page} gives MD5 {content.get('model_md5')}, "
                f"expected {expected.facts.model_md5}; build the image from this export"
            )
    return f"serves version {served}, model {expected.facts.model_md5}"


def is_watched(trial: Trial) -> str:
    """Look at what orchestrators and Prometheus ask for."""
    _page(trial, "/live")
    if b"serving_requests_total" not in _page(trial, "/metrics").body:
        raise MlopsError(f"GET {trial.service.url}/metrics lacks serving_requests_total")
    return "live, and its metrics can be read"


def _page(trial: Trial, path: str) -> Answer:
    answer = trial.service.get(path)
    if answer.status != 200:
        raise MlopsError(f"GET {trial.service.url}{path} answered {answer.status}, expected 200")
    return answer


def agrees_with_offline(trial: Trial) -> str:
    """Compare the scores of the sample: in batches, and some rows one by one."""
    sample, classes = trial.expected.sample, trial.expected.classes
    if sample is None:
        return f"{trial.expected.folder / SAMPLE} is not there: scores are not compared"
    offline = np.array(sample.scores, np.float64)
    served = np.array(list(_in_batches(trial.service, sample.rows, classes)), np.float64)
    alone = [
        _scores(trial.service, f"row {number}", [row], classes)[0]
        for number, row in enumerate(sample.rows[:ALONE])
    ]
    whole = np.concatenate([served, np.array(alone, np.float64)])
    expected = np.concatenate([offline, offline[: len(alone)]])
    # As when the ONNX graph was checked: a regression predicts in the target's units.
    gap = np.abs(whole - expected).max(axis=1) / max(1.0, np.abs(offline).max())
    trial.measured |= {"rows": len(served), "largest_difference": float(gap.max())}
    if gap.max() > TOLERANCE:
        worst = int(gap.argmax())
        raise MlopsError(
            f"row {worst % len(served)} (counted from 0) of {SAMPLE}: the service "
            f"predicts {_numbers(whole[worst])}, offline it was {_numbers(expected[worst])}; "
            f"{int((gap > TOLERANCE).sum())} of {len(gap)} predictions differ by more than "
            f"{TOLERANCE:g}; the image has other feature code or libraries than the training"
        )
    return (
        f"{len(served)} rows in batches and {len(alone)} one by one score as offline "
        f"(largest difference {gap.max():.1g}, allowed {TOLERANCE:g})"
    )


def _numbers(values: Any) -> str:
    return ", ".join(f"{value:.6g}" for value in values)


def _in_batches(
    service: Service, rows: list[dict[str, Any]], classes: list[str] | None
) -> Iterator[list[float]]:
    size, start = BATCH, 0
    while start < len(rows):
        batch = rows[start : start + size]
        if size > 1 and service.predict(batch).status == 413:
            size //= 2  # its limits are its own business
            continue
        name = f"rows {start} to {start + len(batch) - 1}"
        yield from _scores(service, name, batch, classes)
        start += size


def _scores(
    service: Service, name: str, rows: list[dict[str, Any]], classes: list[str] | None
) -> list[list[float]]:
    try:
        return scores(service.predict(rows if len(rows) > 1 else rows[0]), len(rows), classes)
    except NoAnswerError:
        raise
    except MlopsError as error:
        raise MlopsError(f"{name} of {SAMPLE}: {error}") from None


def is_quick(trial: Trial) -> str:
    """Time single rows; of several rounds the best counts."""
    rows, limit = trial.rows, trial.limit_ms
    best = (np.inf, np.inf)
    for _ in range(ROUNDS):
        answers = [
            trial.service.predict(row) for row in itertools.islice(itertools.cycle(rows), TIMED)
        ]
        if bad := [answer for answer in answers if answer.status != 200]:
            raise MlopsError(f"the service refuses a good row: it answered {bad[0].error}")
        p99, p50 = np.quantile([1000 * answer.seconds for answer in answers], [0.99, 0.5])
        best = min(best, (float(p99), float(p50)))
        if best[0] <= limit:
            break
    trial.measured |= {"p50_ms": best[1], "p99_ms": best[0]}
    took = f"one row takes {best[1]:.1f} ms (p50) and {best[0]:.1f} ms (p99)"
    if best[0] > limit:
        raise MlopsError(
            f"{took}; {files.PARAMS}: serving.latency_ms allows {limit:g} ms: make features.py or "
            "the model smaller, give the service more of a processor, or raise the limit"
        )
    return f"{took}, allowed {limit:g} ms"


def refuses_what_is_malformed(trial: Trial) -> str:
    """Send requests that are wrong, each in another way; all must be refused as documented."""
    requests = malformed.requests(
        # An image from before there was this setting ignores them.
        trial.rows[0],
        trial.about["columns"],
        trial.about.get("unknown_fields", "ignore"),
    )
    for request in requests:
        sent = f"a malformed request ({request.wrong})"
        try:
            answer = trial.service.ask(request.method, request.path, request.body, request.headers)
        except NoAnswerError as error:
            raise MlopsError(f"{sent} got no answer: {error}") from None
        if not 400 <= answer.status < 500:
            raise MlopsError(f"{sent} was answered with {answer.status}, expected 4xx")
        if problem := _undocumented(answer):
            raise MlopsError(f"{sent} was answered with {answer.status}, but {problem}")
    trial.measured["malformed"] = len(requests)
    return f"{len(requests)} malformed requests were refused with 4xx and a reason"


def _undocumented(answer: Answer) -> str | None:
    content = answer.json()
    error = content.get("error") if isinstance(content, dict) else None
    if not isinstance(error, dict):
        return 'not with JSON {"error": ...}'
    for key in ("kind", "message", "request_id"):
        if not isinstance(error.get(key), str) or not error[key]:
            return f"its error has no {key}"
    if error["request_id"] != answer.headers.get("X-Request-ID"):
        return "its request_id is not the one in the header X-Request-ID"
    return None


def is_still_ready(trial: Trial) -> str:
    """See whether all this has harmed it."""
    _page(trial, "/ready")
    return "still ready"


CHECKS: tuple[Callable[[Trial], str], ...] = (
    becomes_ready,
    serves_this_version,
    is_watched,
    agrees_with_offline,
    is_quick,
    refuses_what_is_malformed,
    is_still_ready,
)
