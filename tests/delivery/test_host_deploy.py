"""Target `compose`: two colours behind a real proxy, switched without a request being dropped."""

import re
import shlex
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
import yaml
from places import (
    BROKEN,
    CANDIDATE,
    CHAMPION,
    FAILING,
    SHIFTED,
    Images,
    Place,
    Users,
    ports,
    version_at,
)
from projects import ROOT

from mlops.delivery import checks

NAME = "flight-delays-production"

pytestmark = pytest.mark.skipif(
    not (ROOT / "deploy" / "host").is_dir(), reason="this project does not deploy to a host"
)


def host(images: Images, folder: Path, **environment: str) -> Place:
    """Return an empty host: this machine."""
    http, admin = ports(2)
    settings = {"DEPLOY_HOST": "local", "HTTP_PORT": http, "PROXY_ADMIN": f"127.0.0.1:{admin}"}
    return Place.make(images, folder, "compose", **{**settings, **environment})


def url(place: Place) -> str:
    return f"http://127.0.0.1:{place.environment['HTTP_PORT']}"


def serving_colour(place: Place) -> str:
    state = Path(place.environment["DOCKER_DOUBLE"]) / "volumes" / f"{NAME}_state" / "serves.map"
    return state.read_text().removeprefix("serves ").strip()


@pytest.fixture(scope="module")
def place(
    images: Images, tmp_path_factory: pytest.TempPathFactory, haproxy: str
) -> Iterator[Place]:
    """A host on which the champion serves; a deployment that fails must leave it so."""
    place = host(images, tmp_path_factory.mktemp("host"))
    try:
        place.deploy(CHAMPION)
        yield place
    finally:
        place.close()


def test_the_first_deployment_on_an_empty_host(place: Place) -> None:
    said = {step["name"]: step["said"] for step in place.record["steps"]}
    assert said["look"] == f"{NAME}: nothing runs yet on local"
    assert said["canary"] == "skipped: nothing serves yet that it could be compared with"
    assert said["switch"] == "requests go to blue"
    held = r"ready all \d+ times that it was asked; errors 0.00%, p99 0.00%"
    assert re.fullmatch(held, said["watch"])
    assert said["settle"] == "there was nothing before it"
    assert version_at(url(place)) == CHAMPION
    assert serving_colour(place) == "blue"
    assert place.running() == [f"{NAME}-blue-1", f"{NAME}-proxy-1"]


@pytest.mark.parametrize(
    ("step", "version", "export", "fail", "why"),
    [
        ("look", CANDIDATE, None, "^version", "told to fail at: version"),
        ("start", BROKEN, CANDIDATE, None, "the container ended at once: .*model.json"),
        ("smoke", CANDIDATE, SHIFTED, None, "serves version 2, and .* holds version 3"),
        ("canary", SHIFTED, None, None, "finding 'shifted'"),
        ("switch", CANDIDATE, None, "1 ^exec .*serves %s", "told to fail at: exec"),
        ("confirm", CANDIDATE, None, "3 ^exec .*show map", "told to fail at: exec"),
    ],
)
def test_whatever_fails_the_champion_serves_on(
    place: Place, step: str, version: str, export: str | None, fail: str | None, why: str
) -> None:
    canary = step == "canary"
    with Users(url(place), 1) as users:
        said = place.refused(
            version, export, quick=True, canary=canary, DOCKER_DOUBLE_FAIL=fail or ""
        )
    assert said.startswith(f"production: step '{step}' failed: ")
    assert re.search(why, said), said
    touched = "nothing was touched" if step == "look" else "blue serves ghcr.io/"
    assert f"; {touched}" in said
    assert users.failures == []
    assert set(users.versions) <= {CHAMPION, CANDIDATE}
    assert version_at(url(place)) == CHAMPION
    assert serving_colour(place) == "blue"
    assert place.running() == [f"{NAME}-blue-1", f"{NAME}-proxy-1"]


