"""The local GitHub runs workflows as GitHub does, and fails where GitHub would."""

from pathlib import Path

import psutil
import pytest
from act_run import Annotation, IncompleteRunError, Run, Step
from cancelling import Cancellation
from local_github import LocalGitHub
from tiny_repository import CHECKOUT, COMMIT, DOWNLOAD, UPLOAD, TinyRepository


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


def test_jobs_with_an_environment_are_recorded_as_deployments(tiny: TinyRepository) -> None:
    tiny.workflow(
        "push",
        """
        staging:
          environment: {name: staging, url: "${{ steps.where.outputs.url || 'elsewhere' }}"}
          runs-on: ubuntu-24.04
          steps: [{id: where, run: echo url=https://staging.example.org >> "$GITHUB_OUTPUT"}]
        production:
          needs: staging
          environment: production
          runs-on: ubuntu-24.04
          steps: [{run: exit 1}]
        never:
          if: false
          environment: production
          runs-on: ubuntu-24.04
          steps: [{run: echo}]
        """,
    )
    (run,) = tiny.push()
    assert [
        (it.environment, it.sha, [status["state"] for status in it.statuses], it.url)
        for it in tiny.github.deployments()
    ] == [
        ("staging", run.sha, ["in_progress", "success"], "https://staging.example.org"),
        ("production", run.sha, ["in_progress", "failure"], ""),
    ]


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
            - {{name: Always, if: always(), run: "tty || test -t 1 || echo 'echo piped' | bash"}}
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


def test_failed_jobs_run_again_and_the_others_keep_what_they_gave(tiny: TinyRepository) -> None:
    tiny.workflow(
        "{workflow_call: {outputs: {word: {value: '${{ jobs.inner.outputs.word }}'}}}}",
        """
        inner:
          name: the inner one
          runs-on: ubuntu-24.04
          outputs: {word: "${{ steps.say.outputs.word }}"}
          steps: [{id: say, run: "echo word=kept >> $GITHUB_OUTPUT; echo inner ran"}]
        """,
        "called.yml",
    )
    tiny.workflow(
        "push",
        """
        outer:
          uses: ./.github/workflows/called.yml
        staging:
          environment: staging
          runs-on: ubuntu-24.04
          steps: [{run: echo}]
        fails:
          needs: outer
          runs-on: ubuntu-24.04
          env: {WORD: "${{ needs.outer.outputs.word }}", ATTEMPT: "${{ github.run_attempt }}"}
          steps: [{run: "echo $WORD; test $ATTEMPT = 2"}]
        after:
          needs: fails
          runs-on: ubuntu-24.04
          steps: [{run: echo after}]
        """,
    )
    (run,) = tiny.push()
    assert {name: job.conclusion for name, job in run.jobs.items()} == {
        "outer / the inner one": "success",
        "staging": "success",
        "fails": "failure",
        "after": "skipped",
    }
    run = tiny.github.rerun(run, failed=True)
    assert {job.conclusion for job in run.jobs.values()} == {"success"}
    assert list(run.jobs) == ["outer / the inner one", "staging", "fails", "after"]
    assert len(tiny.github.deployments()) == 1
    assert "kept" in run.jobs["fails"].log.splitlines()
    assert "inner ran" not in run.log.splitlines()


LISTENS = """
import signal, sys, time
def heard(number, _):
    print("heard", signal.Signals(number).name, flush=True)
    if sys.argv[1:] != ["stubborn"]:
        sys.exit(1)
for number in (signal.SIGINT, signal.SIGTERM):
    signal.signal(number, heard)
print("begun", flush=True)
for _ in range(20 if sys.argv[1:] else 5):
    time.sleep(0.1)
print("ran to its end", flush=True)
"""


