"""Folders that are replaced as a whole: a killed process leaves the old one or the new one."""

import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path


def fill_beside(target: Path, fill: Callable[[Path], object]) -> Path:
    """Let ``fill`` fill a new folder beside ``target``, and return it; a failure leaves nothing."""
    target.parent.mkdir(parents=True, exist_ok=True)
    prefix = f"{target.name}.copying."
    for other in target.parent.iterdir():
        if other.name.startswith(prefix):  # left by a killed process
            shutil.rmtree(other, ignore_errors=True)
    folder = Path(tempfile.mkdtemp(dir=target.parent, prefix=prefix))
    try:
        folder.chmod(0o755)
        fill(folder)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return folder


def replace(target: Path, folder: Path) -> None:
    """Put ``folder`` where ``target`` is, and ``target`` :func:`aside`."""
    if target.exists():
        shutil.rmtree(aside(target), ignore_errors=True)
        target.replace(aside(target))
    folder.replace(target)


def finish_replacing(target: Path) -> None:
    """Put back what a killed process had just moved aside."""
    if not target.exists() and aside(target).exists():
        aside(target).replace(target)


def aside(target: Path) -> Path:
    """Return where the folder lies that :func:`replace` has replaced."""
    return target.with_name(f"{target.name}.replaced")
