"""The pull-request comment: what it says, and that it is true."""

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from comment import assert_harmless, parse, table, tables
from workbench import Workbench

from mlops.project import words
from mlops.report import comment

NUMBER = re.compile(r"(?<![\w.])[+−-]?\d[\d,]*(?:\.\d+)?%?")


# The verdict comes first


def test_each_verdict_has_its_heading(
    newborn: Workbench,
    same: Workbench,
    better: Workbench,
    blind: Workbench,
    worse: Workbench,
    close: Workbench,
) -> None:
    headings = {
        newborn: "## 🌱 First model: nothing to compare with",
        same: "## 🟰 Same predictions: nothing to deploy",
        better: "## ✅ Better than production",
        blind: "## 🚫 Better overall, but not good enough to ship",
        worse: "## ❌ Worse than production",
        close: "## ⚖️ No clear difference",
    }
    for project, heading in headings.items():
        text = (project.folder / "reports/report.md").read_text(encoding="utf-8")
        assert text.splitlines()[0] == heading
        assert_harmless(text)
        assert tables(text)


@pytest.mark.parametrize(
    ("name", "mode", "gate", "heading"),
    [
        ("newborn", "change", {"floors": {"roc_auc": 0.9}}, "🚫 First model, and it is not good"),
        ("same", "change", {"floors": {"roc_auc": 0.9}}, "🚫 Same predictions as production, and"),
        ("close", "change", {"margin": 0.05}, "⚖️ No difference that matters"),
        ("close", "retrain", {"margin": 0.05}, "✅ Retrained: as good as production"),
        ("close", "retrain", {"margin": 0.002}, "✅ Retrained: not worse than production"),
    ],
)
def test_the_gate_changes_the_heading(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    name: str,
    mode: str,
    gate: dict[str, Any],
    heading: str,
) -> None:
    project: Workbench = request.getfixturevalue(name).copy(tmp_path / "project")
    project.set(**{f"gate__{key}": value for key, value in gate.items()})
    passed = project.compare(mode)["passed"]
    text = project.report()
    assert text.startswith(f"## {heading}")
    assert_harmless(text)
    closed = "so this model will not be deployed:**" in text
    opened = "checks passed; merging deploys this model." in text
    assert (opened, closed) == (passed, not passed)


def test_a_retraining_may_be_a_little_worse(same: Workbench, tmp_path: Path) -> None:
    project = same.copy(tmp_path / "project")
    project.set(estimator__max_iter=29, gate__margin=0.05)
    project.train()
    assert project.compare("retrain")["finding"] == "worse"
    text = project.report()
    assert text.startswith("## ✅ Retrained: a little worse, within the margin\n")
    assert "checks passed; merging deploys this model." in text


def test_the_second_paragraph_says_by_how_much(better: Workbench, blind: Workbench) -> None:
    lines = better.report_lines()
    assert lines[2] == (
        "On the same 28,280 rows of 32 days in 2013-07, which neither model has seen, "
        "**ROC AUC rises from 0.658 to 0.740** (+0.082, 95% interval +0.053 to +0.109). "
        "All 9 checks passed; merging deploys this model."
    )
    lines = blind.report_lines()
    assert lines[2].endswith("**1 of 9 checks failed, so this model will not be deployed:**")
    assert lines[4].startswith(
        "- ROC AUC is clearly worse, by more than 0.0329, for carrier US (−0."
    )


