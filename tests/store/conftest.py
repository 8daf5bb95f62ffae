"""A toy of a project, and one that has an origin to keep its store on."""

import os
from pathlib import Path

import pytest
from clones import git
from toy_fixtures import killed_at, project, template
from toy_project import NAME, ToyProject

__all__ = ["here", "killed_at", "project", "template"]


@pytest.fixture
def here(project: ToyProject, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project with a store, committed and pushed to an origin that has no mlops-store yet."""
    for name in [name for name in os.environ if name.startswith(("GIT_", "GITHUB_REF"))]:
        monkeypatch.delenv(name)
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", str(tmp_path / "gitconfig"))
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    (tmp_path / "gitconfig").write_text("[user]\nname = Ada\nemail = ada@example.org\n")
    for repository in (["--bare", str(tmp_path / "origin.git")], ["."]):
        git("-c", "init.defaultBranch=main", "init", "--quiet", *repository)
    git("remote", "add", "origin", str(tmp_path / "origin.git"))
    Path(".gitignore").write_text("/.store/\n/.store.*/\n/empty.db\n/models/\n/reports/\n")
    Path("params.yaml").write_text(f"name: {NAME}\n")
    git("add", "--all")
    git("commit", "--quiet", "--message", "A project")
    git("push", "--quiet", "origin", "HEAD:main")
    return Path.cwd()
