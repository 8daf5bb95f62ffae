"""Update what came from the template, in a copy, and write down for a reviewer what that changes.

``cruft update`` does the work. What it cannot apply it leaves in conflict, or beside the file as
``.rej``, or only mentions: all of that goes into the text, so that nothing is lost unseen. But of
two versions of a library the newer one is taken, and the locks are made anew.
"""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tomllib
from collections.abc import Callable, Iterator
from fnmatch import fnmatch
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import locks
from description import Conflict, Update, describe

LINK = ".cruft.json"
SETTINGS = "pyproject.toml"
LOCKS = "requirements*.txt"  # what `make lock` writes
NEWS = "docs/CHANGELOG.md"
LONGEST_LOCK = 300  # seconds; it takes half a minute, and the job has 15
LONGEST = 1_000  # characters of what cruft says as it fails
CREDENTIALS = re.compile(r"://[^/\s]*@")


class UpdateError(Exception):
    """Why nothing is proposed, in a sentence."""


def update(copy: Path) -> Update | str:
    """Update a clean checkout, and put the outcome into its index.

    Returns a sentence instead where there is nothing to propose.

    Raises
    ------
    UpdateError
        When cruft fails, or changed what is the user's.
    """
    before, yours = link(copy), owned(copy)
    said = cruft_update(copy)
    after = link(copy)
    if after["commit"] == before["commit"]:
        return f"Up to date with the template, as of its commit {before['commit'][:7]}."
    resolve_versions(copy)
    found = [*marked(copy), *left_out(copy, said)]
    conflicts = [conflict for conflict in found if not is_lock(conflict.path)]
    settled = all(conflict.path != SETTINGS for conflict in conflicts)
    for conflict in found:
        if is_lock(conflict.path):
            resolve_lock(copy, conflict, settled)
    unlocked = ""
    if settled and git(copy, "status", "--porcelain", "--", SETTINGS, f":(glob){LOCKS}"):
        unlocked = lock(copy)
    git(copy, "add", "--all")
    listed = git(copy, "diff", "--cached", "--name-status", "--no-renames", "-z", "HEAD")
    letters, paths = listed.split("\0")[:-1:2], listed.split("\0")[1::2]
    changes = dict(zip(paths, letters, strict=True))
    touched = {path for path in [*changes, *(it.path for it in conflicts)] if yours(path)}
    if touched:
        raise UpdateError(
            f"`cruft update` touched {', '.join(sorted(touched))}, which is yours, as `[tool.cruft]"
            " skip` in pyproject.toml says; nothing is proposed"
        )
    if changes.keys() <= {LINK} and not conflicts:
        return "The template has changed, but nothing that this project has of it."
    template = CREDENTIALS.sub("://", before["template"])
    return Update(
        *(template, before["commit"], after["commit"], changes, conflicts),
        unlocked=unlocked,
        news=news(copy),
    )


def link(copy: Path) -> dict[str, Any]:
    return dict(json.loads((copy / LINK).read_text(encoding="utf-8")))


def owned(copy: Path) -> Callable[[str], bool]:
    """Return what tells whether a path is the user's, by the lists that cruft reads."""
    settings = tomllib.loads((copy / "pyproject.toml").read_text(encoding="utf-8"))
    skip = settings.get("tool", {}).get("cruft", {}).get("skip", []) + link(copy).get("skip", [])

    def yours(path: str) -> bool:
        return any(
            path == kept or path.startswith(f"{kept.rstrip('/')}/") or fnmatch(path, kept)
            for kept in skip
        )

    return yours


def cruft_update(copy: Path) -> str:
    """Run cruft; returns what git told it of changes that could not be applied."""
    done = run(copy, "cruft", "update", "--skip-apply-ask")
    if done.returncode:
        words = " ".join(re.sub("[─│╭╮╰╯]+", " ", done.stdout + done.stderr).split())
        raise UpdateError(
            f"`cruft update` ended with {done.returncode} (a private template cannot be fetched "
            f"from here): {CREDENTIALS.sub('://', words)[-LONGEST:]}"
        )
    return done.stderr


def marked(copy: Path) -> Iterator[Conflict]:
    """Yield the files that git merged as far as it could."""
    for path in git(copy, "diff", "--name-only", "--diff-filter=U", "-z").split("\0")[:-1]:
        yield Conflict(path, "marked", git(copy, "diff", "--", path))


def left_out(copy: Path, said: str) -> Iterator[Conflict]:
    """Yield what git could not merge, and take the ``.rej`` files away.

    They are not for the branch: no tool reads them, and whoever merges would merge them, too. For
    some changes git writes none: a new file where the project has one, or a file that is gone but
    was changed by the project. Of those there is only what git said.
    """
    rejected = git(copy, "ls-files", "--others", "--exclude-standard", "-z", "--", "*.rej")
    paths = [name.removesuffix(".rej") for name in rejected.split("\0")[:-1]]
    for path in paths:
        file = copy / f"{path}.rej"
        yield Conflict(path, "left out", file.read_text(encoding="utf-8", errors="replace"))
        file.unlink()
    checked = re.split(r"^Checking patch (.+)\.\.\.$", said, flags=re.MULTILINE)
    for path, words in zip(checked[1::2], checked[2::2], strict=True):
        words = re.split("^Appl(?:ied|ying) patch ", words, flags=re.MULTILINE)[0].strip()
        if "error: " in words and path not in paths:
            yield Conflict(path, "left out", words)


