"""What act says of the jobs (``--json --verbose``), told as GitHub tells it."""

import json
import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

from act_names import KnownJob

OUTPUT = re.compile(r"\$\{\{\s*steps\.([\w-]+)\.outputs\.([\w-]+)\s*\}\}")
OUTPUT_IN = re.compile(r"steps\.([\w-]+)\.outputs\.([\w-]+)")
EXIT = re.compile(r"exit status (\d+)")
Entry = dict[str, Any]


@dataclass
class Annotation:
    level: str  # error, warning or notice
    title: str
    message: str
    job: str


@dataclass
class Step:
    name: str
    conclusion: str


@dataclass
class Job:
    name: str
    conclusion: str  # success, failure or skipped
    steps: list[Step]
    log: str
    outputs: dict[str, str]
    environment: str = ""
    url: str = ""  # of the environment


class IncompleteRunError(Exception):
    """Act ran something else than GitHub would; the text says what and why."""


class Log:
    """The entries of one run, by job; secrets are masked as they come in."""

    def __init__(self, known: list[KnownJob], secrets: list[str]) -> None:
        self.known = known
        self.masks = {line for secret in secrets for line in secret.splitlines() if line.strip()}
        self.entries: dict[str, list[Entry]] = {}
        self.lines: list[str] = []

    def add(self, line: str) -> None:
        """Take in one line; those that are not JSON are act's own last words."""
        try:
            entry = json.loads(line)
        except ValueError:
            entry = {"level": "error", "msg": line}
        if entry.get("command") == "add-mask":
            self.masks |= set(filter(str.strip, entry["arg"].splitlines()))
            return
        if entry["level"] == "debug" and not {"jobResult", "stepResult"} & set(entry):
            return
        entry = self.masked(entry)
        job = entry.get("job", "").strip()
        if text := _said(entry):
            self.lines.append(f"[{job}] {text}" if job else text)
        if job:
            self.entries.setdefault(job, []).append(entry)

    def masked(self, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: self.masked(inner) for key, inner in value.items()}
        if isinstance(value, list):
            return [self.masked(inner) for inner in value]
        if isinstance(value, str):
            for mask in sorted(self.masks, key=len, reverse=True):
                value = value.replace(mask, "***")
        return value

    def jobs(self) -> list["JobLog"]:
        """Return the jobs that came to an end or were skipped, in the order of the files."""
        found = []
        for known in self.known:
            ended = {
                raw: entries
                for raw, entries in self.entries.items()
                if entries[0]["jobID"] == known.job_id and known.match(raw)
                if any("jobResult" in entry for entry in entries)
            }
            for raw, entries in ended.items():
                matrix = entries[0]["matrix"] or {}
                name = known.shown(raw, matrix, numbered=len(ended) > 1)
                found.append(JobLog(name, known, entries))
            if not ended and self._in_vain(known, found):
                name = " / ".join([*known.callers, known.name])
                found.append(
                    JobLog(name, known, [{"jobResult": "skipped", "level": "", "msg": ""}])
                )
        return found

    def _in_vain(self, known: KnownJob, found: list["JobLog"]) -> bool:
        """Say whether a job it needs failed in a called workflow: of those, act tells nothing.

        Nor of what needs these in turn.
        """
        needs = known.data.get("needs", [])
        needed = [needs] if isinstance(needs, str) else needs
        condition = str(known.data.get("if", ""))
        if re.search(r"(always|failure|cancelled)\(", condition):
            wanted = r"needs\.([\w-]+)\.result (?:!= 'skipped'|== 'success')"
            needed = re.findall(wanted, condition)
        siblings = [it for it in self.known if it.callers == known.callers and it.job_id in needed]
        called = {(*it.callers, it.name) for it in siblings}
        return any(
            job.conclusion == "failure" and job.known.callers[: len(known.callers) + 1] in called
            for job in found
        ) or any(self._in_vain(it, found) for it in siblings)

    def check(self) -> None:
        """Refuse to call a run complete in which act left out a job without a word.

        Raises
        ------
        IncompleteRunError
            When no runner has the label of a job, or one did not run for another reason.
        """
        for line in self.lines:
            if match := re.search(r"\[(.*)\] .*Skipping unsupported platform.*`-P (.*)=", line):
                raise IncompleteRunError(f"{match[1]}: no runner has the label {match[2]!r}")
        ended = self.jobs()
        skipped = {job.known.name for job in ended if job.conclusion == "skipped"}
        for known in self.known:
            ran = any(job.known is known or known.name in job.known.callers for job in ended)
            if not ran and not skipped & set(known.callers):
                what = f"{known.name} of {known.workflow} neither ran nor was skipped"
                raise IncompleteRunError("\n".join([what, *self.lines]))


