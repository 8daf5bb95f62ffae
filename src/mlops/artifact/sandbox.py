"""A model in a process of its own: neither it nor its feature code can reach who asks for scores.

Feature code is the author's, and a judge must not run it in its own process, where it could replace
the metric, or read the answers. The process gets columns without the target and gives back numbers.
It has no environment, reads no file but those that a service would have, writes none, opens no
connection, and is ended when it takes too much memory or time: as far as this machine allows, which
:attr:`Sandbox.held` tells. Training asks in the same way, so that what works there can be judged.
"""

import atexit
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import threading
import time
import weakref
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cache, cached_property
from importlib.metadata import PackageNotFoundError, distribution
from pathlib import Path
from typing import Any

import numpy as np

import mlops
from mlops.artifact import confined, model_folder, sandboxed
from mlops.artifact.features import Array, Asked
from mlops.artifact.model_folder import Columns, ModelArtifact
from mlops.project.errors import MlopsError
from mlops.project.user_code import shortened

MEMORY_GB = 8
TIMEOUT_SECONDS = 600  # for one answer
TOLD = 2000  # bytes of what it printed last
SOURCE = Path(mlops.__file__).parents[1]
LOCK = (
    SOURCE.parent / "requirements-serve-skops.txt"
)  # names what may be read: what a service may have
# Beside Python: shared libraries, and what libraries ask about the processor.
SYSTEM = (
    *("/usr/lib", "/usr/lib64", "/lib", "/lib64", "/etc/ld.so.cache", "/usr/share/zoneinfo"),
    *("/proc/self", "/proc/cpuinfo", "/proc/meminfo", "/sys/devices/system", "/dev/urandom"),
)


class Sandbox:
    """The process; it starts with the first question and ends with this object.

    Parameters
    ----------
    reads : sequence of Path
        Files and folders that it may read, beside Python and the libraries of a service.
    environment : Path or None
        One with other libraries, by default those of this process.
    """

    def __init__(self, reads: Sequence[Path], environment: Path | None = None) -> None:
        self._reads, self._environment = reads, environment
        self._printed = tempfile.TemporaryFile()  # noqa: SIM115  as long as the process

    @cached_property
    def _process(self) -> "subprocess.Popen[bytes]":
        python, (libraries, packages) = Path(sys.executable), _libraries()
        if self._environment:
            python = self._environment.resolve() / "bin" / "python"
            (libraries,) = python.parents[1].glob("lib/python*/site-packages")
            packages = [libraries]
        own = [Path(sys.base_prefix), SOURCE / "mlops", *self._reads]
        asked = {
            "run": [str(python), "-I", "-S", sandboxed.__file__, str(SOURCE), str(libraries)],
            "read": [*SYSTEM, *map(str, packages), *(str(it.resolve()) for it in own)],
            "list": [str(libraries), str(SOURCE)],
            "memory": MEMORY_GB * 10**9,
        }
        process = subprocess.Popen(
            [*_without_network(), sys.executable, "-I", "-S", confined.__file__, json.dumps(asked)],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=self._printed,  # and not our own: it could be a command to a workflow's runner
            env={"LANG": "C.UTF-8"},
            start_new_session=True,
        )
        weakref.finalize(self, _end, process)
        return process

    @cached_property
    def held(self) -> list[str]:
        """What holds: ``files``, ``network`` (or of it only ``tcp``), ``memory``, ``time``."""
        said, _ = self._answer()
        network = ["network"] if _without_network() else []
        memory = ["memory"] if sys.platform == "linux" else []
        held = [it for it in said["held"] if it == "files" or not network]
        return [*held, *network, *memory, "time"]

    def ask(
        self, question: dict[str, Any], columns: Columns
    ) -> tuple[dict[str, Any], dict[str, Array]]:
        """Return the answer to one question: what it says, and arrays.

        Raises
        ------
        MlopsError
            With what stopped there, or that it took too long.
        """
        return next(self.stream(question, columns, 1))

    def stream(
        self, question: dict[str, Any], columns: Columns, answers: int
    ) -> Iterator[tuple[dict[str, Any], dict[str, Array]]]:
        """Yield so many answers to one question, each as it comes."""
        self.held  # noqa: B018  the process says it first
        try:
            assert self._process.stdin
            sandboxed.write(self._process.stdin, question, columns)  # type: ignore[arg-type]
        except BrokenPipeError:
            raise MlopsError(self._ended()) from None
        for _ in range(answers):
            said, arrays = self._answer()
            if "error" in said:
                raise MlopsError(str(said["error"]))
            yield said, arrays

    def _answer(self) -> tuple[dict[str, Any], dict[str, Array]]:
        assert self._process.stdout
        late = threading.Timer(TIMEOUT_SECONDS, self._process.kill)
        late.daemon = True
        late.start()
        try:
            answer = sandboxed.read(self._process.stdout)  # type: ignore[arg-type]
        except (ValueError, KeyError, TypeError, MemoryError) as error:
            raise MlopsError(
                f"src/model/features.py: no answer that can be read ({error})"
            ) from None
        finally:
            late.cancel()
        if answer is None:
            raise MlopsError(self._ended())
        return answer

    def _ended(self) -> str:
        code = self._process.wait()
        self._printed.seek(-min(self._printed.tell(), TOLD), os.SEEK_END)
        said = self._printed.read().decode(errors="replace").strip().rpartition("\n")[2]
        return (
            f"src/model/features.py: the process that builds features ended with {code}"
            f"{f' ({shortened(said)})' if said else ''}; it has {MEMORY_GB} GB, "
            f"{TIMEOUT_SECONDS} s for an answer, no network, and of files only those of the model "
            "and of a service's libraries"
        )


