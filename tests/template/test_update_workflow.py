"""update.yml proposes what is new in the template, shows every conflict, and touches nothing yours.

The templates here are copies of this one; cruft is the real one except where it has to fail, and uv
locks what there really is.
"""

import json
import os
import re
import shutil
import subprocess
import sys
import time
import tomllib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from generation import HOME, PATH, ROOT, commit, copy_of_the_template, succeed

sys.path.append(str(ROOT / "tests" / "workflows" / "github"))
sys.path.append(str(ROOT / ".github" / "actions" / "update"))
import github_git
import locks
import recorded
import update
from description import LONGEST, Conflict, Update, describe
from local_github import LocalGitHub

import mlops

SCRIPT = ROOT / ".github" / "actions" / "update" / "update.py"
YOURS = ["src/model/features.py", "params.yaml", "data/README.md", "README.md", "tests/model/x.py"]
TEMPLATE = "octo/template"
BRANCH = "template-update"
# A tool that needs nothing, by which to raise a version.
CURRENT = "zizmor==1.32.*"
OLDER, NEWER, NEWEST = "zizmor==1.29.*", "zizmor==1.30.*", "zizmor==1.31.*"


@dataclass
class Done:
    code: int
    said: str
    summary: str
    output: str


class Linked:
    """A template, and a project made from it."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.template = folder / "template"
        self.project = folder / "flight-delays"

    def copy(self, folder: Path) -> "Linked":
        shutil.copytree(self.folder, folder, symlinks=True)
        copied = Linked(folder)
        edit(copied.project / ".cruft.json", str(self.template), str(copied.template))
        commit(copied.project, "The template has moved")
        return copied

    def update(self, **environment: str) -> Done:
        """Run the program of the action in the project, as on a runner."""
        summary, output = self.folder / "summary.md", self.folder / "output"
        for file in (summary, output):
            file.write_text("")
        environment = {
            "PATH": f"{self.folder}:{PATH}",
            "HOME": str(self.folder),
            "GITHUB_STEP_SUMMARY": str(summary),
            "GITHUB_OUTPUT": str(output),
            **environment,
        }
        done = subprocess.run(
            [sys.executable, "-B", SCRIPT, "build/update"],
            cwd=self.project,
            env={**os.environ, **environment},
            capture_output=True,
            text=True,
            check=False,
        )
        assert "Traceback" not in done.stderr, done.stderr
        return Done(done.returncode, done.stdout, summary.read_text(), output.read_text())

    @property
    def body(self) -> str:
        return (self.project / "build" / "update" / "body.md").read_text()

    def apply(self) -> list[str]:
        """Apply the patch; returns what it changes."""
        succeed("git", "stash", "--quiet", "--include-untracked", cwd=self.project)
        succeed("git", "apply", "--index", "build/update/changes.patch", cwd=self.project)
        return succeed("git", "diff", "--cached", "--name-only", cwd=self.project).split()


def edit(file: Path, old: str, new: str) -> None:
    text = file.read_text()
    assert old in text
    file.write_text(text.replace(old, new))


def append(folder: Path, *names: str) -> None:
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        with (folder / name).open("a") as file:
            file.write("# appended\n")


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Linked:
    """A project as it came from the template. Not to be written to."""
    linked = Linked(tmp_path_factory.mktemp("linked"))
    copy_of_the_template(linked.template)
    succeed("cruft", "create", "--no-input", linked.template.as_uri(), cwd=linked.folder)
    commit(linked.project, "First")
    return linked


@pytest.fixture
def linked(start: Linked, tmp_path: Path) -> Linked:
    return start.copy(tmp_path / "linked")


def both_change_the_same_line(template: Path, project: Path) -> None:
    line = '"""The one exception that is the user\'s to fix."""'
    edit(project / "src/mlops/project/errors.py", line, '"""Mine."""')
    append(project, *YOURS)
    commit(project, "My own")
    edit(template / "src/mlops/project/errors.py", line, '"""The template\'s."""')
    append(template, *YOURS[:3], "{{cookiecutter.project_slug}}/README.md")
    append(template, "src/mlops/project/git.py", "src/mlops/added.py")
    (template / "src/mlops/project/words.py").unlink()
    commit(template, "A new version")


