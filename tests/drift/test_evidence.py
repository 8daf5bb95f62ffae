"""What people read of a check and of a retraining: true, complete, and nothing but text."""

import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from comment import assert_harmless, plain, table, tables
from retraining_reports import category, column, comparison, drift, question, unanswered, worse
from workbench import Workbench

from mlops.drift import evidence, summary
from mlops.project.params import Drift
from mlops.report import comment

HEADINGS = re.compile(
    r"^### (What moved|What happens next|What retraining changes|What you decide)$"
    r"|(?<=The whole report of the retrained model</summary>\n\n)## .+$",
    re.MULTILINE,
)
DIFF = re.compile(r"^  ```diff\n(.*?)^  ```\n", re.MULTILINE | re.DOTALL)
HOSTILE = [
    "a | b || c",
    "```\n\n# heading\n</details><script>alert(1)</script>",
    "@everyone #1 ${{ secrets.GITHUB_TOKEN }} {{ drift }} {% raw %}",
    "![](https://evil.example/x.png) [click](javascript:alert(1))",
    "right\u202eleft\x00null\x1b[31m",
    "x" * 10_000,
    "",
]


def assert_only_text(text: str) -> None:
    """Assert that a text has no more structure than its template gives it."""
    assert len(text) <= comment.LIMIT
    assert_harmless(HEADINGS.sub("", DIFF.sub("", text)))


def body(found: dict[str, Any], judged: dict[str, Any]) -> str:
    text = evidence.body(found, judged)
    assert_only_text(text)
    return text


def cells(text: str, heading: int) -> list[list[str]]:
    """Return the rows of the n-th table as text, without its header."""
    return [[cell.text for cell in row] for row in tables(text)[heading]][1:]


def proposed(text: str) -> dict[str, Any]:
    """Return the settings that the diff in a text leads to."""
    (diff,) = DIFF.findall(text)
    lines = [line.removeprefix("  ") for line in diff.splitlines()]
    return dict(yaml.safe_load("\n".join(line[1:] for line in lines if line[0] != "-")))


# The pull request


def test_the_first_paragraph_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    lines = body(drift(), comparison()).splitlines()
    assert lines[0] == "## ✅ Retraining helps (ROC AUC 0.691 → 0.728)"
    assert lines[2] == (
        "On the same 27,075 rows of 30 days in 2013-06, which neither model has seen, **ROC AUC "
        "rises from 0.691 to 0.728** (+0.037, 95% interval +0.030 to +0.040). Its check "
        "passed; merging deploys this model."
    )
    assert lines[4] == (
        "**Why now:** the challenger is better; 1 of 2 inputs has drifted; 2 of 3 windows have."
    )


def test_a_worse_model_says_so_first() -> None:
    text = body(drift(), worse())
    lines = text.splitlines()
    assert lines[0] == "## ❌ Not better: the retrained model is worse (ROC AUC 0.691 → 0.650)"
    assert "**1 of 1 check failed, so this model will not be deployed:**" in lines[2]
    assert lines[4] == "- it is worse"
    assert "- **Do not merge it as it is**" in text
    assert "- **Merge: retrain.**" not in text
    (row,) = cells(text, 3)
    assert row == [
        *("carrier EV", "4,641", "0.650", "0.691", "−0.041 (−0.050 to −0.035)"),
        "❌ beyond the margin",
    ]
    assert evidence.title(worse()) == (
        "❌ Not better: retrained on 2013-03 to 2013-05, ROC AUC 0.691 → 0.650 on 2013-06"
    )
    unsure = comparison(finding="inconclusive", passed=False)
    assert evidence.title(unsure).startswith("❌ Not good enough: retrained on 2013-03 to 2013-05,")
    assert body(drift(), unsure).startswith("## ❌ The retrained model is not good enough (ROC")


@pytest.mark.parametrize(
    ("finding", "heading"),
    [
        ("equivalent", "✅ Retrained: not worse than the champion (ROC AUC 0.691 → 0.728)"),
        ("inconclusive", "✅ Retrained: not worse than the champion (ROC AUC 0.691 → 0.728)"),
        ("worse", "✅ Retrained: a little worse, within the margin (ROC AUC 0.691 → 0.728)"),
        ("same", "🟰 Retrained: the same predictions (ROC AUC 0.691 → 0.728)"),
    ],
)
def test_each_finding_that_passes_has_its_heading(finding: str, heading: str) -> None:
    assert evidence.body(drift(), comparison(finding=finding)).startswith(f"## {heading}\n")


def test_the_tables_say_what_moved_and_what_was_gained() -> None:
    text = body(drift(), comparison())
    assert [row[:4] for row in cells(text, 0)] == [
        ["❌", "data drift", "1 of 2 inputs", "1"],
        ["✅", "prediction drift", "0.050", "0.1"],
        ["✅", "concept drift", "ROC AUC 0.728 → 0.716 (−0.012)", "0.02 worse"],
        ["✅", "staleness", "91 days", "180 days"],
        ["🔁", "challenger", "ROC AUC 0.691 → 0.728 (+0.037)", "0.005 better"],
    ]
    assert cells(text, 0)[0][4] == "do the inputs look different?"
    humid, score, carrier = cells(text, 1)
    assert humid == [
        *("❌", "humid", "█████│█████", "0.314", "0.1"),
        *("mean 61.2 → 74.8, spread 10.0 → 14.0", "sample, ±0.012"),
    ]
    assert score[:4] == ["✅", "champion's score", "██░░░│░░░░░", "0.050"]
    assert carrier[2:] == [
        *("██░░░│░░░░░", "0.040", "0.1", "EV 17.0% → 20.0%, B6 15.0% → 15.1%", "all rows"),
    ]
    assert cells(text, 2)[0][1:4] == ["0.728", "0.691", "+0.037 (+0.030 to +0.040)"]
    assert "Clearly worse for none of 1 slices, better for 1." in text
    last = [cell.text for cell in table(text, "window")[-1]]
    assert last == ["2013-06", "data drift", "retrain"]
    assert "Not judged, being no numbers and no categories: time_hour." in text
    assert "<details><summary>The whole report of the retrained model</summary>" in text


def test_it_links_to_the_run_and_the_workflows(monkeypatch: pytest.MonkeyPatch) -> None:
    assert "](" not in body(drift(), comparison())
    monkeypatch.setenv("GITHUB_SERVER_URL", "https://github.com")
    monkeypatch.setenv("GITHUB_REPOSITORY", "ada/flights")
    monkeypatch.setenv("GITHUB_RUN_ID", "42")
    text = evidence.body(drift(), comparison())
    site = "https://github.com/ada/flights"
    assert set(re.findall(r"\]\(([^)]+)\)", text)) == {
        f"{site}/actions/workflows/deploy.yml",
        f"{site}/actions/workflows/rollback.yml",
        f"{site}/blob/HEAD/deploy/monitoring/README.md",
        f"{site}/actions/runs/42",
        f"{site}/actions/runs/42#artifacts",
    }


# What to change when it was a false alarm


def test_the_lines_to_change_would_have_kept_it_quiet() -> None:
    columns = [
        column("temp", score=1.3, why=["score", "missing"], missing=shares(0.01, 0.214)),
        category("carrier", drifted=True, why=["new categories"], new_share=0.031),
        column("humid", score=0.1, threshold=0.1),
        column("precip", score=0.09, drifted=False, why=[]),
    ]
    own = {"precip": 0.5}
    given = drift(settings=Drift.model_validate({"columns": {"own": own}}).model_dump())
    given["questions"]["data"] |= {"value": 3, "columns": columns}
    score = column("score", kind="score", score=0.148, sampling_error=None)
    given["questions"]["predictions"] |= question("violated", 0.148, 0.1) | {"columns": [score]}
    given["questions"]["concept"] |= question("violated", -0.0386, 0.02)
    given["questions"]["staleness"] = question("violated", 204, 180)
    then = Drift.model_validate(proposed(body(given, comparison()))["drift"])
    assert then.model_dump()["columns"]["own"] == own | {
        "temp": 1.4,
        "humid": 0.12,
    }  # above their errors, too
    assert (then.new_categories, then.missing) == (0.032, 0.21)
    assert (then.predictions, then.concept, then.stale_days) == (0.15, 0.039, 205)


def shares(before: float, now: float) -> dict[str, float]:
    return {"reference": before, "current": now}


def test_of_many_columns_their_number_is_what_to_change() -> None:
    given = drift()
    given["questions"]["data"]["columns"] = [column(f"measurement_{n}") for n in range(30)]
    text = body(given, comparison())
    assert proposed(text) == {"drift": {"columns": {"at_least": 31}}}
    assert len(cells(text, 1)) == summary.MOST


def test_names_stay_what_they_are_in_yaml() -> None:
    given = drift()
    names = ["no", "2013-01-01", 'a "b": {c}', "価格", "right\u202eleft"]
    given["questions"]["data"]["columns"] = [column(name) for name in names]
    diff = evidence.diff(given)
    assert all(part.isprintable() or part == "\n" for part in diff)
    changed = "\n".join(line[1:] for line in diff.splitlines() if line[0] != "-")
    assert list(yaml.safe_load(changed)["drift"]["columns"]["own"]) == names


