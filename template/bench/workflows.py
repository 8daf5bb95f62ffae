"""From a push to the comment, and from the schedule to a retraining pull request.

On the local GitHub: how long, and what of it is the work itself.
"""

import json
import re
import tempfile
import time
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path

from act_run import Run
from hosted import Hosted, make_hosted

ROUNDS = 3
# The steps that do what a person would do by hand; all others are what the workflow costs.
JOBS = {"pipeline": "train", "judgement": "judge", "report": "judge"}
WORK = {
    "pipeline": "Run the stages that have something new to do",
    "judgement": "Judge the model against the champion",
    "report": "Write the report",
}
WATCHING = {
    "drift": {"data": "Load the newest data", "drift": "Compare it with what the champion knows"},
    "challenger": {
        "training": WORK["pipeline"],
        "judgement": WORK["judgement"],
    },
}
LATER = {"start": "2013-04", "end": "2013-06"}


def run() -> Iterator[str]:
    """Measure a retraining, a pull request that moves the window, and pushes that train nothing."""
    with tempfile.TemporaryDirectory() as folder:
        hosted = make_hosted(Path(folder))
        hosted.project.set(
            data__window={"start": "2013-01", "end": "2013-03"}, gate__resamples=2000
        )
        hosted.commit("Three months, as the template has them")
        with hosted.github as github:
            github.actions.left_out.add("ci.yml")
            github.push(hosted.project.folder)
            yield retraining(hosted)
            hosted.branch("later")
            hosted.project.set(data__window=LATER)
            hosted.commit("Three months later")
            github.push(hosted.project.folder, "later")
            cold = timed(lambda: github.open_pull_request("later", "Three months later").runs)
            warm = [timed(partial(push_a_new_gate, hosted, number)) for number in range(ROUNDS)]
            quickest = min(warm, key=lambda it: it[0])
            yield line("cold DVC cache", *cold)
            yield line("warm, nothing to train", *quickest, " (goals: at most 25 s, and 12 s)")


def retraining(hosted: Hosted) -> str:
    """Let a schedule find drift that calls for a retraining; measure until it is proposed."""
    once = {"when": "drifts", "violations": 1, "of": 1}
    hosted.project.set(drift__retrain=once, drift__stale_days=100, gate__margin=0.5)
    # What comes after the pull request, and what GitHub runs beside, is not waited for.
    hosted.keep_jobs("drift.yml", "drift", "challenger", "propose")
    hosted.commit("Retrain at the first window that violates")
    github = hosted.github
    github.push(hosted.project.folder, run=False)
    github.pending.clear()
    github.actions.known["actions_may_open_pull_requests"] = True
    seconds, done = timed(lambda: [github.schedule("drift.yml")])
    assert github.actions.known["pulls"], done.log
    spent = {
        part: in_step(done, job, step)
        for job, steps in WATCHING.items()
        for part, step in steps.items()
    }
    parts = ", ".join(f"{part} {spent[part] / seconds:.0%}" for part in spent)
    return (
        f"schedule to open retraining pull request: {seconds:.1f} s: {parts}; all else, from "
        f"checkout to the pull request, {seconds - sum(spent.values()):.1f} s"
    )


def push_a_new_gate(hosted: Hosted, number: int) -> list[Run]:
    hosted.project.set(gate__resamples=2001 + number)
    hosted.commit("More resamples")
    return hosted.github.push(hosted.project.folder, "later")


def timed(happens: Callable[[], list[Run]]) -> tuple[float, Run]:
    """Return the seconds that something took, and the training that it started."""
    started = time.perf_counter()
    (done,) = happens()
    seconds = time.perf_counter() - started
    assert done.conclusion == "success", done.log
    return seconds, done


def line(name: str, seconds: float, done: Run, goals: str = "") -> str:
    """Say what of the time went into which work."""
    spent = {part: in_step(done, JOBS[part], step) for part, step in WORK.items()}
    training = json.loads((done.artifacts["report"] / "training.json").read_text())
    parts = ", ".join(f"{part} {spent[part] / seconds:.0%}" for part in spent)
    fit = f" (the fit itself {training['seconds'] / seconds:.0%})" if "cold" in name else ""
    return (
        f"push to comment, {name}: {seconds:.1f} s: {parts}{fit}; all else, from checkout "
        f"to comment, {seconds - sum(spent.values()):.1f} s{goals}"
    )


def in_step(done: Run, job: str, step: str) -> float:
    """Return the seconds of a step."""
    pattern = rf"Success - Main {re.escape(step)} \[(?:(\d+)m)?([\d.]+)(m?s)\]"
    found = re.search(pattern, done.jobs[job].log)
    assert found, step
    minutes, number, unit = found.groups()
    return 60 * int(minutes or 0) + float(number) / (1000 if unit == "ms" else 1)


if __name__ == "__main__":
    for text in run():
        print(text, flush=True)
