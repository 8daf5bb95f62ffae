"""A disk that is full when a test wants it to be."""

import os
import resource
import subprocess
from contextlib import suppress
from pathlib import Path


class SmallDisk:
    """A folder that can be full: a file system of its own, where mounting is allowed.

    Otherwise files may not grow further: a write that crosses the limit is cut short and then
    refused, as on a full disk.
    """

    def __init__(self, folder: Path, *, size: int, mounted: bool = True) -> None:
        self.folder = folder
        self.processes = [os.getpid()]  # that write to it
        folder.mkdir()
        mount = ["mount", "-t", "tmpfs", "-o", f"size={size},mode=0777", "tmpfs", str(folder)]
        ways: list[list[str]] = [[], ["sudo", "-n"]] if mounted else []
        self._sudo = next((sudo for sudo in ways if _runs(*sudo, *mount)), None)

    def fill(self) -> None:
        """Leave room for less than a line."""
        if self._sudo is None:
            self._limit(100)
            return
        filler = os.open(self.folder / "filler", os.O_WRONLY | os.O_CREAT)
        with suppress(OSError):
            while os.write(filler, bytes(4096)):
                pass
        os.close(filler)

    def free(self) -> None:
        if self._sudo is None:
            self._limit(resource.RLIM_INFINITY)
        else:
            (self.folder / "filler").unlink(missing_ok=True)

    def _limit(self, size: int) -> None:
        for process in self.processes:
            with suppress(ProcessLookupError):  # it has ended
                _, hard = resource.prlimit(process, resource.RLIMIT_FSIZE)
                resource.prlimit(process, resource.RLIMIT_FSIZE, (size, hard))

    def remove(self) -> None:
        self.free()
        if self._sudo is not None:
            subprocess.run([*self._sudo, "umount", "--lazy", str(self.folder)], check=True)


def _runs(*command: str) -> bool:
    try:
        return subprocess.run(command, capture_output=True, check=False).returncode == 0
    except FileNotFoundError:
        return False
