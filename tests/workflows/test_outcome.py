"""A deployment that stops says in one table at which step, why, and what serves now."""

import importlib.util
import json
import shutil
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest
from projects import ROOT
from tiny_repository import CHECKOUT, TinyRepository

ACTIONS = ROOT / ".github" / "actions"
JOBS = (
    *("train", "register", "save", "build", "image", "attest", "staging", "production"),
    *("promote", "save-promotion", "put-back"),
)
THROUGH = [*["success"] * (len(JOBS) - 1), "skipped"]


def module(name: str) -> ModuleType:
    spec = importlib.util.spec_from_file_location(name, ACTIONS / name / f"{name}.py")
    assert spec is not None
    assert spec.loader is not None
    made = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(made)
    return made


@pytest.fixture
def outcome() -> ModuleType:
    return module("outcome")


@pytest.fixture
def why(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.chdir(tmp_path)
    return module("why")


def needs(*results: str, **outputs: dict[str, str]) -> dict[str, Any]:
    """Return jobs as ``toJSON(needs)`` gives them; those after the last one named are skipped."""
    named = dict(zip(JOBS, [*results, *["skipped"] * len(JOBS)], strict=False))
    return {
        job: {"result": result, "outputs": outputs.get(job.replace("-", "_"), {})}
        for job, result in named.items()
    }


OTHER = (
    "which this run knows nothing of: somebody has deployed or rolled back meanwhile, or look at "
    "it now."
)
REGISTERED = {"version": "3", "champion": "2", "champion-image": "a@1"}


def test_a_deployment_that_went_through(outcome: ModuleType) -> None:
    said = outcome.told(needs(*THROUGH, register=REGISTERED))
    assert "**Version 3 serves in production, and is champion.**" in said.splitlines()
    assert said.count("✅ success") == len(JOBS) - 1
    assert "Put the champion back" not in said


def test_one_that_could_not_become_champion_was_taken_back(outcome: ModuleType) -> None:
    results = [*["success"] * 9, "failure", "success"]
    served = {"deploy": "success", "serves": "a@2"}
    again = {"deploy": "success", "serves": "a@1"}
    known = {"register": REGISTERED, "image": {"image": "a@2"}, "production": served}
    said = outcome.told(needs(*results, **known, put_back=again))
    assert said.splitlines()[2].endswith("Version 2 is still champion, and serves.")
    assert "| Put the champion back | ✅ success |  |" in said
    waits = outcome.told(needs(*results[:-1], "failure", **known))
    assert "**Version 3 serves nevertheless, and is not champion. Look at it now.**" in waits
    later = outcome.told(needs(*results[:-2], "skipped", "success", **known, put_back=again))
    assert later.splitlines()[2].startswith("**Version 3 is not deployed**: it stopped at save the")


def test_a_job_that_failed_is_named_with_its_reason(outcome: ModuleType) -> None:
    stopped = {"why": "step smoke: p99 of one row is 80 ms (at most 50 ms) | <b>"}
    results = ("success", "success", "success", "failure")
    said = outcome.told(needs(*results, register=REGISTERED, build=stopped))
    reason = "step smoke: p99 of one row is 80 ms (at most 50 ms) \\| &lt;b&gt;"
    where = "build, smoke-test, scan"
    assert said.splitlines()[2] == (
        f"**Version 3 is not deployed**: it stopped at {where} ({reason}). "
        "Version 2 is still champion, and serves."
    )
    row = f"| Build, smoke-test, scan | ❌ failure | {reason} |"
    assert row in said.splitlines()
    assert "| Deploy to production | - skipped |  |" in said.splitlines()


def test_what_main_refuses_is_a_deployment_that_failed(outcome: ModuleType) -> None:
    refused = needs("failure")
    said = (
        "The candidate is not deployed: it stopped at train and judge (the data or the model was "
        "refused, or a job failed; the run says why). The champion, if there is one, serves."
    )
    assert outcome.plain(outcome.conclusion(refused)) == said
    assert outcome.failed(refused)


@pytest.mark.parametrize(
    ("register", "production", "sentence"),
    [
        ({"version": "1", "champion": "none"}, {}, "There is no champion yet."),
        (REGISTERED, {"deploy": "skipped"}, "Version 2 is still champion, and serves."),
        (REGISTERED, {"deploy": "success", "serves": "a@1"}, "2 is still champion, and serves."),
        (
            REGISTERED,
            {"deploy": "cancelled"},
            "nothing that was asked has answered. Look at it now.**",
        ),
        (
            REGISTERED,
            {"deploy": "success", "serves": "a@2"},
            "and is not champion. Look at it now.**",
        ),
        (
            REGISTERED,
            {"deploy": "cancelled", "serves": "none"},
            "**Nothing serves in production. Look at it now.**",
        ),
        *(
            (known, {"deploy": "cancelled", "serves": "a@0"}, "a\\@0 serves, " + OTHER)
            for known in (
                REGISTERED,
                {"version": "3", "champion": "2"},  # of which no image is known
                {"version": "1", "champion": "none"},
            )
        ),
        (
            {"version": "1", "champion": "none"},
            {"deploy": "cancelled", "serves": "none"},
            "There is no champion yet.",
        ),
    ],
)
def test_what_serves_after_a_failure(
    outcome: ModuleType, register: dict[str, str], production: dict[str, str], sentence: str
) -> None:
    results = ["success"] * 7 + ["failure"]
    image = {"image": "a@2"}
    said = outcome.told(needs(*results, register=register, image=image, production=production))
    assert said.splitlines()[2].endswith(sentence)
    assert "not approved, or stopped before its steps" in said


def test_nothing_registered(outcome: ModuleType) -> None:
    line = outcome.told(needs("success", "cancelled")).splitlines()[2]
    assert line.startswith("**The candidate is not deployed**: it stopped at register as challeng")
    assert line.endswith("(cancelled). The champion, if there is one, serves.")


@pytest.mark.parametrize(
    ("results", "production", "failed"),
    [
        (THROUGH, {"deploy": "success"}, False),
        # GitHub has not run them, as somebody cancelled the run, or a newer one took its place.
        (["cancelled"], {}, False),
        (["success"] * 4 + ["cancelled"], {}, False),
        (["success"] * 7 + ["cancelled"], {}, False),  # it waited for its reviewers
        (["success"] * 7 + ["cancelled"], {"deploy": "skipped"}, False),
        (["success"] * 7 + ["cancelled"], {"deploy": "cancelled"}, True),  # taken back, or not
        (["success"] * 8 + ["cancelled"], {"deploy": "success"}, True),
        (["success"] * 8 + ["cancelled", "skipped", "success"], {"deploy": "success"}, True),
        (["success"] * 2 + ["failure"], {}, True),
        (["success"] * 7 + ["failure"], {}, True),  # not approved
        (["success"] * 9 + ["failure", "failure"], {"deploy": "success"}, True),
    ],
)
def test_a_failure_is_what_somebody_has_to_know(
    outcome: ModuleType, results: list[str], production: dict[str, str], failed: bool
) -> None:
    assert outcome.failed(needs(*results, production=production)) is failed


def test_its_sentence_without_markup_is_what_it_was_before(outcome: ModuleType) -> None:
    reason = "a_b **c** [x](y) <b> & &lt; \\_ #1 @x"
    line = outcome.conclusion(needs("success", "failure", register={"why": reason}))
    assert outcome.plain(line) == (
        f"The candidate is not deployed: it stopped at register as challenger ({reason}). "
        "The champion, if there is one, serves."
    )
    assert "\n" not in outcome.plain("one\ntwo")


def test_the_reason_is_the_note_else_the_hint_else_the_log(why: ModuleType) -> None:
    steps = {"setup": {"outcome": "success"}, "scan": {"outcome": "failure"}}
    assert why.sentence(steps, "") == "step scan: the log of the job says why"
    assert why.sentence(steps, "push: other\nscan: see: the table") == "step scan: see: the table"
    why.NOTE.parent.mkdir()
    why.NOTE.write_text(json.dumps({"command": "smoke", "error": "bad\npromoted=true"}))
    assert why.sentence(steps, "scan: x") == "step scan: bad promoted=true"
    assert why.sentence({}, "") == "bad promoted=true"
    why.NOTE.write_text("{")
    assert why.sentence({}, "") == "the log of the job says why"


def test_both_read_what_a_run_has_to_tell(tiny: TinyRepository) -> None:
    for name in ("why", "outcome"):
        shutil.copytree(
            ACTIONS / name,
            tiny.folder / ".github" / "actions" / name,
            ignore=shutil.ignore_patterns("__pycache__"),
        )
    fine = """
        {job}:
          needs: [{needs}]
          runs-on: ubuntu-24.04
          outputs: {{version: "{version}", champion: "2"}}
          steps: [{{run: echo}}]"""
    tiny.workflow(
        "push",
        fine.format(job="train", needs="", version="")
        + fine.format(job="register", needs="train", version="3")
        + fine.format(job="save", needs="register", version="")
        + f"""
        build:
          needs: register
          runs-on: ubuntu-24.04
          outputs:
            why: ${{{{ steps.why.outputs.sentence }}}}
          steps:
            - uses: {CHECKOUT}
            - id: smoke
              run: |
                mkdir reports
                echo '{{"error": "the scores differ"}}' > reports/failure.json
                exit 3
            - id: why
              if: failure()
              uses: ./.github/actions/why
              with:
                steps: ${{{{ toJSON(steps) }}}}"""
        + fine.format(job="image", needs="build", version="")
        + fine.format(job="attest", needs="image", version="")
        + fine.format(job="staging", needs="attest", version="")
        + "".join(
            fine.format(job=job, needs=JOBS[JOBS.index(job) - 1], version="") for job in JOBS[7:]
        )
        + f"""
        outcome:
          needs: [{", ".join(JOBS)}]
          if: ${{{{ always() && needs.register.result != 'skipped' }}}}
          runs-on: ubuntu-24.04
          outputs:
            failure: ${{{{ steps.outcome.outputs.failure }}}}
          steps:
            - uses: {CHECKOUT}
            - id: outcome
              uses: ./.github/actions/outcome
              with:
                needs: ${{{{ toJSON(needs) }}}}
        """,
    )
    (run,) = tiny.push()
    assert run.jobs["outcome"].conclusion == "success", run.log
    assert run.jobs["outcome"].outputs["failure"] == (
        "Version 3 is not deployed: it stopped at build, smoke-test, scan (step smoke: the scores "
        "differ). Version 2 is still champion, and serves."
    )
    assert run.summary.splitlines()[2:] == [
        "**Version 3 is not deployed**: it stopped at build, smoke-test, scan (step smoke: "
        "the scores differ). Version 2 is still champion, and serves.",
        "",
        "| step | | |",
        "|---|---|---|",
        "| Train and judge | ✅ success |  |",
        "| Register as challenger | ✅ success |  |",
        "| Save the registry | ✅ success |  |",
        "| Build, smoke-test, scan | ❌ failure | step smoke: the scores differ |",
        "| Push | - skipped |  |",
        "| Attest | - skipped |  |",
        "| Deploy to staging | - skipped |  |",
        "| Deploy to production | - skipped |  |",
        "| Promote | - skipped |  |",
        "| Save the promotion | - skipped |  |",
    ]
