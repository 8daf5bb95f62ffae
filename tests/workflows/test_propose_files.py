"""``propose`` with files of another job: takes only those, lets CML ask, and never asks twice."""

import os
import shlex
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import recorded
from github_server import FakeGitHub
from proposing import BOT, CML, NAME, SETTING, Desk, Done, after_the_notice

PULL = f"https://github.com/{NAME}/pull"
ISSUE = f"https://github.com/{NAME}/issues"
PREFIX, JUNE = "retraining/", "2013-06-30"
BRANCH = f"{PREFIX}{JUNE}"
TITLE = f"Retrain on data up to {JUNE}"
PARAMS = """\
task: binary # or another
data:
  target: late
  # what trains
  window: { start: 2013-01, end: 2013-03 } # rows that train
  holdout:
    start: 2013-04
    end: "2013-04"  # included
  time: time_hour
gate:
  window: { start: 2013-01 }
"""
MOVED = PARAMS.replace("start: 2013-01, end: 2013-03 }", "start: 2013-03, end: 2013-05 }").replace(
    'start: 2013-04\n    end: "2013-04"  #', 'start: "2013-06-01"\n    end: "2013-06-30" #'
)
TRAIN = "on: [workflow_dispatch, pull_request]\njobs: {}\n"
EVIDENCE = f"reports/retraining/{JUNE}"
FILES = {
    "params.yaml": MOVED,
    "dvc.lock": "newer\n",
    f"{EVIDENCE}/drift.json": "{}\n",
    "reports/retraining.md": "What moved.\n",
}


class Retraining(Desk):
    """A checkout in which the artifact of the job that has trained lies in ``proposal``."""

    def __init__(self, github: FakeGitHub, folder: Path) -> None:
        super().__init__(github, folder)
        self.commit(
            {
                "params.yaml": PARAMS,
                "dvc.lock": "older\n",
                ".github/workflows/train.yml": TRAIN,
            }
        )
        self.publish("main")
        self.may_open_pulls()

    @property
    def artifact(self) -> Path:
        return self.folder / "proposal"

    def check_out(self, files: dict[str, str] = FILES) -> None:
        """Check main out afresh, as a job does, and put the artifact there."""
        shutil.rmtree(self.folder)
        self.folder.mkdir()
        self.git("init", "--quiet")
        self.git("remote", "add", "origin", f"https://github.com/{NAME}")
        self.take("main")
        self.hand_over(files)

    def check_out_again(self) -> None:
        """Do the same, but faster: nothing was committed since."""
        if not (self.folder / "proposal").is_dir():
            return self.check_out()
        self.git("checkout", "--quiet", "--force", "HEAD")
        self.git("clean", "--quiet", "--force", "-d")
        return self.hand_over(FILES)

    def hand_over(self, files: dict[str, str]) -> None:
        for name, text in files.items():
            (self.artifact / name).parent.mkdir(parents=True, exist_ok=True)
            (self.artifact / name).write_text(text)

    def retrain(self, **changed: str) -> Done:
        """Propose what was trained; ``changed`` are files, by what their names end with."""
        files = dict(FILES)
        for ending, text in changed.items():
            (name,) = [name for name in files if name.endswith(ending.replace("_", "."))]
            files[name] = text
        self.check_out(files)
        return self.step()

    def step(self, **given: str) -> Done:
        self.github.requests.clear()
        inputs = {
            "branch": BRANCH,
            "title": TITLE,
            "body": "proposal/reports/retraining.md",
            "patch": "",
            "folder": "proposal",
            "files": f"params.yaml dvc.lock {EVIDENCE}",
            "draft": "false",
            "labels": "retraining",
            "supersedes": PREFIX,
        }
        return self.run(**inputs | given)

    def by_bot(self, end: str) -> None:
        """Push the branch of a window with a commit of the bot."""
        self.take("main")
        made = self.git("commit-tree", "HEAD^{tree}", "-p", "HEAD", "-m", end, email=BOT)
        self.git("push", "--quiet", str(self.bare), f"{made}:refs/heads/{PREFIX}{end}")

    @property
    def pulls(self) -> list[dict[str, Any]]:
        return list(self.known["pulls"].values())

    def comments(self, number: int) -> list[str]:
        return [it["body"] for it in self.known["comments"].values() if it["issue"] == number]

    def branches(self) -> list[str]:
        form = "--format=%(refname:short)"
        listed = self.git("--git-dir", str(self.bare), "for-each-ref", form, "refs/heads")
        return listed.split()

    def tip(self, branch: str) -> str:
        return self.git("--git-dir", str(self.bare), "rev-parse", branch)

    def by_cml(self) -> list[str]:
        return [
            f"{it.method} {it.path}"
            for it in self.github.requests
            if "octokit" in it.user_agent and it.method == "POST"
        ]


