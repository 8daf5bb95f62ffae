"""A canary that cannot decide ends the deployment, until a person accepts that."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlops.delivery import checks
from mlops.delivery.checks import InconclusiveError
from mlops.project import actions
from mlops.project.params import load
from mlops.trial import canary

EXAMPLE = Path(__file__).parents[1] / "example" / "params.yaml"
DOUBT = "inconclusive-0123456789ab"


@pytest.fixture
def compare(monkeypatch: pytest.MonkeyPatch) -> Callable[..., str]:
    """Compare two services whose canary cannot decide."""

    def undecided(*_: Any) -> dict[str, Any]:
        return {
            "outcome": "inconclusive",
            "finding": "equal",
            "reasons": ["it may be slow"],
            "asked": {"said": "asked 500 rows"},
        }

    monkeypatch.setattr(canary, "run", undecided)
    return lambda by: checks.compare("one", "other", Path(), load(EXAMPLE), by)


@pytest.fixture
def workflow(monkeypatch: pytest.MonkeyPatch) -> list[str]:
    """A run's second attempt, let run by ada; it has kept the artifacts in the list."""
    kept = [DOUBT]
    environment = {
        "GITHUB_REPOSITORY": "ada/flights",
        "GH_TOKEN": "t0ken",
        "GITHUB_RUN_ID": "7",
        "GITHUB_RUN_ATTEMPT": "2",
        "GITHUB_TRIGGERING_ACTOR": "ada",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def ask(path: str) -> Any:
        name = path.partition("?name=")[2].partition("&")[0]
        of_others = {"name": name, "workflow_run": {"id": 6}}
        mine = [{"name": name, "workflow_run": {"id": 7}}] if name in kept else []
        return {"artifacts": [of_others, *mine]}

    monkeypatch.setattr(actions, "ask", ask)
    return kept


def test_nobody_has_accepted_it(compare: Callable[..., str]) -> None:
    with pytest.raises(InconclusiveError) as error:
        compare(lambda: None)
    assert str(error.value) == (
        "inconclusive: it may be slow; to accept that, deploy with --accept-inconclusive"
    )


def test_somebody_has(compare: Callable[..., str]) -> None:
    said = compare(lambda: "ada")
    assert said == "inconclusive, which ada has accepted: it may be slow (asked 500 rows)"


@pytest.mark.usefixtures("workflow")
def test_whoever_lets_the_failed_jobs_run_again_accepts() -> None:
    assert actions.accepted_by(DOUBT) == "ada"


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("GITHUB_RUN_ATTEMPT", "1"),  # nobody has seen it yet
        ("GITHUB_TRIGGERING_ACTOR", "some-app[bot]"),
        ("GITHUB_RUN_ID", "8"),  # which was not in doubt
        ("GH_TOKEN", ""),
    ],
)
@pytest.mark.usefixtures("workflow")
def test_nothing_else_accepts(monkeypatch: pytest.MonkeyPatch, name: str, value: str) -> None:
    monkeypatch.setenv(name, value)
    assert actions.accepted_by(DOUBT) is None


def test_another_image_was_not_in_doubt(workflow: list[str]) -> None:
    workflow[:] = ["inconclusive-ba9876543210"]
    assert actions.accepted_by(DOUBT) is None
