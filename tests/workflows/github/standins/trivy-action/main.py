"""Report the vulnerabilities that a test has put into ``vulnerabilities.json`` of the local GitHub.

A list of ``{"id", "package", "severity", "fixed"}``; nothing there: nothing found. Of one with
``"image"``, a pattern, only images whose name it matches have it.
"""

import json
import re
import sys
from pathlib import Path

from toolkit import (
    LOCAL_GITHUB,
    WORKSPACE,
    docker,
    fail,
    given,
    has_image,
    is_true,
    known_inputs_only,
    record,
)

known_inputs_only()
wanted = {"scan-type": "image", "format": "json", "scanners": "vuln", "template": "", "input": ""}
if any(given(name) != value for name, value in wanted.items()) or not given("output"):
    fail("the stand-in for aquasecurity/trivy-action only writes as JSON what is in an image")
if not has_image(given("image-ref")):
    docker("pull", given("image-ref"))
ignored: set[str] = set()
for name in filter(None, given("trivyignores").split(",")):
    file = WORKSPACE / name
    if not file.is_file():
        fail(f"ERROR: cannot find ignorefile '{name}'.")
    lines = [line.split("#")[0].split() for line in file.read_text(encoding="utf-8").splitlines()]
    ignored |= {words[0] for words in lines if words}
known = LOCAL_GITHUB / "vulnerabilities.json"
found = [
    it
    for it in (json.loads(known.read_text(encoding="utf-8")) if known.exists() else [])
    if it["severity"] in given("severity").split(",")
    if it["fixed"] or not is_true("ignore-unfixed")
    if it["id"] not in ignored
    if re.search(it.get("image", ""), given("image-ref"))
]
told = [
    {
        "VulnerabilityID": it["id"],
        "PkgName": it["package"],
        "InstalledVersion": "1.0",
        "FixedVersion": it["fixed"],
        "Severity": it["severity"],
    }
    for it in found
]
result = {"Target": "Python", "Class": "lang-pkgs", "Type": "python-pkg"}
output = Path(WORKSPACE, given("output"))
output.parent.mkdir(parents=True, exist_ok=True)
# A result without vulnerabilities has no such key.
results = [result | ({"Vulnerabilities": told} if told else {})]
content = {"SchemaVersion": 2, "ArtifactName": given("image-ref"), "Results": results}
output.write_text(json.dumps(content))
record("trivy-action", image=given("image-ref"), found=[it["id"] for it in found])
if found and given("exit-code") not in ("", "0"):
    print(f"::error::Process completed with exit code {given('exit-code')}.", flush=True)
    sys.exit(int(given("exit-code")))
