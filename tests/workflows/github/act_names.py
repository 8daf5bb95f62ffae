"""The jobs that a workflow has, with those it calls: what act calls each, and what GitHub does."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from workflow_files import Workflow


@dataclass(frozen=True)
class KnownJob:
    """A job as the files have it; ``callers`` are the names of the jobs that call its workflow."""

    workflow: str
    job_id: str
    data: dict[str, Any]
    callers: tuple[str, ...]

    @property
    def name(self) -> str:
        return str(self.data.get("name", self.job_id))

    @property
    def matrix(self) -> Any:
        return self.data.get("strategy", {}).get("matrix")

    def match(self, raw: str) -> re.Match[str] | None:
        """Match what act calls it: ``nearest caller/workflow/job``."""
        caller = [f"(?P<caller>{_filled_in(name)})" for name in self.callers[-1:]]
        number = r"(?:-\d+)?" if self.matrix else ""  # where the matrix has more than one
        parts = [*caller, re.escape(self.workflow), f"(?P<name>{_filled_in(self.name)}{number})"]
        return re.fullmatch("/".join(parts), raw)

    def shown(self, raw: str, matrix: dict[str, Any], *, numbered: bool) -> str:
        """Return what GitHub calls it: ``caller / job (matrix)``."""
        match = self.match(raw)
        assert match
        name = re.sub(r"-\d+$", "", match["name"]) if numbered else match["name"]
        if matrix and "${{" not in self.name:
            order = self.matrix if isinstance(self.matrix, dict) else matrix
            values = [str(matrix[key]) for key in order if key in matrix]
            name = f"{name} ({', '.join(values)})"
        nearest = [match["caller"]] if self.callers else []
        return " / ".join([*self.callers[:-1], *nearest, name])


def _filled_in(name: str) -> str:
    """Match a name whatever its expressions come to."""
    return ".*?".join(map(re.escape, re.split(r"\$\{\{.*?\}\}", name)))


def known_jobs(
    workflows: dict[str, Workflow], workflow: Workflow, callers: tuple[str, ...] = ()
) -> Iterator[KnownJob]:
    """Yield the jobs of a workflow, each followed by those of the workflow that it calls."""
    name = str(workflow.data.get("name", workflow.name))
    for job_id, job in workflow.jobs.items():
        known = KnownJob(name, job_id, job.data, callers)
        yield known
        if job.calls in workflows:
            yield from known_jobs(workflows, workflows[job.calls], (*callers, known.name))
