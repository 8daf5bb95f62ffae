"""A GitHub with people, a repository and workflows that run, all on this machine.

    with LocalGitHub(folder) as github:
        github.clone(project)
        ...
        github.push(project, "change", run=False)
        pull = github.open_pull_request("change", "Another learning rate")
        assert pull.runs[0].jobs["train"].conclusion == "success"

Everything is in the folder, which can be copied and opened again.
"""

import base64
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import run_records
import runners
import triggers
from act_run import Order, Run, run_workflow
from github_events import Event, Events
from github_git import files_of, git, resolve
from github_server import FakeGitHub
from workflow_files import Repository

BOT = "github-actions[bot]"
PEOPLE = {"ada": "Ada Lovelace", "mallory": "Mallory"}
CML_RELEASE = ("iterative/cml", "v0.20.6", "cml-linux-x64")
DOUBLE = Path(__file__).parent / "doubles" / "cml"


@dataclass
class PullRequest:
    number: int
    runs: list[Run]


class LocalGitHub:
    """Opened with ``with``; ``github`` is its server, ``runs`` all runs so far."""

    repository = "octo/flight-delays"
    fork = "mallory/flight-delays"