def test_what_moved_the_other_way_is_in_the_second_sentence(
    better: Workbench, worse: Workbench, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(better.folder)
    for project, other in ((better, "worse"), (worse, "better")):
        content = project.json("comparison")
        content["champion"]["calibration"] = content["candidate"]["calibration"] = 0.1
        assert "**But " not in comment.render("report/report.md.j2", content)
        for row in content["differences"]:
            if row["metric"] in ("log_loss", "brier_score"):
                row["verdict"] = other
        said = comment.render("report/report.md.j2", content).splitlines()[2]
        assert f"). **But log loss and Brier score are {other}.** " in said
        content["champion"]["calibration"] = {"better": 0.2, "worse": 0.0}[other]
        said = comment.render("report/report.md.j2", content).splitlines()[2]
        assert f"**But log loss, Brier score and calibration error are {other}.** " in said


def test_metrics_have_the_names_that_people_use(better: Workbench, worse: Workbench) -> None:
    for project in (better, worse):
        text = "\n".join(project.report_lines())
        for name in words.LABELS.keys() | {"log_loss", "average_precision"}:
            assert name not in text
        said = [line for line in text.splitlines() if not line.startswith("|")]
        assert not re.search(r"&\w+;|&#\d+;", "\n".join(said))  # sentences read well as raw text


# Every number is in the JSON


def numbers(value: Any) -> Iterator[str]:
    """Yield every number below ``value`` in each form that the report may give it."""
    if isinstance(value, dict):
        value = [*value, *value.values()]
    if isinstance(value, list):
        for item in value:
            yield from numbers(item)
    elif isinstance(value, str):
        yield from NUMBER.findall(value)
    elif isinstance(value, int | float):
        yield from (words.number(value), words.signed(value), f"{value:,}", f"{value:.1%}")
        yield from (f"{value:g}", words.percent(value))


@pytest.mark.parametrize("name", ["newborn", "same", "better", "worse", "close", "heavy"])
def test_every_number_in_the_tables_is_in_the_json(
    request: pytest.FixtureRequest, name: str
) -> None:
    project: Workbench = request.getfixturevalue(name)
    known = set(numbers(project.json("comparison"))) | {str(group) for group in range(1, 11)}
    found = tables("\n".join(project.report_lines()))
    shown = [
        number
        for rows in found
        for row in rows
        for cell in row
        for number in NUMBER.findall(cell.text)
    ]
    assert len(shown) > 60
    assert set(shown) - known == set()


def test_tables_show_what_was_compared(better: Workbench) -> None:
    comparison, text = better.json("comparison"), "\n".join(better.report_lines())
    shown = {row[0].text: [cell.text for cell in row[1:]] for row in tables(text)[0]}
    for row in comparison["differences"]:
        arrow = "↑" if row["greater_is_better"] else "↓"
        assert shown[f"{words.label(row['metric'])} {arrow}"] == [
            words.number(row["candidate"]),
            words.number(row["champion"]),
            f"{words.signed(row['difference'])} ({words.interval(row)})",
            row["verdict"],
        ]
    assert len(table(text, "slice")) == len(comparison["slices"])
    assert [[cell.text for cell in row[:3]] for row in table(text, "check")] == [
        [check["name"], check["value"], check["limit"]] for check in comparison["checks"]
    ]
    lineage = {row[0].text: [cell.text for cell in row[1:]] for row in tables(text)[-1]}
    for name, key in (("trained on (window)", "window"), ("MLflow run", "run_id")):
        assert lineage[name] == [comparison["candidate"][key], comparison["champion"][key]]


def test_charts_draw_what_their_tables_say(better: Workbench) -> None:
    comparison = better.json("comparison")
    tokens = parse("\n".join(better.report_lines()))
    charts = [token.content for token in tokens if token.type == "fence"]
    drawn = [
        [json.loads(series) for series in re.findall(r"(?:bar|line) (\[.+\])", chart)]
        for chart in charts
    ]
    ours, theirs = comparison["candidate"]["plots"], comparison["champion"]["plots"]
    expected = [
        [ours["over_time"]["roc_auc"], theirs["over_time"]["roc_auc"]],
        [ours["calibration"]["seen"], ours["calibration"]["predicted"]],
    ]
    for series, truth in zip(drawn, expected, strict=True):
        for values, true in zip(series, truth, strict=True):
            assert values == pytest.approx(true, abs=5e-5)


# Files


def test_a_report_about_an_older_model_is_refused(better: Workbench, tmp_path: Path) -> None:
    project = better.copy(tmp_path / "project")
    project.set(estimator__max_iter=5)
    project.train()
    assert project.refused("report") == (
        "reports/comparison.json is about an older model or data; run `mlops compare` first"
    )
    assert not (project.folder / "reports/report.md").exists()


def test_refused_data_are_reported_with_their_failures(better: Workbench, tmp_path: Path) -> None:
    project = better.copy(tmp_path / "project")
    project.replace(
        "src/model/data.py", "return table", "return table.assign(distance=-1, seats=0.0)"
    )
    project.do("ingest")
    project.refused("validate")
    text = project.report()
    data = project.json("data")
    assert text.startswith("## ⛔ Data refused\n")
    assert "**nothing was trained and nothing changes in production**" in text
    assert f"2 checks failed on {data['rows']:,} rows." in text
    (rows,) = tables(text)
    assert [cell.text for cell in rows[1]][:3] == [
        "distance",
        data["failures"][0]["check"],
        f"{data['rows']:,}",
    ]
    assert "distance=-1 " in rows[1][3].text
    assert_harmless(text)
