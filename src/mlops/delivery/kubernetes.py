"""Target ``kubernetes``: a Deployment that rolls, and a canary beside it that no user reaches.

What is applied is an overlay of deploy/kubernetes, with one version put in by name.
"""

import json
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from queue import Empty, Queue
from typing import Any

import yaml

from mlops.delivery.command import Command
from mlops.project import actions
from mlops.project.errors import MlopsError

CONFIG, NAMESPACE = "KUBE_CONFIG", "KUBE_NAMESPACE"
ROLLOUT_SECONDS = 300
REVISION = "deployment.kubernetes.io/revision"
FORWARDING = re.compile(r"Forwarding from (127\.0\.0\.1:\d+) -> ")
FORWARD_SECONDS = 30.0
OVERLAYS = Path("deploy/kubernetes/overlays")
SERVICE, CANARY = "service", "service-canary"
CONTAINER = "service"
# What the canary needs; the rest is applied with the switch.
FIRST_KINDS = ("ServiceAccount", "ConfigMap")

Manifest = dict[str, Any]


class KubernetesTarget:
    """The namespace of one environment, in the cluster that ``KUBE_CONFIG`` leads to."""

    def __init__(self, name: str, environment: str, image: str, version: str) -> None:
        self.environment, self.image, self.version = environment, image, version
        self.namespace = os.environ.get(NAMESPACE) or namespace_name(name, environment)
        self.current: str | None = None
        self.candidate_url = self.champion_url = self.url = ""
        self.objects: list[Manifest] = []
        self.revision = ""
        self.started = self.switched = False
        self._forwards: list[PortForward] = []
        self._folder = Path(tempfile.mkdtemp(prefix="mlops-"))
        self.kubectl = Command("kubectl", self._access(), ("--namespace", self.namespace))

    def _access(self) -> dict[str, str]:
        """Return how to reach the cluster; without ``KUBE_CONFIG`` it is as for kubectl itself."""
        if not (config := os.environ.get(CONFIG)):
            return {}
        if "\n" in config.strip():
            actions.warning(
                f"{CONFIG} has several lines: GitHub hides each of them, such as 'kind: Config', "
                "wherever it occurs, and drops outputs that hold one; make it one line of JSON: "
                "kubectl config view --raw --minify --flatten -o json | jq -c ."
            )
        path = self._folder / "config"
        path.touch(mode=0o600)
        path.write_text(config, encoding="utf-8")
        return {"KUBECONFIG": str(path)}

    def look(self) -> str:
        self.objects = render(self.environment, self.namespace, self.image, self.version)
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
            self.apply(namespace_of(self.objects))
        self.apply(for_canary(self.objects))
        self.rolled_out(CANARY)
        self.candidate_url = self.reach(CANARY)
        return f"a pod of {CANARY} runs {self.image}"

    def start_champion(self) -> str:
        self.champion_url = self.reach(SERVICE)
        return f"{SERVICE} serves meanwhile"

    def switch(self) -> str:
        self.switched = True
        self.apply(for_users(self.objects))
        self.rolled_out(SERVICE)
        self.url = self.reach(SERVICE)
        return f"all pods of {SERVICE} are new and ready"

    def confirm(self) -> str:
        now = self.deployment()
        if now is None or image_of(now) != self.image:
            raise MlopsError(f"Deployment {SERVICE} is not of {self.image}")
        return f"Deployment {SERVICE} is of {self.image}"

    def watch(self, look: Callable[[str], str]) -> str:
        said = look(self.url)
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
        whole = {"apiVersion": "v1", "kind": "List", "items": objects}
        self.kubectl("apply", "--filename", "-", stdin=json.dumps(whole))

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
    return next(str(it["image"]) for it in containers if it["name"] == CONTAINER)


def render(environment: str, namespace: str, image: str, version: str) -> list[Manifest]:
    """Return the objects of an environment that serve ``image``.

    Raises
    ------
    MlopsError
        When the overlay cannot be rendered or lacks one of the two Deployments.
    """
    text = Command("kubectl")("kustomize", str(OVERLAYS / environment))
    objects = [content for content in yaml.safe_load_all(text) if content]
    put_in = set()
    for content in objects:
        metadata = content["metadata"]
        if content["kind"] == "Namespace":
            metadata["name"] = namespace
        else:
            metadata["namespace"] = namespace
        metadata.setdefault("labels", {})["app.kubernetes.io/version"] = version
        if content["kind"] == "Deployment":
            template = content["spec"]["template"]
            template["metadata"]["labels"]["app.kubernetes.io/version"] = version
            for container in template["spec"]["containers"]:
                if container["name"] == CONTAINER:
                    container["image"] = image
                    put_in.add(metadata["name"])
    if missing := {SERVICE, CANARY} - put_in:
        raise MlopsError(
            f"{OVERLAYS / environment} has no Deployment {min(missing)} with a container "
            f"{CONTAINER!r} to put the image into"
        )
    return objects


def namespace_of(objects: list[Manifest]) -> list[Manifest]:
    return [content for content in objects if content["kind"] == "Namespace"]


def for_canary(objects: list[Manifest]) -> list[Manifest]:
    """Return what can be applied before anything changes for users, with one canary pod."""
    chosen = []
    for content in objects:
        if content["metadata"]["name"] == CANARY:
            if content["kind"] == "Deployment":
                content = {**content, "spec": {**content["spec"], "replicas": 1}}
            chosen.append(content)
        elif content["kind"] in FIRST_KINDS:
            chosen.append(content)
    return chosen


def for_users(objects: list[Manifest]) -> list[Manifest]:
    """Return what the switch applies."""
    return [
        content
        for content in objects
        if content["kind"] != "Namespace" and content["metadata"]["name"] != CANARY
    ]


def namespace_name(name: str, environment: str) -> str:
    """Make a name that Kubernetes takes: RFC 1123, at most 63 characters."""
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    label = label[: 63 - len(f"-{environment}")].rstrip("-")
    if not label:
        raise MlopsError(f"{name!r} leaves nothing for the name of a namespace")
    return f"{label}-{environment}"


class PortForward:
    """A port of this machine that leads to one pod, until ``close``."""

    def __init__(self, command: Sequence[str], environment: Mapping[str, str], what: str) -> None:
        self._process = subprocess.Popen(
            [*command, "port-forward", "--address", "127.0.0.1", what, ":http"],
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        self._lines: Queue[str | None] = Queue()
        # Read to the end: it says a line for each connection, and would wait on a full pipe.
        threading.Thread(target=self._read, daemon=True).start()
        self.url = f"http://{self._address(what)}"

    def _read(self) -> None:
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self._lines.put(line.strip())
        self._lines.put(None)

    def _address(self, what: str) -> str:
        last = "it said nothing"
        try:
            while (line := self._lines.get(timeout=FORWARD_SECONDS)) is not None:
                last = line or last
                if match := FORWARDING.match(line):
                    return match[1]
        except Empty:
            last = f"nothing within {FORWARD_SECONDS:.0f} s"
        self.close()
        raise MlopsError(f"kubectl port-forward {what}: {last}")

    def close(self) -> None:
        self._process.terminate()
        self._process.wait()
