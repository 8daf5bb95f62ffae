"""Whatever stops a deployment leaves champion, alias and tag alone, and is named in the summary."""

from typing import Any

import pytest
from act_run import Run
from second_version import SecondVersion

JOBS = (
    *("train", "model gate", "register", "save", "build", "image", "attest"),
    *("staging", "production", "promote", "save promotion", "outcome"),
)
STOPPED = {
    # scene: the job that fails, what the summary says of it, attempts of others to save meanwhile
    "overtaken": ("save", "step save: somebody else has saved mlflow.db in mlops-store since"),
    "overtaken again": ("save", "step save: somebody else has saved mlflow.db in mlops-store si"),
    "vulnerable": ("build", "step scan: vulnerabilities that the champion's image does not have"),
    "other scores": ("build", "step smoke: "),
    "other predictions": ("production", "step deploy: production: step 'canary' failed: "),
    "undecided": (
        "production",
        "step deploy: production: step 'canary' failed: inconclusive: ",
    ),
    "not saved": ("save promotion", "step save: somebody else has saved mlflow.db in mlops-store"),
}


def conclusions(run: Run) -> dict[str, str]:
    return {name.removeprefix("train / "): job.conclusion for name, job in run.jobs.items()}


def expected(fails: str) -> dict[str, str]:
    place = JOBS.index(fails)
    before, after = JOBS[:place], JOBS[place + 1 : -1]
    return {
        **dict.fromkeys(before, "success"),
        "judge": "skipped",
        "comment": "skipped",
        fails: "failure",
        **dict.fromkeys(after, "skipped"),
        # At the same time as the registry is saved.
        **({"build": "success"} if fails == "save" else {}),
        "put back": "success" if fails == "save promotion" else "skipped",
        "outcome": "success",
    }


def sentence(run: Run) -> str:
    """Return the line that sums a deployment up."""
    lines = run.summary.splitlines()
    return lines[lines.index("## Deployment") + 2]


@pytest.mark.parametrize("name", STOPPED)
def test_a_deployment_that_is_stopped(second_version: SecondVersion, name: str) -> None:
    job, reason = STOPPED[name]
    run, scene = second_version.run_of(name), second_version.scenes[name]
    assert conclusions(run) == expected(job), run.log
    assert run.jobs[job].outputs["why"].startswith(reason)
    assert sentence(run).startswith("**Version 2 is not deployed**: it stopped at ")
    assert sentence(run).endswith("Version 1 is still champion, and serves.")
    assert scene.aliases["champion"] == 1
    assert "previous" not in scene.aliases
    assert scene.tags["production"] == scene.tags["v1"]


@pytest.mark.parametrize("name", [*STOPPED, "cancelled", "killed", "too late"])
def test_the_webhook_is_told_what_the_summary_says(
    second_version: SecondVersion, name: str
) -> None:
    run, (text,) = second_version.run_of(name), second_version.scenes[name].told
    assert text.startswith(
        "A failed deployment in octo/flight-delays: Version 2 is not deployed: it stopped at "
    )
    said = " Version 1 is still champion, and serves."
    assert said in text
    assert text.endswith(f" https://github.com/octo/flight-delays/actions/runs/{run.id}")


def test_the_webhook_is_told_of_no_deployment_that_did_not_fail(
    second_version: SecondVersion,
) -> None:
    told = {name: second_version.scenes[name].told for name in ("deployed", "same", "prose")}
    assert told == {"deployed": [], "same": [], "prose": []}


def test_whoever_was_faster_keeps_what_they_saved(second_version: SecondVersion) -> None:
    scene = second_version.scenes["overtaken"]
    assert scene.saved_by_others == 1
    assert scene.store == ["Of somebody else, 1"]
    assert scene.aliases == {"champion": 1}


def test_what_a_scan_finds_is_shown(second_version: SecondVersion) -> None:
    run = second_version.run_of("vulnerable")
    lines = run.summary.splitlines()
    assert "| numpy | CVE-2026-1 | HIGH | 1.0 | 9.9 | **new** |" in lines
    assert "| openssl | CVE-2026-0 | CRITICAL | 1.0 | 3.6 | serves already |" in lines
    assert "2 found, 1 of them new." in lines