@pytest.mark.parametrize(
    ("value", "then"), [(0.314, 0.32), (0.1, 0.11), (0.099, 0.1), (12.0, 13.0), (91, 92)]
)
def test_the_next_value_is_above(value: float, then: float) -> None:
    assert evidence.above(value) == then


# The summary of a run


@pytest.mark.parametrize(
    ("changed", "said"),
    [
        ({}, ["## 🔁 Retrain\n", "opens a pull request that brings this very model"]),
        ({"decision": "watch"}, ["## 👀 Watch\n", "nothing says that newer rows would help."]),
        (
            {"decision": "watch", "challenger": question("skipped", None, None)},
            ["## 👀 Watch\n", "No challenger was asked: it is skipped. `drift.retrain` in"],
        ),
        (
            {"decision": "watch", "challenger": question("wanted", None, None)},
            [
                "## ⏳ A challenger decides\n",
                "A challenger decides: it is wanted. `drift.yml` trains it next",
            ],
        ),
        ({"decision": "none"}, ["## ✅ No drift\n", "Nothing. The next check looks at the next"]),
    ],
)
def test_the_summary_says_what_happens_next(changed: dict[str, Any], said: list[str]) -> None:
    text = summary.render(drift(**changed))
    assert_only_text(text)
    assert all(part in text for part in said)
    assert f"\n\n{drift()['sentence']}.\n\n" in text
    assert len(cells(text, 0)) == 5
    assert len(cells(text, 2)) == 3  # both columns, and the score
    assert "from the data · checked 2026-11-22T07:00:00Z" in text


def test_what_could_not_be_judged_is_one_sentence() -> None:
    nothing = drift(
        new_data=False,
        decision="none",
        questions={},
        challenger=None,
        windows=[],
        current=None,
        sentence="No rows of July yet",
    )
    few = drift(decision="none", questions=unanswered(), challenger=None, windows=[])
    for given, heading in (
        (nothing, "⏸️ Nothing new to judge"),
        (nothing | {"champion": None}, "⏸️ Nothing new to judge"),
        (few, "⏸️ Too little to judge"),
    ):
        text = summary.render(given)
        assert text.startswith(f"## {heading}\n\n{given['sentence']}.\n\n<sub>")
        assert len(text.splitlines()) == 5
        assert_only_text(text)


def test_labels_that_are_not_there_yet_are_waited_for() -> None:
    given = drift(source="predictions")
    given["questions"]["concept"] |= question("waiting", None, 0.02)
    text = summary.render(given)
    assert [cells(text, 0)[2][place] for place in (0, 2)] == ["⏳", "waiting for labels"]
    assert "\nConcept drift: it is waiting.\n" in text
    assert "from the prediction log" in text


def test_what_is_unknown_is_a_dash() -> None:
    empty = {"min": None, "max": None, "mean": float("nan"), "std": None}
    given = drift()
    given["questions"]["data"]["columns"] = [
        column("gone", score=None, why=["missing"], missing=shares(0.01, 1.0), current=empty)
    ]
    gone = cells(summary.render(given), 1)[0]
    assert gone == [
        *("❌", "gone", "░░░░░│░░░░░", "–", "0.1", "missing 1.0% → 100.0%", "sample, ±0.012"),
    ]
    given["questions"]["data"]["columns"][0] |= {"missing": shares(1.0, 1.0), "why": []}
    assert cells(summary.render(given), 1)[0][5] == "no values to compare"


# Nothing of the data is more than text, and nothing is too long


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:20])
def test_hostile_values_stay_text(value: str) -> None:
    given = drift(model=value, sentence=value, reasons=[value, "and so"])
    given["questions"]["data"] |= {
        "columns": [
            category(
                value,
                drifted=True,
                why=["new categories"],
                new_categories=[value] * 9,
                new_share=0.05,
            ),
            column(value),
        ],
        "not_judged": [value],
    }
    given["questions"]["concept"] |= question("waiting", None, 0.02) | {"sentence": value}
    judged = comparison(target=value)
    judged["slices"] = [it | {"column": value, "value": value} for it in worse()["slices"]]
    for text in (body(given, judged), summary.render(given)):
        assert_only_text(text)
        assert cells(text, 1)[0][1].replace("\u200b", "") == plain(value)


