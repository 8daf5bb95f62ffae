"""The action that gives credentials: from a secret into the environment, and into no log."""

import json
import os
import subprocess
from pathlib import Path

import pytest
import yaml
from projects import ROOT
from tiny_repository import CHECKOUT, TinyRepository

ACTION = ROOT / ".github/actions/credentials/action.yml"


WORKFLOW = """\
name: Tiny
on: push
jobs:
  test:
    name: test
    runs-on: ubuntu-24.04
    steps:
      - name: Check out the code
        uses: {checkout}
{steps}\
      - name: Look
        run: |
          echo "credentials: ${{AWS_ACCESS_KEY_ID:-none}}" >> "$GITHUB_STEP_SUMMARY"
          git status --porcelain >> "$GITHUB_STEP_SUMMARY"
"""


def give(
    secret: str, folder: Path, event: str = "push"
) -> tuple[subprocess.CompletedProcess[str], str]:
    """Run its step as GitHub does; returns what it said, and what later steps find."""
    (step,) = yaml.safe_load(ACTION.read_text(encoding="utf-8"))["runs"]["steps"]
    assert step["if"] == "inputs.secret != ''"
    found = folder / "env"
    done = subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", step["run"]],
        env=os.environ
        | {"SECRET": secret, "ROLE": "write", "GITHUB_ENV": str(found)}
        | {"GITHUB_EVENT_NAME": event},
        capture_output=True,
        text=True,
        check=False,
    )
    return done, found.read_text(encoding="utf-8")


def test_each_value_is_masked_and_set(tmp_path: Path) -> None:
    done, found = give(
        json.dumps({"AWS_ACCESS_KEY_ID": "key-of-ada", "PASSWORD": "a=b c$d"}), tmp_path
    )
    assert done.returncode == 0, done.stderr
    assert found == "AWS_ACCESS_KEY_ID=key-of-ada\nPASSWORD=a=b c$d\n"
    assert done.stderr == "::add-mask::key-of-ada\n::add-mask::a=b c$d\n"
    assert done.stdout == ""


@pytest.mark.parametrize("secret", ["AWS_ACCESS_KEY_ID=hidden", '"hidden"', '["hidden"]'])
def test_a_secret_that_is_written_otherwise_is_said_and_not_shown(
    secret: str, tmp_path: Path
) -> None:
    done, found = give(secret, tmp_path)
    assert done.returncode == 1
    assert done.stderr == (
        "::error title=credentials::the secret DATA_WRITE must be one line of JSON "
        'such as {"AWS_ACCESS_KEY_ID": "..."}\n'
    )
    assert found == ""


@pytest.mark.parametrize(
    ("event", "names"),
    [
        ("push", ["DATABASE_URL", "WANDB_API_KEY"]),
        ("schedule", ["DATABASE_URL", "WANDB_API_KEY"]),
        ("pull_request", ["DATABASE_URL"]),
        ("merge_group", ["DATABASE_URL"]),
    ],
)
def test_a_pull_request_does_not_get_the_key_of_the_tracker(
    event: str, names: list[str], tmp_path: Path
) -> None:
    secret = {"DATABASE_URL": "sqlite:///a.db", "WANDB_API_KEY": "key-of-ada"}
    done, found = give(json.dumps(secret), tmp_path, event)
    assert done.returncode == 0, done.stderr
    assert [line.partition("=")[0] for line in found.splitlines()] == names


def test_a_base_from_before_the_action_was_there_gives_none(tiny: TinyRepository) -> None:
    """As in the pull request that brings a project up to date."""
    text = (ROOT / ".github/workflows/ci.yml").read_text(encoding="utf-8")
    begin = text.index("      - name: Check out how to get credentials")
    steps = text[begin : text.index("      - name: Restore the DVC remote")]
    tiny.write(".github/workflows/tiny.yml", WORKFLOW.format(checkout=CHECKOUT, steps=steps))
    tiny.write(".gitignore", (ROOT / ".gitignore").read_text(encoding="utf-8"))
    tiny.github.secrets["DATA_READ"] = json.dumps({"AWS_ACCESS_KEY_ID": "key-of-ada"})
    (found,) = tiny.push("Before")
    assert found.conclusion == "success", found.log
    assert found.summary.strip() == "credentials: none"

    tiny.write(".github/actions/credentials/action.yml", ACTION.read_text(encoding="utf-8"))
    (found,) = tiny.push("After")
    assert found.conclusion == "success", found.log
    assert found.summary.strip() == "credentials: ***"  # there, and masked
