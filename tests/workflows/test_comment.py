"""The comment on a pull request: one of them, about the newest commit, whatever goes wrong."""

import hashlib
import re
import runpy
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import recorded
from conversation import ACTION, BOT, CML, COMMENTS, REPOSITORY, TOKEN, Conversation, Step
from conversation import comment_text as expected
from projects import ROOT

REPORT = "## ✅ Better than production\n\n| | candidate |\n|---|--:|\n| ROC AUC | 0.746 |"
PULL = f"GET /repos/{REPOSITORY}/pulls/1"
LIST = f"GET {COMMENTS}?per_page=100"
BY_CML = ["GET /users/ada", f"GET {COMMENTS}"]
CML_AGENT = "octokit"


@pytest.fixture
def github(tmp_path: Path) -> Iterator[Conversation]:
    with Conversation(tmp_path) as github:
        yield github
        recorded.check(github.requests)
        assert github.refused == []


@pytest.fixture
def step(github: Conversation) -> Step:
    return Step(github)


def updated(url: str) -> str:
    """Return the request that changes the comment at the address."""
    return f"PATCH /repos/{REPOSITORY}/issues/comments/{url.rpartition('-')[2]}"


def test_the_first_run_comments_and_the_next_updates_that_comment(
    github: Conversation, step: Step
) -> None:
    first = github.head
    log = step.run(REPORT)
    assert github.comments() == [(BOT, expected(REPORT, first))]
    assert github.asked() == [LIST, PULL, *BY_CML, f"POST {COMMENTS}"]
    assert log == f"{step.url}\n"
    assert re.fullmatch(rf"https://github\.com/{REPOSITORY}/pull/1#issuecomment-\d+", step.url)
    assert (step.folder / "summary").read_text() == f"Comment: {step.url}\n"

    second, url = github.push(), step.url
    longest = ("x" * 99 + "\n") * 600
    step.run(longest)
    assert github.comments() == [(BOT, expected(longest.rstrip(), second))]
    assert github.asked() == [LIST, PULL, *BY_CML, updated(url)]
    assert step.url == url


@pytest.mark.parametrize(
    ("times", "said"),
    [
        (1, "<!-- holdout {0} 0.0250 20 -->"),
        (
            9,
            "Judged 9 times on this holdout; an idea that changes nothing looks better in 1 of 40.",
        ),
        (
            20,
            "⚠️ **This holdout is worn out**: judged 20 times. Of so many ideas that change "
            "nothing, one at least looks better with 40%. Judge on newer rows: move `data.holdout` "
            "(`gate.judgements` is 20).",
        ),
    ],
)
def test_it_says_how_often_the_holdout_was_judged_on(
    github: Conversation, step: Step, times: int, said: str
) -> None:
    holdout, other = "0f" * 16, "1f" * 16
    for run, name in enumerate([holdout] * times + [other]):
        (github.folder / f"runs/{run}/artifacts/holdout-{name}").mkdir(parents=True)
    mark = f"<!-- holdout {holdout} 0.0250 20 -->"
    step.run(f"{REPORT}\n\n{mark}\n\nMore")
    assert github.comments() == [
        (BOT, expected(f"{REPORT}\n\n{said.format(holdout)}\n\nMore", github.head))
    ]


@pytest.mark.parametrize(
    "mark",
    [
        "<!-- holdout 0f&name=x 0.0250 20 -->",
        f"<!-- holdout {'0f' * 16} 0.0 20 -->",
        f"<!-- holdout {'0f' * 16} 0.0250 0 -->",
        f"a <!-- holdout {'0f' * 16} 0.0250 20 -->",
    ],
)
def test_a_mark_that_no_report_has_is_text(github: Conversation, step: Step, mark: str) -> None:
    for run in range(3):
        (github.folder / f"runs/{run}/artifacts/holdout-{'0f' * 16}").mkdir(parents=True)
    step.run(f"{REPORT}\n\n{mark}")
    assert github.comments() == [(BOT, expected(f"{REPORT}\n\n{mark}", github.head))]


