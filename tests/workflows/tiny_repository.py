"""A working folder of a repository on the local GitHub, and workflows of a few lines."""

import textwrap
from pathlib import Path

from act_run import Run
from local_github import LocalGitHub

COMMIT = "c0ffee" + "0" * 34  # any: the stand-in is chosen by the version beside it
CHECKOUT = f"actions/checkout@{COMMIT} # v7.0.1"
CACHE = f"actions/cache@{COMMIT} # v6.1.0"
UPLOAD = f"actions/upload-artifact@{COMMIT} # v7.0.2"
DOWNLOAD = f"actions/download-artifact@{COMMIT} # v8.0.2"
SETUP_PYTHON = f"actions/setup-python@{COMMIT} # v7.0.0"


class TinyRepository:
    """What ada has on her disk."""

    def __init__(self, github: LocalGitHub, folder: Path, login: str = "ada") -> None:
        self.github = github
        self.folder = folder
        self.login = login
        github.clone(folder, login)

    def write(self, path: str, text: str) -> None:
        file = self.folder / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(textwrap.dedent(text), encoding="utf-8")

    def workflow(self, on: str, jobs: str, name: str = "tiny.yml") -> None:
        jobs = textwrap.indent(textwrap.dedent(jobs).strip("\n"), "  ")
        head = f"on: {on}\ndefaults: {{run: {{shell: bash}}}}\njobs:\n"
        self.write(f".github/workflows/{name}", f"{head}{jobs}\n")

    def steps(self, on: str, steps: str) -> None:
        """Write a workflow of one job with these steps."""
        head = "one:\n  runs-on: ubuntu-24.04\n  steps:\n"
        self.workflow(on, head + textwrap.indent(textwrap.dedent(steps).strip("\n"), "    "))

    def run(self, steps: str) -> Run:
        """Push these steps to main as a workflow that runs then."""
        self.steps("push", steps)
        (run,) = self.push()
        return run

    def commit(self, message: str = "Change") -> str:
        self.github.git(self.folder, "add", "--all")
        self.github.git(self.folder, "commit", "--quiet", "--allow-empty", "--message", message)
        return self.github.git(self.folder, "rev-parse", "HEAD")

    def push(self, message: str = "Change", branch: str = "main", *, run: bool = True) -> list[Run]:
        self.commit(message)
        return self.github.push(self.folder, branch, run=run, login=self.login)

    def pull_request(self, message: str = "Change", branch: str = "change") -> list[Run]:
        """Push a commit to a branch and open a pull request for it."""
        self.push(message, branch, run=False)
        self.github.pending.clear()
        return self.github.open_pull_request(branch, message, fork=self.login == "mallory").runs
