"""The stand-ins of what signs in, lists, attests and scans, on images of the double of docker."""

import hashlib
import json
import os
from typing import Any

import pytest
from signing import Authority
from tiny_repository import CHECKOUT, COMMIT, TinyRepository

from mlops.delivery import checks
from mlops.project.errors import MlopsError

LOGIN = f"docker/login-action@{COMMIT} # v4.6.0"
SBOM = f"anchore/sbom-action@{COMMIT} # v0.24.3"
ATTEST = f"actions/attest@{COMMIT} # v4.2.2"
SCAN = f"aquasecurity/trivy-action@{COMMIT} # v0.36.0"
NAME = "ghcr.io/octo/flight-delays"
STEPS = f"""
- uses: {CHECKOUT}
- id: push
  run: |
    mkdir -p build/image/model src/mlops
    docker build --tag {NAME}:v1 .
    docker push {NAME}:v1
    docker inspect --type image --format 'image={{{{index .RepoDigests 0}}}}' {NAME}:v1 \\
      | tee -a "$GITHUB_OUTPUT"
"""
IMAGE = "${{ steps.push.outputs.image }}"


@pytest.fixture
def pushed(tiny: TinyRepository) -> TinyRepository:
    """A repository whose workflow may begin with ``STEPS``."""
    tiny.write("Dockerfile", 'FROM scratch\nENTRYPOINT ["python", "-m", "mlops.serving"]\n')
    tiny.write("requirements-serve.txt", "numpy==2.3.1 \\\n    --hash=sha256:00\n")
    tiny.write("ignored", "# Not reachable.\nCVE-2 # until then\n")
    (tiny.folder / "build/image/model").mkdir(parents=True)
    (tiny.folder / "src/mlops").mkdir(parents=True)
    return tiny


def recorded(tiny: TinyRepository, action: str) -> list[dict[str, object]]:
    file = tiny.github.folder / "recorded" / f"{action}.jsonl"
    return [json.loads(line) for line in file.read_text().splitlines()]


def test_an_image_is_listed_attested_and_scanned(pushed: TinyRepository) -> None:
    known = pushed.github.github.state["repositories"][pushed.github.repository]
    known["private"] = False
    found = [
        {"id": "CVE-1", "package": "numpy", "severity": "HIGH", "fixed": "2.4"},
        {"id": "CVE-2", "package": "numpy", "severity": "HIGH", "fixed": "2.4"},
        {"id": "CVE-3", "package": "numpy", "severity": "HIGH", "fixed": ""},
        {"id": "CVE-4", "package": "numpy", "severity": "LOW", "fixed": "2.4"},
    ]
    (pushed.github.folder / "vulnerabilities.json").write_text(json.dumps(found))
    digest = "sha256:" + "0" * 64
    run = pushed.run(
        f"""
        - uses: {LOGIN}
          with: {{registry: ghcr.io, username: ada, password: "${{{{ github.token }}}}"}}
        {STEPS.replace(chr(10), chr(10) + " " * 8)}
        - uses: {SBOM}
          with:
            image: {IMAGE}
            output-file: sbom.json
            upload-artifact: false
            upload-release-assets: false
        - uses: {ATTEST}
          with: {{subject-name: {NAME}, subject-digest: "{digest}"}}
        - uses: {ATTEST}
          with: {{subject-name: {NAME}, subject-digest: "{digest}", sbom-path: sbom.json}}
        - uses: {SCAN}
          with:
            image-ref: {IMAGE}
            scanners: vuln
            severity: CRITICAL,HIGH
            ignore-unfixed: true
            trivyignores: ignored
            format: json
            output: found.json
            exit-code: 1
        - if: failure()
          run: cat found.json sbom.json
        """
    )
    job = run.jobs["one"]
    steps = [step.conclusion for step in job.steps if not step.name.startswith("Post")]
    assert steps == [*["success"] * 6, "failure", "success"]
    assert '"VulnerabilityID": "CVE-1", "PkgName": "numpy"' in job.log
    assert '"versionInfo": "2.3.1"' in job.log
    kinds = [it["kind"] for it in recorded(pushed, "attest")]
    assert kinds == ["https://slsa.dev/provenance/v1", "https://spdx.dev/Document/v2.3"]
    (scanned,) = recorded(pushed, "trivy-action")
    assert scanned["found"] == ["CVE-1"]
    assert str(scanned["image"]).startswith(f"{NAME}@sha256:")
    assert recorded(pushed, "login-action")[0]["username"] == "ada"
    assert json.loads((pushed.github.folder / "docker" / "logins.json").read_text()) == []


