"""The lock agrees with itself and with pyproject.toml, also after somebody edited single lines."""

import subprocess
import sys
from pathlib import Path


def test_the_versions_fit_together() -> None:
    uv = Path(sys.executable).with_name("uv")
    done = subprocess.run(
        [uv, "pip", "check", "--python", sys.executable], capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    assert "All installed packages are compatible" in done.stderr
