"""Run tests 400 days from now, in a copy of this project that answers another question.

No test may depend on today's date, or on what somebody has trained in this folder.
"""

import os
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[1]
COPY = ROOT / "build" / "another-day"
MACHINERY = sys.argv[1:] or [
    *("tests/project", "tests/artifact", "tests/report", "tests/registry", "tests/serving"),
    *("tests/predictions", "tests/judgement", "tests/drift", "tests/trial", "tests/store"),
    *("tests/pipeline/test_move_window.py", "tests/template/test_lock.py"),
]
# libfaketime 0.9.10 adds the days also to a sleep of CPython, which ends on the untouched
# monotonic clock; touched, it would stand still for whoever waits for a lock.
SLEEP = """
#include <errno.h>
#include <sys/syscall.h>
#include <time.h>
#include <unistd.h>
int clock_nanosleep(clockid_t clock, int how, const struct timespec *end, struct timespec *rest) {
    return syscall(SYS_clock_nanosleep, clock, how, end, rest) ? errno : 0;
}
"""
QUESTION = {
    "src/model/data.py": (
        '    table["late"] = (table.pop("arr_delay") > LATE_MINUTES).astype("int64")\n',
        '    late = table.pop("arr_delay") > LATE_MINUTES\n'
        '    table["late"] = late.map({True: "late", False: "on time"}).astype("str")\n',
    ),
    "src/model/schema.py": (
        "Column(int, Check.isin([0, 1]))",
        'Column(str, Check.isin(["late", "on time"]))',
    ),
}


def main() -> None:
    if missing := [name for name in ("faketime", "cc") if shutil.which(name) is None]:
        sys.exit(f"There is no {' and no '.join(missing)}: apt-get install faketime gcc")
    another_question()
    library = COPY / "sleep.so"
    subprocess.run(
        ["cc", "-shared", "-fPIC", "-o", library, "-x", "c", "-"],
        input=SLEEP,
        text=True,
        check=True,
    )
    clock = {"FAKETIME_DONT_FAKE_MONOTONIC": "1", "LD_PRELOAD": str(library)}
    # It reads its settings from the environment, again and again unless told how long they hold:
    # one thread that does, while another sets a variable, ends the process.
    clock["FAKETIME_CACHE_DURATION"] = str(10**9)
    pytest = ["faketime", "-f", "+400d", sys.executable, "-m", "pytest", "-q", "-n", "2"]
    pytest += ["--dist", "loadscope", "--no-loadscope-reorder"]
    for folder, tests in ((COPY, MACHINERY), (ROOT, ["tests/data", "tests/model"])):
        subprocess.run([*pytest, *tests], cwd=folder, env=imports_from(folder) | clock, check=True)


def another_question() -> None:
    """Make the copy, and train in it."""
    shutil.rmtree(COPY, ignore_errors=True)
    COPY.mkdir(parents=True)
    files = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, stdout=subprocess.PIPE, check=True)
    pack = ["tar", "-cf", "-", "--null", "-T", "-"]
    packed = subprocess.run(pack, cwd=ROOT, input=files.stdout, stdout=subprocess.PIPE, check=True)
    subprocess.run(["tar", "-xf", "-"], cwd=COPY, input=packed.stdout, check=True)
    for path in (COPY / "tests" / "example").iterdir():  # stays as it is
        if path.is_symlink():
            original = path.resolve()
            path.unlink()
            (shutil.copytree if original.is_dir() else shutil.copyfile)(original, path)
    for name, (here, there) in QUESTION.items():
        text = (COPY / name).read_text()
        assert text.count(here) == 1, name
        (COPY / name).write_text(text.replace(here, there))
    subprocess.run(["git", "init", "--quiet"], cwd=COPY, check=True)
    subprocess.run(["dvc", "repro", "--quiet"], cwd=COPY, env=imports_from(COPY), check=True)


def imports_from(folder: Path) -> dict[str, str]:
    return os.environ | {"PYTHONPATH": str(folder / "src")}


if __name__ == "__main__":
    main()
