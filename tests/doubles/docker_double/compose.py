"""``docker compose``, as far as deploy/host needs it."""

import argparse
import hashlib
import json
import os
import re
from pathlib import Path

from docker_double import looks
from docker_double.building import build_one
from docker_double.containers import alive, container, create, launch
from docker_double.lives import exec_, remove_one, stop_one
from docker_double.names import find_image
from docker_double.registry import pull_one
from docker_double.state import STATE, fail, free_port, read, write


def compose(options: argparse.Namespace) -> None:
    import yaml

    file = Path(options.file)
    content = interpolated(yaml.safe_load(file.read_text()))
    project = options.project_name
    services = content["services"]

    def name_of(service: str) -> str:
        if service not in services:
            fail(f"no such service: {service}")
        return f"{project}-{service}-1"

    def up() -> None:
        if not options.detach:
            fail("docker double: compose up only with --detach")
        wanted = options.services or list(services)
        for service in wanted:
            compose_up(project, service, services, name_of(service), file.parent, options)

    def down_or_rm() -> None:
        for service in options.services or list(services):
            record = container(name_of(service))
            if record is None:
                continue
            if alive(record):
                if options.action == "rm" and not options.stop:
                    continue
                stop_one(record, options.timeout)
            if options.action in ("rm", "down"):
                remove_one(record)

    def stop_services() -> None:
        for service in options.services:
            if record := container(name_of(service)):
                stop_one(record, options.timeout)

    def ps() -> None:
        for service in options.services or list(services):
            record = container(name_of(service))
            if record is not None and (options.all or alive(record)):
                print(record["id"])

    def port() -> None:
        record = container(name_of(options.service))
        if record is None or not alive(record) or options.port not in record["ports"]:
            fail(f"no container found for service {options.service!r}")
        print(record["ports"][options.port])

    def logs() -> None:
        for service in options.services:
            argparse_options = argparse.Namespace(container=name_of(service), tail=options.tail)
            looks.logs(argparse_options)

    def exec_service() -> None:
        options.container, options.interactive = name_of(options.service), True
        exec_(options)

    {
        "up": up,
        "down": down_or_rm,
        "rm": down_or_rm,
        "stop": stop_services,
        "ps": ps,
        "port": port,
        "logs": logs,
        "exec": exec_service,
        "config": lambda: print(yaml.safe_dump(content)),
    }[options.action]()


def interpolated(part):
    """Fill in variables in all strings: after parsing, so that an empty one is an empty string."""
    if isinstance(part, dict):
        return {key: interpolated(value) for key, value in part.items()}
    if isinstance(part, list):
        return [interpolated(value) for value in part]
    return filled_in(part) if isinstance(part, str) else part


def filled_in(text: str) -> str:
    def value(match: re.Match[str]) -> str:
        name, operator, rest = match[1], match[2], match[3]
        found = os.environ.get(name, "")
        if operator == ":?" and not found:
            fail(f"error while interpolating: required variable {name} is missing a value: {rest}")
        return found or (rest or "" if operator == ":-" else "")

    return re.sub(r"(?<!\$)\$\{(\w+)(?:(:-|:\?)([^}]*))?\}", value, text)


def compose_up(project, service, services, name, folder: Path, options) -> None:
    told = services[service]
    known = {"image", "build", "environment", "ports", "volumes", "restart", "labels"}
    accepted = {"read_only", "tmpfs", "cap_drop", "security_opt", "mem_limit", "pids_limit", "user"}
    accepted |= {"init", "stop_grace_period", "networks", "healthcheck", "logging", "cap_add"}
    accepted |= {"sysctls", "cpus", "stop_signal", "pull_policy"}
    if unknown := set(told) - known - accepted:
        fail(f"docker double: does not know {sorted(unknown)} of service {service}")
    if not options.no_deps and told.get("depends_on"):
        fail("docker double: only with --no-deps")
    image = told.get("image") or f"{project}-{service}"
    if "build" in told and (options.build or find_image(image) is None):
        context = told["build"]["context"] if isinstance(told["build"], dict) else told["build"]
        build_one(folder / context, image)
    elif find_image(image) is None:
        pull_one(image)
    environment = {key: str(value) for key, value in (told.get("environment") or {}).items()}
    wanted = hashlib.sha256(json.dumps([told, find_image(image)]).encode()).hexdigest()
    record = container(name)
    if record is not None:
        same = record["labels"].get("config-hash") == wanted and not options.force_recreate
        if options.no_recreate or same:
            if not alive(record):
                launch(record)
            return
        stop_one(record, 10.0)
        remove_one(record)
    volumes = [
        volume if volume.startswith("/") else f"{project}_{volume}"
        for volume in told.get("volumes", [])
    ]
    labels = {"com.docker.compose.project": project, "com.docker.compose.service": service}
    record = create(
        name,
        image,
        env=translated(project, services, environment),
        ports=[str(port) for port in told.get("ports", [])],
        volumes=volumes,
        restart=told.get("restart", "no"),
        labels=labels | {"config-hash": wanted},
        settings={key: told[key] for key in accepted & set(told)},
    )


def translated(project, services, environment: dict[str, str]) -> dict[str, str]:
    """Translate `service:port`, which the engine's DNS would resolve, to ports of this machine.

    A container gets the same port whenever it is made: here its name stands for it.
    """
    addresses = read(STATE / "addresses.json", {})
    for key, value in environment.items():
        service, colon, port = value.partition(":")
        if colon and service in services and port.isdigit():
            name = f"{project}-{service}-1:{port}"
            if name not in addresses:
                addresses[name] = f"127.0.0.1:{free_port()}"
            environment[key] = addresses[name]
    write(STATE / "addresses.json", addresses)
    return environment
