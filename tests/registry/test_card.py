"""The model card: what is on record of a version, and nothing in it is more than text."""

import re
from pathlib import Path
from typing import Any

import pytest
from comment import assert_harmless, plain, table
from toy_project import NAME, ToyProject

from mlops.project import files
from mlops.registry import card, promotion, tracking, versions

IMAGE = f"ghcr.io/amelia/flights@sha256:{'7' * 64}"
HOSTILE = [
    "a | b || c",
    "`code` ``more`` ```\n```bash\nrm -rf /",
    "<img src=x onerror=alert(1)>",
    "</code></details> --> <b>",
    "@everyone and #1",
    "${{ secrets.GITHUB_TOKEN }} {{ told }} {% raw %}",
    "two\nlines\r\n\r\n# heading\n- item",
    "[click](javascript:alert(1)) https://evil.example",
    "$(rm -rf /); `id`",
    "x" * 10_000,
]


HEADINGS = {
    "## What it predicts, and for whom",
    "## What it must not be used for",
    "## How good it is",
    "### For whom",
    "### Whether its predictions can be taken at their word",
    "## What it costs",
    "## How it was judged",
    "## Where it comes from",
    "## How to check this, and how to go back",
}
DATASHEET = re.compile(r"\[the datasheet\]\((\S+/data/README\.md)\)")


def assert_only_text(text: str) -> None:
    """Assert that a card has no more structure than its template gives it."""
    body, fence, commands = text.partition("```bash\n")
    assert fence
    assert commands.count("```") == 1
    assert commands.endswith("\n```\n")
    lines = [line for line in body.splitlines() if line not in HEADINGS]
    assert_harmless(DATASHEET.sub("the datasheet", "\n".join(lines)))


def written(project: ToyProject, version: int | str) -> str:
    card.run(tracking.connect(), project.params, version)
    text = files.MODEL_CARD.read_text(encoding="utf-8")
    assert_only_text(text)
    return text


def cells(text: str, first: str) -> list[list[str]]:
    return [[cell.text for cell in row] for row in table(text, first)]


def test_a_card_says_what_is_on_record(
    project: ToyProject, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    Path("pyproject.toml").write_text('[project]\ndescription = "Whether a flight is late."\n')
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "amelia/flights")
    project.hold_out()
    project.register(3)
    versions.record_image(tracking.connect(), project.params, 3, IMAGE)
    promotion.promote(tracking.connect(), project.params, 3, "the airport moved")
    text = written(project, "champion")
    assert capsys.readouterr().out == text
    assert text.startswith(f"# Model card: {NAME}, version 3\n\nWhether a flight is late.\n\n")
    assert "It **is in production** (champion); amelia approved it on 20" in text
    assert ", **against the gate**: the airport moved.\n" in text
    assert (
        "the probability that <code>late</code> is <code>1</code> (and not <code>0</code>)" in text
    )
    assert "200 rows of 2013-01 to 2013-03, on 2013-04-01 |" in text
    assert "Measured on 90 rows of 2013-04 that it never trained on" in text
    assert cells(text, "")[-1][0] == "registered by"
    assert "| ROC AUC ↑ | 0.700 | 0.500 | 0.700 |" in text
    assert "On average it predicts 44.0% where 45.0% were seen." in text
    assert cells(text, "slice") == [["b high", "60", "0.710", "0.700", "unclear"]]
    assert cells(text, "group")[1] == ["2", "45", "0.600", "0.650"]
    assert "takes 0.10 ms" in text
    assert "has 0.20 MB" in text
    assert "Finding: **better** than version 1. The gate for a change" in text
    assert cells(text, "check") == [["floor: ROC AUC", "0.7", "≥ 0.6", "✅"]]
    for value in (f"{3:040x}", "da7a3", files.md5(files.MODEL / "model.onnx"), "10cc", IMAGE):
        assert f"<code>{value}</code>" in text
    address = f"https://github.com/amelia/flights/blob/{3:040x}/data/README.md"
    assert text.count(f"[the datasheet]({address})") == 2
    commands = text.partition("```bash\n")[2]
    assert f"\ngit checkout {3:040x}"[:26] in commands
    assert "\nmlops export build/image 3 && mlops smoke URL build/image\n" in commands
    assert f"\ngh attestation verify oci://{IMAGE} --repo amelia/flights\n" in commands
    assert commands.endswith("\nmlops rollback\n```\n")


