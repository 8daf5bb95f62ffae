"""Copy files to the artifacts of the run: names and contents; links are followed, modes lost."""

import hashlib
import json
import os
import re
import shutil
from pathlib import Path

from toolkit import LOCAL_GITHUB, WORKSPACE, fail, given, is_true, lines, set_output, warn


def search_root(pattern: str) -> Path:
    """Return the part of a pattern without wildcards: the real action searches from there."""
    parts = []
    for part in Path(WORKSPACE, pattern).parts:
        if re.search(r"[*?\[]", part):
            break
        parts.append(part)
    return Path(*parts)


def hidden(path: Path, root: Path) -> bool:
    return any(name.startswith(".") for name in (root.name, *path.relative_to(root).parts))


def files_of(pattern: str) -> set[Path]:
    root = search_root(pattern)
    matched = [root] if root == Path(WORKSPACE, pattern) else WORKSPACE.glob(pattern)
    found = set()
    for path in matched:
        inside = path.rglob("*") if path.is_dir() else [path]
        found |= {file for file in inside if file.is_file()}
    if is_true("include-hidden-files"):
        return found
    return {file for file in found if not hidden(file, root)}


def to_keep() -> dict[str, Path]:
    """Map names in the artifact to files: relative to what all searches have in common."""
    found: set[Path] = set()
    roots = []
    for line in lines("path"):
        if line.startswith("!"):
            found -= files_of(line[1:].strip())
        else:
            found |= files_of(line)
            roots.append(search_root(line))
    if not found:
        return {}
    top = Path(os.path.commonpath(roots))
    top = top.parent if top.is_file() else top
    return {str(file.relative_to(top)): file for file in sorted(found)}


def keep(files: dict[str, Path], folder: Path) -> str:
    """Copy the files; returns a digest of them."""
    digest = hashlib.sha256()
    for inside, file in files.items():
        target = folder / inside
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
        digest.update(inside.encode() + target.read_bytes())
    return digest.hexdigest()


def new_id(name: str, run: str) -> int:
    """Give the artifact a number: as on GitHub, a later one may be the smaller."""
    file = LOCAL_GITHUB / "runs" / run / "artifact-ids.json"
    known = json.loads(file.read_text(encoding="utf-8")) if file.exists() else {}
    text = f"{run} {name} {known.get(name)}"
    known[name] = int(hashlib.sha256(text.encode()).hexdigest()[:8], 16) + 1
    file.write_text(json.dumps(known), encoding="utf-8")
    return int(known[name])


name, run = given("name"), os.environ["GITHUB_RUN_ID"]
folder = LOCAL_GITHUB / "runs" / run / "artifacts" / name
if not name or re.search(r'["<>|*?:\r\n/\\]', name):
    fail(f"The artifact name is not valid: {name}")
files = to_keep()
if files:
    if folder.exists() and is_true("overwrite"):
        shutil.rmtree(folder)
    if folder.exists():
        fail("(409) Conflict: an artifact with this name already exists on the workflow run")
    digest = keep(files, folder)
    number = new_id(name, run)
    page = f"https://github.com/{os.environ['GITHUB_REPOSITORY']}/actions/runs/{run}"
    set_output("artifact-id", number)
    set_output("artifact-url", f"{page}/artifacts/{number}")
    set_output("artifact-digest", digest)
    print(f"Artifact {name} has been successfully uploaded: {', '.join(files)}")
else:
    message = f"No files were found with the provided path: {given('path')}."
    say = {"error": fail, "warn": warn, "ignore": print}[given("if-no-files-found")]
    say(message)