def publish(folder: Path, bare: Path) -> str:
    """Push as somebody whom nothing is refused; returns the commit."""
    succeed("git", "push", "--quiet", "--force", bare, "HEAD:refs/heads/main", cwd=folder)
    return github_git.git(bare, "rev-parse", "main")


def test_the_workflow_opens_a_draft_that_shows_the_conflict(tmp_path: Path, start: Linked) -> None:
    template, project = tmp_path / "template", tmp_path / "project"
    for source, target in ((start.template, template), (start.project, project)):
        shutil.copytree(source, target, symlinks=True)
    address = f"https://github.com/{TEMPLATE}"
    edit(project / ".cruft.json", str(start.template), address)
    with LocalGitHub(tmp_path / "github") as here:
        known = here.github.state["repositories"]
        bare = here.github.add_repository(TEMPLATE, private=False)
        old = publish(template, bare)
        both_change_the_same_line(template, project)
        new = publish(template, bare)
        publish(project, here.github.path(here.repository))
        mine = here.files("main")
        known[here.repository]["actions_may_open_pull_requests"] = True

        run = here.schedule("update.yml")
        assert {job.name: job.conclusion for job in run.jobs.values()} == {
            "update": "success",
            "propose": "success",
        }, run.log
        (pull,) = known[here.repository]["pulls"].values()
        assert pull["draft"] is True
        assert pull["title"] == f"Update from the template ({new[:7]})"
        assert f"[`{old[:7]}` to `{new[:7]}`]({address}/compare/{old}...{new})" in pull["body"]
        assert "### 1 conflict to resolve by hand" in pull["body"]
        assert '++<<<<<<< ours\n +"""Mine."""\n++=======\n+ """The template\'s."""' in pull["body"]
        notice, _, text = pull["body"].partition("\n\n")
        assert notice.startswith("> [!IMPORTANT]\n> **Its checks wait for you.**")
        assert text in run.summary
        theirs = here.files(BRANCH)
        changed = {name for name in mine | theirs if mine.get(name) != theirs.get(name)}
        assert changed == {
            ".cruft.json",
            "src/mlops/added.py",
            "src/mlops/project/errors.py",
            "src/mlops/project/git.py",
            "src/mlops/project/words.py",
        }
        for name in changed:
            assert f"- `{name}`" in pull["body"]
        assert "- `src/mlops/project/words.py` (gone)" in pull["body"]
        assert b"<<<<<<< ours" in theirs["src/mlops/project/errors.py"]
        assert json.loads(theirs[".cruft.json"])["commit"] == new
        assert here.github.refused == []
        recorded.check(here.github.requests)


