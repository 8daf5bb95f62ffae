"""The workflows and actions of a repository, read as data."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import yaml

READ = (
    *(".github/**/*.yml", ".github/**/*.yaml", ".github/**/*.json"),
    *("template/rulesets/*.json", "Dockerfile", "*/Dockerfile", "deploy/**/Dockerfile"),
)
CHECKOUT = "actions/checkout@"
STORE = "./.github/actions/store"


class Loader(yaml.CSafeLoader):
    """YAML 1.2, as GitHub reads it: ``on`` is a word, not true."""


Loader.yaml_implicit_resolvers = {
    first: [resolver for resolver in resolvers if resolver[0] != "tag:yaml.org,2002:bool"]
    for first, resolvers in yaml.CSafeLoader.yaml_implicit_resolvers.items()
}
Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^(true|false)$"), list("tf"))


@dataclass(frozen=True)
class Step:
    """One step of a job or of a composite action."""

    where: str
    data: dict[str, Any]

    @property
    def uses(self) -> str:
        return self.data.get("uses", "")

    @property
    def inputs(self) -> dict[str, Any]:
        return self.data.get("with", {})

    @property
    def condition(self) -> str:
        """Its ``if``, in one line."""
        return " ".join(str(self.data.get("if", "")).split())

    @property
    def makes_a_store(self) -> bool:
        return self.uses == STORE and self.inputs.get("do") != "restore"


def steps_of(data: dict[str, Any], where: str) -> list[Step]:
    return [
        Step(f"{where}: {step.get('name', f'step {number}')}", step)
        for number, step in enumerate(data.get("steps", []), 1)
    ]


def concurrency_of(data: dict[str, Any]) -> dict[str, Any]:
    concurrency = data.get("concurrency", {})
    return concurrency if isinstance(concurrency, dict) else {"group": concurrency}


@dataclass(frozen=True)
class Job:
    """One job of a workflow; without steps when it calls another workflow."""

    where: str
    data: dict[str, Any]

    @property
    def grants(self) -> dict[str, str]:
        """What its token may do. A job that does not say so gets what stands on top: nothing."""
        grants = self.data.get("permissions") or {}
        return grants if isinstance(grants, dict) else {"everything": "write"}

    @property
    def reads_only(self) -> bool:
        return self.grants in ({}, {"contents": "read"})

    @property
    def needs(self) -> list[str]:
        needs = self.data.get("needs", [])
        return [needs] if isinstance(needs, str) else needs

    @property
    def calls(self) -> str:
        """The name of the workflow file in this repository that it calls, or nothing."""
        uses = self.data.get("uses", "")
        return Path(uses).name if uses.startswith("./.github/workflows/") else ""

    @property
    def environment(self) -> str:
        environment = self.data.get("environment", "")
        return environment if isinstance(environment, str) else environment["name"]

    @property
    def concurrency(self) -> dict[str, Any]:
        return concurrency_of(self.data)

    @cached_property
    def steps(self) -> list[Step]:
        return steps_of(self.data, self.where)


@dataclass(frozen=True)
class Workflow:
    """One file of .github/workflows."""

    name: str
    data: dict[str, Any]

    @cached_property
    def triggers(self) -> dict[str, Any]:
        """Map each event to its filters."""
        on = self.data.get("on", {})
        on = {on: None} if isinstance(on, str) else on
        return dict.fromkeys(on) if isinstance(on, list) else on

    @cached_property
    def jobs(self) -> dict[str, Job]:
        return {name: Job(f"{self.name}: {name}", job) for name, job in self.data["jobs"].items()}

    @property
    def concurrency(self) -> dict[str, Any]:
        return concurrency_of(self.data)


class Repository:
    """What the rules look at: the text of each file below .github, and names of a few others."""

    def __init__(self, files: dict[str, str]) -> None:
        self.files = files

    @classmethod
    def at(cls, root: Path) -> "Repository":
        paths = [path for pattern in READ for path in root.glob(pattern)]
        return cls({str(path.relative_to(root)): path.read_text("utf-8") for path in paths})

    def below(self, folder: str, *endings: str) -> Iterator[tuple[str, str]]:
        """Yield name and text of each file in a folder that ends with one of the endings."""
        for path, text in sorted(self.files.items()):
            if path.startswith(f"{folder}/") and path.endswith(endings):
                yield path, text

    @cached_property
    def workflows(self) -> dict[str, Workflow]:
        found = self.below(".github/workflows", ".yml", ".yaml")
        return {
            Path(path).name: Workflow(Path(path).name, yaml.load(text, Loader))
            for path, text in found
        }

    @cached_property
    def actions(self) -> dict[str, dict[str, Any]]:
        """Map the folder of each action to what its action.yml says."""
        found = self.below(".github/actions", "/action.yml", "/action.yaml")
        return {str(Path(path).parent): yaml.load(text, Loader) for path, text in found}

    @property
    def jobs(self) -> list[Job]:
        return [job for workflow in self.workflows.values() for job in workflow.jobs.values()]

    @cached_property
    def steps_of_actions(self) -> list[Step]:
        return [
            step
            for folder, action in self.actions.items()
            for step in steps_of(action.get("runs", {}), Path(folder).name)
        ]

    @property
    def steps(self) -> list[Step]:
        return [step for job in self.jobs for step in job.steps] + self.steps_of_actions

    def events(self, name: str) -> set[str]:
        """Return what can start a workflow, also by way of those that call it."""
        found = set(self.workflows[name].triggers)
        for caller, workflow in self.workflows.items():
            if any(job.calls == name for job in workflow.jobs.values()):
                found |= self.events(caller)
        return found
