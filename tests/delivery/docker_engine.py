"""Run a command with a container engine: ``python3 tests/delivery/docker_engine.py make test``.

An engine that answers is used as it is. On a Debian machine without one, as root, Debian's is
started, and stopped after the last command that uses it. Its programs and images stay in
``~/.cache/container-engine`` (about 1.5 GB) for the next time. Without an engine the command runs
all the same, with a banner before and after it that says why there is none.

Needs nothing but Python: it runs before there is an environment.
"""

import fcntl
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from debian_programs import (
    CACHE,
    ROOT,
    MissingError,
    expose,
    last_line,
    libraries,
    locked,
    run,
    tell,
    unpack,
)

# Not below the cache: the path of a socket has at most 107 characters.
RUNNING = Path("/run/container-engine")
SOCKET = RUNNING / "docker.sock"
PIDFILE = RUNNING / "dockerd.pid"
LOG = CACHE / "dockerd.log"
OF_SSH = ["libedit2", "libfido2-1", "libgssapi-krb5-2", "libnsl2", "libwrap0"]
TOOLS = {
    "promtool": ["prometheus"],
    "prometheus": ["prometheus"],
    "prometheus-pushgateway": ["prometheus-pushgateway"],
    "docker-registry": ["docker-registry"],
    "ssh": ["openssh-client", *OF_SSH],
    "ssh-keygen": ["openssh-client", *OF_SSH],
    "sshd": ["openssh-server", "libnss-wrapper", *OF_SSH],
    "haproxy": ["haproxy", "liblua5.3-0", "libopentracing-c-wrapper0", "libopentracing1"],
}
ENVIRONMENT = {
    # As root it wants a user `sshd`, whom only an installation makes.
    "sshd": {"LD_PRELOAD": "libnss_wrapper.so", "NSS_WRAPPER_PASSWD": f"{CACHE}/passwd"}
    | {"NSS_WRAPPER_GROUP": "/etc/group"},
}
USER_OF_SSHD = "sshd:x:100:65534::/run/sshd:/usr/sbin/nologin\n"
PROGRAMS = ["docker.io", "containerd", "runc", "tini", "libdevmapper1.02.1", "libseccomp2"]
# Stands in for python:3.x-slim-bookworm where no registry can be reached.
BASE = "debian-python:bookworm"
BASE_PACKAGES = "python3,python3-venv,ca-certificates"
AUTHORITIES = "etc/ssl/certs/ca-certificates.crt"


HELD = {signal.SIGTERM, signal.SIGINT}


def main(command: list[str]) -> int:
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(128 + signal.SIGTERM))
    CACHE.mkdir(parents=True, exist_ok=True)
    os.environ["PATH"] += f":{CACHE}/bin"
    missing: list[str] = []
    with engine(missing):
        add_tools(missing)
        banner(missing)
        # A signal that comes while the command is started waits until it can be passed on.
        signal.pthread_sigmask(signal.SIG_BLOCK, HELD)
        process = subprocess.Popen(
            command, preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
        )
        # The engine outlives the command, also when both are told to end.
        signal.signal(signal.SIGTERM, lambda *_: process.terminate())
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.pthread_sigmask(signal.SIG_UNBLOCK, HELD)
        code = process.wait()
    banner(missing)
    return code if code >= 0 else 128 - code


def banner(sentences: list[str]) -> None:
    if sentences:
        line = "#" * 100
        print(f"\n{line}", *(f"# {it}" for it in sentences), f"{line}\n", sep="\n", file=sys.stderr)


def add_tools(missing: list[str]) -> None:
    """Put on the PATH what tests need besides."""
    (CACHE / "passwd").write_text(Path("/etc/passwd").read_text() + USER_OF_SSHD)
    for name, packages in TOOLS.items():
        try:
            with locked("start"):
                if shutil.which(name) is None:
                    expose(name, *packages, **ENVIRONMENT.get(name, {}))
        except (MissingError, OSError) as reason:
            missing += [f"NO {name.upper()}: tests that need it are skipped ({reason})."]