def test_without_the_count_the_report_is_what_it_is(github: Conversation, step: Step) -> None:
    github.fail("GET", "/actions/artifacts", 403)
    text = f"{REPORT}\n\n<!-- holdout {'0f' * 16} 0.0250 20 -->"
    assert "How often the holdout was judged on is not known" in step.run(text)
    assert github.comments() == [(BOT, expected(text, github.head))]


def test_only_an_earlier_comment_is_brought_up_to_date(github: Conversation, step: Step) -> None:
    assert step.run("Nothing to judge", ONLY_UPDATE="true") == (
        "No comment: there is none to bring up to date.\n"
    )
    assert github.comments() == []
    step.run(REPORT)
    step.run("Nothing to judge", ONLY_UPDATE="true")
    assert github.comments() == [(BOT, expected("Nothing to judge", github.head))]


def test_one_comment_although_cml_sees_only_thirty(github: Conversation, step: Step) -> None:
    for number in range(35):
        github.say("ada", f"Remark {number}")
    step.run(REPORT)
    url = step.url
    for number in range(65):  # now there is a second page for us, too
        github.say("ada", f"Another remark {number}")
    github.asked()
    log = step.run("Second")
    assert github.by_bot() == [expected("Second", github.head)]
    assert "Without CML, which finds only the first 30 comments." in log
    assert github.asked() == [LIST, f"{LIST}&page=2", PULL, updated(url)]


def test_a_repeated_old_run_leaves_the_newer_comment_alone(
    github: Conversation, step: Step
) -> None:
    old = github.head
    new = github.push()
    github.say(BOT, expected("New", new))
    log = step.run("Old", SHA=old)
    assert log == (
        f"::notice title=Comment::No comment: the report is about {old}, the newest commit is "
        f"{new}, whose own run will comment.\n"
    )
    assert github.comments() == [(BOT, expected("New", new))]
    assert github.asked() == [LIST, PULL]
    assert step.url == ""


@pytest.mark.parametrize("cml", [CML, None], ids=["with CML", "without"])
def test_a_commit_pushed_meanwhile_stops_the_comment(
    github: Conversation, step: Step, cml: str | None
) -> None:
    step.cml = cml
    github.meanwhile = github.push
    assert "::notice title=Comment::No comment: the report is about " in step.run(REPORT)
    assert github.comments() == []


def test_a_quotation_is_not_taken_for_ours(github: Conversation, step: Step) -> None:
    ours = expected("Before", github.head)
    github.say(BOT, ours)
    quoted = "> " + ours.replace("\n", "\n> ")
    said = [("ada", f"{quoted}\n\nI doubt it."), ("ada", quoted), ("eve", ours)]
    for login, body in said:
        github.say(login, body)
    log = step.run(REPORT)
    assert "Without CML, which would overwrite another comment that holds its watermark." in log
    assert github.comments() == [(BOT, expected(REPORT, github.head)), *said]


def test_a_quotation_alone_is_answered_by_a_comment(github: Conversation, step: Step) -> None:
    ours = expected("Deleted since", github.head)
    github.say("ada", ours)
    step.run(REPORT)
    assert github.comments() == [("ada", ours), (BOT, expected(REPORT, github.head))]


def test_the_token_of_a_person_updates_the_comment_of_that_person(
    github: Conversation, step: Step
) -> None:
    github.add_token("ghp_ofAda", "ada", write=True)
    step.token = "ghp_ofAda"
    before = expected("Before", github.head)
    others = [("eve", before), ("ada", "> " + before.replace("\n", "\n> ") + "\n\nI doubt it.")]
    for login, body in [("ada", before), *others]:
        github.say(login, body)
    step.run(REPORT)
    assert github.comments() == [("ada", expected(REPORT, github.head)), *others]


