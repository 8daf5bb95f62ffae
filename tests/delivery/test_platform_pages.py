"""The pages of platforms that cannot run here: their commands, as AWS describes and moto does."""

import json
import re
import shlex
import subprocess
from collections.abc import Iterator
from pathlib import Path
from string import Template
from typing import Any

import boto3
import kubernetes_validate
import pytest
import yaml
from botocore import xform_name
from botocore.validate import ParamValidator
from moto import mock_aws
from projects import ROOT

FOLDER = ROOT / "deploy/endpoint"
PAGES = sorted(FOLDER.glob("*/README.md"))
SIGN_IN = FOLDER / "sign-in.md"
COMMANDS = 7  # at most, to the first answer
DIGEST = f"sha256:{'0' * 64}"
NOT_IN_MOTO = {"update-endpoint"}
WAITS_BY = {"sagemaker": "DescribeEndpoint", "lambda": "GetFunction"}


def blocks(page: Path, language: str) -> list[str]:
    text = page.read_text(encoding="utf-8")
    return re.findall(rf"^```{language}\n(.*?)^```", text, re.MULTILINE | re.DOTALL)


def consoles(page: Path) -> list[list[str]]:
    """Return the commands of each console of a page, without the lines that only set variables."""
    return [
        [
            line.removeprefix("$ ")
            for line in block.replace("\\\n", " ").splitlines()
            if line.startswith("$ ") and not line.startswith("$ export ")
        ]
        for block in blocks(page, "console")
    ]


def variables(page: Path) -> dict[str, str]:
    """Return what a page exports, with a digest that is one."""
    exported = re.findall(r"^\$ export (.+)$", page.read_text(encoding="utf-8"), re.MULTILINE)
    pairs = dict(word.split("=", 1) for line in exported for word in shlex.split(line))
    return {name: DIGEST if value == "sha256:..." else value for name, value in pairs.items()}


def asked(client: Any, operation: str, options: list[str]) -> dict[str, Any]:
    """Return the parameters that options of the AWS command line stand for.

    Its names are those of the service's description, which botocore has, too; an option that is
    not there is a KeyError, and a parameter that does not fit is refused by botocore.
    """
    model = client.meta.service_model.operation_model(operation).input_shape
    members = {xform_name(name, "-"): name for name in model.members}
    found = {}
    for option, value in checked(options):
        name = members[option.removeprefix("--")]
        found[name] = _value(model.members[name], value)
    report = ParamValidator().validate(found, model)
    assert not report.has_errors(), report.generate_report()
    return found


def checked(options: list[str]) -> Iterator[tuple[str, str]]:
    """Give each option and its value; one that is alone is a switch."""
    left = iter([*options, "--"])
    option = next(left)
    while option != "--":
        value = next(left)
        if value.startswith("--"):
            yield option, "true"
            option = value
        else:
            yield option, value
            option = next(left)


def _value(shape: Any, text: str) -> Any:
    if shape.type_name == "list":
        return [_value(shape.member, text)]
    if shape.type_name == "structure":
        pairs = (pair.split("=", 1) for pair in text.split(","))
        return {name: _value(shape.members[name], value) for name, value in pairs}
    if shape.type_name == "boolean":
        return text == "true"
    return int(text) if shape.type_name == "integer" else text


def run(command: str, known: dict[str, str], *, dry: bool = False) -> None:
    """Run a command of the AWS command line, which may be piped into another; or only check it."""
    words = shlex.split(Template(command.partition(" | ")[0]).substitute(known))
    program, service, name, *options = words
    assert program == "aws"
    client = boto3.client(service, region_name=known["AWS_DEFAULT_REGION"])
    if name == "wait":
        waiter, *options = options
        parameters = asked(client, WAITS_BY[service], options)
        waiting = client.get_waiter(waiter.replace("-", "_"))
        if not dry:
            waiting.wait(**parameters)
        return
    if (service, name) == ("ecr", "get-login-password"):  # the command line's own
        assert client.get_authorization_token()["authorizationData"]
        return
    operation = client.meta.method_to_api_mapping[name.replace("-", "_")]
    parameters = asked(client, operation, options)
    if not dry and name not in NOT_IN_MOTO:
        getattr(client, name.replace("-", "_"))(**parameters)


@pytest.fixture
def aws(monkeypatch: pytest.MonkeyPatch) -> Any:
    for name in ("ACCESS_KEY_ID", "SECRET_ACCESS_KEY"):
        monkeypatch.setenv(f"AWS_{name}", "testing")
    monkeypatch.delenv("AWS_ENDPOINT_URL", raising=False)
    with mock_aws():
        yield


