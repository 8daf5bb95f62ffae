"""Let a generated project live through 2013, unattended, on the GitHub on this machine.

The schedule of drift.yml comes round until the data ends; each run looks at one more month. What it
proposes is merged when its checks are green, and left alone otherwise. Then the champions that
served and the first model alone are scored on the months that passed. Prints the table of the
README and draws template/replay.svg."""

import json
import os
import shutil
import sys
from dataclasses import dataclass
from datetime import date
from pathlib import Path
from typing import Any

import demo
from demo import GIT, in_project, push, run, say, show
from local_github import LocalGitHub

ROOT = Path(__file__).parents[1]
FOLDER = ROOT / "build" / "replay"
PROJECT = FOLDER / "flight-delays"
PLOT = ROOT / "template" / "replay.svg"
MOST_RUNS = 24  # of drift.yml; eight months are left when the first model serves


@dataclass(frozen=True)
class Month:
    """A check that was recorded, and what the first model alone would have scored."""

    name: str
    champion: int
    served: float
    never_retrained: float
    violated: list[str]
    decision: str


def main() -> None:
    shutil.rmtree(FOLDER, ignore_errors=True)
    demo.PROJECT = PROJECT
    say("Generate a project and push it: January to March train, April judges.")
    run(f"cookiecutter --no-input --output-dir {FOLDER.relative_to(ROOT)} .", ROOT)
    in_project(f"git remote add origin https://github.com/{LocalGitHub.repository}")
    in_project("git add --all")
    in_project(f"{GIT} commit --quiet --message 'Start from the template'")
    with LocalGitHub(FOLDER / "github") as github:
        github.actions.left_out.add("ci.yml")
        github.actions.known["actions_may_open_pull_requests"] = True
        push(github, "main")
        while_the_data_lasts(github)
        retrainings = proposed(github)
        clone = FOLDER / "clone"
        github.clone(clone)
        github.git(clone, "checkout", "--quiet", "-b", "mlops-store", "origin/mlops-store")
        shutil.copytree(clone, FOLDER / "store", ignore=shutil.ignore_patterns(".git"))
        github.git(clone, "checkout", "--quiet", "main")
    shutil.move(FOLDER / "store", clone / ".store")
    os.chdir(clone)
    months = scored()
    draw(months)
    say(f"Drawn: {PLOT.relative_to(ROOT)}. For the README:\n")
    print(table(months, retrainings))


def while_the_data_lasts(github: LocalGitHub) -> None:
    """Let the schedule come round, and merge what it proposes unless a check is red."""
    for _ in range(MOST_RUNS):
        say("The schedule of drift.yml comes round.")
        recorded = history(github)
        checked = github.schedule("drift.yml")
        show([checked])
        found = (checked.artifacts["drift"] / "drift.md").read_text(encoding="utf-8")
        print(f"      {found.splitlines()[0]}")
        for number, pull in list(github.actions.known["pulls"].items()):
            green = True
            for done in github.approve_workflows(int(number)):
                print(f"    {done.name} ({done.event}): {done.conclusion}", flush=True)
                green = green and done.conclusion == "success"
            if pull["state"] == "open" and green and not pull["draft"]:
                say(f"Its checks are green: merge #{number}, {pull['title']}.")
                for done in github.merge(int(number)):
                    print(f"    {done.name} ({done.event}): {done.conclusion}", flush=True)
            elif pull["state"] == "open":
                say(f"Left open, as a check is red: #{number}, {pull['title']}.")
        if history(github) == recorded:
            return
    sys.exit("The replay stopped: the data did not end.")


def history(github: LocalGitHub) -> bytes:
    return github.files("mlops-store").get("drift.jsonl", b"")


