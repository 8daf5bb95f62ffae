"""Runs as JSON in ``runs/<id>``, beside their artifacts: a folder that can be moved."""

import dataclasses
import json
from pathlib import Path
from typing import Any

from act_run import Annotation, Job, Run, Step
from github_events import Event


def artifacts_of(folder: Path, run_id: int) -> dict[str, Path]:
    """Return the folder of each artifact by its name."""
    kept = folder / str(run_id) / "artifacts"
    return {path.name: path for path in sorted(kept.iterdir())} if kept.exists() else {}


def write(folder: Path, run: Run, event: Event) -> None:
    target = folder / str(run.id) / f"attempt-{run.attempt}.json"
    target.parent.mkdir(parents=True, exist_ok=True)
    content = {"run": dataclasses.asdict(run), "event": dataclasses.asdict(event)}
    content["run"]["artifacts"] = sorted(run.artifacts)  # where they are may change
    target.write_text(json.dumps(content, indent=1), encoding="utf-8")


def read_event(folder: Path, run_id: int) -> Event:
    """Return the event that started a run."""
    content = json.loads((folder / str(run_id) / "attempt-1.json").read_text(encoding="utf-8"))
    fields = content["event"]
    return Event(**{**fields, "changed": tuple(fields["changed"])})


def read_all(folder: Path) -> list[Run]:
    """Return all runs in the order in which they were started."""
    paths = folder.glob("*/attempt-*.json")
    contents = [json.loads(path.read_text(encoding="utf-8"))["run"] for path in paths]
    return sorted((_run(folder, it) for it in contents), key=lambda run: run.started)


def _run(folder: Path, content: dict[str, Any]) -> Run:
    jobs = {
        name: Job(**{**job, "steps": [Step(**step) for step in job["steps"]]})
        for name, job in content["jobs"].items()
    }
    annotations = [Annotation(**annotation) for annotation in content["annotations"]]
    artifacts = artifacts_of(folder, content["id"])
    return Run(**{**content, "jobs": jobs, "annotations": annotations, "artifacts": artifacts})
