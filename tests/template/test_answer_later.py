"""``make answer`` changes an answer to the template's questions later, and else nothing.

The template is a copy of this one; make, git, cruft and uv are the real ones.
"""

import json
import re
import shutil
import sys
from pathlib import Path
from subprocess import CompletedProcess

import pytest
import yaml
from generation import HOME, commit, copy_of_the_template, run, succeed
from test_trees import tree


class Made:
    """A template, and the project that was made from it."""

    def __init__(self, folder: Path) -> None:
        self.template = folder / "template"
        self.project = folder / "flight-delays"

    def fresh(self, folder: Path, **answers: str) -> Path:
        """Make another project of the same template."""
        folder.mkdir()
        extra = ("--extra-context", json.dumps(answers))
        succeed("cruft", "create", self.template.as_uri(), "--no-input", *extra, cwd=folder)
        return folder / "flight-delays"

    def answer(self, *answers: str, **environment: str) -> CompletedProcess[str]:
        (self.project / ".venv/setup").touch()  # nothing is to be installed
        return run("make", "answer", *answers, cwd=self.project, **({"HOME": HOME} | environment))

    def change(self, *answers: str) -> str:
        done = self.answer(*answers)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def refused(self, *answers: str, **environment: str) -> str:
        """Return the sentence with which an answer is refused, after a look at what it changed."""
        before = self.state()
        done = self.answer(*answers, **environment)
        said = done.stderr.splitlines()
        assert done.returncode != 0, done.stdout
        assert said[0].startswith("make answer: "), done.stderr
        assert len([line for line in said if not line.startswith("make: ")]) == 1, done.stderr
        assert self.state() == before
        return said[0]

    def state(self) -> tuple[str, dict[str, tuple[bytes, bool]]]:
        if not (self.project / ".git").exists():
            return "", without_environment(self.project)
        status = succeed("git", "status", "--porcelain", cwd=self.project)
        return status, without_environment(self.project)

    def rewrite(self, name: str, old: str, new: str) -> None:
        text = (self.project / name).read_text()
        assert text.count(old) == 1
        (self.project / name).write_text(text.replace(old, new))

    @property
    def link(self) -> dict[str, object]:
        return dict(json.loads((self.project / ".cruft.json").read_text()))


