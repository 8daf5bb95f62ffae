"""The local GitHub runs workflows as GitHub does, and fails where GitHub would."""

import json
import subprocess
from pathlib import Path

import psutil
import pytest
from act_run import Annotation, IncompleteRunError, Run, Step
from local_github import LocalGitHub
from tiny_repository import CHECKOUT, COMMIT, DOWNLOAD, UPLOAD, TinyRepository

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


def test_jobs_have_the_names_that_github_shows(tiny: TinyRepository) -> None:
    tiny.workflow(
        "workflow_call",
        """
        same:
          name: the model gate
          runs-on: ubuntu-24.04
          steps: [{name: Say, run: 'echo "::notice title=Called::by ${{ github.event_name }}"'}]
        """,
        "called.yml",
    )
    tiny.workflow(
        "push",
        """
        same:
          strategy: {matrix: {python: ["3.11", "3.12"]}}
          runs-on: ubuntu-24.04
          steps: [{name: Say, run: "echo ${{ matrix.python }}"}]
        named:
          name: test ${{ matrix.python }}
          strategy: {matrix: {python: ["3.11"]}}
          runs-on: ubuntu-24.04
          steps: [{run: "echo first\\necho second"}]
        train:
          uses: ./.github/workflows/called.yml
        never:
          if: false
          uses: ./.github/workflows/called.yml
        after:
          needs: never
          runs-on: ubuntu-24.04
          steps: [{run: exit 1}]
        """,
    )
    (run,) = tiny.push()
    assert {name: job.conclusion for name, job in run.jobs.items()} == {
        "same (3.11)": "success",
        "same (3.12)": "success",
        "test 3.11": "success",
        "train / the model gate": "success",
        "never": "skipped",
        "after": "skipped",
    }
    assert run.jobs["test 3.11"].steps == [Step("Run echo first", "success")]
    assert "3.12" in run.jobs["same (3.12)"].log.splitlines()
    assert run.annotations == [Annotation("notice", "Called", "by push", "train / the model gate")]
    assert run.conclusion == "success"


def test_jobs_hand_over_outputs_summaries_and_artifacts(tiny: TinyRepository) -> None:
    tiny.workflow(
        "push",
        f"""
        first:
          runs-on: ubuntu-24.04
          outputs: {{word: "${{{{ steps.say.outputs.word }}}}"}}
          steps:
            - name: Check out
              uses: {CHECKOUT}
            - id: say
              uses: ./.github/actions/say
            - uses: {UPLOAD}
              with: {{name: report, path: reports}}
        second:
          needs: first
          runs-on: ubuntu-24.04
          steps:
            - uses: {DOWNLOAD}
              with: {{name: report, path: here}}
            - run: test "$(cat here/report.md) $WORD" = "A report. word"
              env: {{WORD: "${{{{ needs.first.outputs.word }}}}"}}
        """,
    )
    tiny.write(
        ".github/actions/say/action.yml",
        """
        outputs: {word: {value: "${{ steps.inner.outputs.word }}"}}
        runs:
          using: composite
          steps:
            - id: inner
              shell: bash
              run: |
                mkdir reports; echo "A report." > reports/report.md
                echo "# One" >> "$GITHUB_STEP_SUMMARY"
                echo word=word >> "$GITHUB_OUTPUT"
            - shell: bash
              run: echo "# Two" >> "$GITHUB_STEP_SUMMARY"
        """,
    )
    (run,) = tiny.push()
    assert run.conclusion == "success", run.log
    assert run.jobs["first"].outputs == {"word": "word"}
    assert run.summary == "# One\n\n# Two"
    assert (run.artifacts["report"] / "report.md").read_text() == "A report.\n"


def test_a_failing_step_fails_the_run_and_its_last_words_are_heard(tiny: TinyRepository) -> None:
    last_words = "for i in $(seq 200); do echo word $i; done; echo '::error title=Bad::The end'"
    tiny.workflow(
        "push",
        f"""
        one:
          runs-on: ubuntu-24.04
          steps:
            - {{name: Forgiven, run: exit 4, continue-on-error: true}}
            - {{name: Fails, run: "{last_words}; exit 3"}}
            - {{name: Not reached, run: echo never}}
            - {{name: Always, if: always(), run: "tty || echo 'echo piped' | bash"}}
        two:
          needs: one
          if: always()
          runs-on: ubuntu-24.04
          steps: [{{run: "echo ${{{{ needs.one.result }}}}"}}]
        """,
    )
    (run,) = tiny.push()
    assert run.conclusion == "failure"
    assert run.jobs["one"].steps == [
        Step("Forgiven", "success"),
        Step("Fails", "failure"),
        Step("Not reached", "skipped"),
        Step("Always", "success"),
    ]
    assert run.annotations == [
        Annotation("error", "Bad", "The end", "one"),
        Annotation("error", "", "Process completed with exit code 3.", "one"),
    ]
    log = run.jobs["one"].log.splitlines()
    assert [f"word {i}" for i in range(1, 201)] == [it for it in log if it.startswith("word")]
    assert {"not a tty", "piped"} <= set(log)
    assert run.jobs["two"].conclusion == "success"
    assert "failure" in run.jobs["two"].log.splitlines()