@contextmanager
def engine(missing: list[str]) -> Iterator[None]:
    """Set ``DOCKER_HOST`` so that an engine answers, or say why there is none."""
    if not silence():
        yield
        return
    silent = os.environ.pop("DOCKER_HOST", None)
    with (CACHE / "users.lock").open("w") as users:
        try:
            os.environ["DOCKER_HOST"] = f"unix://{SOCKET}"
            with locked("start"):
                if why := silence():
                    start(why)
                fcntl.flock(users, fcntl.LOCK_SH)
        except (MissingError, OSError) as reason:
            del os.environ["DOCKER_HOST"]
            os.environ |= {"DOCKER_HOST": silent} if silent else {}
            missing += [f"NO CONTAINER ENGINE: no image is built, and none is run ({reason})."]
            yield
            return
        try:
            yield
        finally:
            with locked("start"):
                stop_unless_used(users.fileno())


def silence() -> str:
    """Return what is said in place of an answer; nothing when an engine answers."""
    if shutil.which("docker") is None:
        return "there is no command docker"
    done = run("docker", "version", check=False)
    return last_line(done) if done.returncode else ""


def start(why: str) -> None:
    """Start an engine that has a base image. The lock is held."""
    if os.geteuid() != 0:
        raise MissingError(f"{why}; root could start one")
    unpack(*PROGRAMS)
    if shutil.which("docker") is None:
        expose("docker", "docker.io")
    RUNNING.mkdir(exist_ok=True)
    for left_by_one_that_was_killed in (SOCKET, PIDFILE):
        left_by_one_that_was_killed.unlink(missing_ok=True)
    with LOG.open("w") as log:
        process = subprocess.Popen(
            # No network of its own: containers use the machine's, and no firewall is changed.
            [
                *("dockerd", "--iptables=false", "--bridge=none", f"--host=unix://{SOCKET}"),
                *(f"--data-root={CACHE}/data", f"--exec-root={RUNNING}/exec"),
                f"--pidfile={PIDFILE}",
            ],
            env={
                **os.environ,
                "PATH": f"{ROOT}/usr/sbin:{ROOT}/usr/bin:{os.environ['PATH']}",
                "LD_LIBRARY_PATH": libraries(),
            },
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=log,
            start_new_session=True,  # Ctrl-C is for the command
        )
    try:
        wait_for(process)
        make_base_image()
    except BaseException:
        stop(process.pid)
        raise


def wait_for(process: "subprocess.Popen[bytes]") -> None:
    for _ in range(300):
        if not (why := silence()):
            return
        if process.poll() is not None:
            break
        time.sleep(0.1)
    said = LOG.read_text(errors="replace").strip().rpartition("\n")[2]
    raise MissingError(f"{why}; dockerd said: {said}")


def make_base_image() -> None:
    """Import what Debian's Python needs, unless an earlier run has."""
    if run("docker", "image", "inspect", BASE, check=False).returncode == 0:
        return
    tell("making a base image (once, a minute)")
    unpack("debootstrap")
    base, archive = CACHE / "base", CACHE / "base.tar"
    shutil.rmtree(base, ignore_errors=True)
    run(
        f"{ROOT}/usr/sbin/debootstrap",
        *("--variant=minbase", f"--include={BASE_PACKAGES}", "bookworm", str(base)),
        DEBOOTSTRAP_DIR=f"{ROOT}/usr/share/debootstrap",
    )
    for downloads in ("var/cache/apt", "var/lib/apt/lists"):
        shutil.rmtree(base / downloads)
    # Whom the machine trusts, so does pip in a build: there may be a proxy on the way to its index.
    if Path("/", AUTHORITIES).is_file():
        shutil.copyfile(Path("/", AUTHORITIES), base / AUTHORITIES)
        (base / "etc/pip.conf").write_text(f"[global]\ncert = /{AUTHORITIES}\n")
    run("tar", "-C", str(base), "-cf", str(archive), ".")
    run("docker", "import", "--change", 'CMD ["python3"]', str(archive), BASE)
    archive.unlink()
    shutil.rmtree(base)


def stop_unless_used(users: int) -> None:
    """Stop the engine after its last user. The lock is held."""
    try:
        fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return
    # Layers that belong to no image save the next build its minute, but not for ever.
    run("docker", "image", "prune", "--force", "--filter", "until=168h", check=False)
    if PIDFILE.is_file():
        stop(int(PIDFILE.read_text()))


def stop(pid: int) -> None:
    """End a dockerd, and wait until it is gone."""
    for signal_number in [signal.SIGTERM, *[0] * 150, signal.SIGKILL]:
        try:
            os.kill(pid, signal_number)
            os.waitpid(pid, os.WNOHANG)  # one that has ended stays in the list until then
        except ChildProcessError:
            pass  # it was started by another command
        except ProcessLookupError:
            return
        time.sleep(0.1)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
