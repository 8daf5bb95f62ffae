"""The runs that events start: which workflows, of which commit, with which token and secrets."""

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import rerun_failed
import run_deployments
import run_records
import runner_machine
import triggers
from act_run import Order, Run, run_workflow
from cancelling import Cancellation
from commit_files import unpack, workflow_files_at
from github_events import Event, Events
from github_server import FakeGitHub
from workflow_files import Repository

BOT = "github-actions[bot]"


class EventRuns:
    """The tab "Actions" of one repository; all of it is in a folder."""

    def __init__(self, github: FakeGitHub, repository: str) -> None:
        self.github = github
        self.repository = repository
        self.events = Events(github, repository)
        self.folder = github.folder / "runs"
        self.all = run_records.read_all(self.folder)
        self.pending: list[Event] = []
        self.variables: dict[str, str] = {}
        self.secrets: dict[str, str] = {}
        self.held: dict[int, list[Event]] = {}  # of pull requests: what waits for somebody
        self.cancellation: Cancellation | None = None  # of the next run
        self.left_out: set[str] = set()  # workflows of no interest, to save their time

    @property
    def git(self) -> Path:
        return self.github.path(self.repository)

    @property
    def known(self) -> dict[str, Any]:
        known: dict[str, Any] = self.github.state["repositories"][self.repository]
        return known

    def happened(self, events: list[Event], *, run: bool) -> list[Run]:
        """Run what the events start, or keep them for later."""
        self.pending += events
        return [done for event in events for done in self.run(event)] if run else []

    def run(self, event: Event) -> list[Run]:
        """Run the workflows that an event starts."""
        self.pending[:] = [other for other in self.pending if other is not event]
        started = self._started_by(event)
        return [self._run(event, workflow, self._next_id(), 1) for workflow in started]

    def rerun(self, run: Run, *, failed: bool = False, job: str = "") -> Run:
        """Run again what ran, or only what did not go well, with the files and event of then.

        Or one job, and those that need it.
        """
        if job:
            again = replace(run.jobs[job], conclusion="failure")
            run, failed = replace(run, jobs=run.jobs | {job: again}), True
        attempt = max(other.attempt for other in self.all if other.id == run.id) + 1
        event = run_records.read_event(self.folder, run.id)
        return self._run(event, run.workflow, run.id, attempt, run if failed else None)

    def _started_by(self, event: Event) -> list[str]:
        if event.workflow:
            return [event.workflow]
        workflows = Repository(workflow_files_at(self.git, event.sha)).workflows
        return [
            name
            for name, workflow in workflows.items()
            if name not in self.left_out
            and triggers.starts(
                workflow.triggers,
                event.name,
                action=event.action,
                ref=event.filtered,
                changed=event.changed,
                message=event.message,
            )
        ]

    def _next_id(self) -> int:
        return max((run.id for run in self.all), default=0) + 1

    def _run(
        self, event: Event, workflow: str, run_id: int, attempt: int, before: Run | None = None
    ) -> Run:
        scratch = self.github.folder / "work" / f"{run_id}-{attempt}"
        dispatches = self.known["dispatches"]
        refused, dispatched = len(self.github.refused), len(dispatches)
        heads = self._heads()
        actions, without = runner_machine.actions_for(self._texts(event))
        runner_machine.forget_containers(self.github)
        order = Order(
            folder=scratch,
            workflow=workflow,
            event=event.name,
            payload=event.payload,
            run_id=run_id,
            attempt=attempt,
            context=self._context(event, workflow, run_id),
            environment=runner_machine.environment(self.github, scratch),
            actions=actions,
            secrets={"GITHUB_TOKEN": self._token(event, run_id, attempt)},
        )
        if event.trusted:
            order.secrets |= self.secrets
            order.variables |= self.variables
        kept: set[str] = set()
        self.known.setdefault("heads_of_runs", {})[str(run_id)] = event.shown_at
        try:
            unpack(self.git, event.sha, ".github", order.repository)
            if before:
                kept = rerun_failed.keep_what_went_well(order.repository, before)
            if self.cancellation:
                self.cancellation.rewrite(order.repository, workflow)
                self.cancellation.give(self.github.folder)
            run = run_workflow(order)
            if self.cancellation:
                run = self.cancellation.note(run, self.github.folder)
        finally:
            self.cancellation = None
            shutil.rmtree(scratch, ignore_errors=True)
        if before:
            again = {name: job for name, job in run.jobs.items() if name in before.jobs}
            run.jobs = before.jobs | {name: it for name, it in again.items() if name not in kept}
        notes = [f"refused by the proxy: {host}" for host in self.github.refused[refused:]]
        notes += [f"no stand-in in {runner_machine.STANDINS}: {use}" for use in sorted(without)]
        run.log = "\n".join([run.log, *notes])
        run.artifacts = run_records.artifacts_of(self.folder, run_id)
        self.all.append(run)
        run_records.write(self.folder, run, event)
        self._show_checks(event, run)
        run_deployments.record(self.github, self.repository, event, run, BOT, kept)
        self._expect(dispatches[dispatched:])
        self._hold_or_expect(heads)
        return run

    def _texts(self, event: Event) -> list[str]:
        """Return the workflows and actions that the run may come to use, also those of the base."""
        pull = event.payload.get("pull_request")
        commits = [event.sha, *([pull["base"]["sha"], pull["head"]["sha"]] if pull else [])]
        found = [workflow_files_at(self.git, commit) for commit in dict.fromkeys(commits)]
        return [text for files in found for text in files.values()]

    def _token(self, event: Event, run_id: int, attempt: int) -> str:
        token = f"ghs_ofRun{run_id}Attempt{attempt}"
        self.github.add_token(
            token, BOT, write=event.trusted, repository=self.repository, is_actions=True
        )
        return token

    def _context(self, event: Event, workflow: str, run_id: int) -> dict[str, str]:
        earlier = {run.id for run in self.all if run.workflow == workflow and run.id < run_id}
        path = f"{self.repository}/.github/workflows/{workflow}"
        return {
            **event.context,
            "GITHUB_REPOSITORY": self.repository,
            "GITHUB_REPOSITORY_OWNER": self.repository.split("/")[0],
            "GITHUB_RUN_NUMBER": str(len(earlier) + 1),
            # Variables only: act knows no github.workflow_ref and no github.workflow_sha.
            "GITHUB_WORKFLOW_REF": f"{path}@{event.ref}",
            "GITHUB_WORKFLOW_SHA": event.sha,
        }

    def _show_checks(self, event: Event, run: Run) -> None:
        for job in run.jobs.values():
            check = {
                "name": job.name,
                "head_sha": event.shown_at,
                "status": "completed",
                "conclusion": job.conclusion,
                "external_id": str(run.id),
                "details_url": f"https://github.com/{self.repository}/actions/runs/{run.id}",
            }
            self.github.ask("POST", f"/repos/{self.repository}/check-runs", check, login=BOT)
            self.known["check_runs"][-1]["by_hand"] = event.name == "workflow_dispatch"

    def _heads(self) -> dict[int, str]:
        pulls = self.known["pulls"].values()
        return {it["number"]: it["head"]["sha"] for it in pulls if it["state"] == "open"}

    def _hold_or_expect(self, before: dict[int, str]) -> None:
        """Hold what the job's own token opened or pushed for pull requests; others' goes on."""
        for number, head in self._heads().items():
            if head == before.get(number):
                continue
            login = self.known["pulls"][str(number)]["pushed_by"]
            action = "synchronize" if number in before else "opened"
            events = self.events.pull_request(number, action, login)
            if login == BOT:
                self.held[number] = events
            else:
                self.pending += events

    def _expect(self, dispatches: list[dict[str, Any]]) -> None:
        """Keep what the run asked GitHub to start: nothing else starts by what its token does."""
        for it in dispatches:
            inputs = {name: str(value) for name, value in it["inputs"].items()}
            self.pending.append(self.events.dispatch(it["workflow"], it["ref"], inputs, it["user"]))
