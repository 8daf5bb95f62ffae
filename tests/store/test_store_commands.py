"""The store from a command line, and from a step of a workflow."""

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from clones import OVERTAKEN, git
from projects import ROOT

from mlops import cli

ACTION = yaml.safe_load((ROOT / ".github/actions/store/action.yml").read_text(encoding="utf-8"))
STEP = ACTION["runs"]["steps"][0]


def test_the_commands_say_what_was_done(
    here: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def run(*arguments: str) -> tuple[str, str]:
        monkeypatch.setattr("sys.argv", ["mlops", "store", *arguments])
        with pytest.raises(SystemExit) as stopped:
            cli.main()
        said = capsys.readouterr()
        return f"{stopped.value.code or 0} {said.out}", said.err

    monkeypatch.setattr("sys.path", [*sys.path])
    out, err = run("push")
    assert out.startswith("0 .store is saved in mlops-store of origin (")
    assert err == "Saving .store in mlops-store of origin ...\n"
    out, err = run("pull", "--force")
    assert out.startswith("0 .store is pulled from mlops-store of origin: Store, nothing deployed")
    assert err == "Fetching mlops-store of origin ...\n"
    git("update-ref", "-d", "refs/mlops/store")
    out, err = run("push")
    assert out == "1 "
    assert err.splitlines()[-1] == f"mlops: mlops-store of origin is not pulled yet{OVERTAKEN}"


def action(folder: Path, do: str) -> subprocess.CompletedProcess[str]:
    """Run the action's step, with an ``mlops`` that says how it was called and what git knows."""
    given = {
        "${{ inputs.version }}": "",
        "${{ inputs.image }}": "",
        "${{ inputs.do }}": do,
        "${{ inputs.token }}": "t0ken",
        "${{ github.server_url }}": "https://github.com",
    }
    environment = {"PATH": f"{folder}:{os.environ['PATH']}", "HOME": str(folder)}
    environment["GITHUB_STEP_SUMMARY"] = str(folder / "summary.md")
    for name, value in STEP["env"].items():
        for expression, text in given.items():
            value = value.replace(expression, text)
        assert "${{" not in value
        environment[name] = value
    (folder / "mlops").write_text(
        '#!/bin/sh\necho "mlops $*"\nprintf "protocol=https\\nhost=github.com\\n\\n" > asked\n'
        "git credential fill < asked >&2\ngit credential fill < asked | git credential approve\n"
    )
    (folder / "mlops").chmod(0o755)
    (folder / ".gitconfig").write_text("[credential]\n\thelper = store\n")
    return subprocess.run(
        ["bash", "--noprofile", "--norc", "-eo", "pipefail", "-c", STEP["run"]],
        cwd=folder,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.mark.parametrize(("do", "command"), [("restore", "pull"), ("record", "record build/store")])
def test_the_action_gives_git_the_token_and_leaves_it_nowhere(
    tmp_path: Path, do: str, command: str
) -> None:
    done = action(tmp_path, do)
    assert done.returncode == 0, done.stderr
    assert done.stdout == f"mlops store {command}\n"
    assert {"username=x-access-token", "password=t0ken"} <= set(done.stderr.splitlines())
    kept = {path.name: path.read_text() for path in tmp_path.iterdir() if path.name != "asked"}
    assert "t0ken" not in str(kept)
    assert kept.get("summary.md") == (done.stdout if do == "record" else None)


def test_the_action_knows_what_it_can_do(tmp_path: Path) -> None:
    done = action(tmp_path, "destroy")
    assert done.returncode == 1
    assert done.stdout == (
        "::error title=store::do is 'destroy'; it must be restore, hand-over, "
        "hand-over-deployed, promote, rollback or record\n"
    )
    assert "${{" not in STEP["run"]
