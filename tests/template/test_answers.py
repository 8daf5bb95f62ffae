"""Every answer lands where it belongs, whatever it holds, or is refused with a sentence."""

import json
import re
import tomllib
from configparser import ConfigParser
from pathlib import Path
from typing import Any

import pytest
import yaml
from cookiecutter.exceptions import FailedHookException
from generation import ROOT, Generate, succeed, tracked

QUESTIONS = json.loads((ROOT / "cookiecutter.json").read_text())
CHOICES = {name: values for name, values in QUESTIONS.items() if isinstance(values, list)}
CHOICES = {name: values for name, values in CHOICES.items() if not name.startswith("_")}
# As many projects as the longest list of choices has; together they hold every choice.
MOST = max(len(values) for values in CHOICES.values())

LICENSES = {
    "MIT": "MIT License",
    "BSD-3-Clause": "BSD 3-Clause License",
    "Apache-2.0": "                                 Apache License",
    "Proprietary": "Copyright (c) Your Team. All rights reserved.",
}
SCHEDULES = {"weekly": "23 5 * * 1", "daily": "23 5 * * *", "hourly": "23 * * * *"}
# Seconds since the last check, and how long that has to last, until an alert says so.
MISSED = {
    "weekly": [("14 * 24 * 3600", ""), ("", "7d")],
    "daily": [("2 * 24 * 3600", ""), ("", "1d")],
    "hourly": [("6 * 3600", ""), ("", "1h")],
}


def pyproject(project: Path) -> dict[str, Any]:
    return tomllib.loads((project / "pyproject.toml").read_text())


def params(project: Path) -> dict[str, Any]:
    return yaml.safe_load((project / "params.yaml").read_text())


def remote_url(project: Path) -> str:
    config = ConfigParser()
    config.read(project / ".dvc" / "config")
    return config["'remote \"store\"'"]["url"]


@pytest.mark.parametrize("row", range(MOST))
def test_every_choice_generates(generate: Generate, row: int) -> None:
    chosen = {name: values[row % len(values)] for name, values in CHOICES.items()}
    project = generate(**chosen)
    assert (project / ".python-version").read_text() == chosen["python_version"] + "\n"
    base = rf"^FROM python:{chosen['python_version']}-slim-bookworm@sha256:[0-9a-f]{{64}} AS base$"
    assert re.search(base, (project / "deploy" / "Dockerfile").read_text(), re.MULTILINE)
    container = json.loads((project / ".devcontainer" / "devcontainer.json").read_text())
    image = f"mcr.microsoft.com/devcontainers/python:{chosen['python_version']}-bookworm"
    assert container["image"] == image
    assert (project / "LICENSE").read_text().startswith(LICENSES[chosen["license"]])
    assert "\n\n\n" not in (project / "LICENSE").read_text()
    target = chosen["deploy_target"]
    assert params(project)["serving"]["target"] == target
    drift = yaml.safe_load((project / ".github" / "workflows" / "drift.yml").read_text())
    on = drift[True]  # YAML 1.1 reads an unquoted `on` so
    assert on["schedule"] == [{"cron": SCHEDULES[chosen["drift_schedule"]]}]
    rules = (project / "deploy/monitoring/rules.yml").read_text()
    (missing,) = re.findall(r"alert: DriftCheckMissing\n(.*?)labels", rules, re.DOTALL)
    said = re.findall(r"> ([\d *]+)$|for: (\w+)$", missing, re.MULTILINE)
    assert said == MISSED[chosen["drift_schedule"]]
    folders = {"host": "compose", "kubernetes": "kubernetes"}
    for folder, needs_it in folders.items():
        assert (project / "deploy" / folder).is_dir() == (target == needs_it)
    assert (project / "deploy" / "Dockerfile").is_file()
    updates = yaml.safe_load((project / ".github" / "dependabot.yml").read_text())["updates"]
    docker = [it for it in updates if it["package-ecosystem"].startswith("docker")]
    looked_at = [directory for it in docker for directory in it["directories"]]
    assert len(looked_at) == 2 + 2 * (target == "compose") + (chosen["endpoint"] == "lambda")
    assert all((project / directory[1:]).is_dir() for directory in looked_at)
    readme = (project / "README.md").read_text()
    for question in ("python_version", "drift_schedule", "deploy_target", "license"):
        assert re.search(rf"^- [A-Za-z ]+: {chosen[question]}$", readme, re.MULTILINE)


def test_a_schedule_of_batches_is_one_file(generate: Generate, tmp_path: Path) -> None:
    without = generate()
    daily = generate(folder=tmp_path / "daily", batch_schedule="daily")
    assert set(tracked(daily)) - set(tracked(without)) == {".github/workflows/batch.yml"}
    assert set(tracked(without)) <= set(tracked(daily))
    assert "batch.yml" not in (without / ".github/security-model.md").read_text()
    assert "| `batch.yml: predict` | " in (daily / ".github/security-model.md").read_text()
    workflow = yaml.safe_load((daily / ".github/workflows/batch.yml").read_text())
    assert workflow[True]["schedule"] == [{"cron": "43 4 * * *"}]


def test_defaults_keep_the_built_in_store(generate: Generate) -> None:
    project = generate()
    assert params(project)["tracking_uri"] == ""
    assert remote_url(project) == "../.store/dvc"


