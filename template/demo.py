"""Generate a project in build/demo and take it through the loop, from the first champion on."""

import json
import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "build" / "demo" / "flight-delays"
LATER_MONTHS = {
    "window": "{ start: 2013-04, end: 2013-06 }",
    "holdout": "{ start: 2013-07, end: 2013-07 }",
}
GIT = "git -c user.name=Demo -c user.email=demo@example.com -c commit.gpgsign=false"

STARTED = time.monotonic()


def main() -> None:
    say("Generate a project from this repository.")
    shutil.rmtree(PROJECT.parent, ignore_errors=True)
    run(f"cookiecutter --no-input --output-dir {shlex.quote(str(PROJECT.parent))} .", ROOT)
    in_project("git add --all")
    in_project(f"{GIT} commit --quiet --message 'Start from the template'")

    say("Make its environment, exactly as its requirements.txt locks it.")
    in_project("make setup")

    say("Train the first model on January to March, and judge it on April.")
    in_project("make report")
    say("Nothing to compare it with yet: register it, and make it the champion.")
    in_project("mlops register")
    in_project("mlops promote")
    in_project("git add dvc.lock")
    in_project(f"{GIT} commit --quiet --message 'The first champion' dvc.lock")

    say("Three months later: train on April to June, judge both models on July.")
    in_project("git checkout --quiet -b retrain-2013-06")
    move_the_window()
    in_project(f"{GIT} commit --quiet --message 'Retrain on April to June' params.yaml")
    in_project("make report")
    in_project(f"{GIT} commit --quiet --message 'The retrained model' dvc.lock")

    print_where_things_are()


def say(sentence: str) -> None:
    print(f"\n[{time.monotonic() - STARTED:4.0f} s] {sentence}", flush=True)


def in_project(command: str) -> None:
    run(command, PROJECT)


def run(command: str, folder: Path) -> None:
    """Run a command as a person would, in the environment of the project if it has one yet."""
    print(f"    $ {command.replace(GIT, 'git')}", flush=True)
    # What git and make tell their children is about this repository, not about the project.
    environment = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith("GIT_") and key not in ("MAKEFLAGS", "MAKELEVEL", "MFLAGS")
    }
    environment["PATH"] = f"{folder / '.venv' / 'bin'}{os.pathsep}{os.environ['PATH']}"
    ended = subprocess.run(shlex.split(command), cwd=folder, env=environment, check=False)
    if ended.returncode:
        sys.exit(
            f"The demo stopped: `{command}` in {folder} ended with {ended.returncode}; "
            "what it said is above."
        )


def move_the_window() -> None:
    """Change the two lines of params.yaml that say which months train and which judge."""
    params = PROJECT / "params.yaml"
    text = params.read_text(encoding="utf-8")
    for key, months in LATER_MONTHS.items():
        print(f"    params.yaml: {key}: {months}")
        text, count = re.subn(rf"(?m)^  {key}: {{.*?}}", f"  {key}: {months}", text)
        if count != 1:
            sys.exit(f"The demo stopped: {params} has {count} lines for data.{key}, expected one.")
    params.write_text(text, encoding="utf-8")


def print_where_things_are() -> None:
    comparison = json.loads((PROJECT / "reports" / "comparison.json").read_text(encoding="utf-8"))
    gate = "passed" if comparison["passed"] else "did not pass"
    say(f"Done. Finding: {comparison['finding']}; the new model {gate} the gate.")
    project = shlex.quote(os.path.relpath(PROJECT))
    template = shlex.quote(os.path.relpath(ROOT))
    print(f"""
    {project}/reports/report.md       the comment for the pull request
    {project}/reports/metrics.json    the metrics, with reports/plots
    {project}/.store                  the registry: mlflow.db, models, audit.jsonl

Next, in it (cd {project} && source .venv/bin/activate):
    mlops register && mlops promote    what merging does: the new model becomes champion
    mlops lineage 1                    where the first champion came from
    make                               what else there is

Your own project, from here:
    .venv/bin/cookiecutter {template} --output-dir ..""")


if __name__ == "__main__":
    main()