@pytest.fixture
def desk(tmp_path: Path) -> Iterator[Retraining]:
    with FakeGitHub(tmp_path / "github") as github:
        yield Retraining(github, tmp_path / "desk")
        recorded.check(github.requests)
        assert github.refused == []


def test_cml_opens_it_with_exactly_the_files(desk: Retraining) -> None:
    body = "📈" * 60_000  # four times as many bytes: too long for an argument
    done = desk.retrain(retraining_md=body)
    assert done.said.splitlines()[-1] == f"::notice title=Propose::opened {PULL}/1"
    assert done.output == f"url={PULL}/1\nnumber=1\nnew=true\n"
    assert done.summary == f"Opened {PULL}/1.\n"
    assert desk.by_cml() == [f"POST /repos/{NAME}/pulls"]
    git = [(it.query, it.status) for it in desk.github.requests if it.method == "GIT"]
    assert git.count(("receive-pack", 200)) == 2  # of one push: CML made the very same commit
    (pull,) = desk.pulls
    assert (pull["title"], pull["draft"], pull["labels"]) == (TITLE, False, ["retraining"])
    assert after_the_notice(pull["body"]) == body
    assert desk.show(BRANCH, "%B%an|%ae|%ce|%P").split("\n\ndiff")[0] == (
        f"{TITLE}\ngithub-actions[bot]|{BOT}|{BOT}|{desk.git('rev-parse', 'FETCH_HEAD')}"
    )
    changed = desk.git("--git-dir", str(desk.bare), "diff", "--name-only", "main", BRANCH)
    assert changed.split() == ["dvc.lock", "params.yaml", f"{EVIDENCE}/drift.json"]
    assert desk.show(f"{BRANCH}:params.yaml") == MOVED.strip()
    assert desk.known["dispatches"] == []  # whose checks would not be the pull request's

    done = desk.retrain(retraining_md=body)
    assert done.summary == f"Nothing new: {PULL}/1 proposes it.\n"
    assert done.output == f"url={PULL}/1\nnumber=1\nnew=false\n"
    assert desk.writes() == []


def test_one_that_is_worse_is_a_draft_and_another_training_replaces_it(desk: Retraining) -> None:
    desk.check_out()
    assert desk.step(draft="true", title="Do not merge").summary == f"Opened {PULL}/1.\n"
    assert desk.by_cml() == [f"POST /repos/{NAME}/pulls"]
    (pull,) = desk.pulls
    assert (pull["title"], pull["draft"]) == ("Do not merge", True)

    done = desk.retrain(dvc_lock="newest\n", retraining_md="Better.\n")
    assert done.summary == f"Updated {PULL}/1.\n"
    assert done.output == f"url={PULL}/1\nnumber=1\nnew=true\n"
    assert desk.by_cml() == []  # it pushes nothing to a branch that is there
    (pull,) = desk.pulls
    assert (pull["title"], pull["draft"]) == (TITLE, False)
    assert after_the_notice(pull["body"]) == "Better.\n"
    assert desk.git("--git-dir", str(desk.bare), "rev-list", "--count", f"main..{BRANCH}") == "1"
    assert desk.show(f"{BRANCH}:dvc.lock") == "newest"

    desk.known["drafts"] = False
    desk.check_out()
    done = desk.step(draft="true")
    assert done.summary == f"Updated {PULL}/1.\n"
    assert f"::warning title=Propose::{PULL}/1 cannot be made a draft: " in done.said


def test_a_run_that_was_cut_off_is_completed_by_the_next(desk: Retraining) -> None:
    desk.github.fail("POST", "/labels", 500, times=1)
    done = desk.retrain()
    assert done.code == 1
    assert done.said == "::error title=Propose::GitHub: Server Error (HTTP 500)\n"
    assert desk.pulls[0]["labels"] == []

    done = desk.retrain()
    assert done.said == f"::notice title=Propose::nothing new: {PULL}/1 proposes it\n"
    assert (done.code, desk.pulls[0]["labels"]) == (0, ["retraining"])