def test_secrets_are_masked_wherever_they_turn_up(tiny: TinyRepository) -> None:
    tiny.github.secrets["KEY"] = "s3cr3t-key"
    tiny.github.variables["PLACE"] = "Brooklyn"
    run = tiny.run(
        """
        - env: {KEY: "${{ secrets.KEY }}", TOKEN: "${{ github.token }}", PLACE: "${{ vars.PLACE }}"}
          run: |
            echo "$PLACE $KEY $TOKEN" | tee -a "$GITHUB_STEP_SUMMARY"
            echo "::warning title=$KEY::$TOKEN"
            echo "::add-mask::hidden"
            echo "This is hidden"
        """
    )
    assert run.summary == "Brooklyn *** ***"
    assert run.annotations == [Annotation("warning", "***", "***", "one")]
    assert "This is ***" in run.jobs["one"].log.splitlines()
    kept = (tiny.github.folder / "runs" / "1" / "attempt-1.json").read_text()
    assert not any(word in kept for word in ("s3cr3t-key", "ghs_", "hidden"))


def test_a_label_without_a_runner_is_no_success(tiny: TinyRepository) -> None:
    jobs = "one: {runs-on: ubuntu-26.04, steps: [{run: echo}]}"
    tiny.workflow("push", jobs)
    with pytest.raises(IncompleteRunError, match=r"one: no runner has the label 'ubuntu-26\.04'"):
        tiny.push()
    tiny.workflow("push", jobs.replace("26", "24").replace("steps", "services: {db: {}}, steps"))
    with pytest.raises(IncompleteRunError, match="one: here are no containers"):
        tiny.push()


def test_an_action_without_a_stand_in_fails(tiny: TinyRepository) -> None:
    jobs = {
        "stranger": f"somebody/else@{COMMIT} # v7",
        "older": f"actions/checkout@{COMMIT[::-1]} # v6.0.0",
        "loose": "actions/checkout@v7",
    }
    job = "{}:\n  runs-on: ubuntu-24.04\n  steps:\n    - uses: {}\n    - run: echo went on\n"
    tiny.workflow("push", "".join(job.format(*named) for named in jobs.items()))
    (run,) = tiny.push()
    assert {name: job.conclusion for name, job in run.jobs.items()} == dict.fromkeys(
        jobs, "failure"
    )
    assert "went on" not in run.log
    for uses in jobs.values():
        assert f"standins: {uses.partition(' ')[0]}" in run.log


def test_nobody_else_is_reached(tiny: TinyRepository) -> None:
    run = tiny.run("- run: curl --silent --show-error --fail https://example.org/data")
    assert run.conclusion == "failure"
    assert run.log.endswith("refused by the proxy: example.org:443")


def test_what_github_cannot_read_fails(tiny: TinyRepository) -> None:
    tiny.workflow("push", "one: {runs-on: ubuntu-24.04, stepz: []}")
    (run,) = tiny.push()
    assert run.conclusion == "failure"
    assert "Unknown Property stepz" in run.annotations[0].message


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


def test_the_release_of_cml_is_there_or_not(
    tiny: TinyRepository, tmp_path: Path, tiny_seed: LocalGitHub
) -> None:
    steps = """
        - env: {GH_TOKEN: "${{ github.token }}"}
          run: |
            gh release download v0.20.6 --repo iterative/cml --pattern cml-linux-x64
            wc -c < cml-linux-x64
        """
    run = tiny.run(steps)
    assert run.conclusion == "success", run.log
    assert str((tiny.github.folder / "cml-linux-x64").stat().st_size) in run.log
    seed = LocalGitHub(tiny_seed.folder, cml=None)
    with seed.copy(tmp_path / "without") as github:
        run = TinyRepository(github, tmp_path / "other").run(steps)
    assert "release not found" in run.log


def test_what_a_step_leaves_running_goes_on_until_the_run_ends(tiny: TinyRepository) -> None:
    run = tiny.run(
        """
        - run: |
            cd "$RUNNER_TEMP"
            { until [ -e asked ]; do sleep 0.01; done; touch answered; sleep 600; } &> log &
            echo "process=$!"
        - run: |
            cd "$RUNNER_TEMP"
            touch asked
            for i in {1..500}; do [ ! -e answered ] || exit 0; sleep 0.01; done
            exit 1
        """
    )
    assert run.conclusion == "success", run.log
    (said,) = [it for it in run.jobs["one"].log.splitlines() if it.startswith("process=")]
    number = int(said.removeprefix("process="))
    ended = not psutil.pid_exists(number) or psutil.Process(number).status() == "zombie"
    assert ended
    assert list((tiny.github.folder / "work").iterdir()) == []


def test_the_folder_can_be_moved(tiny: TinyRepository, tmp_path: Path) -> None:
    run = tiny.run(f"- run: echo A > a\n- uses: {UPLOAD}\n  with: {{name: kept, path: a}}\n")
    tiny.pull_request("A change")
    moved = tiny.github.copy(tmp_path / "moved")
    tiny.github.folder.joinpath("runs").rename(tmp_path / "gone")
    with moved as github:
        (again,) = github.runs
        assert (again.artifacts["kept"] / "a").read_text() == "A\n"
        assert again.artifacts["kept"].is_relative_to(tmp_path / "moved")
        assert (again.jobs, again.sha, again.log) == (run.jobs, run.sha, run.log)
        assert github.files("main")["README.md"] == b"Tiny\n"
        assert github.merge(1)[0].id == 2