def test_answers_land_in_the_settings(generate: Generate) -> None:
    project = generate(
        project_name="Churn",
        description="Predict who leaves.",
        author="Ada Lovelace",
        github_owner="ada-l",
        dvc_remote_url="s3://bucket/path%20x?y=1&z",
        mlflow_tracking_uri="https://mlflow.example.com:8443/a&b",
    )
    assert project.name == "churn"
    assert params(project)["name"] == "churn"
    assert params(project)["tracking_uri"] == "https://mlflow.example.com:8443/a&b"
    assert pyproject(project)["project"]["name"] == "churn"
    assert yaml.safe_load((project / "deploy" / "compose.yaml").read_text())["name"] == "churn"
    assert pyproject(project)["project"]["description"] == "Predict who leaves."
    assert pyproject(project)["project"]["authors"] == [{"name": "Ada Lovelace"}]
    shown = succeed("dvc", "config", "remote.store.url", cwd=project)
    assert shown.strip() == "s3://bucket/path%20x?y=1&z"
    assert "Copyright (c) Ada Lovelace" in (project / "LICENSE").read_text()
    assert (project / ".github" / "CODEOWNERS").read_text().endswith("\n* @ada-l\n")
    assert (project / "README.md").read_text().startswith("# Churn\n\nPredict who leaves.\n")


def test_all_other_settings_stay_as_they_are(generate: Generate, template: Path) -> None:
    project = generate()
    assert params(project) | {"name": ""} == params(template) | {"name": ""}
    living, generated = pyproject(template), pyproject(project)
    for carries_answer in ("name", "description", "authors"):
        living["project"].pop(carries_answer, None)
        generated["project"].pop(carries_answer)
    assert generated == living


@pytest.mark.parametrize(
    ("name", "slug"),
    [
        ('D\'Arcy & "Co" — Vögel 2.', "d-arcy-co-vogel-2"),
        ("42 flights.", "project-42-flights"),
        ("Ünïcode & <b>", "unicode-b"),
        ("$(touch x) `touch x` ; touch x", "touch-x-touch-x-touch-x"),
        ('\\"""\' + #{x} %s \\u0041 </script>', "x-s-u0041-script"),
        ("航班延误 😀", "hang-ban-yan-wu"),
        ("...", "project"),
        ("true", "true"),
        ("A " * 80 + "long name", "a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a-a"),
    ],
)
def test_names_that_hurt_are_made_safe(
    generate: Generate, tmp_path: Path, name: str, slug: str
) -> None:
    project = generate(project_name=name, description=name, author=name, github_owner="o")
    assert project.name == slug
    assert params(project)["name"] == slug
    assert pyproject(project)["project"]["name"] == slug
    assert pyproject(project)["project"]["description"] == name
    assert pyproject(project)["project"]["authors"] == [{"name": name}]
    assert f"# {name.replace('<', chr(92) + '<')}\n" in (project / "README.md").read_text()
    assert f"Copyright (c) {name}\n" in (project / "LICENSE").read_text()
    assert not list(tmp_path.rglob("x"))


def test_a_typed_template_expression_stays_text(template: Path, tmp_path: Path) -> None:
    """Typed at the prompt, as people do, with Enter for every other question."""
    typed = "{{ 7*7 }} {% raw %}\n" + "\n" * 13
    home = tmp_path / "home"
    home.mkdir()
    said = succeed("cookiecutter", str(template), cwd=home, typed=typed)
    assert "Next: cd project-7-7-raw && make setup repro" in said
    readme = (home / "project-7-7-raw" / "README.md").read_text()
    assert readme.startswith("# {{ 7*7 }} {% raw %}\n")


@pytest.mark.parametrize(
    ("answers", "sentence"),
    [
        ({"project_slug": "42-flights"}, "such as 'project-42-flights'."),
        ({"project_slug": "Flight_Delays."}, "such as 'flight-delays'."),
        ({"project_slug": "a--b"}, "such as 'a-b'."),
        ({"project_slug": "a-"}, "such as 'a'."),
        ({"project_slug": "a" * 61}, "expected at most 60 of a-z, 0-9 and single hyphens"),
        ({"project_slug": "mlflow"}, "the name of a library that the project installs"),
        ({"project_name": "two\nlines"}, "project_name is 'two\\nlines': it holds a line break"),
        ({"author": "bell\x07"}, "author is 'bell\\x07': it holds a line break or an invisible"),
        ({"description": "right\u202eleft"}, "description is 'right\\u202eleft': it holds"),
        ({"description": "  "}, "description is empty; give it a few words."),
        ({"github_owner": "two words"}, "expected the name of a GitHub user"),
        ({"github_owner": "a" * 40}, "at most 39"),
        ({"dvc_remote_url": "bucket/path"}, "expected a URL such as s3://bucket/path"),
        ({"dvc_remote_url": 's3://b/"\n[core]'}, "expected a URL such as s3://bucket/path"),
        (
            {"dvc_remote_url": "gdrive://id/path"},
            "DVC needs a plugin for gdrive://",
        ),
        ({"mlflow_tracking_uri": "mlflow:5000"}, "such as https://mlflow.example.com"),
    ],
)
def test_answers_that_cannot_work_are_refused(
    generate: Generate,
    tmp_path: Path,
    capfd: pytest.CaptureFixture[str],
    answers: dict[str, str],
    sentence: str,
) -> None:
    with pytest.raises(FailedHookException):
        generate(**answers)
    said = capfd.readouterr().err
    assert "Not generated: " in said
    assert sentence in said
    assert "Traceback" not in said.split("Not generated")[0]
    assert not any((tmp_path / "out").iterdir())


def test_every_question_has_a_default_and_a_sentence_of_help() -> None:
    questions = [name for name in QUESTIONS if not name.startswith("_")]
    assert list(QUESTIONS["__prompts__"]) == questions
    for name in questions:
        prompt = QUESTIONS["__prompts__"][name]
        sentence = prompt["__prompt__"] if isinstance(prompt, dict) else prompt
        assert len(sentence) > 15, name
        if name in CHOICES and len(prompt) > 1:
            assert list(prompt)[1:] == CHOICES[name]