def _end(process: "subprocess.Popen[bytes]") -> None:
    process.kill()
    process.wait()
    for pipe in (process.stdin, process.stdout):
        assert pipe
        try:
            pipe.close()
        except BrokenPipeError:
            continue


@dataclass(frozen=True)
class SandboxedModel(ModelArtifact):
    """A model that is asked in a process of its own, in an ``environment`` of its own, if any."""

    environment: Path | None = None

    @cached_property
    def sandbox(self) -> Sandbox:
        return Sandbox([self.folder], self.environment)

    def _asked(self, do: str, columns: Columns, answers: int = 1) -> Iterator[dict[str, Array]]:
        self.check(columns)
        inputs = {name: columns[name] for name in self.facts.inputs}
        question = {"do": do, "folder": str(self.folder.resolve()), "rows": answers}
        for _, arrays in self.sandbox.stream(question, inputs, answers):
            yield arrays

    def features(self, columns: Columns) -> Asked:
        """Return the features of ``n`` rows from columns that are all there."""
        built = next(self._asked("features", columns))
        return built[""].astype(np.float32) if list(built) == [""] else built

    def predict(self, columns: Columns) -> Array:
        """Predict ``n`` rows, as :meth:`ModelArtifact.predict` does.

        Raises
        ------
        MlopsError
            When a column is missing, the feature code stops, or there is not a score for each row.
        """
        scores = next(self._asked("predict", columns))["scores"]
        rows = len(next(iter(columns.values())))
        several = self.facts.task == "multiclass"
        shape = (rows, len(self.facts.classes or [])) if several else (rows,)
        if scores.shape != shape or scores.dtype.kind != "f":
            raise MlopsError(
                f"the model in {self.folder} gives scores of shape {scores.shape} for {rows:,} rows"
            )
        return scores

    def row_seconds(self, columns: Columns) -> list[float]:
        """Return how long each of ``n`` rows takes when it is asked for alone."""
        rows = len(next(iter(columns.values())))
        seconds, started = [], time.perf_counter()
        for _ in self._asked("singly", columns, rows):
            now = time.perf_counter()
            seconds.append(now - started)
            started = now
        return seconds


def load(folder: Path, environment: Path | None = None) -> SandboxedModel:
    """Load a model folder as :func:`mlops.artifact.model_folder.load` does, to be asked apart."""
    return SandboxedModel(folder, model_folder.load(folder).facts, environment)


def apart(model: ModelArtifact) -> SandboxedModel:
    """Return the same model, to be asked in a process of its own."""
    return SandboxedModel(model.folder, model.facts)


class FeatureCode:
    """``build_features`` of a file, asked in a process of its own.

    ``read`` names the columns that the last call read, in the table's order.
    """

    def __init__(self, path: Path, target: str) -> None:
        self.path, self._target = path.resolve(), target
        self._sandbox = Sandbox([self.path])
        self.read: list[str] = []

    def build(self, columns: Columns) -> dict[str, Array]:
        """Return what :func:`mlops.artifact.feature_code.build` does of columns of shape (n,)."""
        rows = len(next(iter(columns.values())))
        others = {name: values for name, values in columns.items() if name != self._target}
        fit = {name: values for name, values in others.items() if _fits(values)}
        unfit = sorted(set(others) - set(fit))
        inputs = {"target": self._target, "unfit": unfit}
        question = {"do": "build", "file": str(self.path), "rows": rows, "inputs": inputs}
        said, built = self._sandbox.ask(question, fit)
        self.read = list(said["read"])
        return built


def _fits(values: Array) -> bool:
    """Whether a request could hold the values: numbers, times, texts."""
    if values.dtype != object:
        return values.dtype.kind in "biufM"
    return all(issubclass(it, str | int | float) for it in set(map(type, values.tolist())))


@cache
def _without_network() -> tuple[str, ...]:
    """Return the command that starts another one without network, where that may be done here."""
    for command in (("unshare", "--user", "--map-current-user", "--net"), ("unshare", "--net")):
        try:
            subprocess.run([*command, "true"], check=True, capture_output=True)
        except (OSError, subprocess.CalledProcessError):
            continue
        return command
    return ()


@cache
def _libraries() -> tuple[Path, list[Path]]:
    """Return a folder of links to the libraries of a service, and what they lead to.

    Other libraries are not there to import, and may hold the answers: the example's data is one.
    """
    names = re.findall(r"^([\w.-]+)==", LOCK.read_text("utf-8"), re.M) if LOCK.is_file() else []
    found = {path.name: path for name in names for path in _parts(name)}
    if not found:  # a project from before that lock
        site = Path(np.__file__).parents[1]
        return site, [site]
    folder = Path(tempfile.mkdtemp(prefix="mlops-"))
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    for name, path in found.items():
        (folder / name).symlink_to(path)
    return folder, list(found.values())


def _parts(name: str) -> set[Path]:
    """Return the modules and folders that a distribution consists of."""
    try:
        found = distribution(name)
    except PackageNotFoundError:  # of another system, or another Python
        return set()
    lines = (found.read_text("RECORD") or "").splitlines()
    tops = {re.split("[/,]", line, maxsplit=1)[0] for line in lines} - {"..", ""}
    return {Path(str(found.locate_file(top))) for top in tops}
