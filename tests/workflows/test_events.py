"""Workflows are told what happened as GitHub tells them, and start when GitHub starts them."""

import json
import subprocess
from pathlib import Path

import pytest
from act_run import IncompleteRunError, Run
from rules_of_form import OWN_RUNNER
from tiny_repository import CHECKOUT, TinyRepository

TELL = r"""
one:
  runs-on: ubuntu-24.04
  steps:
    - name: Tell
      env:
        CONTEXT: ${{ toJSON(github) }}
        WHO: ${{ inputs.who }}
      run: |
        echo "told $CONTEXT" | tr "\n" " "; echo
        echo "who=$WHO"
        env | grep ^GITHUB_ | sort
"""


def told(run: Run) -> dict[str, object]:
    """Return the context that a job of ``TELL`` saw, with what its variables say instead."""
    lines = run.jobs["one"].log.splitlines()
    text = next(line.removeprefix("told ") for line in lines if line.startswith("told "))
    context, _ = json.JSONDecoder().raw_decode(text)
    for line in lines:
        name, _, value = line.partition("=")
        if name.startswith("GITHUB_") and name != "GITHUB_ACTION":
            key = name.removeprefix("GITHUB_").lower()
            assert context.setdefault(key, value) == value
    return dict(context)


def test_a_push_is_told_as_github_tells_it(tiny: TinyRepository) -> None:
    tiny.workflow("push", TELL)
    before = tiny.github.git(tiny.folder, "rev-parse", "HEAD")
    (run,) = tiny.push("Tell")
    context = told(run)
    after = tiny.github.git(tiny.folder, "rev-parse", "HEAD")
    assert context["sha"] == context["workflow_sha"] == run.sha == after
    assert context["ref"] == run.ref == "refs/heads/main"
    wanted = {
        "event_name": "push",
        "actor": "ada",
        "triggering_actor": "ada",
        "repository": "octo/flight-delays",
        "repository_owner": "octo",
        "ref_name": "main",
        "ref_type": "branch",
        "head_ref": "",
        "base_ref": "",
        "run_id": "1",
        "run_attempt": "1",
        "run_number": "1",
        "server_url": "https://github.com",
        "api_url": "https://api.github.com",
        "workflow_ref": "octo/flight-delays/.github/workflows/tiny.yml@refs/heads/main",
    }
    assert {key: context[key] for key in wanted} == wanted
    event = context["event"]
    assert isinstance(event, dict)
    assert (event["before"], event["after"], event["forced"]) == (before, after, False)
    assert event["repository"]["full_name"] == "octo/flight-delays"
    assert event["repository"]["default_branch"] == "main"
    assert event["head_commit"]["message"] == "Tell"
    assert event["head_commit"]["added"] == [".github/workflows/tiny.yml"]
    assert (run.workflow, run.name) == ("tiny.yml", ".github/workflows/tiny.yml")


def test_a_pull_request_runs_the_merge_of_both_and_shows_it_at_its_head(
    tiny: TinyRepository,
) -> None:
    tiny.push("Base")
    tiny.workflow("pull_request", TELL)
    (run,) = tiny.pull_request("A change")
    head = tiny.github.git(tiny.folder, "rev-parse", "HEAD")
    context = told(run)
    event = context["event"]
    assert isinstance(event, dict)
    pull = event["pull_request"]
    assert context["ref"] == "refs/pull/1/merge"
    assert (context["head_ref"], context["base_ref"]) == ("change", "main")
    assert (event["action"], event["number"], pull["head"]["sha"]) == ("opened", 1, head)
    bare = tiny.github.actions.git
    parents = subprocess.check_output(["git", "log", "-1", "--format=%P", run.sha], cwd=bare)
    assert context["sha"] == run.sha
    assert parents.decode().split() == [pull["base"]["sha"], head]
    (check,) = tiny.github.actions.known["check_runs"]
    assert (check["name"], check["head_sha"], check["conclusion"]) == ("one", head, "success")
    assert check["details_url"].endswith("/octo/flight-delays/actions/runs/1")

    (run,) = tiny.push("Another", "change")
    event = told(run)["event"]
    assert isinstance(event, dict)
    assert (event["action"], event["before"]) == ("synchronize", head)

    tiny.workflow("{pull_request: {types: [closed]}, push: {branches: [main]}}", TELL)
    assert tiny.push("Other triggers", "change") == []
    closed, pushed = tiny.github.merge(1)
    assert (closed.event, pushed.event) == ("pull_request", "push")
    assert tiny.github.log("main")[0] == "A change (#1)"


