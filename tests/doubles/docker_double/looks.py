"""Commands that tell about containers and images."""

import argparse
import json
import re
import sys
from pathlib import Path

from docker_double.containers import alive, container, the_container
from docker_double.names import find_image, folder_of
from docker_double.state import CONTAINERS, TAGS, fail, read


def ps(options: argparse.Namespace) -> None:
    for path in sorted(CONTAINERS.glob("*.json")):
        record = read(path)
        if not (options.all or alive(record)):
            continue
        wanted = [it.partition("=")[::2] for it in options.filter]
        if not all(matches(record, key, value) for key, value in wanted):
            continue
        values = {
            "{{.ID}}": record["id"][:12],
            "{{.Names}}": record["name"],
            "{{.Image}}": record["image"],
            "{{.State}}": "running" if alive(record) else "exited",
        }
        text = options.format or "{{.ID}}"
        text = values["{{.ID}}"] if options.quiet else text
        print(fill(text, values))


def matches(record: dict, key: str, value: str) -> bool:
    if key == "name":
        return re.search(value, record["name"]) is not None
    if key == "label":
        name, equals, wanted = value.partition("=")
        return name in record["labels"] and (not equals or record["labels"][name] == wanted)
    if key == "status":
        return alive(record) == (value == "running")
    if key == "ancestor":
        return value in (record["image"], record["image_id"])
    fail(f"docker double: does not know the filter {key}")


def fill(text: str, values: dict[str, str]) -> str:
    text = text.replace("\\t", "\t")
    for name, value in values.items():
        text = text.replace(name, value)
    if "{{" in text:
        fail(f"docker double: does not know the format {text}")
    return text


def logs(options: argparse.Namespace) -> None:
    record = the_container(options.container)
    lines = (Path(record["folder"]) / "log").read_text(errors="replace").splitlines()
    if options.tail is not None and options.tail != "all":
        lines = lines[-int(options.tail) :]
    for line in lines:
        print(line, file=sys.stderr)


def port(options: argparse.Namespace) -> None:
    record = the_container(options.container)
    found = {f"{inner}/tcp": address for inner, address in record["ports"].items()}
    if options.port is None:
        for inner, address in found.items():
            print(f"{inner} -> {address}")
        return
    wanted = options.port if "/" in options.port else f"{options.port}/tcp"
    if wanted not in found or not alive(record):
        fail(f"Error: No public port '{wanted}' published for {options.container}")
    print(found[wanted])


def described(name: str, kind: str | None) -> dict:
    record = None if kind == "image" else container(name)
    if record is not None:
        running = alive(record)
        return {
            "Id": record["id"],
            "Name": f"/{record['name']}",
            "Image": record["image_id"],
            "State": {
                "Running": running,
                "Status": "running" if running else "exited",
                "Pid": record["pid"] if running else 0,
            },
            "Config": {
                "Image": record["image"],
                "Labels": record["labels"],
                "Env": [f"{key}={value}" for key, value in record["env"].items()],
            },
            "HostConfig": {"RestartPolicy": {"Name": record["restart"]}} | record["settings"],
        }
    image = None if kind == "container" else find_image(name)
    if image is None:
        fail(f"Error: No such object: {name}")
    names = [known for known, found in read(TAGS, {}).items() if found == image]
    config = read(folder_of(image) / "config.json")
    return {
        "Id": image,
        "RepoTags": [known for known in names if "@" not in known],
        "RepoDigests": [known for known in names if "@" in known],
        "Config": {
            "Env": [f"{key}={value}" for key, value in config["Env"].items()],
            "Labels": config["Labels"],
        },
        "Size": sum(path.stat().st_size for path in folder_of(image).rglob("*") if path.is_file()),
    }


def inspect(options: argparse.Namespace) -> None:
    found = [described(name, options.type) for name in options.names]
    if options.format is None:
        print(json.dumps(found, indent=4))
        return
    for one in found:
        print(re.sub(r"\{\{\s*(.+?)\s*\}\}", lambda it, one=one: shown(it[1], one), options.format))


def shown(expression: str, value) -> str:
    """Evaluate what Go templates of this project use: paths, json, index."""
    as_json = expression.startswith("json ")
    expression = expression.removeprefix("json ")
    if match := re.fullmatch(r"index \(?(\.[\w.]*)\)? (.+)", expression):
        found = lookup(match[1], value)
        key = json.loads(match[2])
        try:
            found = found[key]
        except LookupError:
            if isinstance(key, int):
                fail("template parsing error: error calling index: index out of range")
            found = ""
    else:
        found = lookup(expression, value)
    if as_json:
        return json.dumps(found)
    return str(found).lower() if isinstance(found, bool) else str(found)


def lookup(path: str, value):
    if not re.fullmatch(r"\.[\w.]*", path):
        fail(f"docker double: does not know the format {{{{{path}}}}}")
    for part in filter(None, path.split(".")):
        if part not in value:
            fail(f"docker double: has no {path}")
        value = value[part]
    return value
