"""Put the answers into the copied files, and make the folder a git repository."""

import json
import math
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")
RULES = "deploy/monitoring/rules.yml"
# Of python:VERSION-slim-bookworm, for all platforms; that of 3.11 stands in deploy/Dockerfile.
# Dependabot renews it in the project.
BASES = {
    "3.12": "sha256:34386ef0cb081344d7ec1c103ba398e6e9f64e9ab3a1509accc92a4e24a07258",
    "3.13": "sha256:67a1e1f215ccda113cfc024e8639049257e88f273898f595b61476d128d387e8",
}
# Not at the full hour: then GitHub has most to do, and starts late or leaves out.
SCHEDULES = {"weekly": "23 5 * * 1", "daily": "23 5 * * *", "hourly": "23 * * * *"}
# Before the drift checks, which look at what was predicted.
BATCHES = {"weekly": "43 4 * * 1", "daily": "43 4 * * *", "hourly": "43 * * * *"}
BATCH = ".github/workflows/batch.yml"
# The folder of each answer, with a page that deploy/README.md links to.
TARGETS = {"compose": "deploy/host", "kubernetes": "deploy/kubernetes"}
ORCHESTRATORS = {name: f"orchestration/{name}" for name in ("airflow", "kubeflow")}
CLOUDS = ("sagemaker", "vertex-ai", "azure-ml", "kserve", "cloud-run", "lambda")
ENDPOINTS = {name: f"deploy/endpoint/{name}" for name in CLOUDS}
# When the alert says that nobody checks: so many seconds for two checks, and then as long as one.
# Where GitHub has much to do, it starts some of the hourly ones late and leaves others out.
MISSED = {
    "weekly": ("14 * 24 * 3600", "7d"),
    "daily": ("2 * 24 * 3600", "1d"),
    "hourly": ("6 * 3600", "1h"),
}


def main() -> None:
    refuse_checkout_without_links()
    refuse_name_of_a_library(ANSWERS["project_slug"])
    write_answers()
    delete_others(ANSWERS["deploy_target"], TARGETS)
    delete_others(ANSWERS["orchestrator"], ORCHESTRATORS)
    if ANSWERS["orchestrator"] == "none":
        Path("orchestration").rmdir()
    delete_others(ANSWERS["endpoint"], ENDPOINTS)
    name_the_endpoint(ANSWERS["endpoint"], ANSWERS["project_slug"])
    schedule_batches(ANSWERS["batch_schedule"])
    if not Path(".git").exists():
        make_repository()
    lock_remote(ANSWERS["dvc_remote_url"])
    print(f"\nMade {Path.cwd()}\nNext: cd {ANSWERS['project_slug']} && make setup repro")


def refuse_checkout_without_links() -> None:
    """Stop when git checked the template's links out as text files, as on plain Windows."""
    if not Path("src").is_dir():
        sys.exit(
            "Not generated: the template was checked out without symbolic links. "
            "On Windows, turn on Developer Mode, run `git config --global core.symlinks true` "
            "and delete the copy of the template in .cookiecutters; or generate it in WSL."
        )


def refuse_name_of_a_library(slug: str) -> None:
    """Stop when installing the project would replace a library that it needs."""
    requirements = Path("requirements.txt").read_text(encoding="utf-8")
    if re.search(rf"^{slug}==", requirements, re.MULTILINE):
        sys.exit(
            f"Not generated: project_slug is {slug!r}, the name of a library that the project "
            f"installs; choose another, such as '{slug}-model'."
        )