def cancelled(tiny: TinyRepository, script: str) -> Run:
    """Cancel a run in the middle of a step, at a tenth of GitHub's pace."""
    tiny.write("listens.py", LISTENS)
    tiny.workflow(
        "push",
        f"""
        one:
          runs-on: ubuntu-24.04
          outputs: {{how: "${{{{ steps.long.outcome }}}}"}}
          steps:
            - uses: {CHECKOUT}
            - {{id: long, name: Long, run: "{script}"}}
            - {{name: Next, run: echo}}
            - {{name: After a failure, if: failure(), run: echo}}
            - {{name: After any, if: "!success()", run: 'echo "was ${{{{ steps.long.outcome }}}}"'}}
            - {{name: After a cancellation, if: cancelled(), run: echo}}
        two:
          needs: one
          if: always() && needs.one.result == 'cancelled'
          runs-on: ubuntu-24.04
          steps: [{{run: "echo so ${{{{ needs.one.outputs.how }}}}"}}]
        """,
    )
    tiny.github.actions.cancellation = Cancellation("one", "listens.py", "begun", "long", pace=0.01)
    (run,) = tiny.push()
    return run


def test_a_run_is_cancelled_in_the_middle_of_a_step(tiny: TinyRepository) -> None:
    run = cancelled(tiny, "exec python3 listens.py")
    assert run.conclusion == "cancelled"
    assert {name: job.conclusion for name, job in run.jobs.items()} == {
        "one": "cancelled",
        "two": "success",
    }
    assert "heard SIGINT" in run.jobs["one"].log
    assert "heard SIGTERM" not in run.jobs["one"].log
    assert "ran to its end" not in run.jobs["one"].log
    assert "was cancelled" in run.jobs["one"].log
    assert "so cancelled" in run.jobs["two"].log
    assert {it.name for it in run.jobs["one"].steps if it.conclusion == "skipped"} == {
        "Next",
        "After a failure",
    }


def test_who_goes_on_after_sigint_gets_sigterm_and_then_is_killed(tiny: TinyRepository) -> None:
    log = cancelled(tiny, "exec python3 listens.py stubborn").jobs["one"].log
    assert "heard SIGINT" in log
    assert "heard SIGTERM" in log
    assert "ran to its end" not in log


def test_a_child_of_the_shell_hears_nothing_of_it(tiny: TinyRepository) -> None:
    """So a step that must be told is its one process."""
    log = cancelled(tiny, "python3 listens.py; true").jobs["one"].log
    assert "heard" not in log
    assert "ran to its end" in log


def opened_by_its_token(tiny: TinyRepository) -> int:
    """Let a run open a pull request, whose checks GitHub then holds."""
    tiny.steps("pull_request", "- run: echo checked")
    tiny.push(run=False)
    tiny.github.git(tiny.folder, "checkout", "-q", "-b", "proposed")
    tiny.push(branch="proposed", run=False)
    tiny.github.git(tiny.folder, "checkout", "-q", "main")
    tiny.github.pending.clear()
    url = f"https://api.github.com/repos/{tiny.github.repository}/pulls"
    wanted = '{"head": "proposed", "base": "main", "title": "Proposed"}'
    tiny.workflow(
        "push",
        f"""
        one:
          runs-on: ubuntu-24.04
          steps:
            - env: {{TOKEN: "${{{{ github.token }}}}", WANTED: '{wanted}'}}
              run: |
                curl -fsS -H "Authorization: Bearer $TOKEN" -d "$WANTED" {url}
        """,
        name="proposes.yml",
    )
    tiny.github.actions.known["actions_may_open_pull_requests"] = True
    (run,) = tiny.push()
    assert run.conclusion == "success", run.log
    assert tiny.github.pending == []
    (number,) = tiny.github.actions.held
    return number


def test_checks_of_what_a_workflow_opened_run_when_somebody_lets_them(tiny: TinyRepository) -> None:
    number = opened_by_its_token(tiny)
    (run,) = tiny.github.approve_workflows(number, days=30)
    assert (run.workflow, run.event, run.conclusion) == ("tiny.yml", "pull_request", "success")


def test_after_30_days_they_are_gone_and_reopening_starts_them(tiny: TinyRepository) -> None:
    number = opened_by_its_token(tiny)
    assert tiny.github.approve_workflows(number, days=31) == []
    (run,) = tiny.github.reopen(number)
    assert (run.workflow, run.event, run.conclusion) == ("tiny.yml", "pull_request", "success")
