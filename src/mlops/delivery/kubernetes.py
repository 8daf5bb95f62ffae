"""Target ``kubernetes``: a Deployment that rolls, and a canary beside it that no user reaches."""

import json
import os
import shutil
import tempfile
import time
from pathlib import Path
from typing import Any

from mlops.delivery import manifests
from mlops.delivery.command import Command
from mlops.delivery.manifests import CANARY, SERVICE, Manifest
from mlops.delivery.port_forward import PortForward
from mlops.delivery.watching import keeps_ready, watch_seconds
from mlops.project.errors import MlopsError

CONFIG, NAMESPACE = "KUBE_CONFIG", "KUBE_NAMESPACE"
ROLLOUT_SECONDS = 300
REVISION = "deployment.kubernetes.io/revision"


class KubernetesTarget:
    """The namespace of one environment, in the cluster that ``KUBE_CONFIG`` leads to."""

    def __init__(self, name: str, environment: str, image: str, version: str) -> None:
        self.environment, self.image, self.version = environment, image, version
        self.namespace = os.environ.get(NAMESPACE) or manifests.namespace_name(name, environment)
        self.current: str | None = None
        self.candidate_url = self.champion_url = self.url = ""
        self.objects: list[Manifest] = []
        self.revision = ""
        self.started = self.switched = False
        self.watch_seconds = watch_seconds()
        self._forwards: list[PortForward] = []
        self._folder = Path(tempfile.mkdtemp(prefix="mlops-"))
        self.kubectl = Command("kubectl", self._access(), ("--namespace", self.namespace))

    def _access(self) -> dict[str, str]:
        """Return how to reach the cluster; without ``KUBE_CONFIG`` it is as for kubectl itself."""
        if not (config := os.environ.get(CONFIG)):
            return {}
        path = self._folder / "config"
        path.touch(mode=0o600)
        path.write_text(config, encoding="utf-8")
        return {"KUBECONFIG": str(path)}

    def look(self) -> str:
        self.objects = manifests.render(self.environment, self.namespace, self.image, self.version)
        if (now := self.deployment()) is None:
            return f"no Deployment {SERVICE} in namespace {self.namespace} yet"
        self.revision = now["metadata"].get("annotations", {}).get(REVISION, "")
        image = image_of(now)
        if not now.get("status", {}).get("readyReplicas"):
            return f"Deployment {SERVICE} should serve {image}, but has no pod that is ready"
        self.current = image
        return f"{now['status']['readyReplicas']} pods serve {self.current}"

    def start(self) -> str:
        self.started = True
        # Who deploys may not be allowed to make namespaces; then it has to be there.
        if not self.kubectl("get", "namespace", self.namespace, "--ignore-not-found"):
            self.apply(manifests.namespace_of(self.objects))
        self.apply(manifests.for_canary(self.objects))
        self.rolled_out(CANARY)
        self.candidate_url = self.reach(CANARY)
        return f"a pod of {CANARY} runs {self.image}"

    def start_champion(self) -> str:
        self.champion_url = self.reach(SERVICE)
        return f"{SERVICE} serves meanwhile"

    def switch(self) -> str:
        self.switched = True
        self.apply(manifests.for_users(self.objects))
        self.rolled_out(SERVICE)
        self.url = self.reach(SERVICE)
        return f"all pods of {SERVICE} are new and ready"

    def confirm(self) -> str:
        now = self.deployment()
        if now is None or image_of(now) != self.image:
            raise MlopsError(f"Deployment {SERVICE} is not of {self.image}")
        return f"Deployment {SERVICE} is of {self.image}"

    def watch(self) -> str:
        until = time.monotonic() + self.watch_seconds
        said = keeps_ready(self.url, until)
        self.rolled_out(SERVICE)
        return said

    def settle(self) -> str:
        self.kubectl("scale", f"deployment/{CANARY}", "--replicas=0")
        return f"{CANARY} is scaled away"

    def undo(self) -> str:
        if not self.started:
            return f"nothing was touched in namespace {self.namespace}"
        if self.switched:
            self.roll_back()
        self.kubectl.run("scale", f"deployment/{CANARY}", "--replicas=0")
        if self.current is None:
            return "nothing serves, as before"
        return f"{SERVICE} serves {self.current}"

    def roll_back(self) -> None:
        """Make the Deployment what it was; the pods that still serve are never touched."""
        if not self.revision:
            self.kubectl("delete", "deployment", SERVICE, "--ignore-not-found")
            return
        # By number: if the switch failed before it changed anything, the one before the last
        # would be older than the champion.
        self.kubectl("rollout", "undo", f"deployment/{SERVICE}", f"--to-revision={self.revision}")
        if self.current is None:
            return
        self.rolled_out(SERVICE)
        now = self.deployment()
        if now is None or image_of(now) != self.current:
            raise MlopsError(f"Deployment {SERVICE} is not of {self.current} again")

    def close(self) -> None:
        for forward in self._forwards:
            forward.close()
        shutil.rmtree(self._folder, ignore_errors=True)

    def apply(self, objects: list[Manifest]) -> None:
        self.kubectl("apply", "--filename", "-", stdin=json.dumps(manifests.as_list(objects)))

    def rolled_out(self, name: str) -> None:
        timeout = f"--timeout={ROLLOUT_SECONDS}s"
        done = self.kubectl.run(
            "rollout", "status", f"deployment/{name}", timeout, timeout=ROLLOUT_SECONDS + 30
        )
        if done.returncode != 0:
            said = done.stderr.strip().splitlines() or ["it did not say why"]
            raise MlopsError(f"{name} did not roll out: {said[-1]}; {self.why(name)}")

    def why(self, name: str) -> str:
        """Return what the newest pod said last."""
        track = "canary" if name == CANARY else "stable"
        selector = f"--selector=track={track},app.kubernetes.io/version={self.version}"
        done = self.kubectl.run("logs", selector, "--tail=3")
        return f"its pods say: {' '.join(done.stdout.split()) or 'nothing'}"

    def deployment(self) -> dict[str, Any] | None:
        told = self.kubectl("get", "deployment", SERVICE, "--ignore-not-found", "--output=json")
        found: dict[str, Any] | None = json.loads(told) if told else None
        return found

    def reach(self, name: str) -> str:
        forward = PortForward(
            [self.kubectl.program, *self.kubectl.first], self.kubectl.environment, f"service/{name}"
        )
        self._forwards.append(forward)
        return forward.url


def image_of(deployment: dict[str, Any]) -> str:
    containers = deployment["spec"]["template"]["spec"]["containers"]
    return next(str(it["image"]) for it in containers if it["name"] == manifests.CONTAINER)
