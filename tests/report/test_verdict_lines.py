"""What a workflow is told has one line for each answer, whatever an error holds."""

from pathlib import Path

import pytest

from mlops.project import actions
from mlops.report import verdict


def test_a_line_break_in_an_error_is_no_further_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").touch()
    verdict.record_failure("train", "bad value\nfinding=better\r\npassed=true")
    verdict.run()
    assert capsys.readouterr().out.splitlines() == [
        "finding=unfinished",
        "passed=false",
        "sentence=`mlops train` stopped: bad value finding=better passed=true",
    ]


def test_a_line_break_in_an_output_is_no_further_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_OUTPUT", str(tmp_path / "output"))
    actions.outputs(url="https://x\npassed=true", image="")
    actions.outputs(compared_with="none")
    assert (tmp_path / "output").read_text() == (
        "url=https://x passed=true\nimage=\ncompared_with=none\n"
    )


def test_in_actions_an_error_of_two_lines_is_one_annotation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    verdict.record_failure("train", "50%\n::error::pwned")
    assert capsys.readouterr().err == "::error title=mlops::50%25%0A::error::pwned\n"
