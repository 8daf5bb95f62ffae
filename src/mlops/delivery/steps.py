"""What a deployment did: its steps as data, said while they happen."""

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from mlops.project.progress import console


@dataclass(frozen=True)
class Step:
    """One step; ``said`` is a sentence: what it found, or why it failed."""

    name: str
    seconds: float
    ok: bool
    said: str


@dataclass
class Steps:
    """Steps in the order in which they were taken."""

    done: list[Step] = field(default_factory=list)

    def take(self, name: str, action: Callable[[], str]) -> None:
        """Do ``action``, which returns a sentence; what it raises is recorded and goes on."""
        started = time.perf_counter()
        try:
            console.print(f"{name} ...", markup=False)
            said, ok = action(), True
        except BaseException as error:
            said, ok = reason(error), False
            raise
        finally:
            step = Step(name, round(time.perf_counter() - started, 2), ok, said)
            self.done.append(step)
            outcome = said if ok else f"FAILED: {said}"
            console.print(f"{name}: {outcome} ({step.seconds:.1f} s)", markup=False)

    @property
    def failed(self) -> Step | None:
        return next((step for step in self.done if not step.ok), None)


def reason(error: BaseException) -> str:
    """Say an error in one line."""
    text = " ".join(str(error).split())
    if isinstance(error, KeyboardInterrupt):
        return text or "interrupted"
    return text or type(error).__name__
