"""What a workflow asks of a run: a verdict in lines, and a report also when nothing came of it."""

from pathlib import Path

import pandas as pd
import pytest
from comment import assert_harmless
from workbench import Workbench

HOSTILE = "`id` $(id) ${{ secrets.X }} <img src=x> @everyone | ::error::x\nfinding=better"


def lines(project: Workbench) -> dict[str, str]:
    said = project.do("verdict").splitlines()
    return dict(line.split("=", 1) for line in said)


def test_a_better_model(better: Workbench) -> None:
    answer = lines(better)
    assert list(answer) == ["finding", "passed", "sentence"]
    assert (answer["finding"], answer["passed"]) == ("better", "true")
    assert answer["sentence"].startswith("ROC AUC 0.7")


def test_a_worse_model_says_what_failed(worse: Workbench) -> None:
    answer = lines(worse)
    assert (answer["finding"], answer["passed"]) == ("worse", "false")
    assert all(reason in answer["sentence"] for reason in worse.json("comparison")["reasons"])


def test_refused_data(better: Workbench, tmp_path: Path) -> None:
    project = better.copy(tmp_path / "project")
    table = pd.read_parquet(project / "data/raw.parquet")
    table["carrier"] = table["carrier"].astype(str)
    table.loc[[0, 1], "carrier"] = HOSTILE
    table.loc[5, "distance"] = -1
    table.to_parquet(project / "data/raw.parquet", index=False)
    project.refused("validate")
    answer = lines(project)
    assert (answer["finding"], answer["passed"]) == ("refused", "false")
    assert answer["sentence"].startswith("the data was refused; ")
    assert answer["sentence"].endswith("(and 1 more)")


def test_a_run_that_stopped_leaves_its_reason(better: Workbench, tmp_path: Path) -> None:
    project = better.copy(tmp_path / "project")
    project.set(estimator={"no_such_argument": 1})
    why = project.refused("train")
    (project / "reports/comparison.json").unlink()
    answer = lines(project)
    assert (answer["finding"], answer["passed"]) == ("unfinished", "false")
    assert answer["sentence"] == f"`mlops train` stopped: {why}"
    assert project.refused("report").startswith("reports/comparison.json is not there")

    (project / "reports/failure.json").unlink()
    assert lines(project)["sentence"] == "the run ended before the judgement"
    project.do("report --anyway")
    assert "It left no note; its log says why." in (project / "reports/report.md").read_text()


def test_what_the_code_of_the_user_raises_is_shown_and_harmless(
    better: Workbench, tmp_path: Path
) -> None:
    project = better.copy(tmp_path / "project")
    (project / "src/model/estimator.py").write_text(f"raise KeyError({HOSTILE!r})\n")
    assert project.refused("train").startswith("src/model/estimator.py:1: build_estimator stops")
    (project / "reports/comparison.json").unlink()
    project.do("report --anyway")
    text = (project / "reports/report.md").read_text()
    assert text.startswith("## 💥 Not judged\n")
    assert "build_estimator stops: KeyError: " in text
    assert_harmless(text)
    assert lines(project)["finding"] == "unfinished"


def test_in_actions_an_error_is_an_annotation_of_one_line(
    better: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = better.copy(tmp_path / "project")
    project.set(estimator={"no_such_argument": 1})
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    said = project.mlops("train")
    (annotation,) = [line for line in said.err.splitlines() if line.startswith("::")]
    assert annotation.startswith("::error title=mlops::")
    assert "no_such_argument" in annotation


def test_the_report_says_of_which_commit_and_run_it_is(
    better: Workbench, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = better.copy(tmp_path / "project")
    head = project.run("git", "rev-parse", "HEAD").stdout[:12]
    assert f"Judged at commit <code>{head}</code>" in project.report()
    for name, value in (("SERVER_URL", "https://github.com"), ("REPOSITORY", "o/r")):
        monkeypatch.setenv(f"GITHUB_{name}", value)
    monkeypatch.setenv("GITHUB_RUN_ID", "77")
    assert "(https://github.com/o/r/actions/runs/77)" in project.report()
