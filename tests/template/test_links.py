"""The template folder links every file that a project needs, and only those."""

import json
import re
from fnmatch import fnmatch
from pathlib import Path

from generation import ROOT, tracked

TEMPLATE = "{{cookiecutter.project_slug}}"

# What a generated project does not get. README.md and LICENSE it gets in a version of its own,
# dvc.lock it writes itself.
TEMPLATE_ONLY = [
    TEMPLATE,
    "cookiecutter.json",
    "hooks",
    "template",
    "Makefile",
    "pytest.ini",
    "README.md",
    "CONTRIBUTING.md",
    "LICENSE",
    "dvc.lock",
    ".ci",
    ".github/workflows/template.yml",
]


def links() -> dict[str, Path]:
    """Map each link of the template folder to the file or folder that it is a link to."""
    folder = ROOT / TEMPLATE
    return {
        str(path.relative_to(folder)): (path.parent / path.readlink()).resolve()
        for path in folder.rglob("*")
        if path.is_symlink()
    }


def under(file: str, folders: list[str]) -> bool:
    return any(file == folder or file.startswith(f"{folder}/") for folder in folders)


def test_every_living_file_is_linked_or_listed_as_template_only() -> None:
    linked = [str(target.relative_to(ROOT)) for target in links().values()]
    forgotten = [
        name
        for name in tracked(ROOT)
        if not under(name, TEMPLATE_ONLY + linked) and not name.startswith("tests/")
    ]
    assert not forgotten, (
        f"link these into {TEMPLATE}/ and list them under _copy_without_render in "
        f"cookiecutter.json, or list them as TEMPLATE_ONLY here: {forgotten}"
    )


def test_only_the_tests_of_the_problem_go_into_a_project() -> None:
    tests = {name for name in links() if name.startswith("tests/")}
    assert tests == {"tests/data", "tests/loop", "tests/model"}


def test_every_link_leads_to_the_living_file_of_the_same_name() -> None:
    for name, target in links().items():
        own_name = re.sub(r"\{\{'(.+?)'\}\}", r"\1", name)
        expected = ROOT / ("project.mk" if own_name == "Makefile" else own_name)
        assert target == expected.resolve()
        assert target.exists(), f"{TEMPLATE}/{name} leads nowhere"


def test_nothing_that_is_linked_is_rendered() -> None:
    patterns = json.loads((ROOT / "cookiecutter.json").read_text())["_copy_without_render"]
    for name in links():
        parts = Path(name).parts
        prefixes = ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]
        assert any(fnmatch(prefix, pattern) for prefix in prefixes for pattern in patterns), (
            f"{name} is missing from _copy_without_render in cookiecutter.json"
        )


def test_real_files_of_the_template_folder_are_those_that_carry_answers() -> None:
    real = [
        name.removeprefix(f"{TEMPLATE}/")
        for name in tracked(ROOT)
        if name.startswith(TEMPLATE) and not (ROOT / name).is_symlink()
    ]
    assert real == ["LICENSE", "README.md"]