def resolve_versions(copy: Path) -> None:
    """Resolve the conflicts in pyproject.toml that are only about versions."""
    if git(copy, "diff", "--name-only", "--diff-filter=U", "--", SETTINGS):
        text = locks.resolved((copy / SETTINGS).read_text(encoding="utf-8"))
        (copy / SETTINGS).write_text(text, encoding="utf-8")
        if not locks.CONFLICT.search(text):
            git(copy, "add", "--", SETTINGS)


def is_lock(path: str) -> bool:
    return "/" not in path and fnmatch(path, LOCKS)


def resolve_lock(copy: Path, conflict: Conflict, settled: bool) -> None:
    """Take the project's lock, and where the rest is settled what the template has newer."""
    sides = ("1", "2", "3")  # before, the project's, the template's
    if settled and conflict.kind == "marked":
        before, project, template = (
            run(copy, "git", "show", f":{side}:{conflict.path}").stdout for side in sides
        )
        text = locks.merged(project, template, before)
        (copy / conflict.path).write_text(text, encoding="utf-8")
        git(copy, "add", "--", conflict.path)
    elif run(copy, "git", "cat-file", "-e", f"HEAD:{conflict.path}").returncode == 0:
        git(copy, "checkout", "HEAD", "--", conflict.path)


def lock(copy: Path) -> str:
    """Make the locks anew. Returns why that failed; then they are what they were."""
    merged = {path: path.read_bytes() for path in copy.glob(LOCKS)}
    # The project's own environment, and the make that this may run under, are not for the copy.
    around = ("MAKE", "MFLAGS", "VIRTUAL_ENV")
    with subprocess.Popen(
        ["make", "lock"],
        cwd=copy,
        env={key: value for key, value in os.environ.items() if not key.startswith(around)},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="replace",
        start_new_session=True,
    ) as made:
        try:
            _, said = made.communicate(timeout=LONGEST_LOCK)
        except subprocess.TimeoutExpired:
            os.killpg(made.pid, signal.SIGKILL)  # with what make has started
            said = f"it did not end within {LONGEST_LOCK} seconds"
    shutil.rmtree(copy / ".venv", ignore_errors=True)
    if made.returncode == 0:
        return ""
    for path in copy.glob(LOCKS):
        path.unlink()
    for path, content in merged.items():
        path.write_bytes(content)
    lines = (line.strip() for line in said.splitlines())
    first = next((line for line in lines if line and not line.lower().startswith("warning")), "")
    if first.endswith(":"):
        first = f"{first} {next(lines, '')}"
    return CREDENTIALS.sub("://", first)[:LONGEST] or f"it ended with {made.returncode}"


def news(copy: Path) -> str:
    """Return what the update adds to the list of versions."""
    changes = git(copy, "diff", "--cached", "--no-color", "--unified=0", "HEAD", "--", NEWS)
    added = re.findall(r"^\+(?!\+\+ )(.*)$", changes, re.MULTILINE)
    return "\n".join(added).strip()


def git(copy: Path, *arguments: str) -> str:
    done = run(copy, "git", *arguments)
    if done.returncode:
        raise UpdateError(f"git {arguments[0]} failed: {done.stderr.strip()}")
    return done.stdout


def run(folder: Path, *command: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        command,
        cwd=folder,
        env={**os.environ, "LC_ALL": "C", "GIT_TERMINAL_PROMPT": "0"},
        capture_output=True,
        encoding="utf-8",
        errors="surrogateescape",
        check=False,
    )


def say(level: str, sentence: str) -> None:
    """Print what became of it; in one line, as text of others could hold commands to the runner."""
    sentence = " ".join(sentence.split())
    print(f"::{level} title=Update::{sentence.replace('%', '%25')}", flush=True)
    append("GITHUB_STEP_SUMMARY", sentence)


def append(variable: str, text: str) -> None:
    """Add to a file of the runner; on a laptop there is none."""
    if variable in os.environ:
        with Path(os.environ[variable]).open("a", encoding="utf-8", errors="replace") as file:
            file.write(f"{text}\n")


def main() -> None:
    folder = Path(sys.argv[1]).absolute()
    if not Path(LINK).exists():
        return say("notice", "Not linked to a template (`cruft link URL` does that): no update.")
    with TemporaryDirectory() as temporary:
        copy = Path(temporary, "copy")
        # Not here: what this job still runs is of the old version, and a laptop may have work.
        git(Path(), "worktree", "add", "--quiet", "--detach", str(copy), "HEAD")
        try:
            done = update(copy)
            if isinstance(done, str):
                return say("notice", done)
            folder.mkdir(parents=True, exist_ok=True)
            patch = f"--output={folder / 'changes.patch'}"
            git(copy, "diff", "--cached", "--binary", "--no-renames", patch, "HEAD")
        except UpdateError as error:
            say("error", str(error))
            sys.exit(1)
        finally:
            git(Path(), "worktree", "remove", "--force", str(copy))
    body = describe(done)
    (folder / "body.md").write_text(body, encoding="utf-8", errors="replace")
    append("GITHUB_STEP_SUMMARY", body)
    append("GITHUB_OUTPUT", f"title={done.title}")
    return print(f"{done.title}: see {folder / 'body.md'}")


if __name__ == "__main__":
    main()
