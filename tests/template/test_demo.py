"""``make demo`` says where it stopped, and moves the window to months that the schema knows."""

import importlib.util
import shutil
from pathlib import Path
from types import ModuleType

import pytest
from generation import ROOT

from mlops.project import params


@pytest.fixture
def demo(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    """Return the demo, for a project that is only its params.yaml."""
    for folder in ("template", "tests/workflows/github"):
        monkeypatch.syspath_prepend(str(ROOT / folder))
    spec = importlib.util.spec_from_file_location("demo", ROOT / "template" / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    monkeypatch.setattr(module, "PROJECT", tmp_path)
    shutil.copy(ROOT / "params.yaml", tmp_path)
    return module


def test_it_moves_the_window_by_a_month(demo: ModuleType, tmp_path: Path) -> None:
    before = params.load(tmp_path / "params.yaml")
    demo.move_the_window()
    after = params.load(tmp_path / "params.yaml")
    assert str(after.data.window) == "2013-01 to 2013-04"
    assert str(after.data.holdout) == "2013-05"
    assert after.model_copy(update={"data": before.data}) == before


def test_it_stops_with_one_line(demo: ModuleType) -> None:
    with pytest.raises(SystemExit) as stopped:
        demo.in_project("git no-such-command")
    said = str(stopped.value)
    assert said.startswith("The demo stopped: `git no-such-command` in ")
    assert said.endswith("ended with 1; what it said is above.")
