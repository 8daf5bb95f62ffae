"""CML, which comments and opens pull requests: fetched as a release, checked, and run."""

import hashlib
import os
import re
import subprocess
from pathlib import Path

from github import SITE, annotate, one_line

REPOSITORY, VERSION, FILE = "iterative/cml", "v0.20.6", "cml-linux-x64"
SHA256 = ""  # of FILE in that release; while it is empty, each run says what to write here
TIMEOUT = 120  # seconds; it takes two, but waits for hours when GitHub limits the rate


class CmlError(Exception):
    """CML cannot be used; the message says why."""


def installed() -> str:
    """Return the path of CML, after fetching and checking it where ``CML_BIN`` names none."""
    if os.environ.get("CML_BIN"):
        return os.environ["CML_BIN"]
    path = Path(os.environ["RUNNER_TEMP"], "cml")
    fetch = ["gh", "release", "download", VERSION, "--repo", REPOSITORY, "--pattern", FILE]
    _run([*fetch, "--output", str(path), "--clobber"], {})
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    expected = SHA256 or os.environ.get("CML_SHA256")
    if expected and digest != expected:
        raise CmlError(f"its sha256 is {digest} where {one_line(expected)} is recorded")
    if not expected:
        annotate(
            "notice",
            "CML",
            f"CML {VERSION} was not checked: no sha256 is recorded. It has {digest}; write that as "
            "SHA256 into .github/lib/cml.py, and no other file is ever run.",
        )
    path.chmod(0o755)
    return str(path)


def write(what: str, program: str, *arguments: str, sha: str, **environment: str) -> str:
    """Let CML write ``what``, such as "the comment", about a commit; returns its address."""
    said = _run(
        [program, *arguments, f"--repo={SITE}/{os.environ['GITHUB_REPOSITORY']}"],
        {
            "REPO_TOKEN": os.environ["GH_TOKEN"],
            "ITERATIVE_DO_NOT_TRACK": "1",
            # Of a pull_request event it would take the commit from the event, which may be another.
            "GITHUB_EVENT_NAME": "",
            "GITHUB_SHA": sha,
            # It writes `safe.directory = *`, which would stay on a machine of one's own.
            "GIT_CONFIG_GLOBAL": str(Path(os.environ["RUNNER_TEMP"], "cml.gitconfig")),
            **environment,
        },
    ).strip()
    if not said.startswith(f"{SITE}/"):
        raise CmlError(f"it did not say where {what} is, but {one_line(said)!r}")
    return one_line(said)


def _run(command: list[str], environment: dict[str, str]) -> str:
    """Run a command whose output is not for the log: on errors CML prints all that it sent."""
    try:
        done = subprocess.run(
            command,
            env={**os.environ, **environment},
            capture_output=True,
            encoding="utf-8",
            errors="replace",
            timeout=TIMEOUT,
            check=False,
        )
    except subprocess.TimeoutExpired:
        raise CmlError(f"{Path(command[0]).name} did not end within {TIMEOUT} seconds") from None
    except OSError as error:
        raise CmlError(one_line(str(error))) from None
    if done.returncode:
        raise CmlError(f"{Path(command[0]).name} failed: {_reason(done.stderr)}")
    return done.stdout


def _reason(output: str) -> str:
    """Return the message in what was printed: CML prints an object, whose end may be lost."""
    message = re.search(r'"message":"((?:[^"\\]|\\.)*)"', output)
    text = message[1] if message else output.strip().partition("\n")[0]
    return one_line(text) or "it printed nothing"