def test_what_git_cannot_merge_is_shown_and_not_committed(linked: Linked) -> None:
    # Because of the file that is gone, cruft lets git merge none of the others.
    line = '"""The one exception that is the user\'s to fix."""'
    edit(linked.project / "src/mlops/project/errors.py", line, "# ``` mine")
    append(linked.project, "src/mlops/project/words.py", "src/mlops/added.py", "notes.txt")
    commit(linked.project, "My own")
    edit(linked.template / "src/mlops/project/errors.py", line, "# ```` the template's")
    append(linked.template, "src/mlops/project/git.py", "src/mlops/added.py")
    (linked.template / "src/mlops/project/words.py").unlink()
    commit(linked.template, "A new version")
    append(linked.project, "notes.txt", "unfinished.py")

    done = linked.update()
    assert done.code == 0
    assert done.output.startswith("title=Update from the template (")
    assert "### 3 conflicts to resolve by hand" in linked.body
    rejected = linked.body.split("**`src/mlops/project/errors.py`**: not in the branch")[1]
    assert (
        "`````diff\ndiff a/src/mlops/project/errors.py b/src/mlops/project/errors.py\t(rejected"
        in rejected
    )
    assert f"\n-{line}\n+# ```` the template's\n" in rejected
    assert "error: src/mlops/added.py: already exists in working directory" in linked.body
    assert "**`src/mlops/project/words.py`**: not in the branch" in linked.body
    assert "error: src/mlops/project/words.py: patch does not apply" in linked.body
    # It all happened in a copy.
    status = succeed("git", "status", "--porcelain", cwd=linked.project)
    assert status == " M notes.txt\n?? unfinished.py\n"
    assert "linked" not in succeed("git", "worktree", "list", cwd=linked.project).split("\n", 1)[1]
    assert linked.apply() == [".cruft.json", "src/mlops/project/git.py"]


def test_tests_that_moved_away_go_and_what_is_beside_them_stays(linked: Linked) -> None:
    tests = linked.project / "tests/moved"
    template = linked.template / "{{cookiecutter.project_slug}}/tests/moved"
    append(template, "test_theirs.py", "test_changed.py")
    commit(linked.template, "Tests of the machinery")
    assert linked.update().code == 0
    assert "tests/moved/test_theirs.py" in linked.apply()
    append(tests, "test_mine.py")
    commit(linked.project, "Updated, with a test of my own")

    shutil.rmtree(template)
    commit(linked.template, "They moved away")
    assert linked.update().code == 0
    assert "to resolve by hand" not in linked.body
    assert "- `tests/moved/test_theirs.py` (gone)" in linked.body
    moved = ["tests/moved/test_changed.py", "tests/moved/test_theirs.py"]
    assert linked.apply() == [".cruft.json", *moved]
    assert [path.name for path in tests.iterdir()] == ["test_mine.py"]
    succeed("git", "reset", "--quiet", "--hard", cwd=linked.project)

    # One that its owner changed is not deleted over that, and is named.
    append(tests, "test_changed.py")
    commit(linked.project, "My change of theirs")
    assert linked.update().code == 0
    assert "### 1 conflict to resolve by hand" in linked.body
    assert "**`tests/moved/test_changed.py`**: not in the branch" in linked.body
    assert linked.apply() == [".cruft.json", "tests/moved/test_theirs.py"]
    assert (tests / "test_changed.py").read_text() == "# appended\n# appended\n"


def test_with_nothing_to_propose_it_says_why(linked: Linked) -> None:
    done = linked.update()
    assert done.summary.startswith("Up to date with the template, as of its commit ")

    append(linked.template, "README.md", "tests/template/conftest.py")
    commit(linked.template, "About the template")
    said = "The template has changed, but nothing that this project has of it."
    done = linked.update()
    assert done.said == f"::notice title=Update::{said}\n"
    assert done.summary == f"{said}\n"

    (linked.project / ".cruft.json").unlink()
    done = linked.update()
    assert "Not linked to a template (`cruft link URL` does that): no update." in done.summary
    assert (done.code, done.output) == (0, "")
    assert not (linked.project / "build").exists()


def test_a_template_that_cannot_be_fetched_is_an_error(linked: Linked) -> None:
    gone = "https://secret:words@127.0.0.1:9/template"
    edit(linked.project / ".cruft.json", str(linked.template), gone)
    commit(linked.project, "Another template")
    done = linked.update()
    assert done.code == 1
    assert done.said.startswith("::error title=Update::`cruft update` ended with 1 (a private temp")
    assert "https://127.0.0.1:9/template" in done.said
    assert "secret:words" not in done.said + done.summary
    assert done.said.count("\n") == 1
    assert not (linked.project / "build").exists()


