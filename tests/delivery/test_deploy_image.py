"""Target `image`: the tag of the environment moves only to what has proved itself."""

import re
import signal
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import BROKEN, CANDIDATE, CHAMPION, REPOSITORY, SHIFTED, Images, Place

from mlops.delivery import deploy
from mlops.project import params
from mlops.project.errors import MlopsError

TAG = f"{REPOSITORY}:production"


@pytest.fixture(scope="module")
def place(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """Where the champion serves; a deployment that fails must leave it so."""
    place = Place.make(images, tmp_path_factory.mktemp("image"), "image")
    place.deploy(CHAMPION)
    yield place
    place.close()


def tagged(place: Place) -> str:
    digest = place.docker(
        "buildx", "imagetools", "inspect", "--format", "{{.Manifest.Digest}}", TAG
    )
    return f"{REPOSITORY}@{digest}"


def test_the_first_deployment_has_nothing_to_compare_with(place: Place) -> None:
    record = place.record
    assert record["passed"]
    assert record["before"] is None
    assert [step["name"] for step in record["steps"]] == [
        *("look", "start", "smoke", "canary", "switch", "confirm", "settle"),
    ]
    said = {step["name"]: step["said"] for step in record["steps"]}
    assert said["canary"] == "skipped: nothing serves yet that it could be compared with"
    assert "20 rows in batches and 20 one by one score as offline" in said["smoke"]
    assert tagged(place) == place.images.references[CHAMPION]
    assert place.running() == []


@pytest.mark.parametrize(
    ("step", "version", "export", "fail", "why"),
    [
        ("look", CANDIDATE, None, "^pull .*:production$", "told to fail at: pull"),
        ("start", BROKEN, CANDIDATE, None, "the container ended at once: .*model.json"),
        ("smoke", CANDIDATE, SHIFTED, None, "serves version 2, and .* holds version 3"),
        ("canary", SHIFTED, None, None, "finding 'shifted'"),
        ("switch", CANDIDATE, None, "1 imagetools create", "told to fail at: buildx imagetools"),
        ("confirm", CANDIDATE, None, "2 ^pull .*:production$", "told to fail at: pull"),
    ],
)
def test_whatever_fails_the_champion_serves_on(
    place: Place, step: str, version: str, export: str | None, fail: str | None, why: str
) -> None:
    canary = step == "canary"
    said = place.refused(version, export, quick=True, canary=canary, DOCKER_DOUBLE_FAIL=fail or "")
    assert said.startswith(f"production: step '{step}' failed: ")
    assert re.search(why, said), said
    assert tagged(place) == place.images.references[CHAMPION]
    assert place.running() == []
    record = place.record
    assert (record["passed"], record["failed"]) == (False, step)
    assert [one["name"] for one in record["steps"] if not one["ok"]] == [step]
    assert record["steps"][-1]["name"] == "undo"
    summary = (place.folder / "summary.md").read_text()
    assert f"### production: version {export or version} was not deployed: step `{step}`" in summary


@pytest.mark.parametrize("first", [signal.SIGINT, signal.SIGTERM])
def test_a_cancelled_workflow_leaves_the_champion(place: Place, first: signal.Signals) -> None:
    """GitHub ends a job that is cancelled with a signal; nothing may be left behind."""
    code, said = place.stopped(CANDIDATE, "smoke", first)
    assert code == 1
    assert f"mlops: production: step 'smoke' failed: stopped by signal {first.name}; " in said
    assert f"{TAG} was not touched" in said
    assert place.running() == []
    assert tagged(place) == place.images.references[CHAMPION]
    assert place.steps() == ["look", "start", "smoke", "undo"]
    assert place.output() == {"serves": place.images.references[CHAMPION]}


def test_a_signal_that_becomes_another_error_is_told_as_one() -> None:
    """As in the middle of a codec, which says that encoding failed."""
    error = UnicodeError("encoding with 'idna' codec failed")
    error.__cause__ = KeyboardInterrupt("stopped by signal SIGINT")
    assert deploy.reason(error) == "stopped by signal SIGINT"


def test_an_undo_that_one_signal_began_no_other_ends(place: Place) -> None:
    """GitHub sends SIGINT and then SIGTERM, whatever the process is doing by then."""
    code, said = place.stopped(CANDIDATE, "confirm", signal.SIGINT, *[signal.SIGTERM] * 20)
    assert code == 1
    assert "stopped by signal SIG" in said
    assert tagged(place) == place.images.references[CHAMPION]
    assert place.steps()[-2:] == ["confirm", "undo"]
    assert place.output()["serves"] == place.images.references[CHAMPION]


def test_a_process_that_is_killed_says_nothing_of_what_serves(place: Place) -> None:
    code, _ = place.stopped(CANDIDATE, "confirm", signal.SIGKILL)
    assert code == -signal.SIGKILL
    assert tagged(place) == place.images.references[CANDIDATE]
    assert "serves" not in place.output()  # so the workflow puts the champion back
    assert "url" in place.output()
    assert place.ask() == place.images.references[CANDIDATE]
    assert place.deploy(CHAMPION, quick=True, canary=False)["passed"]
    assert place.running() == []


def test_an_image_by_tag_is_refused(place: Place) -> None:
    with pytest.raises(MlopsError, match="does not name an image for ever"):
        deploy.run(params.load(place.folder / "params.yaml"), "staging", TAG, Path())


def test_a_workflow_deploys_no_image_of_others(place: Place) -> None:
    said = place.refused(CANDIDATE, GITHUB_REPOSITORY="ada/elsewhere")
    assert "is not one of this repository, ghcr.io/ada/elsewhere@sha256:..." in said
    assert tagged(place) == place.images.references[CHAMPION]
    assert place.running() == []


def test_an_undo_that_fails_calls_for_a_person(place: Place) -> None:
    """With the switch half done and no way back, the sentence must not sound like a success."""
    fail = "imagetools create .*production"
    said = place.refused(CANDIDATE, quick=True, canary=False, DOCKER_DOUBLE_FAIL=fail)
    assert "step 'switch' failed: " in said
    assert "; and undoing it FAILED, look at it now: docker buildx: " in said
    assert tagged(place) == place.images.references[CHAMPION]


def test_a_better_version_takes_over(place: Place) -> None:
    output = place.folder / "better"
    record = place.deploy(CANDIDATE, GITHUB_OUTPUT=str(output))
    assert record["before"] == place.images.references[CHAMPION]
    assert record["passed"]
    said = {step["name"]: step["said"] for step in record["steps"]}
    assert said["canary"].startswith("finding 'equal', as good as the champion; asked ")
    assert tagged(place) == place.images.references[CANDIDATE]
    assert place.running() == []
    summary = (place.folder / "summary.md").read_text()
    assert "### production: version 2 serves" in summary
    assert "| canary | ✅ |" in summary
    assert output.read_text() == f"url=\nserves={place.images.references[CANDIDATE]}\n"
