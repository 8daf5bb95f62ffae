"""Commands that start, end and enter containers."""

import argparse
import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time

from docker_double.containers import alive, container, create, inside, launch, the_container
from docker_double.state import CONTAINERS, daemon_error, fail, write


def run(options: argparse.Namespace) -> None:
    if options.command:
        fail(f"docker double: runs services only, not {options.command}", 125)
    name = options.name or f"double_{time.time_ns()}"
    given = {}
    for pair in options.env:
        key, equals, value = pair.partition("=")
        if equals or key in os.environ:
            given[key] = value if equals else os.environ[key]
    settings = {
        key: getattr(options, key)
        for key in ("read_only", "tmpfs", "cap_drop", "security_opt", "memory", "user", "init")
    }
    record = create(
        name,
        options.image,
        env=given,
        ports=options.publish,
        network=options.network,
        volumes=options.volume,
        restart=options.restart,
        labels=dict(pair.partition("=")[::2] for pair in options.label),
        settings=settings,
    )
    if options.detach:
        print(record["id"])
        return
    fail("docker double: runs only with --detach", 125)


def stop_one(record: dict, seconds: float, first: int = signal.SIGTERM) -> None:
    if alive(record):
        os.kill(record["pid"], first)
        until = time.monotonic() + seconds
        while alive(record) and time.monotonic() < until:
            time.sleep(0.02)
    if alive(record):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(record["pid"], signal.SIGKILL)
        while alive(record):
            time.sleep(0.02)
    record["stopped"] = True
    write(CONTAINERS / f"{record['name']}.json", record)


def stop(options: argparse.Namespace) -> None:
    for name in options.containers:
        stop_one(the_container(name), options.time)
        print(name)


def kill(options: argparse.Namespace) -> None:
    number = signal.Signals[f"SIG{options.signal.removeprefix('SIG')}"]
    for name in options.containers:
        record = the_container(name)
        if number == signal.SIGKILL:
            stop_one(record, 5.0, number)
        else:
            os.kill(record["pid"], number)
        print(name)


def start(options: argparse.Namespace) -> None:
    for name in options.containers:
        record = the_container(name)
        if not alive(record):
            launch(record)
        print(name)


def remove_one(record: dict) -> None:
    (CONTAINERS / f"{record['name']}.json").unlink()
    shutil.rmtree(record["folder"], ignore_errors=True)


def rm(options: argparse.Namespace) -> None:
    missing = 0
    for name in options.containers:
        record = container(name)
        if record is None:
            print(f"Error response from daemon: No such container: {name}", file=sys.stderr)
            missing = 0 if options.force else 1
            continue
        if alive(record):
            if not options.force:
                daemon_error(f"cannot remove container {name!r}: container is running")
            stop_one(record, 0.0, signal.SIGKILL)
        remove_one(record)
        print(name)
    sys.exit(missing)


def exec_(options: argparse.Namespace) -> None:
    record = the_container(options.container)
    if not alive(record):
        daemon_error(f"container {record['id']} is not running")
    env = record["process_env"]
    command = [inside(word, record["mounts"]) for word in options.command]
    stdin = None if options.interactive else subprocess.DEVNULL
    sys.exit(subprocess.run(command, env=env, cwd=record["folder"], stdin=stdin).returncode)
