"""Takes rights from this process, then becomes another program, which cannot get them back.

Run as a script, with nothing but the standard library, before any code that is not ours::

    python -I -S confined.py '{"run": [...], "read": [...], "list": [...], "memory": 1000000}'

Files: Landlock, which Linux has since 5.13 and needs no privilege for (kernel.org,
userspace-api/landlock). The program is told what held, as the last argument: ``files``, ``tcp``.
"""

import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Iterable
from pathlib import Path

# System calls, the same numbers on every architecture.
CREATE_RULESET, ADD_RULE, RESTRICT_SELF = 444, 445, 446
NO_NEW_PRIVILEGES, END_WITH_PARENT = 38, 1  # of prctl
BENEATH = 1  # a rule about a path
EXECUTE, WRITE, READ, LIST = 1, 2, 4, 8
# What each version can refuse of the file system: everything that the one before could, and more.
FILES = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
TCP = 0b11  # to bind, to connect; since version 4
OUTSIDE = 0b11  # abstract sockets, signals; since version 6
OF_A_FILE = EXECUTE | WRITE | READ


class Ruleset(ctypes.Structure):
    _fields_ = (
        ("files", ctypes.c_uint64),
        ("tcp", ctypes.c_uint64),
        ("outside", ctypes.c_uint64),
    )


class Beneath(ctypes.Structure):
    _pack_ = 1
    _layout_ = "ms"
    _fields_ = (("allowed", ctypes.c_uint64), ("folder", ctypes.c_int32))


def landlock(allowed: Iterable[tuple[str, int]]) -> list[str]:
    """Refuse this process all files but those ``allowed``: paths, with what may be done there.

    Returns what held: nothing where the kernel has no Landlock.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    version = libc.syscall(CREATE_RULESET, None, 0, 1) if sys.platform == "linux" else -1
    if version < 1:
        return []
    files = FILES[max(known for known in FILES if known <= version)]
    rules = Ruleset(files, TCP if version >= 4 else 0, OUTSIDE if version >= 6 else 0)
    size = 24 if version >= 6 else 16 if version >= 4 else 8
    ruleset = libc.syscall(CREATE_RULESET, ctypes.byref(rules), size, 0)
    for path, rights in allowed:
        if not Path(path).exists():
            continue
        descriptor = os.open(path, os.O_PATH | os.O_CLOEXEC)
        possible = files if Path(path).is_dir() else files & OF_A_FILE
        rule = Beneath(rights & possible, descriptor)
        if libc.syscall(ADD_RULE, ruleset, BENEATH, ctypes.byref(rule), 0):
            return []
        os.close(descriptor)
    if libc.prctl(NO_NEW_PRIVILEGES, 1, 0, 0, 0) or libc.syscall(RESTRICT_SELF, ruleset, 0):
        return []
    os.close(ruleset)
    return ["files", *(["tcp"] if version >= 4 else [])]


def main() -> None:
    asked = json.loads(sys.argv[1])
    if sys.platform == "linux":  # who asks is gone: a loop would never notice
        ctypes.CDLL(None).prctl(END_WITH_PARENT, signal.SIGKILL)
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    if sys.platform == "linux":  # elsewhere the address space says nothing about memory
        resource.setrlimit(resource.RLIMIT_AS, (asked["memory"], asked["memory"]))
    allowed = [(path, EXECUTE | READ | LIST) for path in asked["read"]]
    allowed += [(path, LIST) for path in asked["list"]] + [("/dev/null", READ | WRITE)]
    held = landlock(allowed)
    os.execv(asked["run"][0], [*asked["run"], ",".join(held)])  # noqa: S606 - of a list


if __name__ == "__main__":
    main()
