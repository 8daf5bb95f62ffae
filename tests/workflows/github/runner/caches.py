"""Caches as GitHub keeps them: immutable, per branch, and read by other branches from the default.

https://docs.github.com/en/actions/reference/workflows-and-actions/dependency-caching
"""

import hashlib
import os
import subprocess
import tarfile
from pathlib import Path
from urllib.parse import quote, unquote

from toolkit import LOCAL_GITHUB, WORKSPACE, event, given, lines


def places() -> dict[str, Path]:
    """Return where paths may begin: home and workspace are elsewhere in each run."""
    return {"home": Path.home(), "workspace": WORKSPACE, "root": Path("/")}


def split(pattern: str) -> tuple[str, str]:
    if pattern.startswith("~/"):
        return "home", pattern[2:]
    return ("root", pattern[1:]) if pattern.startswith("/") else ("workspace", pattern)


def found() -> dict[str, Path]:
    """Map the name in the archive to each path that the input ``path`` means."""
    paths: dict[str, Path] = {}
    for line in lines("path"):
        place, pattern = split(line.removeprefix("!"))
        root = places()[place]
        for path in root.glob(pattern.rstrip("/")):
            name = f"{place}/{path.relative_to(root)}"
            if line.startswith("!"):
                paths.pop(name, None)
            else:
                paths[name] = path
    return paths


def folder(ref: str) -> Path:
    return LOCAL_GITHUB / "caches" / quote(ref, safe="")


def ending() -> str:
    """What a cache was made of belongs to its name: with other paths it is another cache."""
    return f"@{hashlib.sha256(given('path').encode()).hexdigest()[:12]}.tar"


def save(key: str) -> str:
    """Keep what the paths hold; returns why it was not done, or nothing."""
    archive = folder(os.environ["GITHUB_REF"]) / f"{quote(key, safe='')}{ending()}"
    if archive.exists():
        return f"Unable to reserve cache with key {key}, another job may be creating this cache."
    paths = found()
    if not paths:
        return "Path Validation Error: Path(s) specified in the action for caching do(es) not exist"
    archive.parent.mkdir(parents=True, exist_ok=True)
    unfinished = archive.with_suffix(".unfinished")
    with tarfile.open(unfinished, "w") as tar:
        for name, path in paths.items():
            tar.add(path, name)
    os.replace(unfinished, archive)
    return ""


def find(keys: list[str]) -> tuple[str, Path] | None:
    """Find the newest cache for the first key, in this branch before those it may read."""
    base = os.environ.get("GITHUB_BASE_REF")
    # A schedule, whose event does not say it, runs on the default branch.
    default = event().get("repository", {}).get("default_branch")
    branches = [f"refs/heads/{branch}" for branch in (base, default) if branch]
    for ref in dict.fromkeys([os.environ["GITHUB_REF"], *branches]):
        archives = sorted(folder(ref).glob(f"*{ending()}"), key=lambda path: path.stat().st_mtime)
        known = {unquote(path.name.removesuffix(ending())): path for path in reversed(archives)}
        if keys[0] in known:
            return keys[0], known[keys[0]]
        for beginning in keys:
            for key, path in known.items():
                if key.startswith(beginning):
                    return key, path
    return None


def restore(archive: Path) -> None:
    with tarfile.open(archive) as tar:
        kept = {name.partition("/")[0] for name in tar.getnames()}
    for place in kept:  # not by tarfile: what makes it safe came with Python 3.11.4
        places()[place].mkdir(parents=True, exist_ok=True)
        command = ["tar", "-xf", str(archive), "-C", str(places()[place])]
        subprocess.run([*command, "--strip-components=1", place], check=True)
