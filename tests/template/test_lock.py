"""The locks agree with each other and with pyproject.toml, also after single lines were edited."""

import re
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from mlops.artifact import skops_model
from mlops.project import files

ROOT = Path(__file__).parents[2]


def test_the_versions_fit_together() -> None:
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run(
        [uv, "pip", "check", "--python", sys.executable], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "All installed packages are compatible" in done.stderr


@pytest.mark.parametrize("group", ["serve", "serve-skops", "deliver"])
def test_an_image_has_the_versions_that_were_tested(group: str) -> None:
    lock = f"requirements-{group}.txt"
    tested, served = pins(files.LOCK.name), pins(lock)
    assert served
    other = {
        name: pin
        for name, pin in served.items()
        # A marker is narrower where fewer libraries want it.
        if pin.partition(" ;")[0] != tested.get(name, "").partition(" ;")[0]
    }
    assert other == {}
    command = (ROOT / lock).read_text(encoding="utf-8").splitlines()[1]
    assert command == (
        "#    uv pip compile --universal --python-version 3.11 --generate-hashes "
        f"--group {group} -c {files.LOCK} -o {lock}"
    )


def test_only_the_image_for_skops_has_scikit_learn() -> None:
    more = pins(skops_model.LOCK).keys() - pins("requirements-serve.txt").keys()
    assert {"scikit-learn", "skops", "threadpoolctl"} <= more
    assert not pins("requirements-serve.txt").keys() & {"mlflow-skinny", "pandas", "scipy"}


def test_a_lock_has_all_that_its_group_asks_for() -> None:
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    groups = tomllib.loads(text)["dependency-groups"]
    for group in ("serve", "serve-skops", "deliver"):
        asked = {re.split(r"[=<>\[]", one)[0] for one in groups[group] if isinstance(one, str)}
        assert asked <= pins(f"requirements-{group}.txt").keys(), group


def pins(lock: str) -> dict[str, str]:
    """Return version (and marker) by package."""
    text = (ROOT / lock).read_text(encoding="utf-8")
    return dict(re.findall(r"^([a-z0-9._-]+)==(\S+(?: ; [^\\\n]+?)?) \\$", text, re.MULTILINE))
