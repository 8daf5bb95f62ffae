"""Places to deploy to, on this machine: the doubles of docker and kubectl, and real services."""

import json
import os
import shutil
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
import yaml
from projects import EXAMPLE, ROOT
from tiny_export import FEATURES, write_export

from mlops.delivery import checks, deploy
from mlops.delivery.tunnel import free_port
from mlops.project import params
from mlops.project.errors import MlopsError
from mlops.trial import smoke
from mlops.trial.service_client import NoAnswerError, Service

DOUBLES = ROOT / "tests" / "doubles"
REPOSITORY = "ghcr.io/ada/flight-delays"
CHAMPION, CANDIDATE, SHIFTED, BROKEN, FAILING = "1", "2", "3", "4", "5"
ASKED = {"a": 0.25, "b": 0.5}  # by users

FAILS = FEATURES.replace(
    "    return",
    """    if (columns["a"] == 0.25).any():
        raise ValueError("nobody has tried this")
    return""",
)


class Images:
    """Versions in a registry: two alike, and others.

    One has shifted scores, one cannot start, and one fails for what users ask.

    ``folder`` is the project that they were built from.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.state = folder / "docker"
        shutil.copytree(ROOT / "deploy", folder / "deploy")
        ignored = shutil.ignore_patterns("__pycache__")
        shutil.copytree(ROOT / "src" / "mlops", folder / "src" / "mlops", ignore=ignored)
        self.references = {}
        for version in (CHAMPION, CANDIDATE, SHIFTED, BROKEN, FAILING):
            export = write_export(self.export(version), int(version), 3.0 * (version == SHIFTED))
            context = folder / "build" / "image"
            shutil.rmtree(context, ignore_errors=True)
            shutil.copytree(export, context)
            if version == BROKEN:
                (context / "model" / "model.json").write_text("{}")
            if version == FAILING:
                (context / "model" / "features.py").write_text(FAILS)
            told = folder / "metadata.json"
            command = ["build", "--push", "--metadata-file", str(told), "--tag"]
            command += [f"{REPOSITORY}:{version}", "--file", "deploy/Dockerfile", "."]
            run_double(*command, cwd=str(folder), DOCKER_DOUBLE=str(self.state))
            digest = json.loads(told.read_text())["containerimage.digest"]
            self.references[version] = f"{REPOSITORY}@{digest}"
        assert len(set(self.references.values())) == 5
        # Its bytecode is what the places then need not make again.
        docker = {"DOCKER_DOUBLE": str(self.state)}
        run_double("run", "--detach", "--name", "warm", self.references[CHAMPION], **docker)
        until = time.monotonic() + 20
        while "listening" not in (self.state / "containers/warm.folder/log").read_text():
            assert time.monotonic() < until, "the service does not start"
            time.sleep(0.05)
        run_double("rm", "--force", "warm", **docker)

    def export(self, version: str) -> Path:
        return self.folder / "exports" / version


def run_double(*arguments: str, cwd: str = ".", **environment: str) -> str:
    done = subprocess.run(
        [sys.executable, str(DOUBLES / "docker"), *arguments],
        cwd=cwd,
        env={**os.environ, **environment},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


@dataclass
class Place:
    """A project that deploys to one target; its working folder is ``folder``."""

    images: Images
    folder: Path
    environment: dict[str, str] = field(default_factory=dict)

    @classmethod
    def make(cls, images: Images, folder: Path, target: str, **environment: str) -> "Place":
        shutil.copytree(images.folder / "deploy", folder / "deploy")
        settings = yaml.safe_load((EXAMPLE / "params.yaml").read_text(encoding="utf-8"))
        canary = {"requests": 100}
        settings["serving"] = {"target": target, "latency_ms": 500.0, "canary": canary}
        (folder / "params.yaml").write_text(yaml.safe_dump(settings))
        state = folder / "docker"
        shutil.copytree(images.state, state, symlinks=True)
        common = {
            "PATH": f"{DOUBLES}{os.pathsep}{os.environ['PATH']}",
            "DOCKER_DOUBLE": str(state),
            "GITHUB_STEP_SUMMARY": str(folder / "summary.md"),
            "DEPLOY_WATCH_SECONDS": "0.6",
        }
        return cls(images, folder, {**common, **environment})

    @property
    def name(self) -> str:
        return f"{params.load(self.folder / 'params.yaml').name}-production"

    def deploy(
        self,
        version: str,
        export: str | None = None,
        *,
        canary: bool = True,
        quick: bool = False,
        **environment: str,
    ) -> dict[str, Any]:
        """Deploy to production, as the command does; returns what it wrote.

        With ``quick``, the smoke test, which has tests of its own, only looks at the version.
        """
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            for name, value in {**self.environment, **environment}.items():
                patch.setenv(name, value)
            patch.setattr(smoke, "TIMED", 20)
            if quick:
                patch.setattr(checks, "smoke_test", version_is_right)
            for state in ("DOCKER_DOUBLE", "KUBECTL_DOUBLE"):
                calls = Path(self.environment.get(state, ".")) / "calls.jsonl"
                calls.unlink(missing_ok=True)
            deploy.run(
                params.load(),
                "production",
                self.images.references[version],
                self.images.export(export or version),
                canary=canary,
            )
        return self.record

    def refused(self, version: str, export: str | None = None, **how: Any) -> str:
        """Deploy what must fail; returns the sentence."""
        with pytest.raises(MlopsError) as error:
            self.deploy(version, export, **how)
        return str(error.value)

    def stopped(self, version: str, step: str, *numbers: signal.Signals) -> tuple[int, str]:
        """Deploy as a workflow's step does, in a process that gets signals when a step begins.

        Returns how it ended, and what it said after that.
        """
        image, export = self.images.references[version], self.images.export(version)
        command = ["deploy", "production", image, str(export), "--no-canary"]
        (self.folder / "output").unlink(missing_ok=True)
        workflow = {"GITHUB_OUTPUT": str(self.folder / "output"), "PYTHONPATH": str(ROOT / "src")}
        with subprocess.Popen(
            [sys.executable, "-m", "mlops.cli", *command],
            cwd=self.folder,
            env={**os.environ, **self.environment, **workflow},
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if line.startswith(f"{step} ..."):
                    for number in numbers:
                        process.send_signal(number)
                    break
            said = process.stderr.read()
        return process.returncode, said

    def output(self) -> dict[str, str]:
        """Return what the last process gave its workflow; of two with one name, the later."""
        lines = (self.folder / "output").read_text(encoding="utf-8").splitlines()
        return dict(line.split("=", 1) for line in lines)

    def ask(self) -> str:
        """Ask what serves in production, for whoever lost sight of the candidate."""
        with pytest.MonkeyPatch.context() as patch:
            patch.chdir(self.folder)
            output = {"GITHUB_OUTPUT": str(self.folder / "output")}
            for name, value in {**self.environment, **output}.items():
                patch.setenv(name, value)
            (self.folder / "output").unlink(missing_ok=True)
            told = deploy.ask(params.load(), "production", self.images.references[CANDIDATE])
        assert told == f"In production, {self.output()['serves']} serves now."
        return self.output()["serves"]

    @property
    def record(self) -> dict[str, Any]:
        return dict(json.loads((self.folder / "reports/deployment.json").read_text()))

    def steps(self) -> list[str]:
        return [step["name"] for step in self.record["steps"]]

    def docker(self, *arguments: str) -> str:
        return run_double(*arguments, DOCKER_DOUBLE=self.environment["DOCKER_DOUBLE"])

    def running(self) -> list[str]:
        return sorted(self.docker("ps", "--format", "{{.Names}}").split())

    def close(self) -> None:
        if containers := self.docker("ps", "--all", "--quiet").split():
            self.docker("rm", "--force", *containers)


def ports(number: int) -> list[str]:
    """Return ports of this machine that nobody uses."""
    found: set[int] = set()
    while len(found) < number:
        found.add(free_port())
    return [str(port) for port in found]


def version_at(url: str) -> str | None:
    """Return which version answers a prediction, or None."""
    with Service(url) as service:
        try:
            answer = service.predict({"a": 0.5, "b": 0.5})
        except NoAnswerError:
            return None
        return str(answer.json()["model_version"]) if answer.status == 200 else None


def version_is_right(url: str, export: Path, settings: params.Params) -> str:
    wanted = json.loads((export / "model" / "version.json").read_text())["version"]
    if (found := version_at(url)) != str(wanted):
        raise MlopsError(f"{url} serves version {found}, and {export} holds version {wanted}")
    return f"version {found}"


class Users:
    """People who ask for predictions all the time, each on a connection that stays open."""

    def __init__(self, url: str, number: int = 3) -> None:
        self.url = url
        self.versions: list[str] = []
        self.failures: list[str] = []
        self._end = threading.Event()
        self._threads = [threading.Thread(target=self._ask) for _ in range(number)]

    def _ask(self) -> None:
        with Service(self.url) as service:
            while not self._end.is_set():
                try:
                    answer = service.predict(ASKED)
                except NoAnswerError as error:
                    self.failures.append(str(error))
                    continue
                if answer.status == 200:
                    self.versions.append(answer.json()["model_version"])
                else:
                    self.failures.append(answer.error)
                time.sleep(0.03)  # they share this machine with what they ask

    def __enter__(self) -> "Users":
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.set()
        for thread in self._threads:
            thread.join()
