"""A generated project passes its own `make test`, and is small enough to be looked through."""

import sys
from pathlib import Path

from generation import HOME, ROOT, Generate, run, succeed, with_this_environment

sys.path.insert(0, str(ROOT / "template"))
import size

# What a default project may consist of.
LIMITS = {"files": 267, "lines of code": 33_300, "packages": 236}


def test_a_project_passes_its_own_tests(tmp_path: Path) -> None:
    project = with_this_environment(tmp_path)
    said = succeed("make", "test", cwd=project, HOME=HOME)
    assert "All checks passed!" in said
    assert "Success: no issues found in " in said
    assert " passed" in said
    assert " failed" not in said
    assert " skipped" not in said


def test_a_project_holds_little_but_what_its_owner_uses(generate: Generate) -> None:
    project = generate()
    found = size.count(project)
    assert {name: limit for name, limit in LIMITS.items() if found[name] > limit} == {}, found
    tests = {path.parent.name for path in (project / "tests").rglob("*.py")}
    assert tests == {"data", "loop", "model"}


def test_a_matrix_may_be_called_x_in_what_is_yours(generate: Generate) -> None:
    project = generate()
    for folder in ("model", "mlops"):
        path = project / f"src/{folder}/added.py"
        path.write_text("def shrink(X: float, C: float) -> float:\n    X = X / C\n    return X\n")
    refused = run("ruff", "check", "--output-format", "concise", cwd=project)
    found = [line for line in refused.stdout.splitlines() if line.startswith("src/")]
    assert {line.partition(":")[0] for line in found} == {"src/mlops/added.py"}
    assert {line.split()[1] for line in found} == {"N803", "N806"}