def test_without_the_setting_an_issue_asks(desk: Retraining) -> None:
    desk.may_open_pulls(False)
    done = desk.retrain()
    assert done.said == (
        f"::notice title=Propose::the branch {BRANCH} is pushed, but `{SETTING}` is off: "
        f"{ISSUE}/1 says how to go on\n"
    )
    assert done.output == f"url={ISSUE}/1\nnumber=1\nnew=true\n"
    assert desk.by_cml() == [f"POST /repos/{NAME}/pulls"]
    (issue,) = desk.known["issues"].values()
    assert f"compare/main...{BRANCH}?expand=1&labels=retraining)" in issue["body"]

    assert desk.retrain().output == f"url={ISSUE}/1\nnumber=1\nnew=false\n"

    desk.may_open_pulls()
    done = desk.retrain()
    assert done.said == f"::notice title=Propose::opened {PULL}/2\n"
    assert done.output == f"url={PULL}/2\nnumber=2\nnew=true\n"
    assert desk.by_cml() == []
    assert desk.pulls[0]["labels"] == ["retraining"]
    assert desk.known["issues"]["1"]["state"] == "closed"
    assert desk.comments(1) == [f"{PULL}/2 is open now."]


def test_gh_opens_it_where_no_file_of_cml_is_on_record(desk: Retraining) -> None:
    desk.cml = None
    done = desk.retrain()
    assert done.said.splitlines() == [f"::notice title=Propose::opened {PULL}/1"]
    assert desk.by_cml() == []


def refused(desk: Retraining) -> str:
    desk.github.fail("POST", "/pulls", 500, user_agent="octokit")
    return f"{Path(CML).name} failed: Server Error"


def says_nothing(desk: Retraining) -> str:
    desk.cml = script(desk, "echo undefined")
    return "it did not say where the pull request is, but 'undefined'"


def script(desk: Retraining, commands: str) -> str:
    """Return a program that behaves as CML should not."""
    file = desk.folder.parent / "scripts" / "cml"
    file.parent.mkdir()
    file.write_text(f"#!/bin/sh\n{commands}\n")
    file.chmod(0o755)
    return str(file)


@pytest.mark.parametrize("breaks", [refused, says_nothing])
def test_gh_opens_it_where_cml_does_not(
    desk: Retraining, breaks: Callable[[Retraining], str]
) -> None:
    why = breaks(desk)
    done = desk.retrain()
    assert done.said.splitlines() == [
        f"::warning title=Propose::The pull request is opened without CML: {why}",
        f"::notice title=Propose::opened {PULL}/1",
    ]
    assert (desk.pulls[0]["title"], desk.pulls[0]["labels"]) == (TITLE, ["retraining"])
    assert desk.show(f"{BRANCH}:params.yaml") == MOVED.strip()


def test_a_branch_that_somebody_makes_meanwhile_is_left_alone(desk: Retraining) -> None:
    there = f"{shlex.quote(str(desk.bare))} update-ref refs/heads/{BRANCH}"
    tree = "$(git rev-parse HEAD^{tree})"
    made = f"$(git --git-dir {shlex.quote(str(desk.bare))} commit-tree {tree} -p main -m Mine)"
    who = "GIT_AUTHOR_EMAIL=a@b.c GIT_COMMITTER_EMAIL=a@b.c GIT_AUTHOR_NAME=A GIT_COMMITTER_NAME=A"
    desk.cml = script(desk, f'export {who}; git --git-dir {there} {made}; exec "{CML}" "$@"')
    done = desk.retrain()
    assert f"left alone: somebody has committed to the branch {BRANCH}" in done.said
    assert desk.show(BRANCH, "%s").split("\n")[0] == "Mine"


def test_what_people_have_closed_is_left_alone_and_said(desk: Retraining) -> None:
    desk.retrain()
    desk.github.ask("PATCH", f"/repos/{NAME}/pulls/1", {"state": "closed"}, login="ada")
    done = desk.retrain(dvc_lock="newest\n")
    assert done.code == 0
    assert done.summary == f"Left alone: {PULL}/1 proposed the same, and was closed.\n"
    assert done.output == f"url={PULL}/1\nnumber=1\nnew=false\n"
    assert desk.writes() == []


