"""The rules after a switch, on what real services count of their users."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops.judgement.gate import Check
from mlops.project.params import Canary, Serving
from mlops.registry import export
from mlops.trial import counters
from mlops.trial.counters import Counted
from mlops.trial.service_client import JSON, Service

Altered = Callable[[str], str]
SERVING = Serving(latency_ms=25.0)


@pytest.fixture(autouse=True)
def _no_key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("API_KEY", raising=False)


def counted(url: str, exported: Path, rows: int = 150) -> Counted:
    """Return what a service counts while it is asked a row at a time."""
    sample = export.read(exported).sample
    assert sample
    with Service(url) as service:
        before = counters.read(service)
        for row in sample.rows[:rows]:
            service.ask("POST", "/predict", json.dumps(row).encode(), JSON)
        service.get("/docs")
        service.get("/nowhere")
        after = counters.read(service)
    assert before
    assert after
    return after - before


def spoke(users: Counted, champion: Counted | None = None, serving: Serving = SERVING) -> list[str]:
    return [it.name for it in counters.rules(users, champion, serving) if not it.passed]


def test_each_rule_speaks_of_its_own_fault(served: str, altered: Altered, exported: Path) -> None:
    champion = counted(served, exported)
    assert (champion.requests, champion.statuses) == (150, {"200": 150.0})
    assert spoke(champion, champion) == []
    assert spoke(counted(altered("shifted"), exported), champion) == ["predictions"]
    assert spoke(counted(altered("failing"), exported), champion) == ["errors"]
    assert "p99" in spoke(counted(altered("slow"), exported), champion)


def test_what_they_say(served: str, altered: Altered, exported: Path) -> None:
    champion, shifted = (counted(url, exported) for url in (served, altered("shifted")))
    errors, slow, away = counters.rules(shifted, champion, SERVING)
    assert errors.reason == "0 of 150 requests failed since the switch; 1% may fail"
    assert slow.reason.endswith(
        " of 150 predictions took longer than 25 ms; 1% may (serving.latency_ms)"
    )
    assert away.reason.endswith(" away from those of the champion's 150; 0.25 is allowed")
    assert 0.4 < float(away.value) <= 1


def made(statuses: dict[str, float], slow: float = 0.0, scores: Any = None) -> Counted:
    total = sum(statuses.values())
    return Counted(statuses, {"0.025": total - slow, "+Inf": total}, scores or {}, {})


@pytest.mark.parametrize(
    ("users", "rules"),
    [
        (made({}), []),
        (made({"200": 1.0, "500": 1.0}), []),  # one of two: by chance
        (made({"200": 98.0, "500": 2.0}), []),
        (made({"500": 2.0}), ["errors"]),
        (made({"200": 985.0, "503": 15.0}), []),
        (made({"200": 9700.0, "503": 300.0}), ["errors"]),
        (made({"422": 500.0}), []),  # what users do wrong
        (made({"200": 100.0}, slow=4.0), []),
        (made({"200": 100.0}, slow=9.0), ["p99"]),
    ],
)
def test_chance_undoes_nothing(users: Counted, rules: list[str]) -> None:
    assert spoke(users) == rules


def test_few_rows_are_no_shift() -> None:
    def scores(*shares: float, n: int) -> Counted:
        return made({"200": n}, scores={"0.5": shares[0] * n, "1.0": n, "+Inf": n})

    champion = scores(0.9, n=100_000)
    assert spoke(scores(0.2, n=10), champion) == []
    assert spoke(scores(0.2, n=100), champion) == ["predictions"]
    assert spoke(scores(0.7, n=100_000), champion) == []
    assert spoke(scores(0.2, n=100), None) == []  # there was none


def test_buckets_that_end_elsewhere_are_compared_as_far_as_they_tell() -> None:
    def numbers(**shares: float) -> Counted:
        ends = {end.strip("_").replace("_", "."): 500 * it for end, it in shares.items()}
        return made({"200": 500.0}, scores=ends | {"+Inf": 500.0})

    champion = numbers(_10_0=0.25, _20_0=0.5, _30_0=0.75)
    assert spoke(numbers(_12_5=0.4, _22_5=0.6, _32_5=0.8), champion) == []
    assert spoke(numbers(_12_5=0.0, _22_5=0.1, _32_5=0.2), champion) == ["predictions"]
    assert spoke(numbers(_5_0=0.9, _8_0=1.0), champion) == ["predictions"]


def test_classes_are_compared_by_their_shares() -> None:
    def classes(**shares: float) -> Counted:
        return Counted({"200": 400.0}, {}, {}, {name: 400 * it for name, it in shares.items()})

    champion = classes(a=0.5, b=0.5)
    assert spoke(classes(a=0.6, b=0.4), champion) == []
    assert spoke(classes(a=1.0, b=0.0), champion) == ["predictions"]
    assert spoke(classes(a=0.5, c=0.5), champion) == []  # other classes: nothing to compare
    (check,) = [it for it in counters.rules(champion, champion, _strict()) if it.name[0] == "p"]
    assert isinstance(check, Check)


def _strict() -> Serving:
    return Serving(canary=Canary(shift=0.01))
