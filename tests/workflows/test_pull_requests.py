"""Pull requests on the local GitHub: what their workflows write, and where."""

import json
from collections.abc import Iterator
from dataclasses import dataclass

import pytest
import recorded
from act_run import Run
from comment import assert_harmless
from hosted import JUNE, Hosted
from local_github import PullRequest

PASSED = dict.fromkeys(("train", "judge", "comment", "model gate"), "success")
WATERMARK = 'CML watermark model report"'
TEXT = "`touch pwned` $(touch pwned) ${{ github.token }} <img src=x onerror=alert(1)> @everyone |"
COMMANDS = f"{TEXT}\n::error::pwned"
BRANCH = "a`touch${IFS}pwned`$(touch${IFS}pwned)-${{github.token}}"
# Labels from somewhere else, and a carrier with a hostile name.
SHUFFLED = f"""
    import numpy as np

    inside = table["time_hour"].dt.month == 6
    labels = table.loc[inside, "late"]
    table.loc[inside, "late"] = np.random.default_rng(0).permutation(labels)
    summer = table["time_hour"].dt.month.between(6, 7)
    table.loc[summer & (table["carrier"] == "UA"), "carrier"] = {TEXT!r}
"""
BAD = """
    table.loc[table.index[:3], "distance"] = -7
    table.loc[table.index[3], "carrier"] = "`id` $(touch x) | <b>@everyone"
"""


def propose(hosted: Hosted, branch: str, title: str, *, fork: bool = False) -> PullRequest:
    """Commit, push a branch and open a pull request for it."""
    hosted.commit(title)
    login = "mallory" if fork else "ada"
    hosted.github.push(hosted.project.folder, branch, login=login)
    return hosted.github.open_pull_request(branch, title, fork=fork)


def train(runs: list[Run]) -> Run:
    (run,) = [run for run in runs if run.workflow == "train.yml"]
    return run


def conclusions(run: Run) -> dict[str, str]:
    return {name: job.conclusion for name, job in run.jobs.items()}


def comment(hosted: Hosted, number: int) -> str:
    """Return the one comment of the pull request."""
    (written,) = hosted.github.comments(number)
    assert written["user"]["login"] == "github-actions[bot]"
    assert written["body"].count(WATERMARK) == 1
    return str(written["body"])


def writes(hosted: Hosted) -> list[tuple[str, str]]:
    """Return what a workflow has changed through the API."""
    return [
        (request.method, request.route)
        for request in hosted.github.github.requests
        if request.method in ("POST", "PATCH", "PUT", "DELETE")
        and request.token == "github-actions[bot]"
        and request.route != "/graphql"  # gh asks where a release is
    ]


@dataclass
class Proposed:
    """A pull request, and what its workflows made of it; to look at."""

    hosted: Hosted
    pull: PullRequest


@pytest.fixture(scope="module")
def worse(deployed: Hosted, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Proposed]:
    """Shuffled labels, with hostile text wherever a person can put some."""
    hosted = deployed.copy(tmp_path_factory.mktemp("worse") / "hosted")
    with hosted.github as github:
        github.actions.left_out.add("ci.yml")
        hosted.branch(BRANCH)
        project = hosted.project
        project.set(data__window=JUNE, estimator__note=COMMANDS)
        hosted.change_data(SHUFFLED)
        project.replace("src/model/features.py", "CARRIERS = (", f"CARRIERS = (\n    {TEXT!r},")
        note = '    seed: int,\n    note: str = "",\n'
        project.replace("src/model/estimator.py", "    seed: int,\n", note)
        hosted.commit(COMMANDS)
        github.push(project.folder, BRANCH)
        yield Proposed(hosted, github.open_pull_request(BRANCH, TEXT, COMMANDS))
        recorded.check(github.github.requests)
        assert github.github.refused == []


def test_a_better_model_is_commented_on_and_the_comment_kept_up_to_date(hosted: Hosted) -> None:
    hosted.branch("june")
    hosted.project.set(data__window=JUNE)
    older = hosted.commit("Train on June")
    hosted.github.push(hosted.project.folder, "june", run=False)
    pull = hosted.github.open_pull_request("june", "Train on June", run=False)
    (slow,) = [event for event in hosted.github.pending if event.name == "pull_request"]

    # Two pushes in quick succession, and the older run is the slower one.
    hosted.project.set(gate__floors={"roc_auc": 0.5})
    newer = hosted.commit("A gate that more passes")
    run = train(hosted.github.push(hosted.project.folder, "june"))
    assert conclusions(run) == PASSED
    body = comment(hosted, pull.number)
    assert body.startswith("## ✅ Better than production\n")
    assert "window 2013-01 → 2013-06" in body
    assert "**This pull request changes the gate itself.**" in body
    assert newer[:12] in body
    assert run.summary.startswith("## ✅ Better than production\n")
    judged = json.loads((run.artifacts["report"] / "comparison.json").read_text())
    assert (judged["finding"], judged["champion"]["version"]) == ("better", 1)
    # The one that made the champion was judged on it, too.
    assert "\nJudged 2 times on this holdout; an idea that changes nothing looks better" in body

    run = train(hosted.github.run(slow))
    assert conclusions(run) == PASSED
    assert older[:12] in run.summary
    assert comment(hosted, pull.number) == body
    assert (
        f"No comment: the report is about {older}, the newest commit is {newer}, "
        "whose own run will comment."
    ) in [note.message for note in run.annotations]

    # Taken back: the verdict must not stay as if it were about what is proposed now.
    hosted.project.run("git", "checkout", "--quiet", "HEAD~2", "--", "params.yaml")
    (hosted.project / "README.md").write_text("# Flights of 2013\n")
    last = hosted.commit("Prose only, after all")
    run = train(hosted.github.push(hosted.project.folder, "june"))
    assert conclusions(run)["comment"] == "success"
    assert f"At commit {last}, this pull request changes nothing" in comment(hosted, pull.number)

    comments = "/repos/{owner}/{repo}/issues"
    assert writes(hosted) == [
        ("POST", f"{comments}/{{issue_number}}/comments"),
        ("PATCH", f"{comments}/comments/{{comment_id}}"),
    ]