def test_the_same_files_as_on_main_are_nothing_new(desk: Retraining) -> None:
    desk.check_out({"params.yaml": PARAMS, "dvc.lock": "older\n", "body.md": "x"})
    done = desk.step(files="params.yaml dvc.lock", body="proposal/body.md")
    assert done.summary == "Nothing new: main has the same files.\n"
    assert done.output == "new=false\n"
    assert desk.writes() == []


def test_older_proposals_are_closed_with_a_link(desk: Retraining) -> None:
    ends = [f"2013-0{month}-28" for month in range(1, 6)]
    for end in ends:
        desk.by_bot(end)
    for end in ends[1:]:
        head = {"head": f"{PREFIX}{end}", "base": "main", "title": end}
        login = "ada" if end == ends[1] else "github-actions[bot]"  # by the link in an issue
        desk.github.ask("POST", f"/repos/{NAME}/pulls", head, login=login)
        desk.pulls[-1]["labels"].append("retraining")
    desk.take(f"{PREFIX}{ends[2]}")
    desk.commit({"model.py": "better"})
    desk.publish(f"{PREFIX}{ends[2]}")
    desk.pulls[2]["labels"].clear()  # somebody keeps it
    hers = {"head": f"{PREFIX}by-ada", "base": "main", "title": "Mine"}
    desk.publish(hers["head"])
    desk.github.ask("POST", f"/repos/{NAME}/pulls", hers, login="ada")
    desk.pulls[4]["labels"].append("retraining")
    asks = {"title": "x", "body": f"<!-- proposal: {PREFIX}{ends[0]} -->", "labels": ["retraining"]}
    desk.github.ask("POST", f"/repos/{NAME}/issues", asks, login="github-actions[bot]")

    done = desk.retrain()
    assert done.summary == f"Opened {PULL}/7.\n"
    states = {it["head"]["ref"].removeprefix(PREFIX): it["state"] for it in desk.pulls}
    assert states == dict(zip(ends[1:], ["closed", "closed", "open", "closed"], strict=True)) | {
        "by-ada": "open",
        JUNE: "open",
    }
    assert desk.pulls[0]["title"] == f"{ends[1]} (superseded)"  # it may be proposed again
    why = f"Superseded by {PULL}/7."
    kept = f"{why} Its branch is kept, as somebody has committed to it."
    said = [desk.comments(number) for number in range(1, 8)]
    assert said == [[why], [kept], [], [why], [], [why], []]
    assert desk.known["issues"]["6"]["state"] == "closed"
    left = [f"{PREFIX}{name}" for name in (ends[2], ends[3], JUNE, "by-ada")]
    assert desk.branches() == ["main", *left]


def put(path: str, content: str = "") -> Callable[[Retraining], None]:
    def change(desk: Retraining) -> None:
        file = desk.artifact / path
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(content)

    return change


def link(path: str, to: str) -> Callable[[Retraining], None]:
    def change(desk: Retraining) -> None:
        file = desk.artifact / path
        if file.exists():
            shutil.rmtree(file) if file.is_dir() else file.unlink()
        file.symlink_to(to)

    return change


def pipe(desk: Retraining) -> None:
    (desk.artifact / "dvc.lock").unlink()
    os.mkfifo(desk.artifact / "dvc.lock")


def missing(desk: Retraining) -> None:
    (desk.artifact / "dvc.lock").unlink()


def link_in_the_checkout(desk: Retraining) -> None:
    (desk.folder / "reports").symlink_to("..")


def file_in_the_checkout(desk: Retraining) -> None:
    (desk.folder / "reports").write_text("")


def too_many(desk: Retraining) -> None:
    for number in range(101):
        put(f"{EVIDENCE}/{number}")(desk)


