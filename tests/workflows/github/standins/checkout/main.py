"""Fetch and check out one commit, in the order and with the options of the real action."""

import base64
import os
import re
import shutil
import subprocess
from pathlib import Path

from toolkit import WORKSPACE, fail, given, is_true, lines, save_state, set_output

SETTING = "http.https://github.com/.extraheader"
SHA = re.compile(r"[0-9a-f]{40}")

folder = Path(WORKSPACE, given("path"))
address = f"https://github.com/{given('repository')}"


def git(*arguments: str, check: bool = True) -> str:
    done = subprocess.run(
        ["git", *arguments], cwd=folder, text=True, stdout=subprocess.PIPE, check=False
    )
    if check and done.returncode:
        fail(f"The process 'git {' '.join(arguments)}' failed with exit code {done.returncode}")
    return done.stdout.strip()


def prepare() -> None:
    """Start from nothing, or from an earlier checkout of the same repository."""
    if not folder.resolve().is_relative_to(WORKSPACE.resolve()):
        fail(f"Repository path '{folder}' is not under '{WORKSPACE}'")
    folder.mkdir(parents=True, exist_ok=True)
    if (folder / ".git").exists() and git("config", "remote.origin.url", check=False) == address:
        if is_true("clean"):
            git("clean", "-ffdx", "--quiet")
            git("reset", "--hard", "--quiet", "HEAD")
        return
    for path in folder.iterdir():
        shutil.rmtree(path) if path.is_dir() and not path.is_symlink() else path.unlink()
    git("init", "--quiet", "--initial-branch", "main")
    git("remote", "add", "origin", address)


def wanted() -> tuple[str, str]:
    """Return the ref to fetch, and its commit where the event says it."""
    if given("ref"):
        return given("ref"), ""
    if given("repository") == os.environ["GITHUB_REPOSITORY"]:
        return os.environ["GITHUB_REF"], os.environ["GITHUB_SHA"]
    return "HEAD", ""


def in_full(ref: str) -> str:
    """Name a branch or tag as git does; commits and full names stay."""
    if SHA.fullmatch(ref) or ref.startswith("refs/") or ref == "HEAD":
        return ref
    for name in (f"refs/heads/{ref}", f"refs/tags/{ref}"):
        if git("ls-remote", "origin", name):
            return name
    fail(f"A branch or tag with the name '{ref}' could not be found")


def local_name(ref: str) -> str:
    """Return the ref under which a fetched one is kept."""
    name = re.sub("^refs/heads/", "refs/remotes/origin/", ref)
    name = re.sub("^refs/pull/", "refs/remotes/pull/", name)
    return "refs/remotes/origin/HEAD" if ref == "HEAD" else name


def fetch(ref: str, commit: str) -> None:
    depth = int(given("fetch-depth"))
    specs = [ref if SHA.fullmatch(ref) else f"+{commit or ref}:{local_name(ref)}"]
    options = ["--no-tags", "--prune", "--no-recurse-submodules"]
    if given("filter") or lines("sparse-checkout"):
        options.append(f"--filter={given('filter') or 'blob:none'}")
    if depth > 0:
        options.append(f"--depth={depth}")
    else:
        everything = ["+refs/heads/*:refs/remotes/origin/*", "+refs/tags/*:refs/tags/*"]
        if (folder / ".git/shallow").exists():
            options.append("--unshallow")
        specs = everything + ([] if ref.startswith(("refs/heads/", "refs/tags/")) else specs)
    if is_true("fetch-tags"):
        specs.append("+refs/tags/*:refs/tags/*")
    git("fetch", "--quiet", *options, "origin", *dict.fromkeys(specs))


def check_out(ref: str, commit: str) -> None:
    if patterns := lines("sparse-checkout"):
        mode = "--cone" if is_true("sparse-checkout-cone-mode") else "--no-cone"
        git("sparse-checkout", "set", mode, *patterns)
    else:
        git("sparse-checkout", "disable", check=False)
    if ref.startswith("refs/heads/"):
        # All may have been fetched, and the branch have moved on since the event.
        start = commit or local_name(ref)
        git("checkout", "--quiet", "--force", "-B", ref.removeprefix("refs/heads/"), start)
    else:
        git("checkout", "--quiet", "--force", "--detach", commit or local_name(ref))


if is_true("lfs") or is_true("submodules"):
    fail("the stand-in for actions/checkout knows neither lfs nor submodules")
prepare()
save_state("folder", folder)
token = base64.b64encode(f"x-access-token:{given('token')}".encode()).decode()
print(f"::add-mask::{token}", flush=True)
git("config", "--local", SETTING, f"AUTHORIZATION: basic {token}")
try:
    asked, commit = wanted()
    ref = in_full(asked)
    commit = ref if SHA.fullmatch(ref) else commit
    fetch(ref, commit)
    check_out(ref, commit)
finally:
    if not is_true("persist-credentials"):
        git("config", "--local", "--unset-all", SETTING)
set_output("ref", given("ref"))
set_output("commit", git("rev-parse", "HEAD"))
print(git("log", "-1", "--format=%H %s"))
