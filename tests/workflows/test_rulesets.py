"""The rulesets are what GitHub takes, and say what was decided."""

import json
from pathlib import Path
from typing import Any

import pytest
from githubkit_schemas.latest.models import ReposOwnerRepoRulesetsPostBody
from pydantic import ValidationError

ROOT = Path(__file__).parents[2]
FILES = sorted(ROOT.glob(".github/rulesets/*.json"))
GITHUB_ACTIONS = 15368


def ruleset(name: str) -> dict[str, Any]:
    (file,) = [file for file in FILES if file.stem == name]
    return json.loads(file.read_text())


def as_github_reads(data: dict[str, Any]) -> dict[str, Any]:
    """Return what is left of a ruleset after GitHub's schema has dropped what it does not know."""
    read = ReposOwnerRepoRulesetsPostBody.model_validate(data)
    return read.model_dump(mode="json", exclude_unset=True)


@pytest.mark.parametrize("name", [file.stem for file in FILES])
def test_github_takes_all_of_it(name: str) -> None:
    assert as_github_reads(ruleset(name)) == ruleset(name)


def test_what_github_does_not_know_is_noticed() -> None:
    data = ruleset("main")
    data["rules"][3]["parameters"]["strict"] = True
    assert as_github_reads(data) != data
    data["rules"][3]["type"] = "required_checks"
    with pytest.raises(ValidationError):
        as_github_reads(data)


def test_nobody_passes_the_checks_by() -> None:
    main = ruleset("main")
    assert (main["enforcement"], main["bypass_actors"]) == ("active", [])
    assert main["conditions"]["ref_name"]["include"] == ["~DEFAULT_BRANCH"]
    rules = {rule["type"]: rule.get("parameters") for rule in main["rules"]}
    assert rules.keys() == {
        "deletion",
        "non_fast_forward",
        "pull_request",
        "required_status_checks",
    }
    assert rules["required_status_checks"] == {
        # Judged against the champion of today's main, not of when the branch began.
        "strict_required_status_checks_policy": True,
        "do_not_enforce_on_create": True,
        "required_status_checks": [
            {"context": "pass", "integration_id": GITHUB_ACTIONS},
            {"context": "model gate", "integration_id": GITHUB_ACTIONS},
        ],
    }


def test_a_review_is_of_what_is_merged() -> None:
    (rule,) = [rule for rule in ruleset("main")["rules"] if rule["type"] == "pull_request"]
    assert rule["parameters"]["required_approving_review_count"] == 1
    assert rule["parameters"]["require_code_owner_review"] is True  # the bot is none
    assert rule["parameters"]["dismiss_stale_reviews_on_push"] is True
    assert rule["parameters"]["require_last_push_approval"] is True


def test_the_store_can_be_pushed_over_but_not_deleted() -> None:
    store = ruleset("store")
    assert store["conditions"]["ref_name"]["include"] == ["refs/heads/mlops-store"]
    assert store["rules"] == [{"type": "deletion"}]
