"""A program of another project, run with an environment of its own."""

import os
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from mlops.project.errors import MlopsError

# docker adds a line on how to get help below what was wrong.
NO_REASONS = ("See 'docker", "Run 'docker")


@dataclass(frozen=True)
class Command:
    """Runs ``program`` with the variables of this process and those in ``environment``."""

    program: str
    environment: Mapping[str, str] = field(default_factory=dict)
    first: Sequence[str] = ()

    def __call__(self, *arguments: str, timeout: float = 120.0, stdin: str = "") -> str:
        """Run a command and return what it printed.

        Raises
        ------
        MlopsError
            With the last line that the command said.
        """
        done = self.run(*arguments, timeout=timeout, stdin=stdin)
        if done.returncode != 0:
            raise MlopsError(f"{self.program} {arguments[0]}: {last_line(done)}")
        return done.stdout.strip()

    def run(
        self, *arguments: str, timeout: float = 120.0, stdin: str = ""
    ) -> subprocess.CompletedProcess[str]:
        """Run a command that may fail."""
        try:
            return subprocess.run(
                [self.program, *self.first, *arguments],
                env={**os.environ, **self.environment},
                input=stdin,
                capture_output=True,
                text=True,
                timeout=timeout,
                check=False,
            )
        except FileNotFoundError:
            raise MlopsError(
                f"the command {self.program} is not there; install it, or deploy from Actions"
            ) from None
        except subprocess.TimeoutExpired:
            said = f"{self.program} {arguments[0]} took longer than {timeout:.0f} s"
            raise MlopsError(said) from None


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    lines = [line.strip() for line in f"{done.stdout}\n{done.stderr}".splitlines() if line.strip()]
    lines = [line for line in lines if not line.startswith(NO_REASONS)]
    return lines[-1] if lines else f"exit code {done.returncode}"
