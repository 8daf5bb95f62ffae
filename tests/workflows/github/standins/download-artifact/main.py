"""Copy the artifacts of a run into the workspace."""

import fnmatch
import json
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
if name and given("artifact-ids"):
    fail("Inputs 'name' and 'artifact-ids' cannot be used together. Please specify only one.")
wanted = [int(number) for number in given("artifact-ids").split(",") if number.strip()]
if wanted:
    ids = json.loads((artifacts.parent / "artifact-ids.json").read_text(encoding="utf-8"))
    chosen = [it for it in there if ids.get(it) in wanted]  # one that was replaced is gone
    if not chosen:
        fail("Unable to download artifact(s): None of the provided artifact IDs were found")
else:  # also where an output that should name one is empty
    chosen = [name] if name else fnmatch.filter(there, given("pattern") or "*")
target = Path(WORKSPACE, Path(given("path")).expanduser())
target.mkdir(parents=True, exist_ok=True)
for artifact in chosen:
    alone = name or len(chosen) == 1 or is_true("merge-multiple")
    into = target if alone else target / artifact
    shutil.copytree(artifacts / artifact, into, dirs_exist_ok=True)
    print(f"Artifact {artifact} downloaded to {into}")
set_output("download-path", target)
