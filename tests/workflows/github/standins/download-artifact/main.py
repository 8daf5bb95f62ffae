"""Copy the artifacts of a run into the workspace."""

import fnmatch
import os
import shutil
from pathlib import Path

from toolkit import LOCAL_GITHUB, WORKSPACE, fail, given, is_true, set_output

name, run = given("name"), given("run-id")
if run != os.environ["GITHUB_RUN_ID"] and not given("github-token"):
    fail("Artifacts of another run can only be had with the input github-token")
artifacts = LOCAL_GITHUB / "runs" / run / "artifacts"
there = sorted(path.name for path in artifacts.iterdir()) if artifacts.exists() else []
if name and name not in there:
    fail(f"Unable to download artifact(s): Artifact not found for name: {name}")
chosen = [name] if name else fnmatch.filter(there, given("pattern") or "*")
target = Path(WORKSPACE, Path(given("path")).expanduser())
target.mkdir(parents=True, exist_ok=True)
for artifact in chosen:
    into = target if name or is_true("merge-multiple") else target / artifact
    shutil.copytree(artifacts / artifact, into, dirs_exist_ok=True)
    print(f"Artifact {artifact} downloaded to {into}")
set_output("download-path", target)
