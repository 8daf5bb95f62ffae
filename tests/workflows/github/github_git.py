"""The git side of the local GitHub: bare repositories behind the real ``git http-backend``."""

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from loopback_proxy import Answer, Request

SERVICE = re.compile(
    r"/(?P<name>[^/]+/[^/]+?)(?:\.git)?/(?:info/refs|git-(?P<service>(upload|receive)-pack))"
)

# Told by the environment whether the token may change workflows, and where to say what it refused.
PRE_RECEIVE = """#!/bin/sh
[ -n "$WORKFLOWS_REFUSED" ] || exit 0
while read -r old new ref; do
    case $new in *[!0]*) ;; *) continue ;; esac
    file=$(git log -c --name-only --format= "$new" --not --branches --tags -- .github/workflows |
        sed -n '/./{p;q;}')
    [ -z "$file" ] || { echo "$file" > "$WORKFLOWS_REFUSED"; exit 1; }
done
"""


class GitError(Exception):
    """A git command failed; the text is what it said."""


def git(repository: Path, *arguments: str) -> str:
    """Run git in a bare repository as GitHub itself; returns what it prints, without the newline.

    Raises
    ------
    GitError
        With git's own words, when it fails.
    """
    done = subprocess.run(
        ["git", *arguments],
        cwd=repository,
        env=_environment(),
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode:
        raise GitError(done.stdout + done.stderr)
    return done.stdout.rstrip("\n")


def resolve(repository: Path, revision: str) -> str | None:
    """Return the commit that a branch, a ref or an abbreviation names, or None."""
    try:
        return git(repository, "rev-parse", "--verify", "--quiet", f"{revision}^{{commit}}")
    except GitError:
        return None


def merge_base(repository: Path, one: str, other: str) -> str | None:
    """Return the last commit that two branches share, or None."""
    try:
        return git(repository, "merge-base", one, other)
    except GitError:
        return None


SERVED = """\
[http]
	receivepack = true
[uploadpack]
	allowAnySHA1InWant = true
	allowFilter = true
"""


def make_repository(repository: Path, default_branch: str) -> None:
    """Make an empty repository that can be pushed to, and fetched from by the name of a commit."""
    repository.mkdir(parents=True)
    git(repository, "init", "--quiet", "--bare", f"--initial-branch={default_branch}")
    with (repository / "config").open("a", encoding="utf-8") as config:
        config.write(SERVED)
    for sample in (repository / "hooks").glob("*.sample"):
        sample.unlink()
    hook = repository / "hooks" / "pre-receive"
    hook.write_text(PRE_RECEIVE, encoding="utf-8")
    hook.chmod(0o755)


def serve(repositories: Path, request: Request, path: str, *, may_change_workflows: bool) -> Answer:
    """Answer a request of a git client whose right to ask has been seen to."""
    with tempfile.TemporaryDirectory() as scratch:
        refused = Path(scratch, "refused")
        done = subprocess.run(
            ["git", "http-backend"],
            input=request.body,
            env=_environment()
            | {
                "GIT_PROJECT_ROOT": str(repositories),
                "GIT_HTTP_EXPORT_ALL": "1",
                "GIT_PROTOCOL": request.headers.get("Git-Protocol", ""),
                "REQUEST_METHOD": request.method,
                "PATH_INFO": path,
                "QUERY_STRING": request.query,
                "CONTENT_TYPE": request.headers.get("Content-Type", ""),
                "CONTENT_LENGTH": str(len(request.body)),
                "WORKFLOWS_REFUSED": "" if may_change_workflows else str(refused),
            },
            capture_output=True,
            check=True,
        )
        if refused.exists():
            return _refusal(request.body, refused.read_text(encoding="utf-8").strip())
    head, _, body = done.stdout.partition(b"\r\n\r\n")
    headers = dict(line.split(": ", 1) for line in head.decode().splitlines())
    status = int(headers.pop("Status", "200").split()[0])
    return Answer(status, body, headers)


def _refusal(body: bytes, workflow: str) -> Answer:
    """Say per ref why it was not updated: a hook alone could only say that it was declined."""
    reason = (
        f"refusing to allow a GitHub App to create or update workflow `{workflow}` "
        "without `workflows` permission"
    )
    lines = [b"unpack ok\n", *(b"ng %s %s\n" % (ref, reason.encode()) for ref in _refs(body))]
    report = b"".join(map(_packet, lines)) + b"0000"
    kind = {"Content-Type": "application/x-git-receive-pack-result"}
    return Answer(200, _packet(b"\x01" + report) + b"0000", kind)


def _refs(body: bytes) -> Iterator[bytes]:
    """Return the refs that a push wants to update: lines of old commit, new commit and ref."""
    while size := int(body[:4], 16):
        yield body[4:size].split(b"\0")[0].strip().split(b" ", 2)[2]
        body = body[size:]


def _packet(data: bytes) -> bytes:
    return b"%04x%s" % (len(data) + 4, data)


def _environment() -> dict[str, str]:
    """Nothing of the person who runs the tests: no settings, no hooks, no credentials."""
    return {
        "PATH": os.environ["PATH"],
        "LC_ALL": "C",
        "GIT_CONFIG_GLOBAL": os.devnull,
        "GIT_CONFIG_NOSYSTEM": "1",
        "GIT_AUTHOR_NAME": "GitHub",
        "GIT_AUTHOR_EMAIL": "noreply@github.com",
        "GIT_COMMITTER_NAME": "GitHub",
        "GIT_COMMITTER_EMAIL": "noreply@github.com",
    }