def test_what_the_champions_image_has_as_well_stops_nothing(second_version: SecondVersion) -> None:
    run = second_version.run_of("not loaded")
    assert run.jobs["build"].conclusion == "success"
    assert "1 found, 0 of them new." in run.summary.splitlines()


def test_what_was_scanned_is_what_is_pushed(second_version: SecondVersion) -> None:
    """A scanner that changes the image would have to change what was handed over before it ran."""
    steps = [it.name for it in second_version.run_of("not loaded").jobs["build"].steps]
    assert steps.index("Hand over the image") < steps.index("Smoke-test the image")
    run = second_version.run_of("other predictions")
    assert run.jobs["image"].conclusion == "success"
    assert "build/image.tar: OK" in run.log


def test_another_image_than_the_one_that_was_built_is_not_pushed(
    second_version: SecondVersion,
) -> None:
    run, scene = second_version.run_of("other image"), second_version.scenes["other image"]
    assert run.jobs["image"].conclusion == "failure"
    assert "v2" not in scene.tags


def test_it_attests_where_the_image_is_from_and_what_is_in_it(
    second_version: SecondVersion,
) -> None:
    run = second_version.run_of("deployed")
    image = run.jobs["image"].outputs["image"]
    noted = [it for it in second_version.hosted.recorded("attest") if it["run"] == run.id]
    assert {(it["kind"].split("/")[2], f"{it['name']}@{it['digest']}") for it in noted} == {
        ("slsa.dev", image),
        ("spdx.dev", image),
    }


def test_where_nothing_is_signed_the_summary_says_so(second_version: SecondVersion) -> None:
    """As in a private repository, by a variable."""
    run = second_version.run_of("killed")
    assert run.jobs["attest"].conclusion == "success"
    assert "Not attested, so nothing proves where the image is from" in run.summary
    assert "not proved: GitHub does not sign here, or the variable ATTEST says" in run.summary


def test_an_image_that_predicts_otherwise_is_not_pushed(second_version: SecondVersion) -> None:
    steps = {
        it.name: it.conclusion for it in second_version.run_of("other scores").jobs["build"].steps
    }
    assert steps["Smoke-test the image"] == "failure"
    assert steps["Show what the service said"] == "success"


def test_the_canary_compares_with_what_serves(second_version: SecondVersion) -> None:
    scene = second_version.scenes["other predictions"]
    assert scene.tags["staging"] == scene.tags["v2"] != scene.tags["production"]
    assert "shift" in second_version.run_of("other predictions").jobs["production"].outputs["why"]


def test_a_version_that_cannot_be_promoted_is_taken_back(second_version: SecondVersion) -> None:
    run, scene = second_version.run_of("not saved"), second_version.scenes["not saved"]
    assert scene.saved_by_others == 1
    assert run.jobs["production"].conclusion == "success"
    assert run.jobs["put back"].conclusion == "success"
    assert run.summary.count("### production: version 2 serves") == 1
    assert run.summary.count("### production: version 1 serves") == 1


def test_a_version_that_was_taken_back_is_not_promoted_later(second_version: SecondVersion) -> None:
    """By a re-run of what failed: what serves is the champion, so production comes first."""
    run, scene = second_version.run_of("too late"), second_version.scenes["too late"]
    assert run.jobs["promote"].conclusion == "success"
    assert run.jobs["save promotion"].conclusion == "skipped"
    assert scene.aliases["champion"] == 1
    assert scene.tags["production"] == scene.tags["v1"]
    assert sentence(run).endswith("Version 1 is still champion, and serves.")


def test_a_deployment_that_is_killed_after_the_switch_is_taken_back(
    second_version: SecondVersion,
) -> None:
    """As by the last signal that a cancelled run sends, or where memory runs out."""
    run, scene = second_version.run_of("killed"), second_version.scenes["killed"]
    steps = {it.name: it.conclusion for it in run.jobs["production"].steps}
    assert steps["Deploy it beside the champion, compare the two, and switch"] == "failure"
    assert steps["Put the champion's image back"] == "success"
    assert scene.tags["production"] == scene.tags["v1"]
    assert scene.aliases["champion"] == 1
    assert sentence(run).endswith("Version 1 is still champion, and serves.")


