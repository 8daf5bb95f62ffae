"""What can be said of the Dockerfile and its context without building it."""

import re
import subprocess
from collections.abc import Callable
from fnmatch import fnmatchcase
from pathlib import Path
from shutil import copytree

import pytest
from projects import MAKEFILE, ROOT

DOCKERFILE = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
IGNORED = (ROOT / ".dockerignore").read_text(encoding="utf-8")
INSTALL = "install --require-hashes"
USER = "USER 10001:10001\n"
ENTRYPOINT = 'ENTRYPOINT ["python", "-m", "mlops.serving"]'


def instructions(dockerfile: str) -> list[str]:
    """Return one line for each instruction, without comments."""
    lines = [line for line in dockerfile.splitlines() if not line.lstrip().startswith("#")]
    return [line for line in "\n".join(lines).replace("\\\n", " ").splitlines() if line.strip()]


def is_pinned(dockerfile: str) -> bool:
    named = re.findall(r"^FROM ([^$\s]+)", dockerfile, re.MULTILINE)
    pinned = r"\S+:\d+\.\d+[\w.-]*@sha256:[0-9a-f]{64}"
    return bool(named) and all(re.fullmatch(pinned, name) for name in named)


def runs_as_a_number_that_is_not_root(dockerfile: str) -> bool:
    users = re.findall(r"^USER (.*)$", dockerfile, re.MULTILINE)
    return bool(users) and re.fullmatch(r"[1-9]\d*:[1-9]\d*", users[-1]) is not None


def starts_without_a_shell(dockerfile: str) -> bool:
    starts = [line for line in instructions(dockerfile) if line.startswith(("ENTRYPOINT", "CMD"))]
    return bool(starts) and all(" [" in line for line in starts)


def needs_no_buildkit(dockerfile: str) -> bool:
    only_there = r"^# ?syntax|^(RUN|COPY|ADD) --(mount|network|security|chmod|link|parents)|<<"
    return re.search(only_there, dockerfile, re.MULTILINE) is None


def fetches_only_what_the_lock_names(dockerfile: str) -> bool:
    said = "\n".join(instructions(dockerfile))
    installs = re.findall(r"\binstall\b[^\n]*", said)
    locked = all("--require-hashes" in it and "--only-binary :all:" in it for it in installs)
    return bool(installs) and locked and not re.search(r"\b(ADD|curl|wget)\b", said)


@pytest.mark.parametrize(
    ("rule", "old", "new"),
    [
        (is_pinned, "FROM python:3", "FROM python AS x\nFROM python:3"),
        (is_pinned, "FROM python:3", "FROM python:latest AS x\nFROM python:3"),
        (is_pinned, "-slim-bookworm@", "-slim-bookworm AS base\n# @"),
        (runs_as_a_number_that_is_not_root, USER, ""),
        (runs_as_a_number_that_is_not_root, USER, "USER nobody\n"),
        (runs_as_a_number_that_is_not_root, USER, "USER 0:0\n"),
        (runs_as_a_number_that_is_not_root, USER, f"{USER}USER root\n"),
        (starts_without_a_shell, ENTRYPOINT, "ENTRYPOINT python -m mlops.serving"),
        (starts_without_a_shell, ENTRYPOINT, "CMD python -m mlops.serving"),
        (starts_without_a_shell, ENTRYPOINT, ""),
        (needs_no_buildkit, "COPY src/mlops", "COPY --chmod=755 src"),
        (needs_no_buildkit, "RUN lock", "RUN --mount=type=cache,target=/root/.cache lock"),
        (needs_no_buildkit, "RUN lock", "RUN <<END lock"),
        (fetches_only_what_the_lock_names, INSTALL, "install"),
        (fetches_only_what_the_lock_names, "--only-binary :all:", ""),
        (fetches_only_what_the_lock_names, "RUN lock", "RUN curl x | sh; lock"),
        (fetches_only_what_the_lock_names, "COPY src/mlops", "ADD https://example.com src"),
    ],
)
def test_rule(rule: Callable[[str], bool], old: str, new: str) -> None:
    assert rule(DOCKERFILE)
    assert DOCKERFILE.count(old) == 1, old
    assert not rule(DOCKERFILE.replace(old, new))


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("", "", ""),
        (USER, "USER root\n", "DL3002 "),
        (" AS base", " AS base\nFROM debian", "DL3006 "),
        ("COPY src/mlops", "ADD src/mlops", "DL3020 "),
        ("RUN lock", "RUN cd /tmp; lock", "DL3003 "),
    ],
)
def test_make_lint_looks_at_it(tmp_path: Path, old: str, new: str, sentence: str) -> None:
    listed = subprocess.run(
        ["make", "-f", MAKEFILE, "--dry-run", "lint"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    (lint,) = [line for line in listed.stdout.splitlines() if line.startswith("hadolint")]
    copytree(ROOT / "deploy", tmp_path / "deploy")
    (tmp_path / "deploy" / "Dockerfile").write_text(DOCKERFILE.replace(old, new, 1))
    done = subprocess.run(lint.split(), cwd=tmp_path, capture_output=True, text=True, check=False)
    assert sentence in done.stdout
    assert (done.returncode != 0) == bool(sentence)


def test_the_context_is_what_is_copied() -> None:
    """A new `COPY` must not fail for want of a line here, and none may let through what is not."""
    let_through = [line[1:] for line in IGNORED.splitlines() if line.startswith("!")]
    assert [line for line in IGNORED.splitlines() if line[:1] not in ("", "#", "!")] == [
        *("*", "**/__pycache__", "**/*.pyc")
    ]
    copied = {
        source.replace("[y]", "y")  # that may be missing
        for line in instructions(DOCKERFILE)
        if line.startswith("COPY ") and "--from" not in line
        for source in line.split()[1:-1]
    }
    for source in copied:
        assert any(source == it or fnmatchcase(source, f"{it}/*") for it in let_through), source
    for it in let_through:
        assert any(source == it or fnmatchcase(source, f"{it}/*") for source in copied), it
        assert (ROOT / it).exists() or it.startswith("build/") or it == "src/model/routes.py", it


def test_lightgbm_finds_the_openmp_of_scikit_learn(tmp_path: Path) -> None:
    brought = tmp_path / "venv/lib/python3.11/site-packages/scikit_learn.libs/libgomp-e9.so.1.0.0"
    brought.parent.mkdir(parents=True)
    brought.write_bytes(b"")
    said = "\n".join(instructions(DOCKERFILE))
    (command,) = re.findall(r"&& (find venv/lib -path [^&]*)", said)
    subprocess.run(["sh", "-c", command], cwd=tmp_path, check=True)
    link = tmp_path / "venv/lib/libgomp.so.1"
    assert link.readlink() == Path("/app", brought.relative_to(tmp_path))
    assert re.search(r"^ENV .* LD_LIBRARY_PATH=/app/venv/lib ", said, re.MULTILINE)
