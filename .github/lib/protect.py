"""Install the rules of .github/rulesets on GitHub: ``make protect RULES=team``, or ``RULES=alone``.

Needs ``gh``, signed in as an administrator of the repository. Again after a change of a file: a
ruleset of the same name is replaced. What an environment has already is left as it is.
"""

import json
import sys
from pathlib import Path

from github import CommandError, api

RULESETS = Path(".github/rulesets")
REPOSITORY = "repos/{owner}/{repo}"  # which gh fills in
# Nobody may approve a pull request of their own, so one person alone could merge nothing.
ALONE = {
    "required_approving_review_count": 0,
    "require_last_push_approval": False,
    "require_code_owner_review": False,
}
ENVIRONMENTS = ("staging", "production")
BRANCH_ONLY = {"protected_branches": False, "custom_branch_policies": True}


def main() -> None:
    """Install all of them, and say what was done."""
    who = sys.argv[1] if len(sys.argv) > 1 else ""
    if who not in ("alone", "team"):
        sys.exit(
            "make protect: RULES=team where somebody else approves each pull request, "
            "RULES=alone where nobody else could"
        )
    try:
        install(who)
        branch = api("GET", REPOSITORY)["default_branch"]
        for name in ENVIRONMENTS:
            print(f"environment {name}: {let_deploy(name, branch, who)}")
    except CommandError as error:
        sys.exit(
            f"make protect: {error}; it wants gh (https://cli.github.com), signed in as an "
            "administrator of a repository that was pushed"
        )


def install(who: str) -> None:
    """Install each ruleset, or replace the one of its name."""
    # Without the organisation's: they cannot be changed here.
    listed = api("GET", f"{REPOSITORY}/rulesets?includes_parents=false&per_page=100")
    there = {it["name"]: it["id"] for it in listed}
    for file in sorted(RULESETS.glob("*.json")):
        rules = json.loads(file.read_text(encoding="utf-8"))
        for rule in rules["rules"]:
            if rule["type"] == "pull_request" and who == "alone":
                rule["parameters"] |= ALONE
        known = there.get(rules["name"])
        place = f"{REPOSITORY}/rulesets/{known}" if known else f"{REPOSITORY}/rulesets"
        api("PUT" if known else "POST", place, **rules)
        print(f"ruleset {rules['name']}: {'replaced' if known else 'installed'}")


def let_deploy(name: str, branch: str, who: str) -> str:
    """Let an environment be used from one branch only; returns what became of it."""
    listed = api("GET", f"{REPOSITORY}/environments?per_page=100")["environments"]
    if any(it["name"] == name and it["protection_rules"] for it in listed):
        return f"has rules, which stay; look whether they let only {branch} deploy"
    place = f"{REPOSITORY}/environments/{name}"
    # Counts from the first reviewer on: nobody approves a deployment of their own.
    apart = who == "team"
    api("PUT", place, deployment_branch_policy=BRANCH_ONLY, prevent_self_review=apart)
    api("POST", f"{place}/deployment-branch-policies", name=branch)
    return f"may be used from {branch} only"


if __name__ == "__main__":
    main()