@pytest.mark.parametrize(
    ("path", "skip"),
    [
        ("params.yaml", ""),
        ("src/model/deep/new.py", ""),
        ("data/raw.csv.rej", ""),
        ("notebooks/a.ipynb", "notebooks/*.ipynb"),
    ],
)
def test_an_update_that_touches_what_is_yours_is_refused(
    linked: Linked, path: str, skip: str
) -> None:
    cruft = linked.folder / "cruft"
    cruft.write_text(
        f'#!/bin/sh\nsed -i \'s/"commit": "/&0/\' .cruft.json\n'
        f"mkdir -p $(dirname {path})\necho changed >> {path}\n"
    )
    cruft.chmod(0o755)
    if skip:
        edit(linked.project / "pyproject.toml", "skip = [\n", f'skip = [\n    "{skip}",\n')
        commit(linked.project, "Mine, too")
    done = linked.update()
    assert done.code == 1
    touched = path.removesuffix(".rej")
    said = f"`cruft update` touched {touched}, which is yours, as `[tool.cruft] skip` in pyproject"
    assert f"::error title=Update::{said}" in done.said
    assert done.output == ""
    assert not (linked.project / "build").exists()


def test_what_is_yours_is_on_the_list() -> None:
    settings: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text())
    promised = {"src/model", "data", "params.yaml", "README.md", "tests/data", "tests/model"}
    assert promised <= set(settings["tool"]["cruft"]["skip"])


def test_the_text_fits_and_no_conflict_falls_out() -> None:
    conflicts = [
        Conflict("pyproject.toml", "marked", "+long\n" * 50_000),
        Conflict("a`b.py", "left out", "+short"),
        Conflict("other.py", "left out", "+```\n" * 50_000),
    ]
    changes = {f"tests/{number:04}.py": "M" for number in range(1_000)}
    body = describe(Update("/some/@where", "0" * 40, "1" * 40, changes, conflicts))
    assert LONGEST - 100 < len(body) <= LONGEST
    assert body.count("... cut here; on a laptop, `cruft update` shows all of it") == 2
    assert "**`a'b.py`**: not in the branch: this is what could not be applied" in body
    assert "```diff\n+short\n```\n" in body
    assert "````diff\n+```\n" in body
    assert "- and 800 more" in body
    assert "When `pyproject.toml` is resolved, make the locks, `requirements*.txt`, anew" in body
    assert "The template, `/some/@where`, went from `0000000` to `1111111`." in body


