"""A generated project is a git repository on branch main, on any git, for any user."""

import shutil
import subprocess
from pathlib import Path

import pytest
from cookiecutter.exceptions import FailedHookException
from cookiecutter.main import cookiecutter
from generation import ROOT, Generate, commit, run, succeed

# Stands for a git older than 2.28, which ends with 129 on options that it does not know.
OLD_GIT = """\
#!/bin/sh
echo "$@" >> "{log}"
case "$*" in
    *--initial-branch*|"init -b"*) echo "error: unknown option" >&2; exit 129 ;;
esac
exec "{git}" -c init.defaultBranch=master "$@"
"""


def head(project: Path) -> str:
    return (project / ".git" / "HEAD").read_text().strip()


def test_without_a_git_identity(
    generate: Generate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    project = generate()
    assert run("git", "config", "user.name", cwd=project).stdout == ""
    assert head(project) == "ref: refs/heads/main"
    assert run("git", "rev-parse", "HEAD", cwd=project).returncode != 0, "no commit is made"


def test_with_an_old_git(
    generate: Generate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    git, log = tmp_path / "bin" / "git", tmp_path / "git.log"
    git.parent.mkdir()
    git.write_text(OLD_GIT.format(git=shutil.which("git"), log=log))
    git.chmod(0o755)
    monkeypatch.setenv("PATH", str(git.parent), prepend=":")
    assert head(generate()) == "ref: refs/heads/main"
    assert "init" in log.read_text()


def test_without_git_it_is_refused(
    generate: Generate,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(FailedHookException):
        generate()
    assert "Not generated: git is not installed" in capfd.readouterr().err


def test_generated_from_inside_a_git_hook(
    generate: Generate, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    other = tmp_path / "other"
    other.mkdir()
    (other / "file").write_text("kept")
    commit(other, "First")
    monkeypatch.setenv("GIT_DIR", str(other / ".git"))
    monkeypatch.setenv("GIT_WORK_TREE", str(other))
    project = generate()
    monkeypatch.undo()
    assert head(project) == "ref: refs/heads/main"
    assert succeed("git", "status", "--porcelain", cwd=other) == ""


def test_inside_another_repository_it_is_refused(
    template: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    other = tmp_path / "other"
    (other / "ignored").mkdir(parents=True)
    (other / "tools").mkdir()
    (other / ".gitignore").write_text("/ignored/\n")
    commit(other, "First")
    with pytest.raises(FailedHookException):
        cookiecutter(str(template), no_input=True, output_dir=str(other / "tools"))
    said = f"{other / 'tools'} is in the git repository {other}. One repository holds one model"
    assert said in capfd.readouterr().err
    assert not any((other / "tools").iterdir())
    generated = cookiecutter(str(template), no_input=True, output_dir=str(other / "ignored"))
    assert head(Path(generated)) == "ref: refs/heads/main"


def test_generated_anew_over_a_project_in_use_keeps_its_work(generate: Generate) -> None:
    project = generate()
    commit(project, "First")
    first = succeed("git", "rev-parse", "HEAD", cwd=project)
    for name in (".store/mlflow.db", "data/raw.parquet", "models/model.onnx"):
        (project / name).parent.mkdir(exist_ok=True)
        (project / name).write_text("work")
    generate(overwrite=True)
    assert succeed("git", "rev-parse", "HEAD", cwd=project) == first
    assert (project / ".store/mlflow.db").read_text() == "work"
    assert (project / "models/model.onnx").read_text() == "work"


def test_a_checkout_without_links_is_refused(
    template: Path, generate: Generate, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    subprocess.run(
        ["git", "-c", "core.symlinks=false", "clone", "--quiet", template, tmp_path / "windows"],
        check=True,
    )
    with pytest.raises(FailedHookException):
        generate(tmp_path / "windows")
    assert "the template was checked out without symbolic links" in capfd.readouterr().err
    assert not any((tmp_path / "out").iterdir())


@pytest.mark.parametrize(("file", "line"), [("params.yaml", "name: "), (".dvc/config", "    url")])
def test_a_setting_that_the_hook_cannot_find_stops_it(
    template: Path,
    generate: Generate,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    file: str,
    line: str,
) -> None:
    copy = tmp_path / "template"
    shutil.copytree(template, copy, symlinks=True)
    changed = (copy / file).read_text().replace(line, f"# {line}")
    (copy / file).write_text(changed)
    with pytest.raises(FailedHookException):
        generate(copy, dvc_remote_url="s3://bucket/path")
    assert f"Not generated: {file} has 0 lines like" in capfd.readouterr().err


def test_the_template_itself_is_quiet_in_git() -> None:
    """git warns at every command about a .gitignore that is a link."""
    assert run("git", "status", cwd=ROOT).stderr == ""
