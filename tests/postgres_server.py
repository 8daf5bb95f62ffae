"""A PostgreSQL server of Debian's, in a folder of its own."""

import os
import pwd
import shutil
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from debian_programs import CACHE, ROOT, MissingError, libraries, locked, unpack

PACKAGES = ("postgresql-15", "libpq5", "libicu72", "libllvm14", "libldap-2.5-0", "libxslt1.1")


def programs() -> Path:
    """Return the folder of ``initdb`` and ``postgres``."""
    if not (installed := sorted(Path("/usr/lib/postgresql").glob("*/bin"))):
        CACHE.mkdir(parents=True, exist_ok=True)
        with locked("postgres"):
            unpack(*PACKAGES)
        installed = sorted(ROOT.glob("usr/lib/postgresql/*/bin"))
    return installed[-1]


@contextmanager
def postgres(folder: Path) -> Iterator[str]:
    """Start a server; gives the address of its database as SQLAlchemy wants it."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    # It refuses to be run by root.
    user = "nobody" if os.geteuid() == 0 else pwd.getpwuid(os.geteuid()).pw_name
    data = Path("/tmp") / f"postgres-{port}"  # pytest's folders are not for others
    data.mkdir()
    if os.geteuid() == 0:
        shutil.chown(data, user)
    environment = {"LD_LIBRARY_PATH": libraries(), "PATH": os.environ["PATH"], "LC_ALL": "C"}

    def start(program: str, *arguments: str) -> "subprocess.Popen[bytes]":
        log = (folder / f"{program}.log").open("wb")
        return subprocess.Popen(
            [programs() / program, "-D", data, *arguments],
            cwd="/",
            env=environment,
            user=user if os.geteuid() == 0 else None,
            stdout=log,
            stderr=subprocess.STDOUT,
        )

    try:
        if start("initdb", "--username=ada", "--auth=trust", "--no-sync", "--encoding=UTF8").wait():
            raise MissingError((folder / "initdb.log").read_text())
        server = start("postgres", "-p", str(port), "-k", "", "-h", "127.0.0.1")
        try:
            yield f"postgresql+psycopg://ada@127.0.0.1:{port}/postgres"
        finally:
            server.send_signal(signal.SIGINT)  # the one that does not wait for its clients
            server.wait()
    finally:
        shutil.rmtree(data)
