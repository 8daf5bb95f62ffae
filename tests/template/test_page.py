"""The page that the demo ends with: all that happened is on it, and nothing on it can run."""

import re
import sqlite3
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from generation import ROOT, succeed
from page_reader import Reader, assert_inert

if TYPE_CHECKING:
    from local_github import LocalGitHub

REPOSITORY = "octo/flight-delays"
SITE = f"https://github.com/{REPOSITORY}"
BOT = "github-actions[bot]"
REPORT = (Path(__file__).parent / "report.md").read_text(encoding="utf-8")
HOSTILE = (
    "<script>alert(1)</script><img src=x onerror=alert(1)><a href='javascript:alert(1)'>x</a>"
    "</details></div></section><svg onload=alert(1)><style>*{all:unset}</style><iframe src=//e>"
)
HOSTILE_MARKDOWN = f"""{HOSTILE}

[x](javascript:alert(1)) [y](data:text/html,1) <a href="java&#x73;cript:alert(1)">z</a>
<details open onclick=alert(1) class=state style="position:fixed" id=actions>

<a href="https://e.example/" onmouseover=alert(1) target=_top>w</a> ![i](https://e.example/i.png)

```mermaid
xychart-beta
    x-axis ["</text><script>alert(1)</script>"]
    y-axis 0 --> 1
    bar [1]
```

<pre title=x><pre>y</pre><code class="language-mermaid">xychart-beta
    x-axis [a]
    y-axis 0 --> 1
    bar [1]
</code>
<!-- <b>
"""
REGISTRY = """
    CREATE TABLE model_versions (name, version);
    CREATE TABLE registered_model_aliases (alias, version, name);
    CREATE TABLE model_version_tags (key, value, name, version);
    INSERT INTO model_versions VALUES ('flights', 1), ('flights', 2);
    INSERT INTO registered_model_aliases VALUES
        ('previous', 1, 'flights'), ('champion', 2, 'flights');
    INSERT INTO model_version_tags SELECT key, value, 'flights', version FROM
        (SELECT 1 AS version UNION SELECT 2), (SELECT 'window' AS key, '2013-04' AS value
        UNION SELECT 'finding', 'better' UNION SELECT 'compared_with', '1'
        UNION SELECT 'registered_by', 'ada' UNION SELECT 'git_commit', '0123456789');
    INSERT INTO model_version_tags VALUES ('image', 'ghcr.io/o/r@sha256:0<b>', 'flights', 2);
"""


@dataclass
class People:
    """What people do on a local GitHub; no workflow runs."""

    local: "LocalGitHub"
    folder: Path

    def ask(self, path: str, login: str = "ada", **body: Any) -> dict[str, Any]:
        return dict(self.local.github.ask("POST", f"/repos/{REPOSITORY}/{path}", body, login=login))

    def push(self, branch: str, subject: str, author: str = "Ada", **files: bytes) -> str:
        """Commit files on top of what was pushed last, and push that as a branch."""
        for name, content in files.items():
            (self.folder / name).write_bytes(content)
        git = ("git", "-c", f"user.name={author}", "-c", "user.email=ada@example.org")
        succeed(*git, "add", "--all", cwd=self.folder)
        succeed(*git, "commit", "--quiet", "--message", subject, cwd=self.folder)
        bare = self.local.github.path(REPOSITORY)
        succeed(*git, "push", "--quiet", bare, f"HEAD:refs/heads/{branch}", cwd=self.folder)
        return succeed("git", "rev-parse", "HEAD", cwd=self.folder).strip()

    def ran(self, number: int, ref: str, checked: str = "", **facts: Any) -> None:
        """Leave a run of a workflow, and its checks at a commit."""
        from act_run import Run

        of_train: dict[str, Any] = {
            **{"workflow": "train.yml", "name": "Train", "event": "pull_request", "attempt": 1},
            **{"sha": "0" * 40, "conclusion": "success", "jobs": {}, "annotations": []},
            **{"summary": "", "artifacts": {}, "seconds": 38.2, "log": ""},
            **{"started": "2026-11-22T00:17:00+00:00"},
        }
        self.local.runs.append(Run(**of_train | {"id": number, "ref": ref} | facts))
        for job in self.local.runs[-1].jobs.values() if checked else ():
            facts = {"name": job.name, "head_sha": checked, "conclusion": job.conclusion}
            self.ask("check-runs", BOT, **facts, external_id=str(number))


@pytest.fixture(autouse=True, scope="module")
def _modules_beside_the_demo() -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(ROOT / "tests" / "workflows" / "github")
        patch.syspath_prepend(ROOT / "template")
        yield


def new_people(folder: Path) -> People:
    from local_github import LocalGitHub

    people = People(LocalGitHub(folder / "github", cml=None), folder / "work")
    succeed("git", "init", "--quiet", people.folder, cwd=folder)
    return people


