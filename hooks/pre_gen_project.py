"""Refuse answers that would make a broken project, each with a sentence that says what to do."""

import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

ANSWERS = json.loads(r"""{{ cookiecutter | tojson }}""")
SLUG = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
OWNER = re.compile(r"[A-Za-z0-9](-?[A-Za-z0-9]){0,38}")
# Neither quotes nor spaces, so that it needs no escaping in .dvc/config.
REMOTE = re.compile(r"([a-z][a-z0-9+]*://|/)[^\s\"'#]+")
# What DVC reads with a plugin that no group of pyproject.toml locks.
UNLOCKED = re.compile(r"(gdrive|hdfs|oss|webdavs?|webhdfs)://")
SERVER = re.compile(r"https?://[^\s\"'#]+")


def problems(answers: dict[str, str]) -> list[str]:
    """Return a sentence for each answer that cannot be used."""
    found = [
        f"{question} is {answer!r}: it holds a line break or an invisible character; type it anew."
        for question, answer in answers.items()
        if isinstance(answer, str) and not question.startswith("_") and not answer.isprintable()
    ]
    found += [
        f"{question} is empty; give it a few words."
        for question in ("project_name", "description", "author")
        if not answers[question].strip()
    ]
    slug = answers["project_slug"]
    if not SLUG.fullmatch(slug) or len(slug) > 60:
        found.append(
            f"project_slug is {slug!r}: expected at most 60 of a-z, 0-9 and single hyphens, "
            f"starting with a letter, such as {suggested_slug(slug)!r}."
        )
    if not OWNER.fullmatch(answers["github_owner"]):
        found.append(
            f"github_owner is {answers['github_owner']!r}: expected the name of a GitHub user or "
            "organisation (letters, digits and single hyphens, at most 39)."
        )
    if answers["dvc_remote_url"] and not REMOTE.fullmatch(answers["dvc_remote_url"]):
        found.append(
            f"dvc_remote_url is {answers['dvc_remote_url']!r}: expected a URL such as "
            "s3://bucket/path, an absolute path, or nothing (the built-in store)."
        )
    if scheme := UNLOCKED.match(answers["dvc_remote_url"]):
        found.append(
            f"dvc_remote_url is {answers['dvc_remote_url']!r}: DVC needs a plugin for {scheme[0]} "
            "that the template does not lock; expected s3://, gs://, azure://, ssh://, https:// or "
            "an absolute path, or nothing, to add the plugin yourself (pyproject.toml: dev; "
            "`make lock`; `dvc remote modify store url URL`)."
        )
    if answers["mlflow_tracking_uri"] and not SERVER.fullmatch(answers["mlflow_tracking_uri"]):
        found.append(
            f"mlflow_tracking_uri is {answers['mlflow_tracking_uri']!r}: expected a URL such as "
            "https://mlflow.example.com, or nothing (the built-in store)."
        )
    if shutil.which("git") is None:
        found.append("git is not installed; the project needs it: install git and try again.")
    elif outer := repository_around():
        found.append(
            f"{Path.cwd().parent} is in the git repository {outer}. One repository holds one "
            "model, as GitHub runs only the workflows at its top: generate it outside."
        )
    return found


def repository_around() -> str:
    """Return the repository that this folder would be a part of; not one that ignores it.

    A project that is generated anew over itself is its own repository.
    """
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}

    def git(*arguments: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            ["git", *arguments], env=environment, capture_output=True, text=True, check=False
        )

    if Path(".git").exists() or git("check-ignore", "--quiet", ".").returncode == 0:
        return ""
    return git("rev-parse", "--show-toplevel").stdout.strip()


def suggested_slug(slug: str) -> str:
    """Return the nearest slug that is allowed."""
    words = "-".join(re.findall(r"[a-z0-9]+", slug.lower()))[:50].strip("-")
    return words if words[:1].isalpha() else f"project-{words}".rstrip("-")


if found := problems(ANSWERS):
    sys.exit("\n".join(f"Not generated: {sentence}" for sentence in found))
