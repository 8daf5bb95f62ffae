"""A shadow asks the candidate what users ask the champion, as they ask it; no user notices."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from running_service import RunningService

from mlops.project.errors import MlopsError
from mlops.project.params import Canary, Params, load
from mlops.registry import export
from mlops.trial import canary, canary_gate
from mlops.trial.service_client import JSON, Service

EXAMPLE = Path(__file__).parents[1] / "example" / "params.yaml"
Altered = Callable[[str], str]


def params(**changes: Any) -> Params:
    loaded = load(EXAMPLE)
    chosen = {"requests": 100, "seconds": 4.0, "latency_ratio": 1000.0, "shadow": True, **changes}
    serving = loaded.serving.model_copy(update={"canary": Canary(**chosen)})
    return loaded.model_copy(update={"serving": serving})


@pytest.fixture
def champion(exported: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    """A champion whose log this machine reads."""
    log = tmp_path / "log"
    log.mkdir()
    settings = {"prediction_log_uri": log, "prediction_log_flush_seconds": 0.05}
    service = RunningService(exported / "model", tmp_path, **settings).wait()
    monkeypatch.setenv("PREDICTION_LOG_URI", str(log))
    monkeypatch.delenv("API_KEY", raising=False)
    monkeypatch.setattr(canary_gate, "RESAMPLES", 200)
    monkeypatch.chdir(tmp_path)
    yield service.url
    service.kill()


@contextmanager
def users(champion: str, exported: Path) -> Iterator[list[int]]:
    """Ask the champion again and again until the block ends; gives the statuses."""
    sample = export.read(exported).sample
    assert sample
    statuses: list[int] = []
    done = threading.Event()

    def ask() -> None:
        with Service(champion) as client:
            for row in sample.rows * 10:
                if done.wait(0.01):
                    return
                body = json.dumps(row).encode()
                answer = client.ask("POST", "/predict", body, JSON | {"X-Request-ID": "user"})
                statuses.append(answer.status)

    thread = threading.Thread(target=ask)
    thread.start()
    try:
        yield statuses
    finally:
        done.set()
        thread.join()


def shadowed(report: dict[str, Any]) -> dict[str, dict[str, Any]]:
    checks = report["checks"]
    return {it["name"]: it for it in checks if it["name"].startswith("shadow")}


def test_an_equal_candidate_is_asked_the_same_and_passes(
    champion: str, served: str, exported: Path
) -> None:
    with users(champion, exported) as statuses:
        report = canary.run(params(), champion, served, exported)
    found = shadowed(report)
    assert report["passed"]
    assert list(found) == ["shadow errors", "shadow predictions"]  # how long it took is not logged
    asked = int(found["shadow errors"]["reason"].split(" requests")[0].rsplit(" ", 1)[1])
    assert 50 <= asked < len(statuses)  # none of what the canary itself asks the champion
    assert set(statuses) == {200}


def test_one_that_differs_only_on_what_users_ask_is_stopped(
    champion: str, altered: Altered, exported: Path
) -> None:
    # Both asked the same: let it pass that part, as where the holdout is unlike what users ask.
    with users(champion, exported), pytest.MonkeyPatch.context() as patch:
        patch.setattr(canary, "watch", _equal)
        report = canary.run(params(), champion, altered("shifted"), exported)
    assert report["outcome"] == "stopped"
    (reason,) = report["reasons"]
    assert reason.startswith("in the shadow, its scores are at a Kolmogorov-Smirnov distance of ")


def test_few_users_are_a_doubt(champion: str, served: str, exported: Path) -> None:
    report = canary.run(params(seconds=0.5), champion, served, exported)
    assert report["outcome"] == "inconclusive"
    assert report["reasons"] == [
        "in the shadow, users asked 0 rows in 0.5 s, and 50 are needed; listen longer with "
        "serving.canary.seconds"
    ]


def test_what_cannot_be_read_cannot_be_shadowed(
    champion: str, served: str, exported: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("PREDICTION_LOG_URI")
    with pytest.raises(MlopsError, match="nobody can shadow what users ask: PREDICTION_LOG_URI is"):
        canary.run(params(seconds=0.1), champion, served, exported)


def test_a_shadow_needs_a_time() -> None:
    with pytest.raises(ValueError, match="shadow needs seconds"):
        Canary(shadow=True)


def _equal(*_: Any) -> canary_gate.Window:
    def side() -> canary_gate.Side:
        return canary_gate.Side([True] * 100, [0.001] * 100, [[0.5]] * 100)

    return canary_gate.Window(side(), side())
