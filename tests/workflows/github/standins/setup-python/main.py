"""Make .venv in the workspace, so that ``make setup`` finds nothing to do.

It is an environment of its own that reads the packages of the one the tests run in: what is
installed into it, or deleted from it, leaves that one alone. As after an editable install, src
of the workspace is what is imported.
"""

import os
import platform
import sys
from pathlib import Path

from toolkit import WORKSPACE, fail, given, set_output

tested = Path(os.environ["LOCAL_GITHUB_PYTHON"])  # the environment that the tests run in
packages = Path("lib", f"python{sys.version_info.major}.{sys.version_info.minor}", "site-packages")
made = WORKSPACE / ".venv"
programs = made / "bin"


def read_packages() -> None:
    (made / packages).mkdir(parents=True, exist_ok=True)
    (made / "pyvenv.cfg").write_text(
        f"home = {Path(sys.executable).parent}\nversion = {platform.python_version()}\n"
        "include-system-site-packages = false\n"
    )
    (made / packages / "tested.pth").write_text(
        f"{WORKSPACE / 'src'}\nimport site; site.addsitedir({str(tested / packages)!r})\n"
    )


def add_program(program: Path) -> None:
    """Link a program; a script is copied, to start the Python of this environment."""
    copy = programs / program.name
    copy.unlink(missing_ok=True)
    script = script_of(program)
    if program.name.startswith("python"):
        copy.symlink_to(sys.executable)
    elif script is None:
        copy.symlink_to(program)
    else:
        # By way of sh: a path may be longer than the first line of a script can be.
        copy.write_text(f"""#!/bin/sh\n'''exec' "{programs}/python" "$0" "$@"\n' '''\n{script}""")
        copy.chmod(0o755)


def script_of(program: Path) -> str | None:
    """Return what a script of the environment runs, without the lines that name its Python."""
    with program.open("rb") as content:
        if content.read(2) != b"#!":
            return None
    first, _, rest = program.read_text().partition("\n")
    if str(tested) in first:
        return rest
    if rest.startswith("'''exec'"):
        return rest.split("\n", 2)[2]
    return None


if given("python-version-file") and not (WORKSPACE / given("python-version-file")).exists():
    fail(f"The specified python version file at: {given('python-version-file')} doesn't exist.")
read_packages()
programs.mkdir(exist_ok=True)
for program in (tested / "bin").iterdir():
    if program.is_file() and program.name != "gh":  # which a runner has
        add_program(program)
(made / "folder").write_text(f"{WORKSPACE}\n")
(made / "setup").touch()
set_output("python-version", platform.python_version())
set_output("python-path", sys.executable)
set_output("cache-hit", "false")
