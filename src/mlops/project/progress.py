"""Says what is being done while it takes its time."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeElapsedColumn

console = Console(stderr=True, highlight=False, soft_wrap=True)


@contextmanager
def working(on: str) -> Iterator[None]:
    """Show ``on`` while the block runs: live on a terminal, one line with seconds in a log."""
    started = time.perf_counter()
    with console.status(f"{on} ..."):
        yield
    console.print(f"{on}: {time.perf_counter() - started:.1f} s", markup=False)


@contextmanager
def counting(on: str, total: float) -> Iterator[Callable[[float], None]]:
    """Show a bar while the block runs; the block calls what it is given with the number done.

    In a log, which has no bars, it is one line as from :func:`working`.
    """
    if not console.is_terminal:
        with working(on):
            yield lambda done: None
        return
    columns = (TextColumn("{task.description}"), BarColumn(), TimeElapsedColumn())
    with Progress(*columns, console=console, transient=True) as progress:
        bar = progress.add_task(on, total=total)
        yield lambda done: progress.update(bar, completed=done)
