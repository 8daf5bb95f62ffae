"""What act runs actions and ``hashFiles`` with: here is no Node, the stand-ins are Python."""

import hashlib
import os
import runpy
import sys
import time
import traceback
from pathlib import Path


def hash_files(patterns: list[str], workspace: Path) -> str:
    """Hash what GitHub would: the hashes of the files that match, "" when none does."""
    found: set[Path] = set()
    for pattern in patterns:
        files = {path for path in workspace.glob(pattern.removeprefix("!")) if path.is_file()}
        found = found - files if pattern.startswith("!") else found | files
    if not found:
        return ""
    digest = hashlib.sha256()
    for path in sorted(found):
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    return digest.hexdigest()


def run(script: str) -> int:
    """Run a stand-in; a failing one waits until act_run.py has read what it said (see bash)."""
    try:
        runpy.run_path(script, run_name="__main__")
        return 0
    except SystemExit as end:
        if not end.code:
            return 0
    except Exception:
        traceback.print_exc(file=sys.stdout)
    answer = Path(os.environ["RUNNER_TEMP"], f"read-{os.getpid()}")
    print(f"::output-read::{answer}", flush=True)
    deadline = time.monotonic() + 10
    while not answer.exists() and time.monotonic() < deadline:
        time.sleep(0.01)
    return 1


def main() -> None:
    if sys.argv[1].endswith("/hashfiles/index.js"):
        patterns = os.environ["patterns"].split("\n")  # noqa: SIM112
        print(f"__OUTPUT__{hash_files(patterns, Path.cwd())}__OUTPUT__")
    else:
        sys.exit(run(sys.argv[1]))
