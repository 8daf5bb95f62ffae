"""The description of the API is true, and its examples work."""

from typing import Any

import pytest
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from running_service import RunningService
from schemathesis import GenerationMode

from mlops.serving import openapi

POSITIVE, NEGATIVE = GenerationMode.POSITIVE, GenerationMode.NEGATIVE


@pytest.mark.parametrize(
    ("method", "path", "mode", "examples"),
    [
        ("POST", "/predict", POSITIVE, 40),
        ("POST", "/predict", NEGATIVE, 40),
        ("POST", "/invocations", POSITIVE, 5),
        ("POST", "/v2/models/models/infer", NEGATIVE, 20),
        *(("GET", path, POSITIVE, 1) for path in ("/live", "/ready", "/model", "/metrics")),
        *(("GET", path, POSITIVE, 1) for path in ("/ping", "/v2", "/v2/models/models/ready")),
    ],
)
def test_whatever_is_asked_the_answer_is_as_described(
    running: RunningService, method: str, path: str, mode: GenerationMode, examples: int
) -> None:
    schema = schemathesis.openapi.from_url(f"{running.url}/openapi.json")
    operation = schema[path][method]
    statuses = set()

    @settings(
        max_examples=examples,
        derandomize=True,
        database=None,
        deadline=None,
        phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )
    @given(case=operation.as_strategy(generation_mode=mode))
    def ask(case: Any) -> None:
        answer = case.call_and_validate()
        statuses.add(answer.status_code)

    ask()
    if mode is POSITIVE:
        assert statuses == {200}
    else:
        assert statuses
        assert all(400 <= status < 500 for status in statuses)


def test_the_examples_are_predicted(running: RunningService) -> None:
    document = running.request("GET", "/openapi.json").json()
    operation = document["paths"]["/predict"]["post"]
    examples = operation["requestBody"]["content"]["application/json"]["examples"]
    for name, rows in (("one", 1), ("many", 2)):
        answer = running.predict(examples[name]["value"])
        assert answer.status == 200
        assert len(answer.json()["predictions"]) == rows
    assert operation["security"] == []
    assert "401" not in operation["responses"]


def test_bounds_are_those_of_the_schema(running: RunningService) -> None:
    document = running.request("GET", "/openapi.json").json()
    row = document["components"]["schemas"]["Row"]
    distance = row["properties"]["distance"]
    assert (distance["type"], distance["minimum"], distance["maximum"]) == ("integer", 50, 6000)
    assert "humid" not in row["required"]
    assert row["additionalProperties"] is False
    assert row["properties"]["origin"]["description"].startswith("3 known values: EWR, JFK, LGA")


def test_a_key_is_described(service: Any) -> None:
    running = service(api_key="secret")
    document = running.request("GET", "/openapi.json").json()
    operation = document["paths"]["/predict"]["post"]
    assert operation["security"] == [{"key": []}]
    assert "401" in operation["responses"]


def test_the_page_takes_only_the_script_that_was_reviewed(running: RunningService) -> None:
    page = running.request("GET", "/docs")
    assert page.headers["Content-Type"].startswith("text/html")
    text = page.body.decode()
    assert f'swagger-ui-bundle.js" integrity="{openapi.SCRIPT}" crossorigin="anonymous"' in text
    assert f'swagger-ui.css" integrity="{openapi.STYLE}" crossorigin="anonymous"' in text
    assert text.count(openapi.SWAGGER) == 3
    assert "<script>alert" not in openapi.page("<script>alert")
