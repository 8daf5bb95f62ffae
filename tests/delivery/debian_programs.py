"""Programs of Debian packages, unpacked in a cache: nothing is installed, and no service starts.

Needs nothing but Python: it runs before there is an environment.
"""

import fcntl
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "container-engine"
ROOT = CACHE / "programs"


class MissingError(Exception):
    """What cannot be had here, and why."""


def unpack(*packages: str) -> None:
    """Unpack what is not unpacked yet, in the version that apt would install."""
    done = ROOT / "unpacked"
    new = [name for name in packages if not (done / name).exists()]
    if not new:
        return
    if shutil.which("apt-get") is None:
        raise MissingError("this is no Debian machine: apt-get is missing")
    tell(f"fetching {', '.join(new)}")
    downloads = CACHE / "packages"
    shutil.rmtree(downloads, ignore_errors=True)
    downloads.mkdir()
    fetch = ("apt-get", "download", "--quiet", *new)
    if run(*fetch, cwd=downloads, check=False).returncode != 0:
        run("apt-get", "update", "--quiet", check=False)
        run(*fetch, cwd=downloads)
    for package in downloads.iterdir():
        run("dpkg-deb", "--extract", str(package), str(ROOT))
    done.mkdir(exist_ok=True)
    for name in new:
        (done / name).touch()
    shutil.rmtree(downloads)


def expose(name: str, *packages: str, **environment: str) -> None:
    """Unpack packages, and put a program of theirs in ``CACHE/bin``, with what it needs to run."""
    unpack(*packages)
    (program,) = ROOT.glob(f"usr/*bin/{name}")
    start = CACHE / "bin" / name
    start.parent.mkdir(exist_ok=True)
    environment["LD_LIBRARY_PATH"] = libraries()
    set_up = " ".join(f"{key}={value}" for key, value in environment.items())
    start.write_text(f'#!/bin/sh\n{set_up} exec {program} "$@"\n')
    start.chmod(0o755)


def libraries() -> str:
    """Return where the unpacked libraries are, as the loader wants to have it said."""
    return ":".join(map(str, sorted(ROOT.glob("**/lib/*-linux-gnu"))))


def run(
    *command: str, check: bool = True, cwd: Path = CACHE, **environment: str
) -> subprocess.CompletedProcess[str]:
    """Run a command quietly; what it said last is the reason when it fails."""
    done = subprocess.run(
        command,
        cwd=cwd,
        env=os.environ | environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
    )
    if check and done.returncode != 0:
        raise MissingError(
            f"`{' '.join(command[:2])}` ended with {done.returncode}: {last_line(done)}"
        )
    return done


def last_line(done: subprocess.CompletedProcess[str]) -> str:
    return done.stdout.strip().rpartition("\n")[2]


def tell(sentence: str) -> None:
    print(f"container engine: {sentence}", file=sys.stderr, flush=True)


@contextmanager
def locked(name: str) -> Iterator[None]:
    """Wait for other processes that do the same; the lock ends with the process at the latest."""
    with (CACHE / f"{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield
