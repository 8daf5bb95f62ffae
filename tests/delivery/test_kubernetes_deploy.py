"""Target `kubernetes`: a canary that no user reaches, a rollout, and the way back."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from places import BROKEN, CANDIDATE, CHAMPION, DOUBLES, SHIFTED, Images, Place, version_at
from projects import ROOT

from mlops.delivery import checks
from mlops.delivery.kubernetes import KubernetesTarget, PortForward

NAMESPACE = "flight-delays-production"
SERVICE, CANARY = f"k8s_{NAMESPACE}_service_", f"k8s_{NAMESPACE}_service-canary_"

pytestmark = [
    pytest.mark.skipif(
        not (ROOT / "deploy" / "kubernetes").is_dir(),
        reason="this project does not deploy to Kubernetes",
    ),
    pytest.mark.skipif(
        shutil.which("kubectl") is None,
        reason="there is no kubectl, and Debian's is too old: kubernetes.io/docs/tasks/tools",
    ),
]


@pytest.fixture(scope="module")
def place(images: Images, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Place]:
    """A cluster in which the champion serves; a deployment that fails must leave it so."""
    folder = tmp_path_factory.mktemp("cluster")
    state = {"KUBECTL_DOUBLE": str(folder / "cluster"), "KUBE_CONFIG": "apiVersion: v1"}
    place = Place.make(images, folder, "kubernetes", **state)
    try:
        place.deploy(CHAMPION)
        yield place
    finally:
        place.close()


def test_a_kubeconfig_of_several_lines_is_warned_of(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """GitHub masks each of them: an output that holds "kind: Config" would be dropped."""
    monkeypatch.setenv("GITHUB_ACTIONS", "true")
    for config, warned in (('{"kind": "Config"}\n', 0), ("kind: Config\nusers: []\n", 1)):
        monkeypatch.setenv("KUBE_CONFIG", config)
        KubernetesTarget("flights", "staging", "image", "1")
        said = capsys.readouterr().err
        assert said.count("::warning title=mlops::KUBE_CONFIG has several lines: ") == warned
        assert "users" not in said


def version_for_users(place: Place) -> str | None:
    """Return which version answers behind the Service."""
    command = [sys.executable, str(DOUBLES / "kubectl"), "--namespace", NAMESPACE]
    forward = PortForward(command, place.environment, "service/service")
    try:
        return version_at(forward.url)
    finally:
        forward.close()


def applied(place: Place, kind: str, name: str) -> dict:
    path = Path(place.environment["KUBECTL_DOUBLE"]) / "objects" / NAMESPACE / f"{kind}.{name}.json"
    return json.loads(path.read_text())


def test_the_first_deployment_makes_everything(place: Place) -> None:
    said = {step["name"]: step["said"] for step in place.record["steps"]}
    assert said["look"] == f"no Deployment service in namespace {NAMESPACE} yet"
    assert said["canary"] == "skipped: nothing serves yet that it could be compared with"
    assert said["settle"] == "service-canary is scaled away"
    assert version_for_users(place) == CHAMPION
    (pod,) = place.running()
    assert pod.startswith(SERVICE)
    names = {
        path.stem
        for path in (Path(place.environment["KUBECTL_DOUBLE"]) / "objects").rglob("*.json")
        if not path.stem.startswith("ConfigMap.settings-")
    }
    assert names == {
        f"Namespace.{NAMESPACE}",
        *("Deployment.service", "Deployment.service-canary", "Service.service"),
        *("Service.service-canary", "ServiceAccount.service", "NetworkPolicy.service"),
        *("HorizontalPodAutoscaler.service", "PodDisruptionBudget.service"),
    }
    template = applied(place, "Deployment", "service")["spec"]["template"]
    assert template["metadata"]["labels"]["app.kubernetes.io/version"] == CHAMPION
    (container,) = template["spec"]["containers"]
    assert container["image"] == place.images.references[CHAMPION]


@pytest.mark.parametrize(
    ("step", "version", "export", "fail", "why"),
    [
        ("look", CANDIDATE, None, "get deployment", "told to fail at: .*get deployment"),
        ("start", BROKEN, CANDIDATE, None, "service-canary did not roll out: .*model.json"),
        ("smoke", CANDIDATE, SHIFTED, None, "serves version 2, and .* holds version 3"),
        ("start champion", CANDIDATE, None, "port-forward .*service/service ", "told to fail"),
        ("canary", SHIFTED, None, None, "finding 'shifted'"),
        ("switch", CANDIDATE, None, "2 .* apply", "told to fail at: .*apply"),
        ("switch", CANDIDATE, None, "1 rollout status deployment/service ", "told to fail at"),
    ],
)
def test_whatever_fails_the_champion_serves_on(
    place: Place, step: str, version: str, export: str | None, fail: str | None, why: str
) -> None:
    canary = step in ("start champion", "canary")
    said = place.refused(version, export, quick=True, canary=canary, KUBECTL_DOUBLE_FAIL=fail or "")
    assert said.startswith(f"production: step '{step}' failed: ")
    assert re.search(why, said), said
    touched = "nothing was touched" if step == "look" else "service serves ghcr.io/"
    assert f"; {touched}" in said
    assert version_for_users(place) == CHAMPION
    (pod,) = place.running()  # the canary is scaled away, and nothing new is left
    assert pod.startswith(SERVICE)


@pytest.mark.parametrize("step", ["switch", "watch"])
def test_a_cancelled_workflow_leaves_the_champion(place: Place, step: str) -> None:
    """The runner sends SIGINT, and then SIGTERM, whatever the process is doing by then."""
    code, said = place.stopped(CANDIDATE, step, signal.SIGINT, *[signal.SIGTERM] * 20)
    assert code == 1
    assert f"step '{step}' failed: stopped by signal SIG" in said
    assert version_for_users(place) == CHAMPION
    (pod,) = place.running()
    assert pod.startswith(SERVICE)
    assert place.output()["serves"] == place.images.references[CHAMPION]
    assert place.ask() == place.images.references[CHAMPION]


def test_one_that_fails_while_it_is_watched_gives_way_to_the_champion(
    place: Place, monkeypatch: pytest.MonkeyPatch
) -> None:
    look = checks.Watch.__call__

    def dies(watch: checks.Watch, url: str) -> str:
        (pod,) = [name for name in place.running() if name.startswith(SERVICE)]
        place.docker("kill", pod)
        return look(watch, url)

    monkeypatch.setattr(checks.Watch, "__call__", dies)
    said = place.refused(CANDIDATE, canary=False, quick=True)
    assert said.startswith("production: step 'watch' failed: ")
    assert version_for_users(place) == CHAMPION


def test_the_trial_on_a_real_cluster_holds_on_the_double(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    """The command that template.yml runs with a cluster of kind."""
    monkeypatch.setenv("PATH", f"{DOUBLES}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("DOCKER_DOUBLE", str(tmp_path / "docker"))
    monkeypatch.setenv("KUBECTL_DOUBLE", str(tmp_path / "cluster"))
    monkeypatch.setenv("DEPLOY_WATCH_SECONDS", "0.1")
    trial = ROOT / "tests" / "delivery" / "cluster_trial.py"
    subprocess.run([sys.executable, str(trial), "localhost:5001"], check=True)
    said = capfd.readouterr()
    assert "serves, as it should" in said.out
    assert "step 'canary' failed: finding 'shifted'" in said.out