def write_answers() -> None:
    # A JSON string is also a TOML and a YAML string, as long as what it holds is printable.
    name, description, author = (
        json.dumps(ANSWERS[question], ensure_ascii=False)
        for question in ("project_slug", "description", "author")
    )
    replace_line("params.yaml", r"name: [\w-]+", f"name: {name}")
    replace_line("pyproject.toml", r"name = .*$", f"name = {name}")
    replace_line(
        "pyproject.toml",
        r"description = .*$",
        f"description = {description}\nauthors = [" + "{ name = " + author + " }]",
    )
    version = ANSWERS["python_version"]
    replace_line(".python-version", r"3\.\d+$", version)
    image = f'  "image": "mcr.microsoft.com/devcontainers/python:{version}-bookworm",'
    replace_line(".devcontainer/devcontainer.json", r'  "image": .*$', image)
    if digest := BASES.get(version):
        base = f"FROM python:{version}-slim-bookworm@{digest} AS base"
        replace_line("deploy/Dockerfile", r"FROM python:3\.11-slim-bookworm@\S+ AS base$", base)
    replace_line("deploy/compose.yaml", r"name: [\w-]+$", f"name: {name}")
    replace_line("params.yaml", "  target: image", f"  target: {ANSWERS['deploy_target']}")
    schedule = f'    - cron: "{SCHEDULES[ANSWERS["drift_schedule"]]}"'
    replace_line(".github/workflows/drift.yml", r"    - cron: .*$", schedule)
    seconds, waiting = MISSED[ANSWERS["drift_schedule"]]
    since = "          time() - max by (model) (drift_check_timestamp_seconds) > "
    replace_line(RULES, re.escape(since) + r"14 \* 24 \* 3600$", f"{since}{seconds}")
    replace_line(RULES, r"        for: 7d$", f"        for: {waiting}")
    board = "deploy/monitoring/grafana/board.json"
    late = math.prod(map(int, seconds.split(" * ")))
    replace_line(board, r' +"value": 1209600$', f'                "value": {late}')
    replace_line(".github/CODEOWNERS", r"\* @.*$", f"* @{ANSWERS['github_owner']}")
    if server := ANSWERS["mlflow_tracking_uri"]:
        replace_line("params.yaml", r'tracking_uri: ""', f'tracking_uri: "{server}"')
    if remote := ANSWERS["dvc_remote_url"]:
        replace_line(".dvc/config", r"    url = .*$", f"    url = {remote}")


def delete_others(chosen: str, folders: dict[str, str]) -> None:
    """Delete what only an answer that was not chosen needs."""
    for other, folder in folders.items():
        if other != chosen:
            shutil.rmtree(folder)
            # Where Dependabot finds nothing to look at, it ends with an error, every week.
            replace_all(".github/dependabot.yml", rf" +- /{folder}(/.*)?\n", "")
            # Its page went with the folder, and so goes the line that links to it.
            page = os.path.relpath(f"{folder}/README.md", "deploy")
            replace_line("deploy/README.md", rf"- \[.*\]\({page}\).*\n", "")


def name_the_endpoint(chosen: str, name: str) -> None:
    """Put the project's name into the commands and files of its endpoint; none leaves no folder."""
    if chosen == "none":
        shutil.rmtree("deploy/endpoint")
        return
    for path in Path("deploy/endpoint").rglob("*.*"):
        text = path.read_text(encoding="utf-8").replace("flight-delays", name)
        path.write_text(text, encoding="utf-8")


def schedule_batches(often: str) -> None:
    """Say when a batch is predicted; where none is, leave nothing of the workflow."""
    if often == "none":
        Path(BATCH).unlink()
        replace_all(".github/security-model.md", r"\| `batch\.yml: .*\n", "")
    else:
        replace_line(BATCH, r"    - cron: .*$", f'    - cron: "{BATCHES[often]}"')


def replace_line(file: str, pattern: str, text: str) -> None:
    """Replace what the pattern finds at the start of exactly one line."""
    count = replace_all(file, pattern, text)
    if count != 1:
        sys.exit(f"Not generated: {file} has {count} lines like {pattern!r}, expected one.")


def replace_all(file: str, pattern: str, text: str) -> int:
    """Replace what the pattern finds at the starts of lines; returns how often it did."""
    content = Path(file).read_text(encoding="utf-8")
    content, count = re.subn(f"^{pattern}", lambda _: text, content, flags=re.MULTILINE)
    Path(file).write_text(content, encoding="utf-8")
    return count


def make_repository() -> None:
    """Start a git repository on branch main, free of what git ignores."""
    git("init", "--quiet")
    # `git init --initial-branch` needs git 2.28.
    git("symbolic-ref", "HEAD", "refs/heads/main")
    # A template folder that was worked in has caches beside the code; a user's own list of
    # ignored files must not decide what is deleted here.
    git("-c", "core.excludesFile=", "clean", "-d", "--force", "-X", "--quiet")


def lock_remote(url: str) -> None:
    """Add and lock DVC's plugin for a remote, as `make add` would, but without network."""
    # In the project's own repository: git passes over files that lie outside of one around it.
    patch = Path("template/remotes", f"{url.partition('://')[0]}.patch")
    if patch.is_file():
        git("apply", str(patch))
    shutil.rmtree("template")


def git(*arguments: str) -> None:
    # Inside a git hook, GIT_DIR and its like would point at the repository of that hook.
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    subprocess.run(["git", *arguments], env=environment, check=True)


main()