def scored() -> list[Month]:
    """Score on each month that was checked the champion of then, and the first one."""
    import pandas as pd

    from mlops.artifact.table import in_window, to_columns
    from mlops.drift import history
    from mlops.judgement.metric import resolve
    from mlops.pipeline import ingest
    from mlops.project import params
    from mlops.project.files import RAW
    from mlops.registry import model_version, tracking

    settings = params.load()
    ingest.run()
    table = pd.read_parquet(RAW)
    metric = resolve(settings.gate.metric, settings.task)
    client = tracking.connect()
    months = []
    for entry in history.read():
        if entry["drifted_share"] is None:  # too few rows to judge: the first hours of 2014
            continue
        window = params.Window(start=entry["start"], end=entry["end"])
        rows = table[in_window(table[settings.data.time], window)]

        def score(version: int, rows: pd.DataFrame = rows) -> float:
            model = model_version.load(client, model_version.find(client, settings.name, version))
            y = rows[settings.data.target].to_numpy()
            return metric(y, model.predict(to_columns(rows)), model.facts.classes)

        months.append(
            Month(
                f"{window.first_day:%B}",
                entry["champion"],
                score(entry["champion"]),
                score(1),
                entry["violated"],
                entry["decision"],
            )
        )
    return months


def proposed(github: LocalGitHub) -> dict[str, dict[str, Any]]:
    """Return what each retraining pull request compared, by the month that judged."""
    found = {}
    for done in github.runs:
        if "retraining" in done.artifacts:
            (path,) = done.artifacts["retraining"].glob("reports/retraining/*/comparison.json")
            end = date.fromisoformat(path.parent.name)
            found[f"{end:%B}"] = json.loads(path.read_text(encoding="utf-8"))
    return found


def table(months: list[Month], retrainings: dict[str, dict[str, Any]]) -> str:
    """Return the table of the README."""
    lines = [
        "| month | what moved | decision | the retraining pull request, on this month "
        "| champion that served | never retrained |",
        "|---|---|---|---|--:|--:|",
    ]
    for month in months:
        gain = ""
        if month.decision == "retrain":
            comparison = retrainings[month.name]
            (row,) = (
                row for row in comparison["differences"] if row["metric"] == comparison["metric"]
            )
            gain = (
                f"{row['champion']:.3f} → {row['candidate']:.3f} "
                f"({row['low']:+.3f} to {row['high']:+.3f}), "
                f"{'merged' if comparison['passed'] else 'a draft: the gate is red'}"
            ).replace("-", "−")
        lines.append(
            f"| {month.name} | {', '.join(month.violated) or '–'} | {month.decision} | {gain} "
            f"| {month.served:.3f} (v{month.champion}) | {month.never_retrained:.3f} |"
        )
    served, never = (
        sum(getattr(month, name) for month in months) / len(months)
        for name in ("served", "never_retrained")
    )
    return "\n".join([*lines, f"| **mean** | | | | **{served:.3f}** | **{never:.3f}** |"])


def draw(months: list[Month]) -> None:
    """Draw both lines, month by month."""
    import matplotlib as mpl

    mpl.use("svg")
    # The same numbers give the same file; text stays text, so that it is small.
    mpl.rcParams |= {"svg.hashsalt": "replay", "svg.fonttype": "none", "font.size": 11}
    import matplotlib.pyplot as plt

    names = [month.name[:3] for month in months]
    served = [month.served for month in months]
    never = [month.never_retrained for month in months]
    figure, axes = plt.subplots(figsize=(8, 3.6), layout="constrained")
    axes.plot(names, never, color="#8c959f", marker="o", label="never retrained")
    axes.plot(names, served, color="#0969da", marker="o", linewidth=2, label="with the loop")
    axes.fill_between(
        names,
        never,
        served,
        where=[ours >= theirs for ours, theirs in zip(served, never, strict=True)],
        color="#0969da",
        alpha=0.1,
        interpolate=True,
    )
    for place, month in enumerate(months[1:], 1):
        if month.champion != months[place - 1].champion:
            axes.axvline(place - 0.5, color="#1a7f37", linestyle=":", linewidth=1.5)
            label = f"v{month.champion} serves"
            axes.annotate(
                label,
                (place - 0.5, 0.02),
                xycoords=("data", "axes fraction"),
                xytext=(4, 0),
                textcoords="offset points",
                color="#1a7f37",
                fontsize=9,
            )
    axes.margins(y=0.12)  # room for what serves, below the lines
    axes.set_ylabel("ROC AUC on the month")
    axes.set_title("2013, month by month, on flights no model had seen", loc="left", fontsize=12)
    axes.spines[["top", "right"]].set_visible(False)
    axes.grid(axis="y", alpha=0.3)
    axes.legend(framealpha=1, edgecolor="white", loc="upper right")
    figure.savefig(PLOT, metadata={"Date": None})


if __name__ == "__main__":
    main()
