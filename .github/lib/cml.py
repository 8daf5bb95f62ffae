"""CML, which comments and opens pull requests: fetched as a release, checked, and run.

Run as a program by the first deployment, it notes which file that is; no other is run from then on.
"""

import base64
import hashlib
import os
import re
import subprocess
import sys
from pathlib import Path

from github import SITE, GitHubError, annotate, api, one_line

REPOSITORY, VERSION, FILE = "iterative/cml", "v0.20.6", "cml-linux-x64"
RECORD = "cml.sha256"  # on the branch mlops-store, as sha256sum writes it; its lines stay
TIMEOUT = 120  # seconds; it takes two, but waits for hours when GitHub limits the rate


class CmlError(Exception):
    """CML cannot be used; the message says why."""


def main(record: Path) -> None:
    """Note the hash of CML, unless there is one: what later runs are held against."""
    known = record.read_text(encoding="utf-8") if record.is_file() else ""
    if _recorded(known):
        return
    try:
        digest = _fetched()[1]
    except CmlError as error:
        annotate("notice", "CML", f"CML is not on record yet, and gh comments meanwhile: {error}")
        return
    record.parent.mkdir(exist_ok=True)
    record.write_text(f"{known}{digest}  {VERSION}/{FILE}\n", encoding="utf-8")
    annotate("notice", "CML", f"From now on, only this file of CML {VERSION} is run: {digest}")


def installed() -> str | None:
    """Return the path of CML, where ``CML_BIN`` names none after fetching and checking it.

    None where no file of it is on record yet.

    Raises
    ------
    CmlError
        When it cannot be had, or is not the one on record.
    """
    if os.environ.get("CML_BIN"):
        return os.environ["CML_BIN"]
    address = f"repos/{os.environ['GITHUB_REPOSITORY']}/contents/{RECORD}?ref=mlops-store"
    try:
        known = base64.b64decode(api("GET", address)["content"]).decode()
    except GitHubError as error:
        if error.status == 404:
            return None
        raise CmlError(f"what is on record of it cannot be read: {error}") from None
    expected = _recorded(known)
    if expected is None:
        return None
    path, digest = _fetched()
    if digest != expected:
        raise CmlError(
            f"its sha256 is {digest}, and the first deployment recorded {expected} for {VERSION}"
        )
    path.chmod(0o755)
    return str(path)


def _recorded(known: str) -> str | None:
    """Return the hash of this version; of several the first, as lines are only added."""
    found = re.search(rf"^([0-9a-f]{{64}})  {re.escape(f'{VERSION}/{FILE}')}$", known, re.MULTILINE)
    return found and found[1]


def _fetched() -> tuple[Path, str]:
    """Return where the release's file is now, and its hash; it is not run."""
    path = Path(os.environ["RUNNER_TEMP"], "cml")
    fetch = ["gh", "release", "download", VERSION, "--repo", REPOSITORY, "--pattern", FILE]
    _run([*fetch, "--output", str(path), "--clobber"], {})
    with path.open("rb") as file:
        return path, hashlib.file_digest(file, "sha256").hexdigest()


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


if __name__ == "__main__":
    main(Path(sys.argv[1]))
