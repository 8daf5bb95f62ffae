"""Note an attestation: of where an image was built, or with a list of what is in it."""

import json
import os
import re
from pathlib import Path

from toolkit import WORKSPACE, event, fail, given, is_true, known_inputs_only, record, set_output

known_inputs_only()
refused = ("subject-path", "subject-checksums", "predicate-type", "predicate", "predicate-path")
if any(map(given, refused)) or is_true("push-to-registry"):
    fail("the stand-in for actions/attest knows name, digest and SBOM only")
if event()["repository"]["private"]:
    fail("Failed to persist attestation: Feature not available for the octo user.")
name, digest = given("subject-name"), given("subject-digest")
if not name or not re.fullmatch("sha256:[0-9a-f]{64}", digest):
    fail(f"subject-digest must be in the format 'sha256:<hex-digest>' and named, not {digest!r}")
kind = "https://slsa.dev/provenance/v1"
if given("sbom-path"):
    content = json.loads(Path(WORKSPACE, given("sbom-path")).read_text(encoding="utf-8"))
    if not content.get("spdxVersion"):
        fail("Unsupported SBOM format")
    kind = "https://spdx.dev/Document/v2.3"
# Of the variables, as a step of a reusable workflow has those of its caller.
claims = {
    "repository": os.environ["GITHUB_REPOSITORY"],
    "workflow": os.environ["GITHUB_WORKFLOW_REF"].partition("@")[0].split("/", 2)[2],
    "ref": os.environ["GITHUB_REF"],
}
number = record("attest", name=name, digest=digest, kind=kind, claims=claims)
set_output("attestation-id", number)
set_output("attestation-url", f"https://github.com/attestations/{number}")
