"""The record of promotions: who, and nothing lost to a torn line."""

from pathlib import Path

import pytest
from toy_project import NAME, ToyProject

from mlops.project import files
from mlops.registry import audit


def test_an_audit_line_that_was_cut_short_swallows_nothing(project: ToyProject) -> None:
    path = files.STORE / "audit.jsonl"
    whole = path.read_bytes()
    path.write_bytes(whole + b'{"id": "torn", "tim')
    audit.append({"id": "next", "model": NAME})
    audit.append({"id": "next", "model": NAME})
    assert [line["id"] for line in audit.read()][1:] == ["next"]
    assert path.read_bytes().startswith(whole)


def test_who_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("GITHUB_ACTOR", "octocat")
    assert audit.who() == "octocat"
    monkeypatch.delenv("GITHUB_ACTOR")
    (tmp_path / "config").write_text("[user]\nname = Ada\nemail = ada@example.org\n")
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "config"))
    monkeypatch.chdir(tmp_path)
    assert audit.who() == "Ada <ada@example.org>"
    monkeypatch.setenv("PATH", "")
    monkeypatch.setenv("LOGNAME", "ada")
    assert audit.who() == "ada"
