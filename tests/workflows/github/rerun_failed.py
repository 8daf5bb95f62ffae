"""GitHub's "Re-run failed jobs": what went well stays, with its outputs and its artifacts.

The files of a workflow cannot say so: for that attempt, the jobs that stay do nothing but give the
outputs they gave.
"""

import re
from pathlib import Path
from typing import Any

import yaml
from act_run import Run
from workflow_files import Repository, Workflow

OF_JOB = re.compile(r"\$\{\{\s*jobs\.([\w-]+)\.outputs\.([\w-]+)\s*\}\}")


def keep_what_went_well(repository: Path, run: Run) -> set[str]:
    """Rewrite the workflow of a run for its next attempt; returns the names of the jobs kept."""
    workflows = Repository.at(repository).workflows
    workflow = workflows[run.workflow]
    kept: dict[str, set[str]] = {}
    for name, job in workflow.jobs.items():
        shown = str(job.data.get("name", name))
        its = {it for it in run.jobs if it == shown or it.startswith(f"{shown} / ")}
        ends = {run.jobs[it].conclusion for it in its}
        # What needs a job that runs again runs again, too.
        if "success" in ends and ends <= {"success", "skipped"} and set(job.needs) <= set(kept):
            kept[name] = its
    data = workflow.data
    for name, its in kept.items():
        called = workflows.get(workflow.jobs[name].calls)
        outputs = _outputs_of_called(called, run, its) if called else _outputs(run, its)
        data["jobs"][name] = {
            "name": workflow.jobs[name].data.get("name", name),
            "needs": workflow.jobs[name].needs,
            "runs-on": "ubuntu-24.04",
            "outputs": outputs,
            "steps": [{"name": "Keep what it gave", "run": "true"}],
        }
    file = repository / ".github" / "workflows" / run.workflow
    file.write_text(yaml.safe_dump(data, sort_keys=False), encoding="utf-8")
    return {name for its in kept.values() for name in its}


def _outputs(run: Run, its: set[str]) -> dict[str, str]:
    return {key: value for name in its for key, value in run.jobs[name].outputs.items()}


def _outputs_of_called(called: Workflow, run: Run, its: set[str]) -> dict[str, str]:
    declared: dict[str, Any] = called.triggers["workflow_call"].get("outputs", {})
    found = {}
    for name, about in declared.items():
        match = OF_JOB.fullmatch(about["value"])
        assert match, f"{called.name}: {name} is no output of one job"
        job = called.jobs[match[1]].data.get("name", match[1])
        (its_name,) = [it for it in its if it.endswith(f" / {job}")]
        found[name] = run.jobs[its_name].outputs.get(match[2], "")
    return found
