"""The example as a repository on the local GitHub: what the workflows are tried on."""

import json
import re
import shutil
import sqlite3
import tempfile
from contextlib import closing
from functools import cached_property
from pathlib import Path
from textwrap import dedent, indent
from typing import Any

import psutil
import yaml
from local_github import LocalGitHub
from projects import MAKEFILE, Project, copy_from_root, make_project

RETURN = '    return table[[*SCHEDULE, *WEATHER, *PLANE, "late"]]\n'
WORKFLOWS = ("ci", "train", "deploy", "drift", "rollback")
JUNE = {"start": "2013-06", "end": "2013-06"}
# In each folder that ci.yml tests, one test stands for all, and of what is type-checked one module:
# all of them have just been checked by themselves.
FOLDERS = (
    *("unit", "pipeline", "judgement", "workflows", "data", "model", "loop"),
    *("serving", "delivery", "drift"),
)
SMOKE = '''"""Stands for all tests of this folder."""

from importlib.util import find_spec

import pytest


def test_the_code_is_that_of_this_checkout(request: pytest.FixtureRequest) -> None:
    spec = find_spec("mlops")
    assert spec is not None
    assert str(spec.origin).startswith(str(request.config.rootpath))
'''


class Hosted:
    """A working copy of the project, and the local GitHub that it is pushed to."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.project = Project(folder / "project")

    @cached_property
    def github(self) -> LocalGitHub:
        return LocalGitHub(self.folder / "github")

    def copy(self, folder: Path) -> "Hosted":
        shutil.copytree(self.project.folder, folder / "project", symlinks=True)
        self.github.copy(folder / "github")
        return Hosted(folder)

    def branch(self, name: str) -> None:
        """Start a branch from main, as it is on the local GitHub."""
        self.github.git(self.project.folder, "fetch", "--quiet", "origin", "main")
        self.project.run("git", "checkout", "--quiet", "-b", name, "FETCH_HEAD")

    def left_running(self) -> list[str]:
        """Return the command lines of programs that were started by runs and go on."""
        lines = (" ".join(it.info["cmdline"] or []) for it in psutil.process_iter(["cmdline"]))
        return [line for line in lines if str(self.folder) in line]

    def registry(self) -> dict[str, Any]:
        """Return what the branch of the store holds: aliases, versions' tags, audit record."""
        files = self.github.files("mlops-store")
        with tempfile.NamedTemporaryFile(suffix=".db") as file:
            Path(file.name).write_bytes(files["mlflow.db"])
            with closing(sqlite3.connect(file.name)) as database:
                aliases = database.execute("SELECT alias, version FROM registered_model_aliases")
                tags = database.execute("SELECT version, key, value FROM model_version_tags")
                versions: dict[int, dict[str, str]] = {}
                for version, key, value in tags:
                    versions.setdefault(version, {})[key] = value
                return {
                    "aliases": dict(aliases.fetchall()),
                    "versions": versions,
                    "audit": [json.loads(line) for line in files["audit.jsonl"].splitlines()],
                }

    @property
    def docker(self) -> Path:
        """The state of the double of docker."""
        return self.folder / "github" / "docker"

    @property
    def vulnerabilities(self) -> Path:
        """What scans find, as the stand-in for the scanner reads it."""
        return self.folder / "github" / "vulnerabilities.json"

    def tags(self) -> dict[str, str]:
        """Return the digest that each tag in the container registry names."""
        repository = self.docker / "registry" / f"ghcr.io/{self.github.repository}.json"
        tags: dict[str, str] = json.loads(repository.read_text())["tags"]
        return tags

    def docker_commands(self) -> list[list[str]]:
        """Return what docker was told so far."""
        lines = (self.docker / "calls.jsonl").read_text().splitlines()
        return [json.loads(line)["arguments"] for line in lines]

    def recorded(self, action: str) -> list[dict[str, Any]]:
        """Return what a stand-in has noted so far."""
        file = self.folder / "github" / "recorded" / f"{action}.jsonl"
        return [json.loads(line) for line in file.read_text().splitlines()] if file.exists() else []

    def change_data(self, code: str) -> None:
        """Put code before the end of ``load_data``, where the data is called ``table``."""
        self.project.replace("src/model/data.py", RETURN, f"{indent(dedent(code), '    ')}{RETURN}")

    def keep_jobs(self, workflow: str, *jobs: str) -> None:
        """Leave the other jobs out of a workflow, to save their time."""
        path = self.project / f".github/workflows/{workflow}"
        text = path.read_text(encoding="utf-8")
        versions = dict(re.findall(r"@([0-9a-f]{40}) (# v\S+)", text))  # which name the stand-ins
        data = yaml.safe_load(text)
        data["on"] = data.pop(True)  # what YAML takes the word `on` for
        data["jobs"] = {name: data["jobs"][name] for name in jobs}
        for job in data["jobs"].values():
            if isinstance(job.get("needs"), list):
                job["needs"] = [name for name in job["needs"] if name in jobs]
        text = yaml.safe_dump(data, sort_keys=False)
        text = re.sub(r"(?m)@([0-9a-f]{40})$", lambda it: f"{it[0]} {versions[it[1]]}", text)
        path.write_text(text, encoding="utf-8")

    def commit(self, message: str = "A change") -> str:
        """Commit everything; returns the commit."""
        self.project.run("git", "add", "--all")
        self.project.run("git", "commit", "--quiet", "--message", message)
        return self.project.run("git", "rev-parse", "HEAD").stdout.strip()


def make_hosted(folder: Path) -> Hosted:
    """Make a project with all its workflows, on one month of flights; nothing is pushed yet."""
    project = make_project(folder / "project")
    workflows = (f".github/workflows/{name}.yml" for name in WORKFLOWS)
    settings = (".github/dependabot.yml", ".github/zizmor.yml", ".python-version")
    locks = (f"requirements-{it}.txt" for it in ("serve", "serve-skops", "deliver"))
    image = ("deploy", ".dockerignore", *locks)
    for path in (*workflows, ".github/actions", ".github/lib", *settings, *image):
        copy_from_root(path, project.folder)
    shutil.copyfile(MAKEFILE, project / "Makefile")
    for name in FOLDERS:
        test = project / f"tests/{name}/test_{name}.py"
        test.parent.mkdir(parents=True)
        test.write_text(SMOKE)
    project.set(
        data__window={"start": "2013-01", "end": "2013-01"},
        data__holdout={"start": "2013-07", "end": "2013-07"},
        estimator__max_iter=30,
        estimator__learning_rate=0.1,
        gate__resamples=200,
        # Other tests keep this machine busy meanwhile: no limit on how long an answer takes.
        serving={
            "runtime": "onnx",
            "target": "image",
            "latency_ms": 5000.0,
            "canary": {"requests": 100, "latency_ratio": 1000.0, "shift": 0.3},
        },
    )
    (project / "README.md").write_text("# Flights\n")
    project.run("git", "remote", "add", "origin", f"https://github.com/{LocalGitHub.repository}")
    hosted = Hosted(folder)
    hosted.commit("The whole project")
    return hosted
