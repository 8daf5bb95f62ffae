"""GitHub Actions: what a command tells the workflow whose step it is; elsewhere, nothing."""

import hashlib
import io
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path
from typing import Any
from urllib.parse import quote

from mlops.project.errors import MlopsError

LARGEST = 1_000_000  # bytes of a file in an artifact


def repository() -> str | None:
    """Return the address of the repository on GitHub, inside a workflow."""
    server, name = os.environ.get("GITHUB_SERVER_URL"), os.environ.get("GITHUB_REPOSITORY")
    return f"{server}/{name}" if server and name else None


def from_fork() -> bool:
    """Say whether the workflow runs for a pull request from another repository."""
    path = os.environ.get("GITHUB_EVENT_PATH")
    event = json.loads(Path(path).read_text(encoding="utf-8")) if path else {}
    if "pull_request" not in event:
        return False
    head = event["pull_request"]["head"]["repo"] or {}  # null: the fork is deleted
    return bool(head.get("full_name") != os.environ.get("GITHUB_REPOSITORY"))


def may_ask() -> bool:
    """Say whether GitHub can be asked: in a workflow whose step has the token."""
    return bool(os.environ.get("GITHUB_REPOSITORY") and os.environ.get("GH_TOKEN"))


def approvers(environment: str) -> list[str]:
    """Return who approved what this run deployed to an environment; empty where nobody had to.

    Raises
    ------
    MlopsError
        When GitHub does not say.
    """
    try:
        reviews = ask(f"actions/runs/{os.environ['GITHUB_RUN_ID']}/approvals")
    except MlopsError as error:
        raise MlopsError(
            f"GitHub does not say who approved this run ({error}); the job needs `actions: read` "
            "and its token as GH_TOKEN; run it again"
        ) from None
    names = [
        review["user"]["login"]
        for review in reviews
        if review["state"] == "approved"
        and any(it["name"] == environment for it in review["environments"])
    ]
    return list(dict.fromkeys(names))


def accepted_by(artifact: str) -> str | None:
    """Return who lets this run run again after it had kept ``artifact``, which says what was amiss.

    None where nobody has: it runs for the first time, had kept no such thing, or a robot starts it.

    Raises
    ------
    MlopsError
        When GitHub does not say.
    """
    who = os.environ.get("GITHUB_TRIGGERING_ACTOR", "")
    if not may_ask() or os.environ.get("GITHUB_RUN_ATTEMPT", "1") == "1" or who.endswith("[bot]"):
        return None
    kept = ask(f"actions/artifacts?name={quote(artifact)}&per_page=100")["artifacts"]
    runs = {str(it["workflow_run"]["id"]) for it in kept}  # other runs may use the same name
    return who if os.environ["GITHUB_RUN_ID"] in runs else None


def was_on_default_branch(path: str, content: bytes) -> bool:
    """Say whether this is what a file holds on the default branch, or once held.

    Looked for in the last 100 commits that changed the file, from the newest on.

    Raises
    ------
    MlopsError
        When GitHub does not say.
    """
    # As git names it, in which line ends of Windows become those of Unix.
    forms = {content, content.replace(b"\r\n", b"\n")}
    names = {
        hashlib.sha1(b"blob %d\0" % len(it) + it, usedforsecurity=False).hexdigest() for it in forms
    }
    for commit in ask(f"commits?path={quote(path)}&per_page=100"):
        try:
            known = ask(f"contents/{quote(path)}?ref={commit['sha']}")
        except MlopsError as error:
            if "HTTP 404" not in str(error):  # the commit that deleted it
                raise
        else:
            if known["sha"] in names:
                return True
    return False


def ask(path: str) -> Any:
    """Ask GitHub about this repository, by its REST API.

    Raises
    ------
    MlopsError
        When GitHub refuses, or does not answer.
    """
    return json.loads(_get(path))


def file_of_artifact(number: int, name: str) -> bytes | None:
    """Return a file of an artifact, or None where it has none of that name.

    Raises
    ------
    MlopsError
        When GitHub does not answer, or the file is larger than 1 MB.
    """
    archive = zipfile.ZipFile(io.BytesIO(_get(f"actions/artifacts/{number}/zip")))
    if name not in archive.namelist():
        return None
    if (size := archive.getinfo(name).file_size) > LARGEST:
        raise MlopsError(f"{name} in artifact {number} has {size} bytes; at most {LARGEST}")
    return archive.read(name)


def _get(path: str) -> bytes:
    command = ["gh", "api", f"repos/{os.environ['GITHUB_REPOSITORY']}/{path}"]
    try:
        done = subprocess.run(command, capture_output=True, timeout=60, check=False)
    except FileNotFoundError:
        raise MlopsError("the command gh is not there, which asks GitHub") from None
    except subprocess.TimeoutExpired:
        raise MlopsError("GitHub has not answered for 60 s") from None
    if done.returncode != 0:
        raise MlopsError(" ".join(done.stderr.decode(errors="replace").split()))
    return done.stdout


def outputs(**values: str) -> None:
    """Set outputs of the step.

    The command does it itself: a workflow that ends it needs it to be the step's one process.
    """
    # One line each: a line break in a value would be another output to GitHub.
    lines = (f"{name}={' '.join(value.split())}\n" for name, value in values.items())
    _append("GITHUB_OUTPUT", "".join(lines))


def summary(markdown: str) -> None:
    """Append to the page of the run."""
    _append("GITHUB_STEP_SUMMARY", markdown)


def error(sentence: str) -> None:
    """Show an error beside the run."""
    _annotate("error", sentence)


def warning(sentence: str) -> None:
    """Show a warning beside the run."""
    _annotate("warning", sentence)


def _annotate(level: str, sentence: str) -> None:
    if os.environ.get("GITHUB_ACTIONS") == "true":
        escaped = sentence.replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")
        # There, also where a script keeps what a command prints.
        print(f"::{level} title=mlops::{escaped}", file=sys.stderr)


def _append(variable: str, text: str) -> None:
    if path := os.environ.get(variable):
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(text)
