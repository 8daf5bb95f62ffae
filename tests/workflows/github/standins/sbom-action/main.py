"""Write what is in an image, as far as the lock says it."""

import json
import re
from pathlib import Path

from toolkit import WORKSPACE, docker, fail, given, has_image, is_true, known_inputs_only, record

known_inputs_only()
switches = ("dependency-snapshot", "upload-artifact", "upload-release-assets")
if any(map(is_true, switches)) or given("format") != "spdx-json" or given("file"):
    fail("the stand-in for anchore/sbom-action only writes the SPDX of an image to a file")
if not given("image") or not given("output-file"):
    fail("the stand-in for anchore/sbom-action needs an image and an output-file")
if not has_image(given("image")):
    docker("pull", given("image"))
lock = (WORKSPACE / "requirements-serve.txt").read_text(encoding="utf-8")
packages = [
    {"name": name, "versionInfo": version, "SPDXID": f"SPDXRef-Package-{name}"}
    for name, version in re.findall(r"(?m)^([\w.-]+)==([\w.]+)", lock)
]
content = {"spdxVersion": "SPDX-2.3", "name": given("image"), "packages": packages}
file = Path(WORKSPACE, given("output-file"))
file.parent.mkdir(parents=True, exist_ok=True)
file.write_text(json.dumps(content), encoding="utf-8")
record("sbom-action", image=given("image"))