@pytest.mark.parametrize(
    ("step", "said"),
    [
        (f"uses: {LOGIN}\n  with: {{registry: ghcr.io}}", "Username and password required"),
        (
            f"uses: {LOGIN}\n  with: {{registry: ghcr.io, user: ada}}",
            "Unexpected input(s) ['USER'], valid inputs are",
        ),
        (
            f"uses: {ATTEST}\n  with: {{subject-name: a, subject-digest: sha256:{'0' * 64}}}",
            "Feature not available for the octo user",
        ),
        (
            f"uses: {SBOM}\n  with: {{image: a}}",
            "only writes the SPDX of an image to a file",
        ),
        (
            f"uses: {SCAN}\n"
            f"  with: {{image-ref: '{NAME}:v2', scanners: vuln, format: json, output: a}}",
            "docker pull: Error response from daemon: manifest for",
        ),
    ],
)
def test_what_the_real_one_would_not_do(tiny: TinyRepository, step: str, said: str) -> None:
    run = tiny.run(f"- {step}")
    assert run.conclusion == "failure"
    assert said in run.annotations[0].message


OF_DEPLOY = {
    "repository": "octo/flight-delays",
    "workflow": ".github/workflows/deploy.yml",
    "ref": "refs/heads/main",
}


@pytest.fixture
def in_registry(tiny: TinyRepository, monkeypatch: pytest.MonkeyPatch) -> Any:
    """Return what attests an image in the registry in the name of a run; gh is that of a runner."""
    github, image = tiny.github, "sha256:" + "0" * 64
    digest = "sha256:" + hashlib.sha256(f"manifest of {image}".encode()).hexdigest()
    registry = github.folder / "docker" / "registry" / f"{NAME}.json"
    registry.parent.mkdir(parents=True)
    registry.write_text(json.dumps({"tags": {}, "manifests": {digest: image}}))
    environment = {
        **github.github.environment,
        "PATH": f"{github.folder / 'tools'}:{os.environ['PATH']}",
        "GH_TOKEN": "gho_ofAda",
        "GITHUB_REPOSITORY": "octo/flight-delays",
        "DEFAULT_BRANCH": "main",
        "ATTESTED": "true",
    }
    for name, value in environment.items():
        monkeypatch.setenv(name, value)

    def attest(kind: str = "https://slsa.dev/provenance/v1", **claims: str) -> str:
        file = github.folder / "recorded" / "attest.jsonl"
        file.parent.mkdir(exist_ok=True)
        noted = {"name": NAME, "digest": digest, "kind": kind, "claims": OF_DEPLOY | claims}
        with file.open("a") as lines:
            lines.write(json.dumps(noted) + "\n")
        return f"{NAME}@{digest}"

    return attest


def test_an_image_of_this_branch_is_known_by_its_signature(in_registry: Any) -> None:
    image = in_registry()
    in_registry(kind="https://spdx.dev/Document/v2.3")
    in_registry(ref="refs/heads/mine")  # one more, of somebody else, takes nothing away
    said = "signed by octo/flight-delays/.github/workflows/deploy.yml at refs/heads/main"
    assert checks.built_here(image) == said


@pytest.mark.parametrize(
    "claims",
    [
        {"ref": "refs/heads/mine"},
        {"ref": "refs/pull/3/merge"},
        {"workflow": ".github/workflows/mine.yml"},
        {"repository": "octo/other"},
        {"kind": "https://spdx.dev/Document/v2.3"},
    ],
)
def test_an_image_that_somebody_else_has_signed(in_registry: Any, claims: dict[str, str]) -> None:
    image = in_registry(**claims)
    with pytest.raises(MlopsError, match="nothing proves that"):
        checks.built_here(image)


def test_an_image_that_nobody_has_signed(
    in_registry: Any, tiny: TinyRepository, monkeypatch: pytest.MonkeyPatch
) -> None:
    image = in_registry()
    (tiny.github.folder / "recorded" / "attest.jsonl").unlink()
    with pytest.raises(MlopsError, match="set the variable ATTEST to false until"):
        checks.built_here(image)
    monkeypatch.setenv("ATTESTED", "false")
    assert checks.built_here(image).startswith("not proved: ")


def test_a_signature_of_an_authority_that_nobody_trusts(
    in_registry: Any, tiny: TinyRepository
) -> None:
    image = in_registry()
    tiny.github.github.authority = Authority(tiny.folder / "mine")
    with pytest.raises(MlopsError, match="nothing proves"):
        checks.built_here(image)


def test_an_image_that_is_not_there(in_registry: Any) -> None:
    image = in_registry().replace("@sha256:", "@sha256:0")[:-1]
    with pytest.raises(MlopsError, match="nothing proves"):
        checks.built_here(image)