def read(people: People, folder: Path) -> Reader:
    import page

    path = page.write(people.local, folder / "page")
    assert path == folder / "page" / "index.html"
    return Reader(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def story(tmp_path_factory: pytest.TempPathFactory) -> Reader:
    """The page after one pull request was merged, and another one has failed."""
    from act_run import Annotation, Job, Step

    folder = tmp_path_factory.mktemp("story")
    people = new_people(folder)
    people.push("main", "The first champion", params=b"window: 2013-01\n")
    head = people.push("retrain", "Move the `window`", params=b"window: 2013-04\n")
    people.ask("pulls", head="retrain", base="main", title="Retrain", body="")
    comment = people.ask("issues/1/comments", BOT, body="An older report")
    known = people.local.github.state["repositories"][REPOSITORY]
    known["comments"][str(comment["id"])] |= {"body": REPORT, "updated_at": "2099-01-01T00:00:00Z"}
    body = f"See #1, {SITE}/actions/runs/8 and {SITE}/tree/x. (https://dvc.org/doc) @ada :rocket:"
    people.ask("issues/1/comments", body=body)
    steps = [Step("Check out the code", "success"), Step("Say what the gate found", "failure")]
    good = {"train": Job("train", "success", steps[:1], "", {})}
    bad = {
        **good,
        "comment": Job("comment", "skipped", [], "", {}),
        "model gate": Job("model gate", "failure", steps, "\x1b[31m1 of 7\x1b[0m failed", {}),
    }
    ref = "refs/pull/1/merge"
    people.ran(7, ref, head, jobs={"train": Job("train", "failure", [], "", {})})
    people.ran(8, ref, head, jobs=good, summary=REPORT)
    people.local.merge(1, run=False)
    head = people.push("shuffle", "Shuffle the labels", params=b"window: 2013-04\nshuffle: true\n")
    people.ask("pulls", head="shuffle", base="main", title="Shuffle", draft=True)
    notes = [Annotation("error", "Gate", "1 of 7 checks failed", "model gate")]
    facts = {"conclusion": "failure", "attempt": 2, "jobs": bad, "annotations": notes}
    people.ran(9, "refs/pull/2/merge", head, **facts)
    people.ran(10, "refs/heads/main", event="push", artifacts={"model": folder}, seconds=61)
    people.ask("issues", BOT, title="Retraining is ready", labels=["retrain"])
    for environment, state in (("staging", "success"), ("production", "failure")):
        number = people.ask("deployments", ref=head, environment=environment)["id"]
        status = {"log_url": f"{SITE}/actions/runs/10", "environment_url": "https://late.example"}
        people.ask(f"deployments/{number}/statuses", BOT, state="in_progress")
        people.ask(f"deployments/{number}/statuses", BOT, state=state, **status)
    with sqlite3.connect(folder / "mlflow.db") as database:
        database.executescript(REGISTRY)
    stored = {"mlflow.db": (folder / "mlflow.db").read_bytes()}
    people.push("mlops-store", f"Store of main at {head}", **stored)
    return read(people, folder)


def test_it_says_what_is_a_stand_in(story: Reader) -> None:
    (said,) = story.text("aside")
    assert said.startswith("A local stand-in for GitHub, made by make demo.")
    assert "Real: the workflows (run by act), git, DVC and MLflow" in said
    assert "Stand-ins: GitHub itself, which this page imitates, CML, which posts" in said


def test_pull_requests_and_issues_are_told(story: Reader) -> None:
    titles = [title for title in story.text("h2") if "#" in title]
    assert titles == ["Shuffle #2", "Retrain #1", "Retraining is ready #3"]
    assert story.text("span", "state") == ["Draft", "Merged", "Open"]
    draft, merged, issue = story.text("div", "heading")
    assert "ada wants to merge 2 commits into main from shuffle" in draft
    assert "octo merged 1 commit into main from retrain" in merged
    assert issue.startswith("Retraining is ready #3 Open github-actions bot opened this issue ")
    assert issue.endswith(" retrain")
    events = story.text("div", "event")
    assert any(event.startswith("Move the window Ada ") for event in events)
    assert re.match(r"octo merged commit \w{7} into main ", events[-1])
    changes = [fold for fold in story.text("details", "fold") if "+1 −1" in fold]
    assert changes[-1].endswith("-window: 2013-01 +window: 2013-04")


def test_the_comment_is_told_with_its_charts(story: Reader) -> None:
    (comment,) = [said for said in story.text("article") if "✅" in said]
    assert re.match(
        "github-actions bot commented .{16,18} edited ✅ Better than production", comment
    )
    assert len(story.find("svg", "chart")) == 2 * 2  # and in the summary of the run
    assert len(story.find("rect", "bar")) == 2 * (3 + 2)


def test_checks_and_runs_are_told(story: Reader) -> None:
    failed, passed = story.text("div", "verdict")
    assert failed == "Some checks were not successful 1 failing, 1 skipped, 1 successful checks"
    assert passed == "All checks have passed 1 successful check"  # in the run that was the last
    rows = story.text("div", "row")
    assert "Train / model gate (pull_request) failure Run 9" in rows
    assert "Train / train (pull_request) success Run 8" in rows
    assert story.text("div", "note") == ["Gate in model gate 1 of 7 checks failed"] * 2
    runs = story.text("details", "run")
    assert [run.split(" ")[2] for run in runs] == ["#10", "#9,", "#8", "#7"]
    when = "22 Nov 2026, 00:17"
    assert (
        runs[0] == f"Train train.yml #10 push main 0000000 0 jobs {when} 1 min 1 s Artifacts model"
    )
    start = f"Train train.yml #9, attempt 2 pull_request shuffle 0000000 3 jobs {when} 38 s train"
    assert runs[1].startswith(start)
    assert "Say what the gate found 1 of 7 failed" in runs[1]
    assert "Step summary ✅ Better than production" in runs[2]
    icons = [tag.attributes.get("aria-label") for tag in story.find("svg", "icon")]
    assert {"success", "failure", "skipped"} <= set(icons)


def test_the_deployments_are_told(story: Reader) -> None:
    (production,) = [row for row in story.text("div", "row") if row.startswith("production")]
    assert re.match(
        r"production failure, ada deployed .{16,18} to https://late\.example Run 10 \w{7}$",
        production,
    )
    (staging,) = [row for row in story.text("div", "row") if row.startswith("staging")]
    assert staging.startswith("staging success, ada deployed ")


def test_the_registry_is_told(story: Reader) -> None:
    rows = story.text("div", "row")[-3:]
    assert rows[0].startswith("flights v2 champion trained on 2013-04 · finding: better, compared")
    assert "registered by ada image ghcr.io/o/r@sha256:0<b>" in rows[0]
    assert rows[1].startswith("flights v1 previous ")
    assert "image" not in rows[1]
    assert rows[2].startswith("Branch mlops-store, one commit: Store of main at ")


def test_links_lead_to_the_page_itself_or_out_of_it(story: Reader) -> None:
    (said,) = [box for box in story.find("article") if "See #1" in box.text]
    assert "@ada 🚀" in said.text
    links = {link.text: link.attributes["href"] for link in story.find("a")}
    assert links["#1"] == "#number-1"
    assert links[f"{SITE}/actions/runs/8"] == "#run-8"
    assert links["https://dvc.org/doc"] == "https://dvc.org/doc"
    assert f"{SITE}/tree/x" in story.text("span", "nowhere")  # the site has no such page
    names = [tag.attributes["id"] for tag in story.tags if "id" in tag.attributes]
    assert len(names) == len(set(names))
    inside = {target[1:] for target in links.values() if target.startswith("#")}
    assert inside <= set(names)


def test_nothing_is_loaded_or_run(story: Reader) -> None:
    assert_inert(story)
    (style,) = story.text("style")
    assert "url(" not in style
    assert "@import" not in style
    policy = [tag.attributes.get("content", "") for tag in story.find("meta")]
    assert "default-src 'none'; style-src 'unsafe-inline'" in policy


def test_what_hostile_people_write_is_only_text(tmp_path: Path) -> None:
    from act_run import Annotation, Job, Step

    people = new_people(tmp_path)
    people.push("main", "First", params=b"a\n")
    people.push("change", HOSTILE, author="<script>Eve", **{"<img src=x onerror=a>": b"<script>"})
    people.ask("pulls", head="change", base="main", title=HOSTILE, body=HOSTILE_MARKDOWN)
    people.ask("issues/1/comments", body=HOSTILE_MARKDOWN)
    people.ask("issues", title=HOSTILE, body=HOSTILE_MARKDOWN, labels=[HOSTILE])
    job = Job(HOSTILE, "failure", [Step(HOSTILE, HOSTILE)], HOSTILE, {})
    everywhere = dict.fromkeys(("event", "name", "workflow", "sha", "conclusion"), HOSTILE)
    lists = {"jobs": {HOSTILE: job}, "artifacts": {HOSTILE: tmp_path}}
    notes = [Annotation(HOSTILE, HOSTILE, HOSTILE, HOSTILE)]
    people.ran(1, HOSTILE, summary=HOSTILE_MARKDOWN, annotations=notes, **everywhere, **lists)
    page = read(people, tmp_path)
    assert_inert(page)
    assert "<script>alert(1)</script>" in page.text("h2")[0]
    names = [tag.attributes["id"] for tag in page.tags if "id" in tag.attributes]
    assert names.count("actions") == 1
    assert len(page.find("span", "state")) == 2  # no class but the page's own
    links = {link.attributes["href"] for link in page.find("a")}
    assert {link for link in links if link[0] != "#"} == {"https://e.example/"}
    assert len(page.find("svg", "chart")) == 2 * 4


def test_a_repository_in_which_nothing_happened_has_a_page(tmp_path: Path) -> None:
    assert read(new_people(tmp_path), tmp_path).text("section") == [
        "Pull requests None has been opened.",
        "Workflow runs No workflow has run.",
        "Commits of main The branch is empty.",
    ]