BAD: list[tuple[str, Callable[[Retraining], None]]] = [
    ("'src/model/data.py' is not among the files that may be proposed", put("src/model/data.py")),
    ("'reports/retraining/other' is not among", put("reports/retraining/other")),
    ("'.github' has a name that is not", put(".github/workflows/x.yml")),
    (f"'{EVIDENCE}/.gitattributes' has a name that is", put(f"{EVIDENCE}/.gitattributes")),
    (f"'{EVIDENCE}/\\udcff\\n::error::' has a name", put(f"{EVIDENCE}/\udcff\n::error::")),
    (f"'{EVIDENCE}/--exec' has a name that is not", put(f"{EVIDENCE}/--exec")),
    (f"'{EVIDENCE}/x' is no file, but a link", link(f"{EVIDENCE}/x", "/proc/self/environ")),
    ("'params.yaml' is no file, but a link", link("params.yaml", "../params.yaml")),
    (f"'{EVIDENCE}' is no file, but a link", link(EVIDENCE, "/etc")),
    ("'reports/retraining.md' is no file", link("reports/retraining.md", "/proc/self/environ")),
    ("'dvc.lock' is no file, but a link or something else", pipe),
    ("'dvc.lock' is missing in what was handed over", missing),
    (f"'{EVIDENCE}/big' is larger than 5,000,000", put(f"{EVIDENCE}/big", "x" * 5_000_001)),
    ("more than 100 files were handed over", too_many),
    (f"'{EVIDENCE}/drift.json' cannot be written: 'reports' is no", link_in_the_checkout),
    (f"'{EVIDENCE}/drift.json' cannot be written: 'reports' is no", file_in_the_checkout),
    ("'proposal' is no folder: nothing", lambda desk: shutil.rmtree(desk.artifact)),
]
INSTEAD = "'params.yaml', line {}: a retraining may only move data.window and data.holdout"
# What stands in the moved params.yaml, what comes in its place, and the line that is refused.
EDITS = [
    ("task: binary", "task: regression", 1),
    ("binary # or another", "binary # or none", 1),
    ("2013-05 }", "2013-05, cut: 2013-05 }", 5),
    ("start: 2013-03,", "start: DATE,", 5),
    ("start: 2013-03,", "start: !x 2013-03,", 5),
    ("start: 2013-03,", 'start: "2013-03,', 5),
    ('01"\n', '01"\n    cut: 2013-06\n', 8),
    ("  time: time_hour", "  time: 2013-06", 9),
    ("  window: { start: 2013-01 }", "  window: { start: 2013-02 }", 11),
    ("start: 2013-01 }\n", "start: 2013-01 }\nseed: 2\n", 12),
    ("start: 2013-01 }\n", "start: 2013-01 }", 12),
]


def test_nothing_else_is_taken_over(desk: Retraining) -> None:
    wrong = [
        *BAD,
        *((INSTEAD.format(n), put("params.yaml", MOVED.replace(a, b))) for a, b, n in EDITS),
    ]
    for sentence, change in wrong:
        desk.check_out_again()
        change(desk)
        done = desk.step()
        assert done.said.startswith(f"::error title=Propose::{sentence}"), (sentence, done.said)
        assert (done.code, done.said.count("\n"), done.summary) == (1, 1, "")
    for given, sentence in (
        ({"files": "params.yaml ../x"}, "'../x' under `files` is no path that could be accepted"),
        ({"files": ".git/config"}, "'.git/config' under `files` is no path"),
        ({"branch": "retraining/a b"}, "'retraining/a b' cannot be the name of the branch"),
        ({"files": "*", "body": "../x.md"}, "'../x.md', the text of the pull request, has to be"),
    ):
        desk.check_out_again()
        done = desk.step(**given)
        assert done.said.startswith(f"::error title=Propose::{sentence}"), (sentence, done.said)
        assert done.code == 1
    assert desk.branches() == ["main"]
    assert desk.writes() == []


def test_words_that_skip_the_runs_of_a_merge_lose_their_brackets(desk: Retraining) -> None:
    desk.check_out(FILES | {"reports/retraining.md": "Why [CI skip] \0[no ci]"})
    desk.step(title="Retrain [skip ci] $(touch x) `id`")
    (pull,) = desk.pulls
    assert pull["title"] == "Retrain (skip ci) $(touch x) `id`"
    assert after_the_notice(pull["body"]) == "Why (CI skip) (no ci)"
    assert desk.show(BRANCH, "%B").startswith("Retrain (skip ci) $(touch x) `id`\n")
    assert not list(desk.folder.parent.rglob("x"))
