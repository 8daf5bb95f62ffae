"""A project that is used through its command line, without a new process for each command."""

import io
import os
import sys
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import dataclass
from typing import Any
from unittest import mock

import pytest
from projects import Project

from mlops import cli


@dataclass(frozen=True)
class Said:
    """What a command left behind."""

    code: int
    out: str
    err: str


class Workbench(Project):
    """A project whose commands run in this process: no second is lost on imports."""

    def mlops(self, *arguments: str) -> Said:
        """Run ``mlops`` in the folder, as a person does, and return what it said."""
        out, err = io.StringIO(), io.StringIO()
        _forget()
        with (
            pytest.MonkeyPatch.context() as patch,
            mock.patch.dict(os.environ),  # a command may set variables, as for its own process
            redirect_stdout(out),
            redirect_stderr(err),
        ):
            patch.chdir(self.folder)
            patch.setattr(sys, "argv", ["mlops", *arguments])
            patch.setattr(sys, "path", list(sys.path))
            patch.setattr(sys, "dont_write_bytecode", True)  # edits follow faster than mtimes tell
            code: Any = 0
            try:
                cli.main()
            except SystemExit as stopped:
                code = stopped.code or 0
        _forget()
        return Said(code, out.getvalue(), err.getvalue())

    def do(self, *commands: str) -> str:
        """Run commands that must succeed; returns the last one's output."""
        out = ""
        for command in commands:
            said = self.mlops(*command.split())
            assert said.code == 0, f"mlops {command}: {said.err}"
            out = said.out
        return out

    def train(self, *, data: bool = False) -> None:
        """Run the stages that a change of code or parameters needs, with those of ``data``."""
        self.do(*(["ingest", "validate"] if data else []), "features", "train")

    def compare(self, mode: str | None = None) -> dict[str, Any]:
        """Return the comparison that ``mlops compare`` writes."""
        self.do(f"compare --mode {mode}" if mode else "compare")
        return dict(self.json("comparison"))

    def report(self) -> str:
        self.do("report")
        return (self.folder / "reports/report.md").read_text(encoding="utf-8")

    def report_lines(self) -> list[str]:
        """Return the report that was written with the last comparison."""
        return (self.folder / "reports/report.md").read_text(encoding="utf-8").splitlines()

    def refused(self, *arguments: str) -> str:
        """Run a command that must be refused; returns the one line that it said."""
        said = self.mlops(*arguments)
        assert said.code == 1, said
        (line,) = [line for line in said.err.splitlines() if line.startswith("mlops: ")]
        assert said.err.strip().endswith(line), said.err  # the last word, and no traceback
        return line.removeprefix("mlops: ")


def _forget() -> None:
    """Forget what a process of its own would not know."""
    from mlflow.tracking._tracking_service import utils

    utils._artifact_repos_cache.clear()  # by run; a copied project has the runs of its original
    for name in [name for name in sys.modules if name.split(".")[0] == "model"]:
        del sys.modules[name]