def test_a_worse_model_is_stopped_and_by_how_much_is_said(worse: Proposed) -> None:
    run = train(worse.pull.runs)
    assert conclusions(run) == PASSED | {"model gate": "failure"}
    body = comment(worse.hosted, worse.pull.number)
    assert body.startswith("## ❌ Worse than production\n")
    judged = json.loads((run.artifacts["report"] / "comparison.json").read_text())
    (row,) = [row for row in judged["differences"] if row["metric"] == "roc_auc"]
    assert row["high"] < 0
    assert f"(−{abs(row['difference']):.3f}, 95% interval −" in body
    (why,) = [note for note in run.annotations if note.title == "model gate"]
    assert why.level == "error"
    assert why.message.startswith("worse: ROC AUC ")
    assert "\n" not in why.message


def test_hostile_text_is_shown_and_never_acts(worse: Proposed) -> None:
    run = train(worse.pull.runs)
    body = comment(worse.hosted, worse.pull.number)
    rows = [line for line in body.splitlines() if "touch pwned" in line]
    assert [row for row in rows if row.startswith("| carrier ")], "it has a slice of its own"
    assert [row for row in rows if "estimator.note" in row], "it is a parameter"
    report, _, ours = body.rpartition("\n\n<sub>Judged at commit ")
    assert_harmless(report)
    assert ours.count("](https://github.com/octo/flight-delays/actions/runs/") == 1
    assert not list(worse.hosted.folder.rglob("pwned"))
    errors = [note for note in run.annotations if note.level == "error"]
    assert {note.title for note in errors} == {"model gate", ""}
    assert {note.message for note in errors if not note.title} == {
        "Process completed with exit code 1."
    }
    assert "ghs_" not in run.log + body


def test_bad_data_stops_at_the_schema(hosted: Hosted) -> None:
    hosted.branch("bad")
    hosted.change_data(BAD)
    hosted.keep_jobs("ci.yml", "data", "pass")
    hosted.github.actions.left_out.clear()
    pull = propose(hosted, "bad", "New data")
    run = train(pull.runs)
    assert conclusions(run) == PASSED | {"train": "failure", "model gate": "failure"}
    body = comment(hosted, pull.number)
    assert body.startswith("## ⛔ Data refused\n")
    assert "| distance | between " in body
    assert "| 3 | row=0 distance=−7" in body.replace("-7", "−7")
    assert "> mlops validate" in run.jobs["train"].log
    assert "> mlops features" not in run.jobs["train"].log
    (why,) = [note for note in run.annotations if note.title == "model gate"]
    assert why.message.startswith("refused: the data was refused; ")

    (checks,) = [run for run in pull.runs if run.workflow == "ci.yml"]
    assert conclusions(checks) == {"data schema": "failure", "pass": "failure"}
    assert "## ⛔ Data refused" in checks.summary


def test_a_fork_gets_its_report_in_the_summary(hosted: Hosted) -> None:
    hosted.branch("theirs")
    hosted.project.set(gate__margin=0.006)
    pull = propose(hosted, "theirs", "From outside", fork=True)
    run = train(pull.runs)
    assert conclusions(run) == PASSED | {"comment": "skipped"}
    assert run.summary.startswith("## 🟰 Same predictions: nothing to deploy\n")
    assert hosted.github.comments(pull.number) == []
    assert writes(hosted) == []


def test_prose_trains_nothing_and_the_required_checks_report(hosted: Hosted) -> None:
    hosted.branch("prose")
    (hosted.project / "README.md").write_text("# Flights of 2013\n")
    (hosted.project / "data/README.md").parent.mkdir(exist_ok=True)
    (hosted.project / "data/README.md").write_text("From where it is.\n")
    pull = propose(hosted, "prose", "Say more")
    run = train(pull.runs)
    assert conclusions(run) == PASSED
    assert "Nothing that decides the model has changed" in run.summary
    assert "dvc repro" not in run.log
    assert run.artifacts == {}
    assert hosted.github.comments(pull.number) == []
