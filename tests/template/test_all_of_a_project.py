"""A generated project passes its own `make test`: all tests of the machinery run here."""

from pathlib import Path

from generation import HOME, succeed, with_environment


def test_a_project_passes_its_own_tests(tmp_path: Path) -> None:
    project = with_environment(tmp_path)
    said = succeed("make", "test", cwd=project, HOME=HOME)
    assert "All checks passed!" in said
    assert "Success: no issues found in " in said
    assert "Required test coverage of 90.0% reached" in said
    assert " passed" in said
    assert " failed" not in said
