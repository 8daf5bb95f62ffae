"""What would be applied to a cluster, held against Kubernetes' schemas and rules of our own."""

import functools
import re
import shutil
from typing import Any

import kubernetes_validate
import pytest
import yaml
from projects import ROOT

from mlops.delivery import kubernetes
from mlops.project.errors import MlopsError

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

IMAGE = f"ghcr.io/ada/flight-delays@sha256:{'ab' * 32}"
# The oldest release that is still maintained, and the newest whose schemas are there.
KUBERNETES = ("1.32", kubernetes_validate.latest_version())
ENVIRONMENTS = ("staging", "production")


@functools.cache
def rendered(environment: str) -> list[dict[str, Any]]:
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(ROOT)
        return kubernetes.render(environment, f"flight-delays-{environment}", IMAGE, "7")


@pytest.fixture(params=ENVIRONMENTS)
def objects(request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    return rendered(request.param)


def one(objects: list[dict[str, Any]], kind: str, name: str = "service") -> dict[str, Any]:
    (found,) = [it for it in objects if (it["kind"], it["metadata"]["name"]) == (kind, name)]
    return found


def pod_specs(objects: list[dict[str, Any]]) -> list[dict[str, Any]]:
    deployments = [content for content in objects if content["kind"] == "Deployment"]
    assert len(deployments) == 2
    return [content["spec"]["template"]["spec"] for content in deployments]


def seconds(settings: dict[str, Any]) -> int:
    return int(settings["data"]["SHUTDOWN_SECONDS"])


@pytest.mark.parametrize("release", KUBERNETES)
def test_every_object_is_valid_and_has_no_unknown_field(
    objects: list[dict[str, Any]], release: str
) -> None:
    for content in objects:
        kubernetes_validate.validate(content, release, strict=True)
    kinds = sorted({content["kind"] for content in objects})
    assert kinds == [
        *("ConfigMap", "Deployment", "HorizontalPodAutoscaler", "Namespace", "NetworkPolicy"),
        *("PodDisruptionBudget", "Service", "ServiceAccount"),
    ]


def test_a_field_with_a_typing_error_is_found() -> None:
    broken = yaml.safe_load(yaml.safe_dump(one(rendered("staging"), "Deployment")))
    broken["spec"]["template"]["spec"]["containers"][0]["readinesProbe"] = {}
    with pytest.raises(kubernetes_validate.ValidationError, match="readinesProbe"):
        kubernetes_validate.validate(broken, KUBERNETES[0], strict=True)


def test_image_version_and_namespace_are_put_in_by_name(objects: list[dict[str, Any]]) -> None:
    for content in objects:
        assert content["metadata"]["labels"]["app.kubernetes.io/version"] == "7"
        if content["kind"] != "Namespace":
            assert content["metadata"]["namespace"].startswith("flight-delays-")
    for spec in pod_specs(objects):
        assert [container["image"] for container in spec["containers"]] == [IMAGE]
        assert re.fullmatch(r".+@sha256:[0-9a-f]{64}", spec["containers"][0]["image"])


def test_pods_satisfy_the_restricted_standard(objects: list[dict[str, Any]]) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted"""
    (namespace,) = kubernetes.namespace_of(objects)
    assert namespace["metadata"]["labels"]["pod-security.kubernetes.io/enforce"] == "restricted"
    for spec in pod_specs(objects):
        assert not {"hostNetwork", "hostPID", "hostIPC"} & set(spec)
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"]["runAsUser"] > 0
        assert spec["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
        assert {next(iter(set(it) - {"name"})) for it in spec["volumes"]} == {"emptyDir"}
        for container in spec["containers"]:
            security = container["securityContext"]
            assert security["allowPrivilegeEscalation"] is False
            assert security["readOnlyRootFilesystem"] is True
            assert security["capabilities"] == {"drop": ["ALL"]}


def test_pods_are_the_user_of_the_image(objects: list[dict[str, Any]]) -> None:
    dockerfile = (ROOT / "deploy" / "Dockerfile").read_text(encoding="utf-8")
    (user, group) = re.findall(r"^USER (\d+):(\d+)$", dockerfile, re.MULTILINE)[-1]
    (port,) = re.findall(r"^EXPOSE (\d+)$", dockerfile, re.MULTILINE)
    for spec in pod_specs(objects):
        assert spec["securityContext"]["runAsUser"] == int(user)
        assert spec["securityContext"]["runAsGroup"] == int(group)
        (container,) = spec["containers"]
        assert [it["containerPort"] for it in container["ports"]] == [int(port)]
        written = {it["mountPath"] for it in container["volumeMounts"]}
        assert written == {"/tmp", "/predictions"}


def test_every_container_has_probes_and_limits(objects: list[dict[str, Any]]) -> None:
    for spec in pod_specs(objects):
        for container in spec["containers"]:
            assert container["startupProbe"]["httpGet"]["path"] == "/ready"
            assert container["readinessProbe"]["httpGet"]["path"] == "/ready"
            assert container["livenessProbe"]["httpGet"]["path"] == "/live"
            for kind in ("requests", "limits"):
                assert {"cpu", "memory"} <= set(container["resources"][kind])


def test_a_pod_has_time_to_answer_what_it_accepted(objects: list[dict[str, Any]]) -> None:
    (settings,) = [content for content in objects if content["kind"] == "ConfigMap"]
    for spec in pod_specs(objects):
        (container,) = spec["containers"]
        _, waits = container["lifecycle"]["preStop"]["exec"]["command"]
        needed = int(waits) + seconds(settings)
        assert spec["terminationGracePeriodSeconds"] >= needed + 10
        (source,) = [it["configMapRef"] for it in container["envFrom"] if "configMapRef" in it]
        assert source["name"] == settings["metadata"]["name"]


def test_nobody_gets_a_token_of_the_cluster(objects: list[dict[str, Any]]) -> None:
    assert one(objects, "ServiceAccount")["automountServiceAccountToken"] is False
    for spec in pod_specs(objects):
        assert spec["automountServiceAccountToken"] is False
        assert spec["serviceAccountName"] == "service"


def test_users_reach_the_stable_pods_only(objects: list[dict[str, Any]]) -> None:
    stable, canary = one(objects, "Deployment"), one(objects, "Deployment", "service-canary")
    for deployment, service in ((stable, "service"), (canary, "service-canary")):
        labels = deployment["spec"]["template"]["metadata"]["labels"]
        selector = one(objects, "Service", service)["spec"]["selector"]
        assert selector == deployment["spec"]["selector"]["matchLabels"]
        assert selector.items() <= labels.items()
        assert "app.kubernetes.io/version" not in selector  # it changes; a selector cannot
    assert stable["spec"]["selector"] != canary["spec"]["selector"]
    assert canary["spec"]["replicas"] == 0
    assert "replicas" not in stable["spec"]  # the autoscaler's


def test_a_rollout_never_has_fewer_pods(objects: list[dict[str, Any]]) -> None:
    spec = one(objects, "Deployment")["spec"]
    assert spec["strategy"]["rollingUpdate"] == {"maxSurge": 1, "maxUnavailable": 0}
    target = one(objects, "HorizontalPodAutoscaler")["spec"]["scaleTargetRef"]
    assert target == {"apiVersion": "apps/v1", "kind": "Deployment", "name": "service"}
    budget = one(objects, "PodDisruptionBudget")["spec"]
    assert budget["selector"] == spec["selector"]
    assert budget["maxUnavailable"] == 1
    policy = one(objects, "NetworkPolicy")["spec"]["podSelector"]["matchLabels"]
    assert policy.items() <= spec["template"]["metadata"]["labels"].items()


def test_production_has_a_pod_to_spare() -> None:
    spec = one(rendered("production"), "HorizontalPodAutoscaler")["spec"]
    assert spec["minReplicas"] == 2


def test_before_the_switch_nothing_is_applied_that_users_could_notice() -> None:
    objects = rendered("production")
    first = kubernetes.for_canary(objects)
    kinds = [it["kind"] for it in first]
    assert kinds == ["ServiceAccount", "ConfigMap", "Service", "Deployment"]
    assert {it["metadata"]["name"] for it in first[2:]} == {"service-canary"}
    assert one(first, "Deployment", "service-canary")["spec"]["replicas"] == 1
    assert one(objects, "Deployment", "service-canary")["spec"]["replicas"] == 0
    later = {(it["kind"], it["metadata"]["name"]) for it in kubernetes.for_users(objects)}
    assert ("Deployment", "service") in later
    assert ("Deployment", "service-canary") not in later


@pytest.mark.parametrize(
    ("name", "namespace"),
    [
        ("flight-delays", "flight-delays-staging"),
        ("Flight_Delays.2", "flight-delays-2-staging"),
        ("x" * 70, f"{'x' * 55}-staging"),
    ],
)
def test_a_model_s_name_becomes_one_that_kubernetes_takes(name: str, namespace: str) -> None:
    assert kubernetes.namespace_name(name, "staging") == namespace
    assert len(namespace) <= 63


def test_a_name_of_signs_only_is_refused() -> None:
    with pytest.raises(MlopsError, match="leaves nothing"):
        kubernetes.namespace_name("...", "staging")
