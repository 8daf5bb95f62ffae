"""What act runs actions and ``hashFiles`` with: here is no Node, the stand-ins are Python.

It starts several times in each job, so it imports only what it needs.
"""

# To import pathlib takes longer than all the rest.
# ruff: noqa: PTH110, PTH123, PTH207

import os
import sys
import time


def main() -> None:
    if sys.argv[1].endswith("/hashfiles/index.js"):
        patterns = os.environ["patterns"].split("\n")  # noqa: SIM112
        print(f"__OUTPUT__{hash_files(patterns)}__OUTPUT__")
    else:
        sys.exit(run(sys.argv[1]))


def hash_files(patterns: list[str]) -> str:
    """Hash what GitHub would: the hashes of the files that match, "" when none does."""
    from glob import glob
    from hashlib import sha256

    found: set[str] = set()
    for pattern in patterns:
        paths = glob(pattern.removeprefix("!"), recursive=True, include_hidden=True)
        files = set(filter(os.path.isfile, paths))
        found = found - files if pattern.startswith("!") else found | files
    digest = sha256()
    for path in sorted(found):
        with open(path, "rb") as content:
            digest.update(sha256(content.read()).digest())
    return digest.hexdigest() if found else ""


def run(script: str) -> int:
    """Run a stand-in; a failing one waits until act_run.py has read what it said (see bash)."""
    try:
        with open(script, encoding="utf-8") as text:
            code = compile(text.read(), script, "exec")
        exec(code, {"__name__": "__main__"})
        return 0
    except SystemExit as end:
        if not end.code:
            return 0
    except Exception:
        import traceback

        traceback.print_exc(file=sys.stdout)
    answer = f"{os.environ['RUNNER_TEMP']}/read-{os.getpid()}"
    print(f"::output-read::{answer}", flush=True)
    deadline = time.monotonic() + 10
    while not os.path.exists(answer) and time.monotonic() < deadline:
        time.sleep(0.01)
    return 1
