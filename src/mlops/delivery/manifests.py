"""What goes to Kubernetes: an overlay of deploy/kubernetes, with one version put in by name."""

import re
from pathlib import Path
from typing import Any

import yaml

from mlops.delivery.command import Command
from mlops.project.errors import MlopsError

OVERLAYS = Path("deploy/kubernetes/overlays")
SERVICE, CANARY = "service", "service-canary"
CONTAINER = "service"
# What the canary needs; the rest is applied with the switch.
FIRST_KINDS = ("ServiceAccount", "ConfigMap")

Manifest = dict[str, Any]


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


def as_list(objects: list[Manifest]) -> Manifest:
    return {"apiVersion": "v1", "kind": "List", "items": objects}


def namespace_name(name: str, environment: str) -> str:
    """Make a name that Kubernetes takes: RFC 1123, at most 63 characters."""
    label = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    label = label[: 63 - len(f"-{environment}")].rstrip("-")
    if not label:
        raise MlopsError(f"{name!r} leaves nothing for the name of a namespace")
    return f"{label}-{environment}"
