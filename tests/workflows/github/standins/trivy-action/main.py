"""Report the vulnerabilities that a test has put into ``vulnerabilities.json`` of the local GitHub.

A list of ``{"id", "package", "severity", "fixed"}``; nothing there: nothing found.
"""

import json
import sys
from pathlib import Path

from toolkit import LOCAL_GITHUB, WORKSPACE, docker, fail, given, is_true, known_inputs_only, record

known_inputs_only()
wanted = {"scan-type": "image", "format": "table", "scanners": "vuln", "template": "", "input": ""}
if any(given(name) != value for name, value in wanted.items()) or not given("output"):
    fail("the stand-in for aquasecurity/trivy-action only writes a table of what is in an image")
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
]
rows = ["Library | Vulnerability | Severity | Fixed in"]
rows += [f"{it['package']} | {it['id']} | {it['severity']} | {it['fixed']}" for it in found]
output = Path(WORKSPACE, given("output"))
output.parent.mkdir(parents=True, exist_ok=True)
output.write_text("\n".join([f"{given('image-ref')}: {len(found)} found", *rows, ""]))
record("trivy-action", image=given("image-ref"), found=[it["id"] for it in found])
if found and given("exit-code") not in ("", "0"):
    print(f"::error::Process completed with exit code {given('exit-code')}.", flush=True)
    sys.exit(int(given("exit-code")))
