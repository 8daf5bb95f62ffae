"""What a service counts of its users, from its own /metrics, and the rules that undo a switch.

Each rule speaks only when chance is no explanation: few requests, or one slow answer, undo nothing.

**errors**: the share of requests that end with a status of 500 or more.
**p99**: the share of predictions that take longer than what 99 of 100 may take.
**predictions**: the largest difference, over all buckets, of the share of scores up to there,
between the users of the new version and all that the champion has counted; of several classes, the
largest difference of the share of one. The rows are not the same, so it is coarser than a canary.

References
----------
Clopper and Pearson (1934). The use of confidence or fiducial limits illustrated in the case of the
binomial.
Massart (1990). The tight constant in the Dvoretzky-Kiefer-Wolfowitz inequality.
"""

import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from prometheus_client.parser import text_string_to_metric_families

from mlops.judgement.gate import Check
from mlops.project.params import Serving
from mlops.project.words import percent
from mlops.trial.service_client import Service

SLOW = 0.01  # share of predictions that may take longer than `serving.latency_ms`
CHANCE = 0.001  # of a rule that speaks without a reason, at each look of a watch
NOT_FOR_USERS = frozenset(
    ["/live", "/ready", "/metrics", "/model", "/openapi.json", "/docs", "/ping", "other"]
)
REQUESTS, SECONDS = "serving_requests_total", "serving_request_seconds_bucket"
SCORES, CLASSES = "serving_scores_bucket", "serving_classes_total"


@dataclass(frozen=True)
class Counted:
    """What a service has counted.

    ``statuses``: requests of users by status. ``seconds`` and ``scores``: predictions by the upper
    end of their bucket, each with those before it. ``classes``: rows by their most probable class.
    """

    statuses: Mapping[str, float]
    seconds: Mapping[str, float]
    scores: Mapping[str, float]
    classes: Mapping[str, float]

    def __sub__(self, earlier: "Counted") -> "Counted":
        return Counted(
            *(
                {key: max(0.0, n - before.get(key, 0.0)) for key, n in now.items()}
                for now, before in (
                    (self.statuses, earlier.statuses),
                    (self.seconds, earlier.seconds),
                    (self.scores, earlier.scores),
                    (self.classes, earlier.classes),
                )
            )
        )

    @property
    def requests(self) -> int:
        return int(sum(self.statuses.values()))


def read(service: Service) -> Counted | None:
    """Return what a service has counted; None where it does not say so at this address."""
    answer = service.get("/metrics")
    if answer.status != 200:
        return None
    keys = {REQUESTS: "status", SECONDS: "le", SCORES: "le", CLASSES: "class"}
    found: dict[str, dict[str, float]] = {name: {} for name in keys}
    for family in text_string_to_metric_families(answer.body.decode()):
        for sample in family.samples:
            if sample.name in found and sample.labels.get("path") not in NOT_FOR_USERS:
                counts, key = found[sample.name], sample.labels[keys[sample.name]]
                counts[key] = counts.get(key, 0.0) + sample.value
    return Counted(*found.values())


def rules(users: Counted, champion: Counted | None, serving: Serving) -> Iterator[Check]:
    """Yield the rules, each held against what was counted since the switch.

    Parameters
    ----------
    users : Counted
        Of the new version, since the switch.
    champion : Counted, optional
        Of the version before it, as far back as it has counted.
    """
    limits = serving.canary
    failed = int(sum(n for status, n in users.statuses.items() if status >= "500"))
    said = f"{failed} of {users.requests} requests failed since the switch"
    yield _share("errors", failed, users.requests, limits.error_rate, said, "may fail")
    if users.seconds:
        edge = min(
            (end for end in users.seconds if float(end) >= serving.latency_ms / 1000), key=float
        )
        done = int(users.seconds["+Inf"])
        slow = done - int(users.seconds[edge])
        said = f"{slow} of {done} predictions took longer than {1000 * float(edge):g} ms"
        yield _share("p99", slow, done, SLOW, said, "may (serving.latency_ms)")
    if champion is None:
        return
    away, rows, of = _distance(users, champion)
    margin = math.sqrt(-math.log(CHANCE / 2) / 2 * (rows + of) / (rows * of)) if rows and of else 1
    reason = (
        f"the scores of {rows} rows are {away:.2f} away from those of the champion's {of}; "
        f"{limits.shift:g} is allowed"
    )
    passed = away - margin <= limits.shift
    yield Check("predictions", f"{away:.2f}", f"≤ {limits.shift:g}", passed, reason)


def _share(name: str, count: int, n: int, limit: float, said: str, may: str) -> Check:
    reason = f"{said}; {percent(limit)} {may}"
    passed = _by_chance(count, n, limit) >= CHANCE
    return Check(name, f"{count / n if n else 0:.2%}", f"≤ {percent(limit)}", passed, reason)


def _by_chance(count: int, n: int, share: float) -> float:
    """Return how probable it is that ``count`` or more of ``n`` do what a ``share`` does."""
    if not count:
        return 1.0
    if not share:
        return 0.0

    def exactly(k: int) -> float:
        ways = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
        return math.exp(ways + k * math.log(share) + (n - k) * math.log1p(-share))

    return max(0.0, 1 - sum(map(exactly, range(count))))


def _distance(one: Counted, other: Counted) -> tuple[float, int, int]:
    """Return how far two distributions are from each other at least, and of how many rows each is.

    The buckets may end elsewhere, as where they follow the target's quantiles; other classes have
    nothing in common.
    """
    if one.classes:
        n, m = (int(sum(of.classes.values())) for of in (one, other))
        if not n or not m or one.classes.keys() != other.classes.keys():
            return 0.0, n, m
        away = (abs(one.classes[key] / n - other.classes[key] / m) for key in one.classes)
        return max(away), n, m
    n, m = (int(of.scores.get("+Inf", 0)) for of in (one, other))
    if not n or not m:
        return 0.0, n, m
    shares = [(float(end), count / m) for end, count in other.scores.items()]
    largest = 0.0
    for end, count in one.scores.items():
        at_least = max((share for edge, share in shares if edge <= float(end)), default=0.0)
        at_most = min(share for edge, share in shares if edge >= float(end))
        largest = max(largest, count / n - at_most, at_least - count / n)
    return largest, n, m
