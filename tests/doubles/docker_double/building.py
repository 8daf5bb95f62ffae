"""``docker build``: copies what the Dockerfile of this project would copy."""

import argparse
import os
import re
import shlex
import shutil
from pathlib import Path

from docker_double.names import content_digest, folder_of, full, manifest_digest
from docker_double.registry import push_one
from docker_double.state import CODE, IMAGES, TAGS, fail, read, write


def instructions(dockerfile: Path, arguments: dict[str, str]) -> tuple[dict, dict, bool]:
    """Return ENV and LABEL of the last stage, and whether it is the service."""
    text = re.sub(r"^\s*#.*\n", "", dockerfile.read_text(), flags=re.MULTILINE)
    text = text.replace("\\\n", " ")
    env, labels, entry = {}, {}, ""
    values: dict[str, str] = {}

    def filled(word: str) -> str:
        return re.sub(r"\$\{?(\w+)\}?", lambda it: values.get(it[1], ""), word)

    for line in text.splitlines():
        word, _, rest = line.strip().partition(" ")
        if word == "FROM":
            env, labels = {}, {}
        elif word == "ARG":
            name, _, default = rest.strip().partition("=")
            values[name] = arguments.get(name, default.strip('"'))
        elif word in ("ENV", "LABEL"):
            for pair in shlex.split(rest):
                name, _, value = pair.partition("=")
                (env if word == "ENV" else labels)[name] = filled(value)
        elif word == "ENTRYPOINT":
            entry = rest
    return env, labels, "mlops.serving" in entry


def build(options: argparse.Namespace) -> None:
    context = Path(options.context)
    dockerfile = Path(options.file) if options.file else context / "Dockerfile"
    if not dockerfile.is_file():
        fail(f"ERROR: failed to read dockerfile: open {dockerfile}: no such file or directory")
    arguments = dict(pair.partition("=")[::2] for pair in options.build_arg)
    env, labels, service = instructions(dockerfile, arguments)
    labels |= dict(pair.partition("=")[::2] for pair in options.label)
    new = IMAGES / f".new.{os.getpid()}"
    shutil.rmtree(new, ignore_errors=True)
    new.mkdir(parents=True)
    no_bytecode = shutil.ignore_patterns("__pycache__")
    if service:
        for source, target in (("build/image/model", "model"), ("src/mlops", "src/mlops")):
            if not (context / source).is_dir():
                fail(f'ERROR: failed to solve: "/{source}": not found')
            shutil.copytree(context / source, new / target, ignore=no_bytecode)
        if (routes := context / "src/model/routes.py").is_file():
            (new / "src/model").mkdir()
            shutil.copy(routes, new / "src/model")
    elif (context / "haproxy.cfg").is_file():
        shutil.copytree(context, new, dirs_exist_ok=True)
    else:
        fail(f"docker double: {dockerfile} is neither the service nor the proxy")
    config = {"Env": env, "Labels": labels}
    image = content_digest(new, config)
    write(new / "config.json", config)
    if service:  # most images differ in their model only: code, and its bytecode, once for all
        code = CODE / content_digest(new / "src", {}).removeprefix("sha256:")
        code.parent.mkdir(exist_ok=True)
        shutil.rmtree(new / "src") if code.exists() else (new / "src").rename(code)
        (new / "src").symlink_to(os.path.relpath(code, IMAGES / "any"))
    target = folder_of(image)
    shutil.rmtree(new) if target.exists() else new.rename(target)
    tags = read(TAGS, {})
    for tag in options.tag:
        tags[full(tag)] = image
    write(TAGS, tags)
    if options.iidfile:
        Path(options.iidfile).write_text(image)
    if options.push:
        for tag in options.tag:
            push_one(tag)
    if options.metadata_file:
        write(Path(options.metadata_file), {"containerimage.digest": manifest_digest(image)})
    print(image if options.quiet else f"Successfully built {image[7:19]}")


def build_one(context: Path, tag: str) -> None:
    """Build as ``docker build --quiet --tag TAG CONTEXT`` does."""
    nothing = {"file": None, "iidfile": None, "metadata_file": None, "push": False, "label": []}
    options = {"context": context, "tag": [tag], "build_arg": [], "quiet": True}
    build(argparse.Namespace(**nothing, **options))