def test_only_the_recorded_cml_is_run(github: Conversation, step: Step) -> None:
    step.cml = None
    digest = hashlib.sha256(github.release_cml().read_bytes()).hexdigest()
    said, url = step.run("By gh").splitlines()
    assert said == "Without CML, of which no file is on record yet."
    assert url == step.url
    assert not [it for it in github.requests if CML_AGENT in it.user_agent]

    github.record_cml(digest)
    assert step.run("By CML") == f"{url}\n"
    assert github.asked()[-3:] == [*BY_CML, updated(url)]

    github.record_cml("0" * 64)
    warning, url = step.run("By gh again").splitlines()
    assert warning == (
        "::warning title=Comment::The comment is written without CML: "
        f"its sha256 is {digest}, and the first deployment recorded {'0' * 64} for v0.20.6"
    )
    assert not [it for it in github.requests if CML_AGENT in it.user_agent]
    assert github.comments() == [(BOT, expected("By gh again", github.head))]


def test_the_first_deployment_records_cml_and_later_ones_keep_that(
    github: Conversation, step: Step
) -> None:
    """It is fetched and hashed, and not run: it could not even be."""
    record = step.folder / ".store/cml.sha256"

    def run() -> str:
        script = [sys.executable, "-B", str(ROOT / ".github/lib/cml.py"), str(record)]
        done = subprocess.run(script, env=step.environment, capture_output=True, text=True)
        assert (done.returncode, done.stderr) == (0, "")
        return done.stdout

    missing = "::notice title=CML::CML is not on record yet, and gh comments meanwhile: gh failed: "
    assert run().startswith(missing)
    assert not record.exists()
    file = github.release_cml()
    file.write_bytes(b"CML")
    digest = hashlib.sha256(b"CML").hexdigest()
    assert run() == (
        "::notice title=CML::From now on, only this file of CML v0.20.6 is run: " + f"{digest}\n"
    )
    assert record.read_text() == f"{digest}  v0.20.6/cml-linux-x64\n"
    file.write_bytes(b"Another file")
    assert run() == ""
    assert record.read_text().startswith(digest)
    record.write_text(f"{digest}  v0.20.5/cml-linux-x64\n")
    assert "From now on" in run()
    assert len(record.read_text().splitlines()) == 2


def test_gh_comments_where_there_is_no_cml(github: Conversation, step: Step) -> None:
    step.cml = None
    github.record_cml("0" * 64)
    warning, url = step.run(REPORT).splitlines()
    assert warning == (
        "::warning title=Comment::The comment is written without CML: gh failed: release not found"
    )
    assert url == step.url
    assert github.comments() == [(BOT, expected(REPORT, github.head))]


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (403, "Resource not accessible by integration"),
        (422, "Validation Failed"),
        (500, "Server Error"),
    ],
)
def test_gh_comments_where_cml_fails(
    github: Conversation, step: Step, status: int, words: str
) -> None:
    github.fail("POST", COMMENTS, status, user_agent=CML_AGENT)
    assert step.run("::error::pwned\n##[error]pwned\n").splitlines() == [
        "::warning title=Comment::The comment is written without CML: "
        f"{Path(CML).name} failed: {words}",  # and it has printed the report
        step.url,
    ]
    assert github.comments() == [(BOT, expected("::error::pwned\n##[error]pwned", github.head))]


def test_cml_that_fails_after_it_wrote_makes_no_second_comment(
    github: Conversation, step: Step
) -> None:
    step.cml = script(step, f'"{CML}" "$@" && exit 1')
    assert "cml failed: it printed nothing" in step.run(REPORT)
    assert github.comments() == [(BOT, expected(REPORT, github.head))]


def test_without_the_right_to_write_the_run_stays_green(github: Conversation, step: Step) -> None:
    github.add_token(TOKEN, BOT, write=False, repository=REPOSITORY, is_actions=True)
    *_, last = step.run(REPORT).splitlines()
    assert last == (
        "::warning title=Comment::No comment: this run may not write one (Resource not accessible "
        "by integration (HTTP 403)). The report is in the summary of the run."
    )
    assert github.comments() == []


def test_an_outage_fails_the_run_in_one_line(github: Conversation, step: Step) -> None:
    github.fail("POST", COMMENTS, 500)
    *_, last = step.run(REPORT, fails=True).splitlines()
    assert last == "::error title=Comment::No comment: Server Error (HTTP 500)"


