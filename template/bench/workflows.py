"""From a push to the comment, on the local GitHub: how long, and what of it is the work itself."""

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
WORK = {
    "pipeline": "Run the stages that have something new to do",
    "judgement": "Judge the model against the champion",
    "report": "Write the report",
}
LATER = {"start": "2013-04", "end": "2013-06"}


def run() -> Iterator[str]:
    """Measure a pull request that moves the window, and pushes to it that train nothing."""
    with tempfile.TemporaryDirectory() as folder:
        hosted = make_hosted(Path(folder))
        hosted.project.set(
            data__window={"start": "2013-01", "end": "2013-03"}, gate__resamples=2000
        )
        hosted.commit("Three months, as the template has them")
        with hosted.github as github:
            github.actions.left_out.add("ci.yml")
            github.push(hosted.project.folder)
            hosted.branch("later")
            hosted.project.set(data__window=LATER)
            hosted.commit("Three months later")
            github.push(hosted.project.folder, "later")
            cold = timed(lambda: github.open_pull_request("later", "Three months later").runs)
            warm = [timed(partial(push_a_new_gate, hosted, number)) for number in range(ROUNDS)]
            quickest = min(warm, key=lambda it: it[0])
            yield line("cold DVC cache", *cold)
            yield line("warm, nothing to train", *quickest, " (goals: at most 25 s, and 12 s)")


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
    spent = {part: in_step(done, step) for part, step in WORK.items()}
    training = json.loads((done.artifacts["report"] / "training.json").read_text())
    parts = ", ".join(f"{part} {spent[part] / seconds:.0%}" for part in spent)
    fit = f" (the fit itself {training['seconds'] / seconds:.0%})" if "cold" in name else ""
    return (
        f"push to comment, {name}: {seconds:.1f} s: {parts}{fit}; all else, from checkout "
        f"to comment, {seconds - sum(spent.values()):.1f} s{goals}"
    )


def in_step(done: Run, step: str) -> float:
    """Return the seconds of a step of the job that trains."""
    pattern = rf"Success - Main {re.escape(step)} \[(?:(\d+)m)?([\d.]+)(m?s)\]"
    found = re.search(pattern, done.jobs["train"].log)
    assert found, step
    minutes, number, unit = found.groups()
    return 60 * int(minutes or 0) + float(number) / (1000 if unit == "ms" else 1)


if __name__ == "__main__":
    for text in run():
        print(text, flush=True)
