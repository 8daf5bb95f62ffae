"""However it is generated, a project is the same tree, and it is the tree that is tested here."""

import json
import os
from pathlib import Path

import pytest
from generation import Generate, commit, copy_of_the_template, succeed

ANSWERS = {
    "project_name": "Churn of Customers",
    "description": "Predict who leaves.",
    "python_version": "3.12",
    "dvc_remote_url": "s3://bucket/churn",
}
CARRY_ANSWERS = {"README.md", "LICENSE", "params.yaml", "pyproject.toml", ".python-version"}
CARRY_ANSWERS |= {".dvc/config", ".github/CODEOWNERS", ".github/dependabot.yml"}
CARRY_ANSWERS |= {".github/security-model.md"}
CARRY_ANSWERS |= {"deploy/Dockerfile", "deploy/README.md", "deploy/compose.yaml"}
CARRY_ANSWERS |= {"requirements.txt", ".devcontainer/devcontainer.json"}


def tree(project: Path) -> dict[str, tuple[bytes, bool]]:
    """Map each file of a project to its content, and whether it may be executed."""
    return {
        str(path.relative_to(project)): (path.read_bytes(), os.access(path, os.X_OK))
        for path in project.rglob("*")
        if path.is_file() and ".git" not in path.parts and path.name != ".cruft.json"
    }


def test_folder_git_url_and_cruft_give_the_same_tree(
    template: Path, tmp_path: Path, generate: Generate
) -> None:
    home = tmp_path / "home"
    home.mkdir()
    answers = [f"{question}={answer}" for question, answer in ANSWERS.items()]
    options = ["--no-input", "-o", tmp_path / "folder", *answers]
    succeed("cookiecutter", ".", *options, cwd=template, HOME=str(home))
    # Stands for gh:owner/name: cookiecutter clones it.
    options = ["--no-input", "-o", tmp_path / "url", *answers]
    succeed("cookiecutter", f"git+{template.as_uri()}", *options, cwd=home, HOME=str(home))
    extra = ["--extra-context", json.dumps(ANSWERS)]
    options = ["--no-input", "--output-dir", tmp_path / "cruft", *extra]
    succeed("cruft", "create", template.as_uri(), *options, cwd=home, HOME=str(home))

    trees = [tree(tmp_path / way / "churn-of-customers") for way in ("folder", "url", "cruft")]
    assert len(trees[0]) > 20
    assert trees[0] == trees[1]
    assert trees[0] == trees[2]
    assert (tmp_path / "cruft" / "churn-of-customers" / ".cruft.json").exists()


def test_files_without_answers_are_the_living_files_byte_for_byte(
    template: Path, generate: Generate
) -> None:
    generated = tree(generate(**ANSWERS))
    for name in generated.keys() - CARRY_ANSWERS:
        living = template / ("project.mk" if name == "Makefile" else name)
        assert generated[name] == (living.read_bytes(), os.access(living, os.X_OK)), name


def test_the_word_of_the_generator_is_nowhere_in_a_project(generate: Generate) -> None:
    project = generate(**ANSWERS)
    # The lock names what `cruft` needs, and `make answer` reads the questions again.
    speak_of_it = ("requirements.txt", ".github/lib/answer.py")
    for name, (content, _) in tree(project).items():
        assert b"cookiecutter" not in content.lower() or name in speak_of_it, name
        assert "cookiecutter" not in name.lower()
        assert b"{{ '" not in content
        assert not (project / name).is_symlink()


def test_expressions_of_other_languages_survive(tmp_path: Path, generate: Generate) -> None:
    source = copy_of_the_template(tmp_path / "template")
    expression = "# ${{ github.sha }} {% raw %} {{ cookiecutter.project_slug }} {# comment #}\n"
    (source / "src" / "model" / "expression.py").write_text(expression)
    commit(source, "An expression")
    assert (generate(source) / "src/model/expression.py").read_text() == expression


def test_workflows_and_actions_are_the_living_ones_byte_for_byte(
    template: Path, generate: Generate
) -> None:
    """All that lies there, with every `${{ }}`, and only without the tests of the template."""
    project = generate(**ANSWERS)
    living, generated = (tree(folder / ".github") for folder in (template, project))
    assert b"${{ " in generated["workflows/train.yml"][0]
    assert living.keys() - generated.keys() == {"workflows/template.yml", "workflows/batch.yml"}
    differing = {name for name in generated if generated[name] != living[name]}
    assert differing == {"CODEOWNERS", "dependabot.yml", "security-model.md"}


def test_a_used_working_folder_carries_nothing_along(
    template: Path, tmp_path: Path, generate: Generate
) -> None:
    used = copy_of_the_template(tmp_path / "template")
    leftovers = [
        "data/raw.parquet",
        "models/model.onnx",
        "reports/metrics.json",
        ".store/mlflow.db",
        ".dvc/cache/files/md5/00/11",
        ".dvc/config.local",
        ".venv/bin/python",
        "src/model/__pycache__/data.cpython-311.pyc",
        "src/project.egg-info/PKG-INFO",
        "tests/store/__pycache__/conftest.pyc",
        ".github/actions/comment/__pycache__/comment.pyc",
        "build/demo/README.md",
    ]
    for name in leftovers:
        (used / name).parent.mkdir(parents=True, exist_ok=True)
        (used / name).write_text("left over")
    project = generate(used, tmp_path / "used")
    assert tree(project) == tree(generate(template, tmp_path / "fresh"))
    assert not list(project.rglob("__pycache__"))
    assert not list(project.rglob("*.egg-info"))


@pytest.mark.parametrize("name", ["README.md", "Makefile", "src/model/data.py", ".gitignore"])
def test_a_project_holds_what_its_readme_speaks_of(generate: Generate, name: str) -> None:
    assert (generate() / name).is_file()
