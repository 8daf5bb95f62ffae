"""References to images, and the images that they name."""

import hashlib
import json
import re
from pathlib import Path

from docker_double.state import IMAGES, TAGS, read


def full(reference: str) -> str:
    """Name a reference as docker does: without a tag it is `latest`."""
    if "@" in reference:
        return reference
    last = reference.rsplit("/", 1)[-1]
    return reference if ":" in last else f"{reference}:latest"


def repository(reference: str) -> str:
    if "@" in reference:
        return reference.split("@")[0]
    return full(reference).rpartition(":")[0]


def find_image(reference: str) -> str | None:
    """Return the id of an image on this machine."""
    tags = read(TAGS, {})
    if (found := tags.get(full(reference))) is not None:
        return found
    by_id = reference.removeprefix("sha256:")
    if re.fullmatch(r"[0-9a-f]{12,64}", by_id):
        for folder in IMAGES.glob(f"{by_id}*"):
            return f"sha256:{folder.name}"
    return None


def folder_of(image: str) -> Path:
    return IMAGES / image.removeprefix("sha256:")


def content_digest(folder: Path, config: dict) -> str:
    digest = hashlib.sha256(json.dumps(config, sort_keys=True).encode())
    for path in sorted(folder.rglob("*")):
        if path.is_file():
            digest.update(f"\0{path.relative_to(folder)}\0".encode())
            digest.update(hashlib.sha256(path.read_bytes()).digest())
    return f"sha256:{digest.hexdigest()}"


def manifest_digest(image: str) -> str:
    """Return the digest of the manifest: of the image's id, as in a real registry."""
    return "sha256:" + hashlib.sha256(f"manifest of {image}".encode()).hexdigest()