def test_a_fork_gets_no_secrets_and_cannot_write(tiny: TinyRepository, tmp_path: Path) -> None:
    tiny.github.secrets["KEY"] = "s3cr3t-key"
    tiny.steps(
        "pull_request",
        """
        - env: {N: "${{ github.event.number }}", GH_TOKEN: "${{ github.token }}"}
          run: |
            echo "<${{ secrets.KEY }}> for ${{ github.event.pull_request.head.repo.full_name }}"
            gh api --silent "repos/$GITHUB_REPOSITORY/issues/$N/comments" -f body=Hi
        """,
    )
    tiny.push("Workflow")
    stranger = TinyRepository(tiny.github, tmp_path / "stranger", "mallory")
    (run,) = stranger.pull_request("A gift")
    assert run.conclusion == "failure"
    assert "Resource not accessible by integration" in run.log
    assert "<> for mallory/flight-delays" in run.jobs["one"].log.splitlines()
    assert tiny.github.comments(1) == []

    (run,) = tiny.pull_request("Our own", "own")
    assert run.conclusion == "success", run.log
    assert "<***> for octo/flight-delays" in run.jobs["one"].log.splitlines()
    (comment,) = tiny.github.comments(2)
    assert (comment["user"]["login"], comment["body"]) == ("github-actions[bot]", "Hi")


def test_workflows_are_started_by_hand_and_by_the_clock(tiny: TinyRepository) -> None:
    tiny.workflow(
        "{workflow_dispatch: {inputs: {who: {default: you}, sure: {type: boolean, required: true},"
        " kind: {type: choice, options: [small, big], default: small}}},"
        " schedule: [{cron: 0 6 * * 1}]}",
        TELL,
    )
    assert tiny.push() == []
    tiny.commit("Only on a branch")
    tiny.github.push(tiny.folder, "change")
    github = tiny.github
    run = github.dispatch("tiny.yml", "change", who="me", sure="true")
    context = told(run)
    assert (context["ref"], context["sha"]) == ("refs/heads/change", run.sha)
    assert github.git(tiny.folder, "rev-parse", "HEAD") == run.sha
    event = context["event"]
    assert isinstance(event, dict)
    assert event["inputs"] == {"who": "me", "kind": "small", "sure": "true"}
    assert "who=me" in run.jobs["one"].log.splitlines()
    refused = {
        "Unexpected inputs provided: .'what'": {"what": "x", "sure": "true"},
        "Required input 'sure'": {},
        "'kind' cannot be 'huge'": {"kind": "huge", "sure": "true"},
    }
    for message, inputs in refused.items():
        with pytest.raises(ValueError, match=message):
            github.dispatch("tiny.yml", **inputs)

    run = github.schedule("tiny.yml")
    context = told(run)
    assert (context["event_name"], context["ref"]) == ("schedule", "refs/heads/main")
    assert context["event"]["schedule"] == "0 6 * * 1"  # type: ignore[index]
    again = github.rerun(run)
    assert (again.id, again.attempt, again.sha) == (run.id, 2, run.sha)
    assert (told(again)["run_attempt"], told(again)["run_number"]) == ("2", "2")


def test_events_wait_until_they_are_run(tiny: TinyRepository) -> None:
    tiny.steps("push", "- run: echo")
    for message in ("One", "Two", "Three [skip ci]"):
        assert tiny.push(message, run=False) == []
    one, two, three = tiny.github.pending
    assert [run.sha for run in tiny.github.run(two)] == [two.sha]
    assert tiny.github.run(three) == []
    assert tiny.github.pending == [one]
    tiny.github.run(one)
    assert [(run.id, run.sha) for run in tiny.github.runs] == [(1, two.sha), (2, one.sha)]


def test_of_what_a_token_of_a_workflow_does_only_dispatches_start_runs(
    tiny: TinyRepository,
) -> None:
    tiny.steps("{push: , workflow_dispatch: }", "- run: echo")
    (tiny.folder / ".github/workflows/tiny.yml").rename(tiny.folder / ".github/workflows/other.yml")
    tiny.push()
    tiny.steps(
        "{schedule: [{cron: 0 6 * * 1}]}",
        f"""
        - uses: {CHECKOUT}
        - env: {{GH_TOKEN: "${{{{ github.token }}}}"}}
          run: |
            git -c user.name=b -c user.email=b@b commit --quiet --allow-empty --message "By a bot"
            git push --quiet origin HEAD:retrain
            gh api --silent "repos/$GITHUB_REPOSITORY/actions/workflows/other.yml/dispatches" \\
              -f ref=retrain
        """,
    )
    tiny.push()
    run = tiny.github.schedule("tiny.yml")
    assert run.conclusion == "success", run.log
    assert tiny.github.log("retrain")[0] == "By a bot"
    (event,) = tiny.github.pending
    (dispatched,) = tiny.github.run(event)
    assert (dispatched.event, dispatched.ref) == ("workflow_dispatch", "refs/heads/retrain")


def test_an_own_machine_gets_no_job_of_a_fork(tiny: TinyRepository, tmp_path: Path) -> None:
    """The expression of what trains: a label that no runner here has stops a run of our own."""
    steps = "steps: [{name: Say, run: echo trained}]"
    tiny.workflow("pull_request", f"train:\n  runs-on: {OWN_RUNNER}\n  {steps}")
    tiny.push("Train")
    (run,) = tiny.pull_request("No machine", "none")
    assert run.jobs["train"].conclusion == "success"
    tiny.github.variables["RUNNER"] = "own-machine"
    mallory = TinyRepository(tiny.github, tmp_path / "mallory", "mallory")
    (run,) = mallory.pull_request("From a fork")
    assert run.jobs["train"].conclusion == "success"
    with pytest.raises(IncompleteRunError, match="no runner has the label 'own-machine'"):
        tiny.pull_request("Our own")