@dataclass
class JobLog:
    """What was said by one job."""

    name: str
    known: KnownJob
    entries: list[Entry] = field(repr=False)

    @property
    def conclusion(self) -> str:
        return str(next(entry["jobResult"] for entry in self.entries if "jobResult" in entry))

    def job(self) -> Job:
        log = "\n".join(filter(None, map(_said, self.entries)))
        environment, url = self._environment()
        steps, outputs = list(self._steps()), self._outputs()
        return Job(self.name, self.conclusion, steps, log, outputs, environment, url)

    def _steps(self) -> Iterator[Step]:
        forgiven = False
        for entry in self.entries:
            forgiven = forgiven or entry["msg"] == "Failed but continue next step"
            result, stage = entry.get("stepResult"), entry.get("stage")
            if not result or "stepID" not in entry or _is_inner(entry):
                continue
            if stage == "Main":
                yield Step(self._step_name(entry), "success" if forgiven else result)
            elif stage == "Post" and result != "skipped":
                yield Step(f"Post {self._step_name(entry)}", result)
            forgiven = False

    def _step_name(self, entry: Entry) -> str:
        step_id, steps = entry["stepID"][0], self.known.data.get("steps", [])
        named = any(
            "name" in step
            for number, step in enumerate(steps)
            if step_id in (step.get("id"), str(number))
        )
        name = str(entry["step"])
        return name if named else f"Run {name.splitlines()[0]}"

    def _outputs(self) -> dict[str, str]:
        """Return the outputs that are those of a step, or constant; act does not tell others."""
        outputs = {}
        for name, value in self.known.data.get("outputs", {}).items():
            if match := OUTPUT.fullmatch(str(value)):
                outputs[name] = self._step_outputs.get((match[1], match[2]), "")
            elif "${{" not in str(value):
                outputs[name] = str(value)
        return outputs

    @property
    def _step_outputs(self) -> dict[tuple[str, str], str]:
        return {
            (entry["stepID"][0], entry["name"]): entry["arg"]
            for entry in self.entries
            if entry.get("command") == "set-output" and not _is_inner(entry)
        }

    def _environment(self) -> tuple[str, str]:
        """Return name and address; of an address that is an expression, the first output in it."""
        said = self.known.data.get("environment", "")
        name, url = (said, "") if isinstance(said, str) else (said["name"], said.get("url", ""))
        if match := OUTPUT_IN.search(url):
            url = self._step_outputs.get((match[1], match[2]), "")
        return name, url

    def annotations(self) -> Iterator[Annotation]:
        failed = set()
        for entry in self.entries:
            command, step = entry.get("command"), entry.get("stepID", [""])[0]
            if command in ("error", "warning", "notice"):
                title = (entry.get("kvPairs") or {}).get("title", "")
                yield Annotation(command, title, entry["arg"], self.name)
            elif entry["level"] == "error" and step not in failed:
                # A failure in a composite action is told twice: by its step, and by itself.
                failed.add(step)
                match = EXIT.match(entry["msg"])
                message = f"Process completed with exit code {match[1]}." if match else entry["msg"]
                yield Annotation("error", "", message, self.name)

    def summary(self) -> list[str]:
        said = [entry for entry in self.entries if entry.get("command") == "summary"]
        composite = {entry["stepID"][0] for entry in said if _is_inner(entry)}
        return [
            entry["content"].rstrip("\n")
            for entry in said
            # That of the last step of a composite action comes once more, as the action's.
            if _is_inner(entry) or entry["stepID"][0] not in composite
        ]


def _is_inner(entry: Entry) -> bool:
    """Say whether a step of a composite action says this, not one of the job."""
    return len(entry.get("stepID", [])) > 1


def _said(entry: Entry) -> str:
    """Return an entry as a line of the log on GitHub; nothing where act talks to itself."""
    message = str(entry["msg"]).rstrip("\n")
    if entry.get("raw_output"):
        return message
    if entry.get("command") in ("error", "warning", "notice"):
        return f"##[{entry['command']}]{entry['arg']}"
    quiet = "LocalRepositoryCache", "Using docker host"
    if "::output-read::" in message or entry["level"] == "debug" or message.startswith(quiet):
        return ""
    return message.strip()