def test_a_deployment_that_is_cancelled_after_the_switch_undoes_it(
    second_version: SecondVersion,
) -> None:
    """The runner's signals reach `mlops deploy`, which is all that the step runs."""
    run, scene = second_version.run_of("cancelled"), second_version.scenes["cancelled"]
    assert run.conclusion == "cancelled"
    assert run.jobs["production"].conclusion == "cancelled"
    assert "step 'confirm' failed: stopped by signal SIGINT" in run.jobs["production"].log
    # Run again, the canary could decide no better, and whoever let it run has accepted that.
    assert "canary: inconclusive, which ada has accepted: " in run.jobs["production"].log
    assert scene.tags["production"] == scene.tags["v1"]
    assert scene.aliases == {"champion": 1, "challenger": 2}
    steps = {it.name: it.conclusion for it in run.jobs["production"].steps}
    assert steps["Put the champion's image back"] == "skipped"  # it serves
    assert sentence(run).endswith("Version 1 is still champion, and serves.")


def test_saving_is_tried_again_before_giving_up(second_version: SecondVersion) -> None:
    run, scene = second_version.run_of("deployed"), second_version.scenes["deployed"]
    assert set(conclusions(run).values()) == {"success", "skipped"}, run.log
    assert scene.saved_by_others == 1
    assert scene.aliases == {"champion": 2, "previous": 1}
    assert scene.tags["production"] == scene.tags["staging"] == scene.tags["v2"] != scene.tags["v1"]
    assert scene.store == [f"Store of main at {run.sha}"]
    assert sentence(run) == "**Version 2 serves in production, and is champion.**"
    assert [it for it in run.annotations if it.level == "error"] == []
    assert "flight-delays version 2 is now champion (was version 1)" in run.summary


def test_the_record_of_it(second_version: SecondVersion) -> None:
    run = second_version.run_of("deployed")
    registry = second_version.hosted.registry()
    assert registry["versions"][2]["git_commit"] == run.sha
    assert registry["versions"][2]["finding"] == "better"
    assert registry["versions"][2]["image"] == run.jobs["image"].outputs["image"]
    assert [(it["action"], it["from"], it["to"]) for it in registry["audit"]] == [
        ("promote", None, 1),
        ("promote", 1, 2),
    ]
    assert [(it.environment, it.state) for it in deployments(second_version, run)] == [
        ("staging", "success"),
        ("production", "failure"),  # the canary
        ("production", "failure"),  # a canary that could not decide
        ("production", "failure"),  # a rollback to a version that never served
        ("production", "failure"),  # cancelled
        ("staging", "success"),
        ("production", "failure"),  # killed
        ("production", "success"),
        ("production", "success"),  # put back, as it was not saved
        ("production", "success"),  # and again, as it was too late
        ("production", "success"),
    ]


def deployments(second_version: SecondVersion, run: Run) -> list[Any]:
    return [it for it in second_version.hosted.github.deployments() if it.sha == run.sha]


def test_same_predictions_are_not_deployed_again(second_version: SecondVersion) -> None:
    run, scene = second_version.run_of("same"), second_version.scenes["same"]
    later = (*JOBS[JOBS.index("image") :], "build")
    assert conclusions(run) == {
        **dict.fromkeys(("train", "model gate", "register", "save"), "success"),
        **dict.fromkeys(("judge", "comment", "put back", *later), "skipped"),
    }
    assert "Same predictions as the champion - nothing to deploy." in run.summary
    assert scene.store == [f"Store of main at {run.sha}"]
    assert scene.aliases == second_version.scenes["deployed"].aliases


def test_prose_is_not_trained(second_version: SecondVersion) -> None:
    run = second_version.run_of("prose")
    assert "dvc repro" not in run.log
    assert conclusions(run) == {
        **dict.fromkeys(("train", "model gate"), "success"),
        **dict.fromkeys(("judge", "comment", "put back", *JOBS[2:]), "skipped"),
    }
    assert second_version.scenes["prose"].store == second_version.scenes["same"].store