def test_what_cml_says_gives_the_runner_no_commands(github: Conversation, step: Step) -> None:
    step.cml = script(step, f"printf '::add-mask::{TOKEN} ##[error]x\\nmore\\n' >&2; exit 1")
    warning, url = step.run(REPORT).splitlines()
    assert warning == (
        "::warning title=Comment::The comment is written without CML: "
        "cml failed: : :add-mask: :*** ## [error]x"
    )
    assert url == step.url


def test_a_cml_that_names_no_comment_is_not_believed(github: Conversation, step: Step) -> None:
    step.cml = script(step, f"echo '::add-mask::{'x' * 999}'")
    warning, _ = step.run(REPORT).splitlines()
    words = warning.partition("it did not say where the comment is, but ")[2]
    assert words == f"': :add-mask: :{'x' * 286}…'"
    assert github.comments() == [(BOT, expected(REPORT, github.head))]


def script(step: Step, command: str) -> str:
    """Return a program that behaves as CML should not."""
    file = step.folder / "scripts" / "cml"
    file.parent.mkdir(exist_ok=True)
    file.write_text(f"#!/bin/sh\n{command}\n")
    file.chmod(0o755)
    return str(file)


def test_only_a_report_that_is_there_is_posted(github: Conversation, step: Step) -> None:
    missing = "missing or empty. The job that writes it says why.\n"
    assert step.run(fails=True).endswith(missing)
    assert step.run(" \n", fails=True).endswith(missing)
    step.report.unlink()
    step.report.symlink_to("/proc/self/environ")
    assert step.run(fails=True) == (
        f"::error title=Comment::{step.report} is a link; the report has to be a file.\n"
    )
    assert github.asked() == []


@pytest.mark.parametrize(
    ("name", "value", "what"),
    [("NUMBER", "1/../2", "the number of a pull request"), ("SHA", "main", "a commit")],
)
def test_what_becomes_part_of_an_address_is_checked(
    github: Conversation, step: Step, name: str, value: str, what: str
) -> None:
    log = step.run(REPORT, fails=True, **{name: value})
    assert log.startswith(f"::error title=Comment::Not {what}")
    assert log.endswith(f": {value!r}\n")
    assert github.asked() == []


def test_a_report_is_cut_where_a_comment_is_full(github: Conversation, step: Step) -> None:
    step.run("<details>\n" * 6001)  # which have to be closed
    (body,) = github.by_bot()
    assert len(body) < 65_536
    assert body.count("<details>") == body.count("</details>") > 2000
    assert (
        "</details>\n\n*Cut here, as a comment holds 60,000 characters of a report. The whole "
        "report is in the artifact `report` of the run.*\n\n![](https://cml.dev/" in body
    )


@pytest.mark.parametrize(
    ("text", "limit", "kept"),
    [
        ("one\ntwo\n", 8, "one\ntwo"),
        ("one\ntwo\n", 7, "one"),
        ("one", 2, ""),
        ("one\n```\ntwo\n```\n", 16, "one\n```\ntwo\n```"),
        ("one\n```py\ntwo\nthree\n```\n", 18, "one\n```py\ntwo\n```"),
        ("~~~~\n~~~\n```\n</details>\n~~~~\n", 18, "~~~~\n~~~\n```\n~~~~"),
        ("<details>A\n\nB\n</details>\n", 24, "<details>A\n\n</details>"),
        ("<details>A\n\nB\n</details>\n", 25, "<details>A\n\nB\n</details>"),
        ("<details>\n\n```\n<details>\nBC", 41, "<details>\n\n```\n<details>\n```\n\n</details>"),
    ],
)
def test_code_and_folds_are_closed_where_a_report_is_cut(
    text: str, limit: int, kept: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.syspath_prepend(ACTION.parents[1] / "lib")
    action = runpy.run_path(str(ACTION / "comment.py"))
    assert action["fit"](text, limit) == (kept, kept == text.rstrip())
    assert len(kept) <= limit
