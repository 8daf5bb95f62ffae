"""What a job finds on the runner: programs, environment, and stand-ins for actions."""

import re
import shutil
import sys
from functools import cache
from pathlib import Path

import yaml
from act_run import program
from github_server import FakeGitHub
from signing import TRUSTED

HERE = Path(__file__).parent
RUNNER = HERE / "runner"
STANDINS = HERE / "standins"
DOCKER = HERE.parents[1] / "doubles" / "docker"
GH = """#!/bin/sh
[ "$1 $2" = "attestation verify" ] && set -- "$@" --custom-trusted-root {trusted}
exec {gh} "$@"
"""
# As in `uses: actions/cache/save@<commit> # v6.1.0`. What is not pinned like this has no stand-in.
USES = re.compile(
    r"""uses:\s*["']?([\w.-]+/[\w.-]+)[\w./-]*@([0-9a-f]{40})["']?[ \t]*(?:\#[ \t]*(v\d+))?"""
)
ANY_USES = re.compile(r"""^[ \t-]*uses:\s*["']?([^\s"'.][^\s"']*@\S+)""", re.MULTILINE)


@cache
def standins() -> dict[str, Path]:
    """Map each action that has a stand-in, and the major version of it, to the folder."""
    names = {
        path.parent: yaml.safe_load(path.read_text(encoding="utf-8"))["name"]
        for path in STANDINS.glob("*/action.yml")
    }
    return {name: folder for folder, name in names.items()}


def actions_for(texts: list[str]) -> tuple[dict[str, Path], set[str]]:
    """Return stand-ins for the actions that workflows use, and the actions without one.

    A commit is as good as another of the same major version: the comment beside it counts, which
    Dependabot keeps and zizmor verifies.
    """
    there = standins()
    found: dict[str, Path] = {}
    wanted: set[str] = set()
    for text in texts:
        wanted |= set(ANY_USES.findall(text))
        for name, commit, version in USES.findall(text):
            if folder := there.get(f"{name} {version}"):
                found[f"{name}@{commit}"] = folder
    return found, {use for use in wanted if not _covered(use, found)}


def _covered(use: str, found: dict[str, Path]) -> bool:
    path, _, commit = use.partition("@")
    return f"{'/'.join(path.split('/')[:2])}@{commit}" in found


def install(local_github: Path) -> None:
    """Make the folder that comes first on the PATH: of the tests, only gh and their docker."""
    tools = local_github / "tools"
    shutil.rmtree(tools, ignore_errors=True)
    tools.mkdir(parents=True)
    python = Path(getattr(sys, "_base_executable", sys.executable))
    for name in ("python", "python3"):
        (tools / name).symlink_to(python)
    # Whom gh trusts comes with it. Here, those who sign are others.
    (tools / "gh").write_text(GH.format(gh=program("gh"), trusted=local_github / TRUSTED))
    (tools / "gh").chmod(0o755)
    (tools / "docker").symlink_to(DOCKER)
    shutil.copyfile(RUNNER / "bash", tools / "bash")
    (tools / "bash").chmod(0o755)
    node = tools / "node"
    # Python without settings and packages. By way of sh, the inputs of actions would be lost: to
    # sh, their names are none.
    start = f"#!{python} -SE\nimport sys\nsys.path[0] = {str(RUNNER)!r}\n"
    node.write_text(f"{start}import node\nnode.main()\n", encoding="utf-8")
    node.chmod(0o755)


def forget_containers(github: FakeGitHub) -> None:
    """Let docker start as on a new machine; what was pushed to the registry stays there."""
    shutil.rmtree(github.folder / "docker" / "containers", ignore_errors=True)
    (github.folder / "docker" / "tags.json").unlink(missing_ok=True)


def environment(github: FakeGitHub, scratch: Path) -> dict[str, str]:
    """Return all that act and the steps find in their environment, apart from GITHUB_..."""
    usual = ["/usr/local/bin", "/usr/bin", "/bin", "/usr/sbin", "/sbin"]
    needed = [str(Path(program(name)).parent) for name in ("git", "make")]
    places = [str(github.folder / "tools"), *dict.fromkeys(usual + needed)]
    home, temporary = scratch / "home", scratch / "tmp"
    for folder in (home, temporary):
        folder.mkdir(parents=True)
    return {
        **github.environment,
        "PATH": ":".join(places),
        "HOME": str(home),
        "TMPDIR": str(temporary),
        "USER": "runner",
        "LANG": "C.UTF-8",
        "TZ": "UTC",
        "GIT_TERMINAL_PROMPT": "0",
        # Nothing of this machine's settings, and no more than one of its cores.
        "GIT_CONFIG_NOSYSTEM": "1",
        "OMP_NUM_THREADS": "1",
        "ACT_DISABLE_VERSION_CHECK": "1",
        "DOCKER_HOST": "unix:///nonexistent.sock",
        "DOCKER_DOUBLE": str(github.folder / "docker"),
        # For the stand-ins.
        "LOCAL_GITHUB": str(github.folder),
        "LOCAL_GITHUB_PYTHON": sys.prefix,
    }
