"""A generated project passes its own `make test`: all tests of the machinery run here."""

from pathlib import Path

from generation import HOME, ROOT, succeed, with_this_environment


def test_a_project_passes_its_own_tests(tmp_path: Path) -> None:
    project = with_this_environment(tmp_path)
    # The types have just been checked here: only what differs is checked again.
    cache = str(ROOT / ".mypy_cache")
    said = succeed("make", "test", cwd=project, HOME=HOME, MYPY_CACHE_DIR=cache)
    assert "All checks passed!" in said
    assert "Success: no issues found in " in said
    assert "Required test coverage of 90.0% reached" in said
    assert " passed" in said
    assert " failed" not in said
