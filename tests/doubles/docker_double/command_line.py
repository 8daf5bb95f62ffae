"""The command line: what the double knows, and nothing else."""

import argparse
import json
import os
import shlex
import signal
import sys
from typing import NoReturn

from docker_double.building import build
from docker_double.compose import compose
from docker_double.lives import exec_, kill, rm, run, start, stop
from docker_double.looks import inspect, logs, port, ps
from docker_double.registry import (
    imagetools_create,
    imagetools_inspect,
    load,
    login,
    logout,
    pull,
    push,
    rmi,
    save,
    tag,
    version,
)
from docker_double.state import STATE, daemon_error, fail, locked, told_to_fail, told_to_kill


class Strict(argparse.ArgumentParser):
    def __init__(self, **settings) -> None:
        super().__init__(**settings, allow_abbrev=False)

    def error(self, message: str) -> NoReturn:
        fail(f"docker double: {message}: {shlex.join(sys.argv[1:])}", 125)


def parser() -> argparse.ArgumentParser:
    top = Strict(prog="docker")
    top.add_argument("--version", "-v", action="store_true")
    commands = top.add_subparsers(dest="subcommand", parser_class=Strict)

    def command(name, does, parents=commands):
        one = parents.add_parser(name, add_help=False)
        one.set_defaults(does=does)
        return one

    def many(one, *names):
        one.add_argument(*names, action="append", default=[])

    one = command("version", version)
    one.add_argument("--format", "-f")
    command("info", version).add_argument("--format", "-f")
    one = command("login", login)
    one.add_argument("--username", "-u")
    one.add_argument("--password", "-p")
    one.add_argument("--password-stdin", action="store_true")
    one.add_argument("server", nargs="?")
    command("logout", logout).add_argument("server", nargs="?")

    def build_options(one):
        many(one, "--tag", "-t")
        many(one, "--build-arg")
        many(one, "--label")
        many(one, "--network")
        many(one, "--cache-from")
        many(one, "--cache-to")
        many(one, "--platform")
        one.add_argument("--file", "-f")
        one.add_argument("--provenance")
        one.add_argument("--sbom")
        one.add_argument("--iidfile")
        one.add_argument("--metadata-file")
        for flag in ("--pull", "--load", "--push", "--no-cache"):
            one.add_argument(flag, action="store_true")
        one.add_argument("--quiet", "-q", action="store_true")
        one.add_argument("context")

    build_options(command("build", build))

    one = command("run", run)
    one.add_argument("--detach", "-d", action="store_true")
    one.add_argument("--rm", action="store_true")
    one.add_argument("--name")
    one.add_argument("--network", "--net", default="bridge")
    many(one, "--publish", "-p")
    many(one, "--env", "-e")
    many(one, "--volume", "-v")
    many(one, "--label", "-l")
    for flag in ("--tmpfs", "--cap-drop", "--security-opt"):
        many(one, flag)
    for flag in ("--memory", "--user", "--cpus", "--pids-limit", "--stop-timeout", "--pull"):
        one.add_argument(flag)
    one.add_argument("--restart", default="no")
    one.add_argument("--read-only", action="store_true")
    one.add_argument("--init", action="store_true")
    one.add_argument("image")
    one.add_argument("command", nargs=argparse.REMAINDER)

    one = command("ps", ps)
    one.add_argument("--all", "-a", action="store_true")
    one.add_argument("--quiet", "-q", action="store_true")
    one.add_argument("--no-trunc", action="store_true")
    one.add_argument("--format")
    many(one, "--filter", "-f")
    one = command("logs", logs)
    one.add_argument("--tail", "-n")
    one.add_argument("container")
    one = command("port", port)
    one.add_argument("container")
    one.add_argument("port", nargs="?")
    one = command("stop", stop)
    one.add_argument("--time", "-t", "--timeout", type=float, default=10.0)
    one.add_argument("containers", nargs="+")
    one = command("kill", kill)
    one.add_argument("--signal", "-s", default="KILL")
    one.add_argument("containers", nargs="+")
    command("start", start).add_argument("containers", nargs="+")
    one = command("rm", rm)
    one.add_argument("--force", "-f", action="store_true")
    one.add_argument("--volumes", "-v", action="store_true")
    one.add_argument("containers", nargs="+")
    one = command("pull", pull)
    one.add_argument("--quiet", "-q", action="store_true")
    one.add_argument("--platform")
    one.add_argument("image")
    one = command("push", push)
    one.add_argument("--quiet", "-q", action="store_true")
    one.add_argument("image")
    one = command("tag", tag)
    one.add_argument("source")
    one.add_argument("target")
    one = command("save", save)
    one.add_argument("--output", "-o", required=True)
    one.add_argument("image")
    command("load", load).add_argument("--input", "-i", required=True)
    one = command("rmi", rmi)
    one.add_argument("images", nargs="+")

    def inspect_options(one, kind):
        one.set_defaults(type=kind)
        one.add_argument("--format", "-f")
        one.add_argument("names", nargs="+")

    one = command("inspect", inspect)
    inspect_options(one, None)
    one.add_argument("--type")
    for group, kind in (("image", "image"), ("container", "container")):
        inner = command(group, None).add_subparsers(
            dest="inner", required=True, parser_class=Strict
        )
        inspect_options(command("inspect", inspect, inner), kind)
    one = command("exec", exec_)
    one.add_argument("--interactive", "-i", action="store_true")
    one.add_argument("container")
    one.add_argument("command", nargs=argparse.REMAINDER)

    inner = command("buildx", None).add_subparsers(dest="inner", required=True, parser_class=Strict)
    command("version", version, inner).set_defaults(format=None)
    build_options(command("build", build, inner))
    tools = command("imagetools", None, inner)
    tools = tools.add_subparsers(dest="tool", required=True, parser_class=Strict)
    one = command("create", imagetools_create, tools)
    many(one, "--tag", "-t")
    one.add_argument("--prefer-index", required=True, choices=["false"])
    one.add_argument("source")
    one = command("inspect", imagetools_inspect, tools)
    one.add_argument("--format", required=True)
    one.add_argument("image")

    one = command("compose", compose)
    one.add_argument("--file", "-f", required=True)
    one.add_argument("--project-name", "-p", required=True)
    inner = one.add_subparsers(dest="action", required=True, parser_class=Strict)
    for action in ("up", "down", "rm", "stop", "ps", "logs", "port", "exec", "config"):
        one = inner.add_parser(action, add_help=False)
        if action == "up":
            for flag in (
                "--no-deps",
                "--no-recreate",
                "--force-recreate",
                "--build",
                "--quiet-pull",
            ):
                one.add_argument(flag, action="store_true")
            one.add_argument("--detach", "-d", action="store_true")
            one.add_argument("--pull")
        if action == "rm":
            one.add_argument("--force", "-f", action="store_true")
            one.add_argument("--stop", "-s", action="store_true")
        if action == "down":
            one.add_argument("--volumes", "-v", action="store_true")
        if action in ("rm", "down", "stop"):
            one.add_argument("--timeout", "-t", type=float, default=10.0)
        if action == "ps":
            one.add_argument("--all", "-a", action="store_true")
            one.add_argument("--quiet", "-q", action="store_true", required=True)
        if action == "logs":
            one.add_argument("--tail", "-n")
            one.add_argument("--no-log-prefix", action="store_true")
        if action == "port":
            one.add_argument("service")
            one.add_argument("port")
        elif action == "exec":
            one.add_argument("--no-tty", "-T", action="store_true", required=True)
            one.add_argument("service")
            one.add_argument("command", nargs=argparse.REMAINDER)
        elif action != "config":
            one.add_argument("services", nargs="*")
    return top


def main() -> None:
    options = parser().parse_args()
    if options.version:
        options.format = None
        version(options)
        return
    if getattr(options, "does", None) is None:
        fail(f"docker double: is not a docker command: {shlex.join(sys.argv[1:])}")
    said = shlex.join(sys.argv[1:])
    with locked():
        told = told_to_fail(said)
        with (STATE / "calls.jsonl").open("a") as calls:
            host = os.environ.get("DOCKER_HOST", "")
            calls.write(json.dumps({"arguments": sys.argv[1:], "host": host}) + "\n")
        if told:
            daemon_error(f"the double was told to fail at: {said}")
        if options.does not in (exec_, stop):
            options.does(options)
            if told_to_kill(said):
                os.kill(os.getppid(), signal.SIGKILL)
            return
    options.does(options)  # takes its time; others must not wait for it
