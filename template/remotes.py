"""What `make add` changes for each kind of DVC remote, as patches that need no network.

``make lock`` writes them into ``template/remotes`` (``python template/remotes.py COMMAND``, the
command that locks); the hook of cookiecutter applies the one for the answer ``dvc_remote_url``.
"""

import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = ("pyproject.toml", "requirements.txt")
GROUPS = ("s3", "gs", "azure", "ssh")


def main() -> None:
    for group in GROUPS:
        with tempfile.TemporaryDirectory() as folder:
            (ROOT / f"template/remotes/{group}.patch").write_bytes(patch(group, Path(folder)))


def patch(group: str, folder: Path) -> bytes:
    """Return what changes when ``dev`` includes a group."""
    for side in ("a", "b"):
        (folder / side).mkdir()
        for name in FILES:
            shutil.copy(ROOT / name, folder / side)
    listed = folder / "b" / "pyproject.toml"
    text = listed.read_text(encoding="utf-8")
    line = f'    {{ include-group = "{group}" }},\n'
    listed.write_text(text.replace("\ndev = [\n", f"\ndev = [\n{line}"), encoding="utf-8")
    command = [*sys.argv[1:], "pyproject.toml", "--group", "dev", "-o", "requirements.txt"]
    subprocess.run(command, cwd=folder / "b", check=True)
    compared = ["git", "diff", "--no-index", "--no-prefix", "--no-color", "a", "b"]
    return subprocess.run(compared, cwd=folder, stdout=subprocess.PIPE, check=False).stdout


main()
