"""Comments on the demo's page: read as GitHub reads them, with charts drawn as by Mermaid."""

import re
from collections.abc import Iterator
from pathlib import Path

import jinja2
import pytest
from generation import ROOT
from page_reader import Reader

REPORT = (Path(__file__).parent / "report.md").read_text(encoding="utf-8")


@pytest.fixture(autouse=True, scope="module")
def _modules_beside_the_demo() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "template")
        yield


def to_html(markdown: str, *, breaks: bool = False) -> str:
    import gfm

    return str(gfm.render(markdown, "octo/x", lambda address: address, breaks=breaks))


def test_a_report_keeps_its_structure() -> None:
    report = Reader(to_html(REPORT))
    assert report.text("h2") == ["✅ Better than production"]
    assert report.text("summary") == ["Charts: ROC AUC by week, calibration"]
    assert report.text("sub") == ["↑ more is better"]
    assert report.text("th") == ["", "candidate", "champion v1"]
    assert [cell.attributes for cell in report.find("td")] == [{}, *[{"align": "right"}] * 2]
    assert not report.find("img")  # CML's mark, which on GitHub is there but nothing to see


def test_both_charts_are_drawn() -> None:
    report = Reader(to_html(REPORT))
    first, second = report.find("svg", "chart")
    assert first.attributes["aria-label"] == "Chart: bars and a line, 07-01 to 07-15"
    assert second.attributes["aria-label"] == "Chart: bars and a line, 1 to 2"
    heights = [float(bar.attributes["height"]) for bar in report.find("rect", "bar")]
    assert len(heights) == 3 + 2
    assert heights[0] == pytest.approx(heights[1] / 2, abs=0.1)  # half way up its axis
    assert heights[2] == 0
    assert [len(line.attributes["d"].split("L")) for line in report.find("path", "line")] == [3, 2]
    ticks = report.text("text", "tick")
    assert ticks[:6] == ["0.50", "0.55", "0.60", "0.65", "0.70", "0.75"]
    assert report.text("text", "category") == ["07-01", "07-08", "07-15", "1", "2"]
    assert not report.find("pre")


def test_charts_of_the_real_report_are_drawn() -> None:
    import mermaid

    template = (ROOT / "src/mlops/report/report.md.j2").read_text(encoding="utf-8")
    sources = re.findall(r"```mermaid\n(.*?)```", template, re.DOTALL)
    values = [0.1, 0.2, 0.3]
    week = {"roc_auc": values}
    calibration = {"rows": values, "seen": values, "predicted": values}
    content = {
        **{"shown": ["2013-07-01", "2013-07-08", "2013-07-15"], "last": 3, "both": True},
        **{"weeks": week, "theirs": week, "metric": "roc_auc", "values": values},
        "candidate": {"plots": {"calibration": calibration}},
    }
    environment = jinja2.Environment(
        trim_blocks=True, lstrip_blocks=True, undefined=jinja2.StrictUndefined
    )
    charts = [mermaid.svg(environment.from_string(it).render(content)) for it in sources]
    assert len(charts) == 2
    for drawn in charts:
        chart = Reader(drawn or "")
        assert len(chart.find("rect", "bar")) == 3
        assert len(chart.find("path", "line")) == 1


def test_only_in_comments_the_end_of_a_line_is_one() -> None:
    assert to_html("Line 1\nLine 2") == "<p>Line 1\nLine 2</p>\n"
    assert to_html("Line 1\nLine 2", breaks=True) == "<p>Line 1<br>\nLine 2</p>\n"


@pytest.mark.parametrize(
    ("markdown", "shown"),
    [
        ("> [!WARNING]\n> Look", '<blockquote class="alert warning">\n<p><strong>Warning</strong>'),
        ("- [ ] a\n- [x] b", '<input type="checkbox" disabled> a</li>\n<li>'),
        ("- [ ] a\n- [x] b", '<input type="checkbox" disabled checked> b'),
        ("a&#64;b @ada@ `@ada`", "<p>a@b <strong>@ada</strong>@ <code>@ada</code></p>"),
        ("https&#58;//a.example", "<p>https://a.example</p>"),
        ("```mermaid\npie\n```", "<pre><code>pie\n</code></pre>"),
        ("```mermaid\nxychart-beta\nbar [1]\n```", "<pre><code>xychart-beta\nbar [1]\n"),
        ("~~old~~ </div> <b>new", "<p><s>old</s>  <b>new</b></p>"),
        ("<title>a</title>", "&lt;title&gt;a&lt;/title&gt;"),
    ],
)
def test_markdown_is_read_as_github_reads_it(markdown: str, shown: str) -> None:
    assert shown in to_html(markdown)


@pytest.mark.parametrize(
    "lines",
    [
        "x-axis [a, b]\nbar [1]",  # a category without a value
        "x-axis [a]\nbar [1]",  # no range
        "x-axis [a]\ny-axis 0 --> 2\nbar [x]",
        "x-axis 1 --> 5\ny-axis 0 --> 2\nbar [1]",
        "x-axis [a]\ny-axis 0 --> 2\nbar [1]\nscatter [1]",
    ],
)
def test_what_is_not_understood_is_not_drawn(lines: str) -> None:
    import mermaid

    assert mermaid.svg(f"xychart-beta\n{lines}") is None


def test_charts_have_titles_and_room_for_labels() -> None:
    import mermaid

    days = [f'"2013-07-{day:02}"' for day in range(1, 32)]
    drawn = mermaid.svg(
        f'%% a note\nxychart-beta\ntitle "Late & <b>"\nx-axis day [{", ".join(days)}]\n'
        f'y-axis "flights"\nline [{", ".join(map(str, range(0, 31000, 1000)))}]'
    )
    chart = Reader(drawn or "")
    assert chart.text("text", "title") == ["Late & <b>"]
    labels = chart.text("text", "category")
    assert labels[-2:] == ["day", "flights"]
    assert labels[:2] == ["2013-07-01", "2013-07-08"]
    assert chart.text("text", "tick")[:3] == ["0", "5000", "10000"]
