"""Deploys to a real cluster: ``python tests/delivery/cluster_trial.py REGISTRY``.

``REGISTRY`` is one that this machine pushes to and the cluster pulls from, such as the one that
helm/kind-action starts. Builds three images of a tiny model and takes them to production with
``mlops deploy``: the first, a second that is as good, and a third whose scores are shifted, which
must be refused while the second serves on. The namespace is deleted in the end.
"""

import json
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

import yaml

sys.path += [str(Path(__file__).parent), str(Path(__file__).parents[1])]

from projects import EXAMPLE, copy_from_root
from tiny_export import write_export

NAMESPACE = "cluster-trial-production"
CONTEXT = ["deploy", ".dockerignore", "src/mlops", "src/model/__init__.py"]
LOCKS = ["requirements-serve.txt", "requirements-serve-skops.txt"]
SHIFT = 3.0


def main(registry: str) -> None:
    with tempfile.TemporaryDirectory() as temporary:
        project = Path(temporary)
        for path in CONTEXT + LOCKS:
            copy_from_root(path, project)
        settings = yaml.safe_load((EXAMPLE / "params.yaml").read_text(encoding="utf-8"))
        # A cluster inside a runner is slow, and its nodes share one machine.
        canary = {"requests": 100, "latency_ratio": 5.0}
        settings |= {"name": "cluster-trial"}
        settings["serving"] = {"target": "kubernetes", "latency_ms": 1000.0, "canary": canary}
        (project / "params.yaml").write_text(yaml.safe_dump(settings))
        images = [
            build(project, registry, version, shift)
            for version, shift in enumerate((0.0, 0.0, SHIFT), start=1)
        ]
        try:
            deploy(project, images[0], 1)
            deploy(project, images[1], 2)
            deploy(project, images[2], 3, refused="step 'canary' failed: finding 'shifted'")
            served = run(project, *kubectl("get", "deployment", "service", "--output=json"))
            (container,) = json.loads(served)["spec"]["template"]["spec"]["containers"]
            assert container["image"] == images[1], container["image"]
            print(f"{images[1]} serves, as it should")
        finally:
            run(project, *kubectl("delete", "deployment", "service", "--ignore-not-found"))
            run(project, *kubectl("delete", "deployment", "service-canary", "--ignore-not-found"))


def build(project: Path, registry: str, version: int, shift: float) -> str:
    """Build and push a version; returns its reference by digest."""
    shutil.rmtree(project / "build", ignore_errors=True)
    export = write_export(project / "exports" / str(version), version, shift)
    shutil.copytree(export, project / "build" / "image")
    name = f"{registry}/cluster-trial:{version}"
    run(project, "docker", "build", "--tag", name, "--file", "deploy/Dockerfile", ".")
    pushed = re.search(r"digest: (sha256:[0-9a-f]{64})", run(project, "docker", "push", name))
    assert pushed, "docker push did not say a digest"
    return f"{registry}/cluster-trial@{pushed[1]}"


def deploy(project: Path, image: str, version: int, refused: str = "") -> None:
    print(f"\n--- version {version}", flush=True)
    command = [sys.executable, "-m", "mlops.cli", "deploy", "production", image]
    command.append(str(project / "exports" / str(version)))
    done = subprocess.run(command, cwd=project, stderr=subprocess.PIPE, text=True, check=False)
    print(done.stderr, flush=True)
    assert (done.returncode != 0) == bool(refused), f"exit code {done.returncode}"
    assert refused in done.stderr


def kubectl(*arguments: str) -> list[str]:
    return ["kubectl", "--namespace", NAMESPACE, *arguments]


def run(project: Path, *command: str) -> str:
    print("$", *command, flush=True)
    done = subprocess.run(command, cwd=project, stdout=subprocess.PIPE, text=True, check=True)
    return done.stdout


if __name__ == "__main__":
    main(sys.argv[1])