@pytest.mark.usefixtures("aws")
def test_the_commands_of_sagemaker_make_an_endpoint_that_serves_the_image() -> None:
    page = FOLDER / "sagemaker/README.md"
    known = variables(page)
    deploy, back = consoles(page)
    for command in [*deploy, *back]:
        if not command.startswith("docker "):
            run(command, known)
    client = boto3.client("sagemaker", region_name=known["AWS_DEFAULT_REGION"])
    endpoint = client.describe_endpoint(EndpointName="flight-delays")
    assert endpoint["EndpointStatus"] == "InService"
    config = client.describe_endpoint_config(EndpointConfigName=endpoint["EndpointConfigName"])
    (variant,) = config["ProductionVariants"]
    container = client.describe_model(ModelName=variant["ModelName"])["PrimaryContainer"]
    assert container["Image"] == f"{known['REGISTRY']}/flight-delays@{DIGEST}"


@pytest.mark.usefixtures("aws")
def test_the_commands_of_lambda_are_as_aws_describes_them() -> None:
    page = FOLDER / "lambda/README.md"
    known = variables(page)
    commands = [it for block in consoles(page) for it in block if it.startswith("aws ")]
    assert len(commands) == 10
    for command in commands:
        run(command, known, dry=True)


def test_the_container_of_kserve_is_one_of_kubernetes() -> None:
    service = yaml.safe_load((FOLDER / "kserve/inferenceservice.yaml").read_text(encoding="utf-8"))
    assert (service["apiVersion"], service["kind"]) == (
        "serving.kserve.io/v1beta1",
        "InferenceService",
    )
    pod = dict(service["spec"]["predictor"])
    assert pod.pop("minReplicas") == 1  # KServe's own
    assert [it["name"] for it in pod["containers"]] == ["kserve-container"]
    content = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "a"}, "spec": pod}
    kubernetes_validate.validate(content, "1.32", strict=True)


@pytest.mark.parametrize(
    ("command", "error"),
    [
        ("aws sagemaker create-modle --model-name a", KeyError),
        ("aws sagemaker create-model --name a", KeyError),
        ("aws sagemaker update-endpoint --endpoint-name a", AssertionError),
    ],
)
@pytest.mark.usefixtures("aws")
def test_a_command_that_aws_does_not_know_is_found(command: str, error: type[Exception]) -> None:
    with pytest.raises(error):
        run(command, {"AWS_DEFAULT_REGION": "eu-central-1"})


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.parent.name)
def test_a_page_says_what_was_not_run_and_needs_few_commands(page: Path) -> None:
    text = page.read_text(encoding="utf-8")
    assert re.search(r"^Not run ", "\n".join(text.splitlines()[:6]), re.MULTILINE)
    deploy = next(it for it in consoles(page) if len(it) > 1)
    assert 0 < len(deploy) <= COMMANDS
    assert re.search(r"^## .*[Rr]oll back", text, re.MULTILINE)


def test_the_policies_of_the_pages_are_policies_and_give_no_more_than_they_need() -> None:
    files = [path.read_text(encoding="utf-8") for path in FOLDER.glob("*/*.json")]
    assert len(files) == 3
    for policy in map(json.loads, [*files, *blocks(SIGN_IN, "json")]):
        for statement in policy["Statement"]:
            actions = statement["Action"]
            for action in [actions] if isinstance(actions, str) else actions:
                assert "*" not in action
                wide = statement.get("Resource") == "*"
                assert not wide or action == "ecr:GetAuthorizationToken"  # has no resource


def test_the_workflow_is_one_that_github_takes(tmp_path: Path) -> None:
    (workflow,) = blocks(SIGN_IN, "yaml")
    path = tmp_path / "endpoint.yml"
    for text, good in (
        (workflow, True),
        (workflow.replace("inputs.digest", "input.digest"), False),
    ):
        path.write_text(text, encoding="utf-8")
        done = subprocess.run(["actionlint", path], capture_output=True, text=True, check=False)
        assert (done.returncode == 0) == good, done.stdout


def test_the_layer_for_lambda_asks_where_the_image_listens() -> None:
    image, layer = (
        (ROOT / "deploy" / name).read_text(encoding="utf-8")
        for name in ("Dockerfile", "endpoint/lambda/Dockerfile")
    )
    (port,) = re.findall(r"\bPORT=(\d+)", image)
    assert f"AWS_LWA_PORT={port} " in layer
    assert "AWS_LWA_READINESS_CHECK_PATH=/ready " in layer
    # The page has it looked up under the same name.
    (adapter,) = re.findall(r"^FROM (\S+)@sha256:[0-9a-f]{64} AS adapter$", layer, re.MULTILINE)
    page = (FOLDER / "lambda/README.md").read_text(encoding="utf-8")
    assert f"imagetools inspect {adapter} " in page
