"""The registry: push, pull and tags; whoever signs in is let in."""

import argparse
import io
import json
import sys
import tarfile
from pathlib import Path

from docker_double.names import find_image, folder_of, full, manifest_digest, repository
from docker_double.state import REGISTRY, STATE, TAGS, daemon_error, fail, read, write


def registry_of(reference: str) -> Path:
    return REGISTRY / f"{repository(reference)}.json"


def push_one(reference: str) -> str:
    image = find_image(reference)
    if image is None:
        fail(f"An image does not exist locally with the tag: {repository(reference)}")
    known = read(registry_of(reference), {"tags": {}, "manifests": {}})
    digest = manifest_digest(image)
    known["manifests"][digest] = image
    known["tags"][full(reference).rpartition(":")[2]] = digest
    write(registry_of(reference), known)
    tags = read(TAGS, {})
    tags[f"{repository(reference)}@{digest}"] = image
    write(TAGS, tags)
    return digest


def resolve(reference: str) -> str:
    """Return the digest that the registry has for a reference."""
    known = read(registry_of(reference))
    if known is None:
        daemon_error(
            f"manifest for {full(reference)} not found: manifest unknown: manifest unknown"
        )
    if "@" in reference:
        digest = reference.split("@")[1]
        if digest in known["manifests"]:
            return digest
    else:
        digest = known["tags"].get(full(reference).rpartition(":")[2])
        if digest is not None:
            return digest
    daemon_error(f"manifest for {full(reference)} not found: manifest unknown: manifest unknown")


def push(options: argparse.Namespace) -> None:
    digest = push_one(options.image)
    tag = full(options.image).rpartition(":")[2]
    print(f"The push refers to repository [{repository(options.image)}]")
    print(f"{tag}: digest: {digest} size: 1234")


def pull_one(reference: str) -> str:
    digest = resolve(reference)
    image = read(registry_of(reference))["manifests"][digest]
    tags = read(TAGS, {})
    tags[full(reference)] = image
    tags[f"{repository(reference)}@{digest}"] = image
    write(TAGS, tags)
    return digest


def pull(options: argparse.Namespace) -> None:
    digest = pull_one(options.image)
    if options.quiet:
        print(full(options.image))
        return
    print(f"{full(options.image)}: Pulling\nDigest: {digest}")
    print(f"Status: Downloaded newer image for {full(options.image)}\n{full(options.image)}")


def tag(options: argparse.Namespace) -> None:
    image = find_image(options.source)
    if image is None:
        daemon_error(f"No such image: {full(options.source)}")
    tags = read(TAGS, {})
    tags[full(options.target)] = image
    write(TAGS, tags)


def save(options: argparse.Namespace) -> None:
    """Write a tar of the tag and what is in the image."""
    image = find_image(options.image)
    if image is None:
        daemon_error(f"reference does not exist: {full(options.image)}")
    manifest = json.dumps([{"Config": image, "RepoTags": [full(options.image)]}]).encode()
    with tarfile.open(options.output, "w") as archive:
        entry = tarfile.TarInfo("manifest.json")
        entry.size = len(manifest)
        archive.addfile(entry, io.BytesIO(manifest))
        archive.add(folder_of(image), "image")


def load(options: argparse.Namespace) -> None:
    """Take the tag of a tar; what is in the image was never lost: the folder is every machine's."""
    with tarfile.open(options.input) as archive:
        (told,) = json.load(archive.extractfile("manifest.json"))
    tags = read(TAGS, {})
    for name in told["RepoTags"]:
        tags[name] = told["Config"]
        print(f"Loaded image: {name}")
    write(TAGS, tags)


def imagetools_create(options: argparse.Namespace) -> None:
    digest = resolve(options.source)
    for name in options.tag:
        if repository(name) != repository(options.source):
            fail("docker double: copies a manifest only within one repository")
        known = read(registry_of(name))
        known["tags"][full(name).rpartition(":")[2]] = digest
        write(registry_of(name), known)


def imagetools_inspect(options: argparse.Namespace) -> None:
    digest = resolve(options.image)
    if options.format == "{{json .Manifest}}":
        print(json.dumps({"digest": digest}))
    elif options.format == "{{.Manifest.Digest}}":
        print(digest)
    else:
        fail(f"docker double: does not know the format {options.format}")


def rmi(options: argparse.Namespace) -> None:
    tags = read(TAGS, {})
    for name in options.images:
        if tags.pop(full(name), None) is None:
            daemon_error(f"No such image: {full(name)}")
    write(TAGS, tags)


def login(options: argparse.Namespace) -> None:
    secret = sys.stdin.read() if options.password_stdin else options.password
    if not options.username or not secret:
        fail("Error: Cannot perform an interactive login from a non TTY device")
    known = read(STATE / "logins.json", [])
    write(STATE / "logins.json", sorted({*known, options.server or "docker.io"}))
    print("Login Succeeded")


def logout(options: argparse.Namespace) -> None:
    known = read(STATE / "logins.json", [])
    write(STATE / "logins.json", [it for it in known if it != (options.server or "docker.io")])


def version(options: argparse.Namespace) -> None:
    print(
        "Docker version 28.0.0, build a double of tests/doubles" if not options.format else "28.0.0"
    )
