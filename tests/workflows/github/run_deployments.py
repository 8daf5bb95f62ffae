"""The deployments that GitHub notes by itself: of each job that names an ``environment``.

https://docs.github.com/en/actions/reference/workflows-and-actions/deployments-and-environments
"""

from act_run import Run
from github_events import Event
from github_server import FakeGitHub


def record(
    github: FakeGitHub, repository: str, event: Event, run: Run, bot: str, kept: set[str]
) -> None:
    """Note a deployment for each job that began, and what became of it; not for those kept."""
    page = f"https://github.com/{repository}/actions/runs/{run.id}"
    for job in run.jobs.values():
        if not job.environment or job.conclusion == "skipped" or job.name in kept:
            continue
        wanted = {
            "ref": event.sha,
            "task": "deploy",
            "auto_merge": False,
            "required_contexts": [],
            "environment": job.environment,
        }
        path = f"/repos/{repository}/deployments"
        number = github.ask("POST", path, wanted, login=event.actor)["id"]
        about = {"environment": job.environment, "log_url": page}
        begun = {**about, "state": "in_progress"}
        state = "success" if job.conclusion == "success" else "failure"  # there is no `cancelled`
        ended = {**about, "state": state, "environment_url": job.url}
        for status in (begun, ended):
            github.ask("POST", f"{path}/{number}/statuses", status, login=bot)
