"""A scan stops what the image that serves now does not have, and nothing else."""

import json
import subprocess
import sys
from pathlib import Path

import pytest
from projects import ROOT

SCRIPT = ROOT / ".github/actions/scan/scan.py"
CHAMPION = "ghcr.io/octo/flights@sha256:" + "0" * 64
OPENSSL = ("CVE-1", "openssl")
NUMPY = ("CVE-2", "numpy")


def write(file: Path, *findings: tuple[str, str]) -> None:
    """Write what Trivy writes: one result for each kind of package, some without findings."""
    told = [
        {
            **{"VulnerabilityID": name, "PkgName": package, "Severity": "HIGH"},
            **{"InstalledVersion": "1|0", "FixedVersion": "1.1"},
        }
        for name, package in findings
    ]
    results = [{"Target": "debian", "Class": "os-pkgs"}, {"Target": "x", "Vulnerabilities": told}]
    file.write_text(json.dumps({"SchemaVersion": 2, "Results": results}))


def compare(folder: Path, champion: str) -> tuple[int, str]:
    command = [sys.executable, "-I", "-S", str(SCRIPT), str(folder)]
    done = subprocess.run(
        command, env={"CHAMPION": champion}, capture_output=True, text=True, check=False
    )
    assert done.stderr == ""
    return done.returncode, done.stdout


@pytest.mark.parametrize(
    ("found", "known", "champion", "code", "said"),
    [
        ([], [OPENSSL], CHAMPION, 0, "None."),
        ([OPENSSL], [OPENSSL], CHAMPION, 0, "1 found, 0 of them new."),
        ([OPENSSL, NUMPY], [OPENSSL], CHAMPION, 1, "2 found, 1 of them new."),
        ([("CVE-1", "numpy")], [OPENSSL], CHAMPION, 1, "1 found, 1 of them new."),
        ([OPENSSL], None, "", 0, "There is no champion yet to compare with: nothing is stopped."),
        ([OPENSSL], None, CHAMPION, 1, "could not be scanned: all are new."),
        ([], None, CHAMPION, 0, "could not be scanned"),
    ],
)
def test_what_stops(
    tmp_path: Path,
    found: list[tuple[str, str]],
    known: list[tuple[str, str]] | None,
    champion: str,
    code: int,
    said: str,
) -> None:
    write(tmp_path / "image.json", *found)
    if known is not None:
        write(tmp_path / "champion.json", *known)
    ended, told = compare(tmp_path, champion)
    assert ended == code
    assert said in told


def test_words_of_others_stay_words(tmp_path: Path) -> None:
    write(tmp_path / "image.json", ("CVE-1", "<b>a|b"))
    told = compare(tmp_path, "")[1]
    row = r"| &lt;b&gt;a\|b | CVE-1 | HIGH | 1\|0 | 1.1 | **new** |"
    assert row in told.splitlines()
