"""Print as Markdown what a scan found; fail for what the image that serves now does not have."""

import html
import json
import os
import re
import sys
from pathlib import Path

# Vulnerability and package: the version may differ, and a package be in several places.
Finding = tuple[str, str]

COLUMNS = ("PkgName", "VulnerabilityID", "Severity", "InstalledVersion", "FixedVersion")


def main(folder: Path) -> int:
    """Compare ``image.json`` with ``champion.json``, both of Trivy; returns the exit code."""
    found = read(folder / "image.json")
    champion, scanned = os.environ["CHAMPION"], (folder / "champion.json").is_file()
    known = read(folder / "champion.json") if scanned else {}
    new = found.keys() - known.keys()
    print(f"### Critical and high vulnerabilities that have a fix\n\n{conclusion(found, new)}")
    if champion and not scanned:
        print(f"\nThe image that serves now, {text(champion)}, could not be scanned: all are new.")
    if not champion:
        print("\nThere is no champion yet to compare with: nothing is stopped.")
    if found:
        print("\n| package | vulnerability | severity | installed | fixed in | |")
        print("|---|---|---|---|---|---|")
    for finding, told in sorted(found.items()):
        row = " | ".join(text(str(told.get(column, ""))) for column in COLUMNS)
        print(f"| {row} | {'**new**' if finding in new else 'serves already'} |")
    return 1 if champion and new else 0


def read(path: Path) -> dict[Finding, dict[str, str]]:
    """Return the findings of a scan, by vulnerability and package."""
    results = json.loads(path.read_text(encoding="utf-8")).get("Results") or []
    return {
        (it["VulnerabilityID"], it["PkgName"]): it
        for result in results
        for it in result.get("Vulnerabilities") or []
    }


def conclusion(found: dict[Finding, dict[str, str]], new: set[Finding]) -> str:
    """Count what was found, and what of it the image that serves now does not have."""
    return f"{len(found)} found, {len(new)} of them new." if found else "None."


def text(words: str) -> str:
    """Escape what would be Markdown or HTML: it is other people's."""
    return re.sub(r"([\\`*_\[\]|~#@])", r"\\\1", html.escape(words, quote=False))


if __name__ == "__main__":
    sys.exit(main(Path(sys.argv[1])))
