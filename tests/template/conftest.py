"""A snapshot of the working folder as a git repository, and projects generated from it."""

from pathlib import Path
from typing import Any

import pytest
from cookiecutter.main import cookiecutter
from generation import Generate, copy_of_the_template


@pytest.fixture(scope="session")
def template(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The template as a fresh clone would have it. Not to be written to."""
    return copy_of_the_template(tmp_path_factory.mktemp("template") / "template")


@pytest.fixture
def generate(template: Path, tmp_path: Path) -> Generate:
    """Generate a project with the answers given and the default for all others."""

    def generate(source: Path = template, folder: Path = tmp_path / "out", **answers: Any) -> Path:
        settings = {
            "cookiecutters_dir": str(tmp_path / "cookiecutters"),
            "replay_dir": str(tmp_path / "replay"),
        }
        overwrite = answers.pop("overwrite", False)
        return Path(
            cookiecutter(
                str(source),
                no_input=True,
                extra_context=answers,
                output_dir=str(folder),
                default_config=settings,
                overwrite_if_exists=overwrite,
            )
        )

    return generate
