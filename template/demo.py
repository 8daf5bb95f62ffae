"""Generate a project in build/demo and take it through the loop, on a GitHub on this machine.

Everything is real (git, DVC, MLflow, the workflows, the service) but GitHub itself, CML, Docker and
the scanner of images: for these, tests/workflows/github and tests/doubles have stand-ins."""

import os
import re
import shlex
import shutil
import subprocess
import sys
import time
from pathlib import Path

import page
from act_run import Run
from local_github import LocalGitHub

ROOT = Path(__file__).parents[1]
PROJECT = ROOT / "build" / "demo" / "flight-delays"
GITHUB = PROJECT.with_name("github")
LATER_MONTHS = {
    "window": "{ start: 2013-01, end: 2013-04 }",
    "holdout": "{ start: 2013-05, end: 2013-05 }",
}
GIT = "git -c user.name=Demo -c user.email=demo@example.com -c commit.gpgsign=false"

STARTED = time.monotonic()


def main() -> None:
    say("Generate a project from this repository.")
    shutil.rmtree(PROJECT.parent, ignore_errors=True)
    run(f"cookiecutter --no-input --output-dir {shlex.quote(str(PROJECT.parent))} .", ROOT)
    in_project(f"git remote add origin https://github.com/{LocalGitHub.repository}")
    in_project("git add --all")
    in_project(f"{GIT} commit --quiet --message 'Start from the template'")

    with LocalGitHub(GITHUB) as github:
        github.actions.left_out.add("ci.yml")
        say("Push it: its own workflow trains and judges the first model, of January to March,")
        print("         builds it into an image, tries that, and lets it serve.")
        print("         There is no secret, no variable and no store yet.")
        print("         (Left out here: ci.yml, whose checks are those of `make test`.)")
        push(github, "main")

        say("A month later: a pull request that also trains on April, judged on May.")
        in_project("git checkout --quiet -b also-april")
        move_the_window()
        in_project(f"{GIT} commit --quiet --message 'Train on April, too' params.yaml")
        push(github, "also-april")
        pull_request = github.open_pull_request(
            "also-april",
            "Train on April, too",
            "Another month is in. The newest one judges both models.",
        )
        show(pull_request.runs)
        (comment,) = github.comments(pull_request.number)
        say("The comment says first:")
        print("\n".join(f"    {line}" for line in comment["body"].split("\n\n| |")[0].splitlines()))

        say(
            "Merge it: what was reviewed becomes a version and an image, is smoke-tested, serves in"
        )
        print("         staging, is compared with the champion in production, and takes its place.")
        show(github.merge(pull_request.number))
        show_deployments(github)

        say("In July, the schedule of drift.yml comes round: has June moved away from what the")
        print("         champion knows, and would a model that knows May be better on it?")
        print("         (One setting is on from here: Actions may open pull requests.)")
        github.actions.known["actions_may_open_pull_requests"] = True
        checked = github.schedule("drift.yml")
        show([checked])
        found = (checked.artifacts["drift"] / "drift.md").read_text(encoding="utf-8")
        said = [line for line in found.splitlines() if line][:2]
        print("\n".join(f"    {line}" for line in said))
        show_what_waits(github)
        page.write(github, GITHUB)

    print_where_things_are()


def push(github: LocalGitHub, branch: str) -> None:
    print(f"    $ git push origin HEAD:{branch}", flush=True)
    show(github.push(PROJECT, branch))


def show(runs: list[Run]) -> None:
    """Print what the workflows did; stop at one that failed."""
    for done in runs:
        print(f"    {done.name} ({done.event}), {done.seconds:.0f} s", flush=True)
        for name, job in done.jobs.items():
            sign = {"success": "✓", "skipped": "-"}.get(job.conclusion, "✗")
            print(f"      {sign} {name}")
        if done.conclusion != "success":
            sys.exit(f"{done.log}\nThe demo stopped: {done.workflow} failed; its log is above.")


def show_deployments(github: LocalGitHub) -> None:
    """Print what GitHub has recorded, and the image that serves."""
    for it in github.deployments()[-2:]:
        print(f"    {it.environment}: {it.state}, commit {it.sha[:7]}")
    print(f"    {github.runs[-1].jobs['image'].outputs['image']}")


def show_what_waits(github: LocalGitHub) -> None:
    """Show the title of the pull request that a workflow has opened."""
    for number, pull in github.actions.known["pulls"].items():
        if pull["state"] == "open":
            say(f"A pull request waits for a person, #{number}: {pull['title']}")
            print("         Its checks wait, too: GitHub runs none on what a workflow opens, until")
            print("         somebody presses *Approve workflows to run*, or an app opens it.")


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
    project, github, template = (
        shlex.quote(os.path.relpath(path)) for path in (PROJECT, GITHUB, ROOT)
    )
    say("Done. What a person would see on GitHub, to open in any browser:")
    print(f"""
    {github}/index.html

Go on in the project (cd {project}):
    make setup                             its own environment, exactly as locked
    make report                            train and judge on this machine
    make                                   what else there is

Your own project, from here:
    .venv/bin/cookiecutter {template} --output-dir ..""")


if __name__ == "__main__":
    main()
