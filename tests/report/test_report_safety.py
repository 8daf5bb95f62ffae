"""No data and no parameter can break the pull-request comment, or make it too long."""

import re
from typing import Any

import pytest
from comment import assert_harmless, plain, table, tables
from workbench import Workbench

from mlops.project.errors import MlopsError
from mlops.report import comment

HOSTILE = [
    "a | b || c",
    "`code` ``more`` ```",
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "</code></details> --> <b>",
    "@everyone and @team/core",
    "#1 and owner/repo#3",
    "${{ secrets.GITHUB_TOKEN }} {{ metric }} {% raw %}",
    "two\nlines\r\n\r\n# heading\n- item\n```mermaid",
    "![](https://evil.example/x.png) [click](javascript:alert(1)) [a]: b",
    "https://evil.example www.evil.example",
    "**bold** _it_ __so__ ~~gone~~ $x^2$ \\| &#124; &lt;b&gt; &amp;",
    "right\u202eleft\x00null\x1b[31m",
    "x" * 10_000,
    "",
]


@pytest.fixture
def comparison(blind: Workbench) -> dict[str, Any]:
    """A real comparison that has slices, changed code and a failed check."""
    return dict(blind.json("comparison"))


def rendered(content: dict[str, Any], template: str = "report/report.md.j2") -> str:
    text = comment.render(template, content)
    assert len(text) <= comment.LIMIT
    return text


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:20])
def test_hostile_values_stay_text(comparison: dict[str, Any], value: str) -> None:
    part = next(part for part in comparison["slices"] if part["failed"])
    change = {"key": value, "champion": value, "candidate": [value]}
    comparison |= {
        "target": value,
        "slices": [part | {"column": value, "value": value}, *comparison["slices"]],
        "reasons": [value],
    }
    comparison["gate"]["slices"]["columns"] = [value, "carrier"]
    comparison["gate"]["blocks"] = value
    comparison["holdout"]["blocks"] = f"31 {value}"
    comparison["checks"] = [
        *comparison["checks"],
        {"name": value, "value": value, "limit": value, "passed": False, "reason": f"for {value}"},
    ]
    comparison["changes"] |= {"params": [change], "schema": [change], "code": [value]}
    comparison["changes"]["features"] = {"added": [value], "removed": [value]}
    comparison["changes"]["window"] = {"champion": value, "candidate": value}
    text = rendered(comparison)
    assert_harmless(text)
    safe = plain(value)
    row = table(text, "slice")[0]
    assert row[0].text.replace("\u200b", "") == f"{safe} {safe}".strip()
    assert row[0].types <= {"text"}
    last = table(text, "check")[-1]
    assert [cell.text.replace("\u200b", "") for cell in last[:3]] == [safe] * 3
    changed = table(text, "setting")[0]
    assert [cell.text for cell in changed[:2]] == [safe] * 2
    assert {kind for cell in changed for kind in cell.types} <= {"text", "html_inline"}


def test_many_rows_are_cut_largest_table_first(comparison: dict[str, Any]) -> None:
    part = next(part for part in comparison["slices"] if part["failed"])
    comparison["slices"] = [part | {"value": f"carrier {n}"} for n in range(5_000)]
    changes = [{"key": f"estimator.a{n}", "champion": n, "candidate": n + 1} for n in range(40)]
    comparison["changes"] |= {"params": changes, "schema": []}
    text = rendered(comparison)
    rows = len(table(text, "slice"))
    assert 100 < rows < 1_000
    assert f"*{5_000 - rows:,} more rows, left out to fit into a comment; all are in " in text
    assert text.count("left out") == 1
    assert len(table(text, "setting")) == 40


def test_the_largest_report_fits(comparison: dict[str, Any]) -> None:
    part = next(part for part in comparison["slices"] if part["failed"])
    long = "|<@#`" * 2_000
    comparison["slices"] = [part | {"column": long, "value": long} for _ in range(5_000)]
    change = {"key": long, "champion": long, "candidate": long}
    comparison["changes"] |= {"params": [change] * 2_000, "schema": [change] * 500}
    weeks = comparison["candidate"]["plots"]["over_time"]
    weeks |= {key: values[:1] * 1_000 for key, values in weeks.items()}
    comparison["checks"] = [check | {"passed": False} for check in comparison["checks"]] * 100
    text = rendered(comparison)
    assert_harmless(text)
    for first in ("slice", "setting", "check", "week"):
        assert len(table(text, first)) >= comment.FEWEST_ROWS
    assert text.count("left out") >= 4


def test_a_report_that_cannot_fit_says_so(comparison: dict[str, Any]) -> None:
    with pytest.raises(MlopsError, match=r"the report has \d,\d+ characters with every table cut"):
        comment.render("report/report.md.j2", comparison, limit=500)


@pytest.mark.parametrize("value", HOSTILE, ids=lambda value: repr(value)[:20])
def test_hostile_data_stay_text(value: str) -> None:
    failure = {"column": value, "check": value, "bad_rows": 3, "example": {value: value}}
    data = {"passed": False, "md5": "0f", "rows": 9, "schema": {}, "failures": [failure] * 900}
    text = rendered(data, "report/refused.md.j2")
    assert_harmless(text)
    (rows,) = tables(text)
    assert rows[1][0].text.replace("\u200b", "") == plain(value)
    more = re.search(r"\*(\d+) more, left out to fit into a comment", text)
    assert len(rows) - 1 + int(more[1] if more else 0) == 900