def test_one_that_dies_while_it_is_watched_gives_way_to_the_champion(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = checks.Watch.__call__

    def dies(watch: checks.Watch, url: str) -> str:
        place.docker("kill", f"{NAME}-green-1")
        return look(watch, url)

    monkeypatch.setattr(checks.Watch, "__call__", dies)
    said = place.refused(CANDIDATE, canary=False, quick=True)
    assert said.startswith("production: step 'watch' failed: it stopped being ready: ")
    assert version_at(url(place)) == CHAMPION
    assert serving_colour(place) == "blue"


def test_one_that_fails_what_its_users_ask_gives_way_to_the_champion(place: Place) -> None:
    with Users(url(place)) as users:
        said = place.refused(FAILING, canary=False, quick=True)
    assert re.match(
        r"production: step 'watch' failed: the rule 'errors' spoke: (\d+) of \1 requests failed "
        r"since the switch; 1% may fail; blue serves ghcr\.io/",
        said,
    )
    assert {failure.split(":")[0] for failure in users.failures} == {"500 internal"}
    assert version_at(url(place)) == CHAMPION
    assert serving_colour(place) == "blue"


@pytest.mark.parametrize("step", ["switch", "watch"])
def test_a_cancelled_workflow_leaves_the_champion(place: Place, step: str) -> None:
    """The runner sends SIGINT, and then SIGTERM, whatever the process is doing by then."""
    code, said = place.stopped(CANDIDATE, step, signal.SIGINT, *[signal.SIGTERM] * 20)
    assert code == 1
    assert f"step '{step}' failed: stopped by signal SIG" in said
    assert version_at(url(place)) == CHAMPION
    assert serving_colour(place) == "blue"
    assert place.running() == [f"{NAME}-blue-1", f"{NAME}-proxy-1"]
    assert place.output()["serves"] == place.images.references[CHAMPION]
    assert place.ask() == place.images.references[CHAMPION]


def test_the_switch_drops_no_request_and_outlives_a_reboot(place: Place) -> None:
    with Users(url(place)) as users:
        record = place.deploy(CANDIDATE)
    assert users.failures == []
    assert {CHAMPION, CANDIDATE} == set(users.versions)
    # Several people ask at once: at the moment of the switch, answers of both may cross.
    last = max(at for at, version in enumerate(users.versions) if version == CHAMPION)
    first = users.versions.index(CANDIDATE)
    assert last - first < 6, users.versions[first : last + 1]

    assert record["before"] == place.images.references[CHAMPION]
    said = {step["name"]: step["said"] for step in record["steps"]}
    assert said["look"] == f"blue serves {place.images.references[CHAMPION]}"
    assert said["canary"].startswith("finding 'equal', as good as the champion; asked ")
    assert said["settle"] == "blue is stopped"
    assert place.running() == [f"{NAME}-green-1", f"{NAME}-proxy-1"]

    # What `restart: unless-stopped` does after a reboot: what was not stopped comes back.
    names = place.running()
    place.docker("kill", *names)
    assert version_at(url(place)) is None
    place.docker("start", *names)
    wait_until(lambda: version_at(url(place)) == CANDIDATE)

    # The way back by hand, as deploy/host/README.md says it.
    readme = (ROOT / "deploy/host/README.md").read_text(encoding="utf-8")
    by_hand = re.findall(r"^\$ docker (.*P-(?:blue|proxy)-1.*?)(?: +#.*)?$", readme, re.MULTILINE)
    assert len(by_hand) == 3
    for line in by_hand:
        place.docker(*shlex.split(line.replace("P-", f"{NAME}-"), comments=True))
    wait_until(lambda: version_at(url(place)) == CHAMPION)


def wait_until(holds: Callable[[], bool]) -> None:
    until = time.monotonic() + 20
    while not holds():
        assert time.monotonic() < until, "it does not come to hold"
        time.sleep(0.1)


def test_the_files_of_the_host_are_what_compose_takes() -> None:
    command = ["check-jsonschema", "--builtin-schema", "vendor.compose-spec"]
    done = subprocess.run(
        [*command, str(ROOT / "deploy/host/compose.yaml")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout
    content = yaml.safe_load((ROOT / "deploy/host/compose.yaml").read_text(encoding="utf-8"))
    for name, service in content["services"].items():
        assert service["restart"] == "unless-stopped"
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        # A colour is reached from the host only.
        assert name == "proxy" or service["ports"] == ["127.0.0.1::8000"]
    blue, green = (content["services"][colour] for colour in ("blue", "green"))
    assert blue | {"image": ""} == green | {"image": ""}
