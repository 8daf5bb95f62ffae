"""``cruft update`` brings a project's machinery up to date and leaves alone what its user owns."""

from pathlib import Path

from generation import commit, copy_of_the_template, succeed


def append(file: Path, line: str) -> None:
    file.write_text(file.read_text() + line)


def test_an_update_changes_the_machinery_only(tmp_path: Path) -> None:
    template = copy_of_the_template(tmp_path / "template")
    home = tmp_path / "home"
    home.mkdir()
    succeed("cruft", "create", "--no-input", template.as_uri(), cwd=home)
    project = home / "flight-delays"
    yours = ("src/model/features.py", ".github/actions/credentials/action.yml")
    for name in yours:
        (project / name).write_text("# mine\n")
    commit(project, "My own features")

    for name in (
        *yours,
        "src/mlops/project/errors.py",
        "params.yaml",
        "project.mk",
    ):
        append(template / name, "# new in the template\n")
    (template / "src" / "mlops" / "added.py").write_text('"""New."""\n')
    commit(template, "A new version")
    said = succeed("cruft", "update", "--skip-apply-ask", cwd=project)

    assert "Project's cruft has been updated" in said
    changed = succeed("git", "status", "--porcelain", cwd=project).split()[1::2]
    assert sorted(changed) == [
        ".cruft.json",
        "Makefile",
        "src/mlops/added.py",
        "src/mlops/project/errors.py",
    ]
    errors = (project / "src/mlops/project/errors.py").read_text()
    assert errors.endswith("# new in the template\n")
    assert [(project / name).read_text() for name in yours] == ["# mine\n"] * 2
    succeed("cruft", "check", cwd=project)


def test_an_update_merges_with_groups_that_were_added(tmp_path: Path) -> None:
    template = copy_of_the_template(tmp_path / "template")
    home = tmp_path / "home"
    home.mkdir()
    answers = '{"dvc_remote_url": "s3://bucket/path"}'
    create = ("cruft", "create", "--no-input", "--extra-context", answers)
    succeed(*create, template.as_uri(), cwd=home)
    project = home / "flight-delays"
    groups = project / "pyproject.toml"
    added = '    { include-group = "lightgbm" },\n'  # as `make add` does
    groups.write_text(groups.read_text().replace("serve-skops = [\n", f"serve-skops = [\n{added}"))
    commit(project, "With LightGBM")

    changed = template / "pyproject.toml"
    text = changed.read_text().replace('"lightgbm==4.7.0"', '"lightgbm==4.7.1"')
    changed.write_text(text.replace('    "cruft==', '    "black",\n    "cruft=='))
    commit(template, "A new version")
    succeed("cruft", "update", "--skip-apply-ask", cwd=project)

    text = groups.read_text()
    assert f"serve-skops = [\n{added}" in text
    assert 'dev = [\n    { include-group = "s3" },\n' in text
    assert '"lightgbm==4.7.1"' in text
    assert '    "black",\n' in text
    assert not list(project.rglob("*.rej"))
