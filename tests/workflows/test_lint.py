"""The tools that ``make lint`` sets on the workflows find what they are there for, and say it."""

import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WORKFLOW = """\
name: Bad
on: {on}
permissions: {{}}
jobs:
  bad:
    name: bad
    runs-on: ubuntu-24.04
    permissions:
      contents: {contents}
    steps:
      - name: Look around
        run: ls {argument}
"""
GOOD = {"on": "push", "contents": "read", "argument": "."}
DEPENDABOT = "version: 2\nupdates:\n  - {package-ecosystem: uv, directory: /}\n"


@pytest.mark.parametrize(
    ("tool", "file", "bad", "sentence"),
    [
        ("actionlint", "workflows/bad.yml", {"argument": "$HOME"}, "SC2086:info"),
        ("actionlint", "workflows/bad.yml", {"argument": "${{ a.b }}"}, 'undefined variable "a"'),
        ("zizmor", "workflows/bad.yml", {"on": "pull_request_target"}, "error[dangerous-triggers]"),
        ("zizmor", "workflows/bad.yml", {"contents": "reed"}, "failed to load file"),
        ("github-workflows", "workflows/bad.yml", {"contents": "reed"}, "'reed' is not one of"),
        ("github-actions", "actions/bad/action.yml", {}, "'runs' is a required property"),
        ("dependabot", "dependabot.yml", {}, "'schedule' is a required property"),
    ],
)
def test_the_tool_finds_it(
    tmp_path: Path, tool: str, file: str, bad: dict[str, str], sentence: str
) -> None:
    text = DEPENDABOT if file == "dependabot.yml" else "name: Bad\ndescription: Bad\n"
    (tmp_path / ".github" / file).parent.mkdir(parents=True)
    (tmp_path / ".github" / file).write_text(WORKFLOW.format(**GOOD | bad) if bad else text)
    shutil.copy(ROOT / ".github" / "zizmor.yml", tmp_path / ".github")
    subprocess.run(["git", "init", "--quiet"], cwd=tmp_path, check=True)
    done = subprocess.run(
        command(tool), shell=True, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode != 0
    assert sentence in done.stdout + done.stderr


def command(tool: str) -> str:
    """Return the line of ``make lint`` that runs a tool, or a schema by its name."""
    lint = ["make", "--dry-run", "lint"]
    listed = subprocess.run(lint, cwd=ROOT, capture_output=True, text=True, check=True)
    (found,) = [line for line in listed.stdout.splitlines() if f"{tool} " in f"{line} "]
    return found