def test_the_report_is_cut_before_what_is_decided() -> None:
    judged = comparison()
    judged["slices"] = [judged["slices"][0] | {"value": f"number {n}"} for n in range(5_000)]
    text = body(drift(), judged)
    assert len(text) > comment.LIMIT / 2
    assert "more rows, left out to fit into a comment" in text
    assert len(cells(text, 1)) == 3


def test_a_report_that_cannot_fit_is_left_to_the_folder(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(comment, "LIMIT", len(body(drift(), comparison())) // 2)
    text = evidence.body(drift(), comparison())
    assert "The whole report" not in text
    assert "In `reports/retraining/2013-06-30/`: `drift.json`, why it was retrained;" in text


def test_the_largest_check_fits() -> None:
    given = drift()
    given["questions"]["data"]["columns"] = [
        column("x" * 100, new_categories=["y" * 100] * 10, new_share=0.5) for _ in range(1_000)
    ]
    for text in (body(given, comparison()), summary.render(given)):
        assert re.search(r"\*\d+ more, left out to fit in here; all are in `drift.json`.\*", text)
        assert_only_text(text)


# The command


def folder_with(path: Path, found: dict[str, Any], judged: dict[str, Any]) -> Workbench:
    (path / "reports").mkdir()
    (path / "params.yaml").touch()
    (path / "reports/drift.json").write_text(json.dumps(found))
    (path / "reports/comparison.json").write_text(json.dumps(judged))
    (path / "reports/report.md").write_text("## A report\n")
    return Workbench(path)


def files_in(folder: Path) -> set[str]:
    return {str(it.relative_to(folder)) for it in folder.rglob("*") if it.is_file()}


def test_the_command_writes_what_is_proposed(tmp_path: Path) -> None:
    project = folder_with(tmp_path, drift(), comparison())
    kept = tmp_path / "reports/retraining/2013-06-30"
    kept.mkdir(parents=True)
    (kept / "of_an_earlier_run.json").touch()
    assert project.do("evidence").splitlines() == [
        "title=Retrain on 2013-03 to 2013-05: ROC AUC 0.691 → 0.728 on 2013-06",
        "draft=false",
        "end=2013-06-30",
    ]
    names = {"drift.json", "comparison.json", "report.md"}
    assert files_in(tmp_path / "reports/retraining") == {f"2013-06-30/{name}" for name in names}
    for name in names:
        assert (kept / name).read_bytes() == (tmp_path / "reports" / name).read_bytes()
    text = (tmp_path / "reports/retraining.md").read_text(encoding="utf-8")
    assert text.startswith(evidence.body(drift(), comparison()).partition("<details>")[0])


def test_a_worse_model_is_a_draft(tmp_path: Path) -> None:
    said = folder_with(tmp_path, drift(), worse()).do("evidence").splitlines()
    assert said[0].startswith("title=❌ Not better: ")
    assert said[1:] == ["draft=true", "end=2013-06-30"]


@pytest.mark.parametrize(
    ("found", "judged", "said"),
    [
        ({"challenger": None}, {}, "reports/drift.json asks for no challenger: Retrain champion"),
        ({"decision": "watch"}, {}, "there is nothing to propose: Retrain champion v7 in 2013-06"),
        (
            {},
            {"holdout": {"start": "2013-04", "end": "2013-04"}},
            "judges on 2013-04, which does not end with 2013-06-01 to 2013-06-30, the newest "
            "window with labels; run `mlops move-window`",
        ),
        (
            {"champion": {"version": 8}},
            {},
            "reports/drift.json is about champion 8, and reports/comparison.json about 7; run",
        ),
        ({}, {"champion": None}, "about champion 7, and reports/comparison.json about None; run"),
        ({}, {"mode": "change"}, "judges a change; run `mlops compare --mode retrain`, `mlops"),
    ],
)
def test_reports_that_do_not_belong_together_are_refused(
    tmp_path: Path, found: dict[str, Any], judged: dict[str, Any], said: str
) -> None:
    project = folder_with(tmp_path, drift() | found, comparison() | judged)
    (tmp_path / "reports/retraining.md").write_text("of an earlier run")
    assert said in project.refused("evidence")
    assert files_in(tmp_path) - {"reports/failure.json"} == {
        "params.yaml",
        *(f"reports/{name}" for name in ("drift.json", "comparison.json", "report.md")),
    }


def test_without_a_report_there_is_no_evidence(tmp_path: Path) -> None:
    project = folder_with(tmp_path, drift(), comparison())
    (tmp_path / "reports/report.md").unlink()
    assert project.refused("evidence") == (
        "reports/report.md is not there; run `mlops report` first"
    )