def test_where_something_is_missing_a_sentence_says_so(project: ToyProject) -> None:
    files.COMPARISON.unlink(missing_ok=True)
    project.train(3)
    version = versions.register(project.params, tracking.connect())
    text = written(project, version)
    assert "It is **not in production yet** (challenger); nobody has approved it." in text
    assert "It was never compared with a champion, so the gate is closed to it." in text
    assert "| image | none on record |" in text
    assert text.count("[the datasheet](../data/README.md)") == 2
    assert "mlops smoke" not in text  # it has no sample
    assert "gh attestation" not in text
    assert text.endswith("\nmlops promote 3 --check\n```\n")


def test_a_judgement_of_another_model_is_not_on_the_card(project: ToyProject) -> None:
    project.train(3)
    project.judge("better", True, 1)
    stale = files.COMPARISON.read_bytes()
    project.train(4)
    files.COMPARISON.write_bytes(stale)
    version = versions.register(project.params, tracking.connect())
    assert "Finding" not in written(project, version)


def test_a_judgement_that_does_not_say_where_better_is(project: ToyProject) -> None:
    project.train(3)
    project.judge("better", True, 1)
    old = files.read_json(files.COMPARISON, "")
    del old["differences"]
    files.write_json(files.COMPARISON, old)
    version = versions.register(project.params, tracking.connect())
    assert "| ROC AUC  | 0.700 | 0.500 | 0.700 |" in written(project, version)


def test_a_version_that_was_champion_before(project: ToyProject) -> None:
    promotion.promote(tracking.connect(), project.params)
    assert "It **was in production** until the present champion" in written(project, 1)
    promotion.rollback(tracking.connect(), project.params)
    assert "(champion); amelia went back to it on 20" in written(project, 1)


def test_a_first_model_has_no_champion_to_stand_beside(project: ToyProject) -> None:
    text = written(project, 1)
    assert "| | this model | base rate |\n" in text
    assert "Finding: **first**. The gate" in text
    assert [len(row) for row in cells(text, "slice")] == [3]


@pytest.mark.parametrize("task", ["multiclass", "regression"])
def test_other_tasks(project: ToyProject, task: str) -> None:
    classes = ["early", "late", "on time"] if task == "multiclass" else None
    project.train(3, task=task, classes=classes)
    metric = "accuracy" if classes else "mean_absolute_error"
    files.write_json(files.METRICS, {metric: 0.5, "gone_in_1.10": 0.5, "calibration": 0.1})
    project.judge("better", True, 1)
    version = versions.register(project.params, tracking.connect())
    text = written(project, version)
    assert f"\n| {metric.replace('_', ' ')} {'↑' if classes else '↓'} | 0.500 | – | – |\n" in text
    assert "\n| gone in 1.10  | 0.500 | – | – |\n| calibration error ↓ | 0.100 |" in text
    if classes:
        assert "for each value of <code>late</code> its probability: <code>early</code>, " in text
    else:
        assert "| Predicts | <code>late</code>, a number |" in text
        assert "On average it predicts 0.440 where 0.450 was seen." in text


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:20])
def test_hostile_values_stay_text(project: ToyProject, value: str) -> None:
    content = card.collect(tracking.connect(), project.params, 2)
    content |= {"description": value, "approval": {"who": value, "time": value, "override": value}}
    content["approval"]["action"] = value
    content["told"] |= dict.fromkeys(
        ["commit", "image", "run_id", "registered_by", "approved_by", "data_md5", "trained"], value
    )
    content["facts"] |= {"target": value, "inputs": [value], "classes": [value, value]}
    content["facts"]["params"] = {"estimator": {value: value}}
    comparison: dict[str, Any] = content["comparison"]
    comparison["slices"] = [comparison["slices"][0] | {"column": value, "value": value}]
    comparison["checks"] = [{"name": value, "value": value, "limit": value, "passed": False}]
    content["scores"] = [content["scores"][0] | {"name": value}]
    text = card.render(content)
    assert_only_text(text)
    safe = plain(value)
    assert cells(text, "slice")[0][0].replace("\u200b", "") == f"{safe} {safe}"
    assert cells(text, "check")[0][0].replace("\u200b", "") == safe
    commands = text.partition("```bash\n")[2]
    assert "rm -rf" not in commands
    assert commands.count("```") == 1


def test_what_has_not_the_form_of_a_commit_or_image_is_no_command(
    project: ToyProject, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("GITHUB_REPOSITORY", "amelia/flights; rm -rf /")
    client = tracking.connect()
    client.set_model_version_tag(NAME, "2", "image", f"{IMAGE}\nrm -rf /")
    found = versions.fetch(client, NAME, 2)
    assert found is not None
    training = files.read_json(found[1] / "training.json", "")
    files.write_json(found[1] / "training.json", training | {"commit": "main; rm -rf /"})
    commands = written(project, 2).partition("```bash\n")[2]
    assert "rm" not in commands.split()
    assert "git checkout" not in commands
    assert "gh attestation" not in commands