@pytest.fixture(scope="module")
def start(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project as it came from the template. Not to be written to."""
    folder = tmp_path_factory.mktemp("answers")
    copy_of_the_template(folder / "template")
    made = Made(folder)
    made.fresh(folder / "first").rename(made.project)
    commit(made.project, "First")
    (made.project / ".venv/bin").mkdir(parents=True)
    (made.project / ".venv/bin/uv").symlink_to(Path(sys.executable).with_name("uv"))
    return folder


@pytest.fixture
def made(start: Path, tmp_path: Path) -> Made:
    made = Made(tmp_path)
    made.template.symlink_to(start / "template")  # the project is linked to that one
    shutil.copytree(start / "flight-delays", made.project, symlinks=True)
    (made.project / ".venv/folder").write_text(f"{made.project}\n")
    return made


@pytest.mark.parametrize(
    ("question", "chosen", "changes"),
    [
        ("batch_schedule", ("daily", "hourly"), r".github/(security-model.md|workflows/batch.yml)"),
        (
            "endpoint",
            ("lambda", "kserve"),
            r"deploy/(README|endpoint/).+|.github/dependabot.yml",
        ),
    ],
)
def test_what_is_chosen_and_no_longer_leaves_nothing(
    made: Made, question: str, chosen: tuple[str, ...], changes: str
) -> None:
    before = made.state()[1]
    for answer in (*chosen, "none"):
        said = made.change(f"{question}={answer}")
        changed = said.partition("changed:\n")[2].partition("Next: ")[0].split()
        assert changed[0] == ".cruft.json"
        assert [name for name in changed[1:] if not re.fullmatch(changes, name)] == []
        commit(made.project, answer)
    after = made.state()[1]
    assert {name for name in before | after if before.get(name) != after.get(name)} <= {
        ".cruft.json"
    }


def test_a_target_is_changed_to_and_fro(made: Made, tmp_path: Path) -> None:
    answers = {"author": "Ada L", "github_owner": "ada"}
    said = made.change("deploy_target=kubernetes", "author=Ada L", "github_owner=ada")
    changed = said.partition("changed:\n")[2].partition("Next: ")[0].split()
    assert {".cruft.json", "params.yaml", "README.md", "pyproject.toml"} < set(changed)
    assert "deploy/kubernetes/base/service.yaml" in changed
    assert said.endswith("look at `git status` and `git diff`, `make setup`, commit\n")
    status = succeed("git", "status", "--porcelain", "-uall", cwd=made.project)
    assert sorted(line[3:] for line in status.splitlines()) == changed
    for number, target in enumerate(("kubernetes", "compose", "image")):
        if number:
            assert "`make setup`" not in made.change(f"deploy_target={target}")
        other = made.fresh(tmp_path / target, deploy_target=target, **answers)
        assert tree(other) == without_environment(made.project)
        assert made.link == json.loads((other / ".cruft.json").read_text()) | {
            "template": made.link["template"],
            "context": made.link["context"],
        }
        assert made.link["context"]["cookiecutter"]["deploy_target"] == target  # type: ignore[index]
        commit(made.project, target)
    succeed("cruft", "check", cwd=made.project)


def without_environment(project: Path) -> dict[str, tuple[bytes, bool]]:
    return {name: it for name, it in tree(project).items() if not name.startswith(".venv/")}


@pytest.mark.parametrize(
    ("answers", "then"),
    [
        ({"drift_schedule": "hourly", "license": "Proprietary"}, "git diff`, commit"),
        ({"python_version": "3.12"}, "git diff`, `make clean setup`, commit"),
        ({"mlflow_tracking_uri": "https://mlflow.example.com/$a"}, "git diff`, commit"),
        ({"description": '{{ 7*7 }} costs $5, isn\'t "it"?'}, "git diff`, `make setup`, commit"),
        ({"dvc_remote_url": "s3://bucket/path"}, "git diff`, `make setup`, commit"),
    ],
)
def test_it_becomes_the_project_that_it_would_have_been(
    made: Made, tmp_path: Path, answers: dict[str, str], then: str
) -> None:
    said = made.change(*(f"{name}={value}" for name, value in answers.items()))
    assert said.endswith(f"look at `git status` and `{then}\n")
    quoted = {
        name: f"{{{{ {json.dumps(value)} }}}}" if "{" in value else value
        for name, value in answers.items()
    }
    other = tree(made.fresh(tmp_path / "fresh", **quoted))
    mine = without_environment(made.project)
    if "dvc_remote_url" in answers:  # locked today, and not on the day of the template
        assert "\n  requirements.txt\n" in said
        assert re.search(rb"^dvc-s3==", mine.pop("requirements.txt")[0], re.MULTILINE)
        other.pop("requirements.txt")
        succeed("make", "lock", cwd=made.project, HOME=HOME)
        assert without_environment(made.project).items() >= mine.items()
    assert mine == other
    context = made.link["context"]["cookiecutter"]  # type: ignore[index]
    assert context | answers == context


def test_of_what_is_yours_single_values_change(made: Made) -> None:
    params = made.project / "params.yaml"
    text = params.read_text().replace("target: image # image, ", "target: image  # mine: ")
    text = "# My own problem\n" + re.sub("target: late # .*", "target: churned", text)
    params.write_text(text)
    made.rewrite("README.md", "- deployment: image", "- where: image")
    (made.project / ".github/CODEOWNERS").unlink()
    commit(made.project, "My own")

    said = made.change("deploy_target=compose", "github_owner=ada")
    assert params.read_text() == text.replace("target: image  #", "target: compose  #")
    assert (
        "README.md is yours, and has not exactly one line that starts with '- deployment: image':"
        " write '- deployment: compose' there by hand\n"
    ) in said
    assert ".github/CODEOWNERS is yours, and has not exactly one line" in said
    assert not (made.project / ".github/CODEOWNERS").exists()
    assert "gh repo create ada/flight-delays" in (made.project / "README.md").read_text()


def test_settings_that_are_changed_already_are_right(made: Made) -> None:
    made.rewrite("params.yaml", "  target: image", "  target: compose")
    made.change("deploy_target=compose")
    assert yaml.safe_load((made.project / "params.yaml").read_text())["serving"]["target"] == (
        "compose"
    )


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ([], "no answer is given; write QUESTION=ANSWER for one of description, author, github_ow"),
        (["target=image"], "target is not a question of the template; expected one of descript"),
        (["DEPLOY_TARGET=image"], "DEPLOY_TARGET is not a question of the template"),
        (["_template=/x"], "_template is not a question of the template"),
        (["deploy_target=image"], "deploy_target is 'image' already"),
        (["deploy_target=k8s"], "deploy_target is 'k8s'; expected one of image, compose, kuber"),
        (["deploy_target="], "deploy_target is ''; expected one of image, compose, kubernetes"),
        (["dvc_remote_url=bucket/path"], "dvc_remote_url is 'bucket/path': expected a URL such"),
        (["description= "], "description is empty; give it a few words."),
        (["project_slug=other"], "project_slug stays: the registry knows the model by that name"),
        (["project_name=Other"], "project_name stays: the registry knows the model by that name"),
    ],
)
def test_what_cannot_be_an_answer_is_refused(made: Made, answers: list[str], sentence: str) -> None:
    assert f"make answer: {sentence}" in made.refused(*answers)


def test_without_a_template_there_is_nothing_to_answer(made: Made) -> None:
    link = made.project / ".cruft.json"
    gone = "https://secret:words@127.0.0.1:9/template"
    link.write_text(json.dumps(made.link | {"template": gone}))
    said = made.refused("deploy_target=compose")
    assert "the template cannot be fetched: https://127.0.0.1:9/template, " in said
    assert "secret" not in said
    link.write_text(json.dumps(made.link | {"template": str(made.template), "commit": "0" * 40}))
    assert "the template cannot be fetched: " in made.refused("deploy_target=compose")
    link.unlink()
    assert "not linked to its template; `cruft link URL`" in made.refused("deploy_target=compose")


def test_without_a_repository_nothing_could_be_taken_back(made: Made) -> None:
    shutil.rmtree(made.project / ".git")
    said = made.refused("deploy_target=compose", GIT_CEILING_DIRECTORIES="/")
    assert "this folder is not the top of a git repository" in said


def test_nothing_of_yours_is_overwritten(made: Made) -> None:
    folder = made.project / "deploy/kubernetes/base"
    folder.mkdir(parents=True)
    (folder / "service.yaml").write_text("# mine\n")
    said = made.refused("deploy_target=kubernetes")
    assert "deploy/kubernetes/base/service.yaml: not as the template made it" in said

    # What an answer would delete is not deleted over a change, either.
    shutil.rmtree(made.project / "deploy/kubernetes")
    made.change("deploy_target=compose")
    commit(made.project, "Compose")
    with (made.project / "deploy/host/compose.yaml").open("a") as file:
        file.write("# mine\n")
    said = made.refused("deploy_target=image")
    assert "deploy/host/compose.yaml: not as the template made it" in said


@pytest.mark.parametrize(
    ("old", "new", "sentence"),
    [
        ("  target: image", "  target: kubernetes", "not exactly one line that starts with '  tar"),
        ("  target: image", '  target: "image"', "write '  target: compose' there by hand, and tr"),
        (
            "  target: late",
            "  target: image",
            "not exactly one line that starts with '  target: im",
        ),
    ],
)
def test_settings_that_say_otherwise_are_for_you_to_change(
    made: Made, old: str, new: str, sentence: str
) -> None:
    made.rewrite("params.yaml", old, new)
    assert sentence in made.refused("deploy_target=compose")


def test_when_locking_fails_everything_is_put_back(made: Made) -> None:
    uv = made.project / ".venv/bin/uv"
    uv.unlink()
    uv.write_text(
        "#!/bin/sh\necho broken >> requirements.txt\n"
        "echo 'warning: old' >&2\necho 'error: no network' >&2\nexit 1\n"
    )
    uv.chmod(0o755)
    said = made.refused("dvc_remote_url=s3://bucket/path", "deploy_target=compose")
    assert "`make lock` failed, and everything was put back: error: no network" in said
    assert succeed("git", "status", "--porcelain", cwd=made.project) == ""
