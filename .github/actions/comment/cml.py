"""CML, which writes the comment: fetched as a release, checked, and run."""

import hashlib
import os
import re
import subprocess
from pathlib import Path
from typing import Any

from github import PullRequest
from log import annotate, one_line

REPOSITORY, VERSION, FILE = "iterative/cml", "v0.20.6", "cml-linux-x64"
TITLE = "model report"
WATERMARK = rf'!\[\]\(https://cml\.dev/watermark\.png#[0-9a-fA-F]+ "CML watermark {TITLE}"\)'
COMMENTS_SEEN = 30  # the oldest: CML asks for one page of comments and never for the next
TIMEOUT = 120  # seconds; it takes two, but waits for hours when GitHub limits the rate


class CmlError(Exception):
    """CML cannot be used; the message says why."""


def watermark(sha: str) -> str:
    """Return what CML puts under a comment."""
    return f'![](https://cml.dev/watermark.png#{sha} "CML watermark {TITLE}")'


def comment_to_update(comments: list[dict[str, Any]]) -> dict[str, Any] | None:
    """Return the comment that CML would update, whoever wrote it; with none, it adds one."""
    marked = [it for it in comments[:COMMENTS_SEEN] if re.search(WATERMARK, it["body"])]
    return marked[-1] if marked else None


def installed() -> str:
    """Return the path of CML, after fetching and checking it where ``CML_BIN`` names none."""
    if os.environ.get("CML_BIN"):
        return os.environ["CML_BIN"]
    path = Path(os.environ["RUNNER_TEMP"], "cml")
    fetch = ["gh", "release", "download", VERSION, "--repo", REPOSITORY, "--pattern", FILE]
    _run([*fetch, "--output", str(path), "--clobber"], {})
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    expected = os.environ.get("CML_SHA256")
    if expected and digest != expected:
        raise CmlError(f"its sha256 is {digest} where {one_line(expected)} is recorded")
    if not expected:
        annotate(
            "notice",
            f"CML {VERSION} was not checked: no sha256 is recorded. It has {digest}; write that as "
            "CML_SHA256 into .github/actions/comment/action.yml, and no other file is ever run.",
        )
    path.chmod(0o755)
    return str(path)


def write_comment(cml: str, pull_request: PullRequest, file: Path) -> str:
    """Let CML add or update the comment; returns its address."""
    server = os.environ["GITHUB_SERVER_URL"]
    said = _run(
        [
            cml,
            "comment",
            "update",
            f"--target=pr/{pull_request.number}",
            f"--watermark-title={TITLE}",
            "--publish=false",  # else it rewrites the Markdown and uploads what it links
            f"--repo={server}/{pull_request.repository}",
            str(file),
        ],
        {
            "REPO_TOKEN": os.environ["GH_TOKEN"],
            "ITERATIVE_DO_NOT_TRACK": "1",
            # Of a pull_request event it would take the commit from the event, which may be another.
            "GITHUB_EVENT_NAME": "",
            "GITHUB_SHA": pull_request.sha,
            # It writes `safe.directory = *`, which would stay on a machine of one's own.
            "GIT_CONFIG_GLOBAL": str(file.with_name("cml.gitconfig")),
        },
    ).strip()
    if not said.startswith(f"{server}/"):
        raise CmlError(f"it did not say where the comment is, but {one_line(said)!r}")
    return one_line(said)


def _run(command: list[str], environment: dict[str, str]) -> str:
    """Run a command whose output is not for the log: on errors CML prints the whole comment."""
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