class Pinned:
    """What uv locks for one requirement alone: a pin, with its hashes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def __call__(self, requirement: str) -> str:
        (self.folder / "one.in").write_text(f"{requirement}\n")
        lock = ("pip", "compile", "--universal", "--python-version", "3.11", "--generate-hashes")
        said = succeed("uv", *lock, "-q", "--no-deps", "one.in", cwd=self.folder, HOME=HOME)
        (pin,) = locks.PIN.finditer(said)
        return pin[0]


def set_version(folder: Path, old: str, new: str, pinned: Pinned) -> None:
    """Raise or lower a version as Dependabot does: where it is written, and in the lock."""
    if old in (folder / "pyproject.toml").read_text():
        edit(folder / "pyproject.toml", f'"{old}"', f'"{new}"')
    (name,) = {one.partition("==")[0] for one in (old, new)}
    lock = (folder / "requirements.txt").read_text()
    (now,) = (pin[0] for pin in locks.PIN.finditer(lock) if pin["name"] == name)
    edit(folder / "requirements.txt", now, pinned(new))


@pytest.fixture(scope="module")
def pinned(tmp_path_factory: pytest.TempPathFactory) -> Pinned:
    return Pinned(tmp_path_factory.mktemp("pinned"))


@pytest.fixture(scope="module")
def behind_start(tmp_path_factory: pytest.TempPathFactory, pinned: Pinned) -> Linked:
    """A project from a template whose versions are old. Not to be written to."""
    linked = Linked(tmp_path_factory.mktemp("behind"))
    copy_of_the_template(linked.template)
    set_version(linked.template, CURRENT, OLDER, pinned)
    set_version(linked.template, "certifi==", "certifi==2025.11.12", pinned)
    commit(linked.template, "Old versions")
    succeed("cruft", "create", "--no-input", linked.template.as_uri(), cwd=linked.folder)
    commit(linked.project, "First")
    return linked


@pytest.fixture
def behind(behind_start: Linked, tmp_path: Path) -> Linked:
    return behind_start.copy(tmp_path / "linked")


@pytest.mark.parametrize(
    ("old", "template", "project", "newer"),
    [
        (OLDER, NEWEST, NEWER, NEWEST),
        (OLDER, NEWER, NEWEST, NEWEST),
        ("certifi==2025.11.12", "certifi==2026.1.4", "certifi==2025.11.12", "certifi==2026.1.4"),
        ("certifi==2025.11.12", "certifi==2026.1.4", "certifi==2026.2.25", "certifi==2026.2.25"),
    ],
)
def test_two_raises_of_one_library_are_the_newer_one(
    behind: Linked, pinned: Pinned, old: str, template: str, project: str, newer: str
) -> None:
    set_version(behind.template, old, template, pinned)
    append(behind.template, "src/mlops/project/words.py")
    commit(behind.template, "The template raises it")
    set_version(behind.project, old, project, pinned)
    append(behind.project, "notes.txt")
    commit(behind.project, "Dependabot raises it")

    done = behind.update(HOME=HOME, VIRTUAL_ENV=str(behind.project / "gone"), MAKEFLAGS="n")
    assert done.code == 0, done.said
    assert "to resolve by hand" not in behind.body
    assert "make lock" not in behind.body
    raised = {"pyproject.toml", "requirements.txt"}
    changed = set(behind.apply())
    assert changed - raised == {".cruft.json", "src/mlops/project/words.py"}
    assert bool(changed & raised) == (project != newer)
    if "zizmor" in newer:
        assert f'    "{newer}",\n' in (behind.project / "pyproject.toml").read_text()
    for name in raised:
        assert "<<<<<<<" not in (behind.project / name).read_text()
    locked = (behind.project / "requirements.txt").read_text()
    assert pinned(newer) in locked
    assert_locked(behind.project)


def assert_locked(project: Path) -> None:
    """Lock anew, which must change nothing."""
    (project / ".venv/bin").mkdir(parents=True)
    (project / ".venv/bin/uv").symlink_to(Path(sys.executable).with_name("uv"))
    (project / ".venv/folder").write_text(f"{project}\n")
    before = {path.name: path.read_text() for path in project.glob("requirements*.txt")}
    succeed("make", "lock", cwd=project, HOME=HOME)
    assert {path.name: path.read_text() for path in project.glob("requirements*.txt")} == before


def test_a_lock_is_made_anew_also_where_git_merges_nothing(behind: Linked, pinned: Pinned) -> None:
    append(behind.project, "src/mlops/project/words.py")
    set_version(behind.project, "certifi==2025.11.12", "certifi==2026.2.25", pinned)
    commit(behind.project, "Dependabot raises it")
    (behind.template / "src/mlops/project/words.py").unlink()
    set_version(behind.template, OLDER, NEWEST, pinned)
    set_version(behind.template, "certifi==2025.11.12", "certifi==2026.1.4", pinned)
    commit(behind.template, "A new version")

    assert behind.update(HOME=HOME).code == 0
    assert "### 1 conflict to resolve by hand" in behind.body
    assert "**`src/mlops/project/words.py`**: not in the branch" in behind.body
    assert behind.apply() == [".cruft.json", "pyproject.toml", "requirements.txt"]
    locked = (behind.project / "requirements.txt").read_text()
    assert pinned(NEWEST) in locked
    assert pinned("certifi==2026.2.25") in locked
    assert_locked(behind.project)


def test_a_lock_that_cannot_be_made_is_said(behind: Linked, pinned: Pinned) -> None:
    set_version(behind.template, "certifi==2025.11.12", "certifi==2026.1.4", pinned)
    edit(behind.template / "pyproject.toml", '"pytest==9.2.*"', '"pytest==99.*"')
    commit(behind.template, "A new version")
    set_version(behind.project, "certifi==2025.11.12", "certifi==2026.2.25", pinned)
    commit(behind.project, "Dependabot raises it")
    mine = (behind.project / "requirements.txt").read_text()

    assert behind.update(HOME=HOME).code == 0
    (said,) = [line for line in behind.body.split("\n\n") if "with `make lock`" in line]
    assert "have to be made anew with `make lock` on this branch, as that failed" in said
    assert "No solution found when resolving dependencies" in said
    assert "to resolve by hand" not in behind.body
    assert behind.apply() == [".cruft.json", "pyproject.toml"]
    assert (behind.project / "requirements.txt").read_text() == mine


def test_where_settings_conflict_the_locks_stay_the_projects(
    behind: Linked, pinned: Pinned
) -> None:
    set_version(behind.template, OLDER, NEWEST, pinned)
    edit(behind.template / "pyproject.toml", "line-length = 100", "line-length = 90")
    commit(behind.template, "A new version")
    set_version(behind.project, OLDER, NEWER, pinned)
    edit(behind.project / "pyproject.toml", "line-length = 100", "line-length = 80")
    commit(behind.project, "Dependabot raises it")

    assert behind.update(HOME=HOME).code == 0
    assert "### 1 conflict to resolve by hand" in behind.body
    assert "**`pyproject.toml`**: both versions are in the branch" in behind.body
    assert (
        "When `pyproject.toml` is resolved, make the locks, `requirements*.txt`, anew"
        in behind.body
    )
    assert behind.apply() == [".cruft.json", "pyproject.toml"]
    settings = (behind.project / "pyproject.toml").read_text()
    assert settings.count("<<<<<<<") == 1
    assert f'    "{NEWEST}",\n' in settings


def test_a_lock_that_takes_too_long_is_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(update, "LONGEST_LOCK", 1)
    (tmp_path / "requirements.txt").write_text("a==1\n")
    recipe = "echo half >> requirements.txt; touch requirements-new.txt; sleep 300 & wait"
    (tmp_path / "Makefile").write_text(f"lock:\n\t@{recipe}\n")
    started = time.monotonic()
    assert update.lock(tmp_path) == "it did not end within 1 seconds"
    assert time.monotonic() - started < 30
    assert [path.name for path in tmp_path.glob("requirements*.txt")] == ["requirements.txt"]
    assert (tmp_path / "requirements.txt").read_text() == "a==1\n"


def conflict(ours: str, theirs: str) -> str:
    return f"a\n<<<<<<< ours\n{ours}=======\n{theirs}>>>>>>> theirs\nb\n"


@pytest.mark.parametrize(
    ("ours", "theirs", "newer"),
    [
        ('"a==1.9", # why\n', '"a==1.10", # why\n', "theirs"),
        ('"a==1.10.*"\n', '"a==1.9.*"\n', "ours"),
        (
            "\"a[x]<3.1; python_version < '3.12'\"\n",
            "\"a[x]<3.2; python_version < '3.12'\"\n",
            "theirs",
        ),
        ('x = ["a>=1,<2", "b==1"]\n', 'x = ["a>=1.1,<3", "b==1"]\n', "theirs"),
        ('"a>=1,<3"\n', '"a>=2,<2.5"\n', ""),
        ('"a==1"\n', '"b==2"\n', ""),
        ('"a==1"\n', '"a>=2"\n', ""),
        ('"a==1", # mine\n', '"a==2", # theirs\n', ""),
        ('"a==1"\n', "", ""),
        ('"a==1"\n', '"a==2"\n"b"\n', ""),
        ('requires-python = ">=3.11"\n', 'requires-python = ">=3.12"\n', ""),
        ('version = "0.1.0"\n', 'version = "0.2.0"\n', ""),
    ],
)
def test_only_versions_are_chosen_between(ours: str, theirs: str, newer: str) -> None:
    both = conflict(ours, theirs)
    kept = {"ours": ours, "theirs": theirs}.get(newer)
    assert locks.resolved(both) == (f"a\n{kept}b\n" if kept else both)
    kept = both if kept is None else f"a\n{kept}b\n"
    assert locks.resolved(both * 2) == kept * 2


def test_each_lines_newer_version_is_taken() -> None:
    both = conflict('"a==1"\n"b==2"\n', '"a==2"\n"b==1"\n')
    assert locks.resolved(both) == 'a\n"a==2"\n"b==2"\nb\n'


def pin(name: str, version: str, marker: str = "") -> str:
    return f"{name}=={version}{marker} \\\n    --hash=sha256:{version}1 \\\n    --hash=sha256:2\n"


def test_a_lock_takes_pins_that_the_template_raised_and_no_others() -> None:
    old, new = " ; python_version < '3.12'", " ; python_version >= '3.12'"
    via = "    # via mine\n"
    before = pin("a", "1") + pin("b", "1") + pin("c", "3") + pin("d", "1", old) + pin("d", "2", new)
    ours = (
        f"# header\n{pin('a', '1')}{via}{pin('b', '3')}{via}{pin('c', '2')}{via}"
        f"{pin('d', '1', old)}{via}{pin('d', '2', new)}{via}{pin('e', '1')}{via}"
    )
    theirs = (
        pin("a", "2") + pin("b", "2") + pin("c", "3") + pin("d", "1", old) + pin("d", "3", new)
    ) + pin("f", "1")
    assert locks.merged(ours, theirs, before) == (
        f"# header\n{pin('a', '2')}{via}{pin('b', '3')}{via}{pin('c', '2')}{via}"
        f"{pin('d', '1', old)}{via}{pin('d', '3', new)}{via}{pin('e', '1')}{via}"
    )


def test_what_is_new_is_quoted_before_the_conflicts(linked: Linked) -> None:
    both_change_the_same_line(linked.template, linked.project)
    must = "**What you must do**\n\nNothing.\n\n"
    entry = f"## 9.9.9 (2027-01-01)\n\nNew: ```` and <b> @everybody.\n\n{must}"
    edit(linked.template / "docs/CHANGELOG.md", "## 1.0.0 (", f"{entry}## 1.0.0 (")
    commit(linked.template, "Release 9.9.9")
    assert linked.update().code == 0
    heading, conflicts = "### What is new, and what you must do\n\n", "### 1 conflict to resolve"
    news, _, after = linked.body.partition(heading)[2].partition(conflicts)
    assert after
    assert news == f"`````markdown\n{entry.rstrip()}\n`````\n\n"


def test_what_is_new_is_cut_to_a_length() -> None:
    changes = {"docs/CHANGELOG.md": "M"}
    update = Update("/x", "0" * 40, "1" * 40, changes, [], news="long line\n" * 10_000)
    body = describe(update)
    assert len(body) < 7_000
    assert "\n... cut here; docs/CHANGELOG.md has all of it\n```\n" in body


def test_the_newest_entry_is_this_version() -> None:
    text = (ROOT / "docs/CHANGELOG.md").read_text()
    versions = re.findall(r"^## (\d+\.\d+\.\d+) \(\d{4}-\d\d-\d\d\)$", text, re.MULTILINE)
    assert versions[0] == mlops.__version__
    assert versions == sorted(versions, key=lambda it: [*map(int, it.split("."))], reverse=True)
    assert text.count("\n**What you must do**\n") == len(versions) == text.count("\n## ")
