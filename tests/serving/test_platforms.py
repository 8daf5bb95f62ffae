"""Managed endpoints: each is asked as its platform asks, and answers what /predict does."""

import json
import re
import stat
from pathlib import Path
from typing import Any

import boto3
import msgspec
import pytest
from handmade_model import ROWS, write_model
from moto.server import ThreadedMotoServer
from running_service import JSON, Answer, RunningService
from written_log import eventually

from mlops.project.errors import MlopsError
from mlops.serving import settings
from mlops.serving.openapi import REFUSALS
from mlops.serving.request import STATUS

VERTEX = {"aip_health_route": "/health", "aip_predict_route": "/instances"}
TASKS: dict[str, dict[str, Any]] = {
    "binary": {"task": "binary", "outputs": 2, "classes": ["no", "yes"], "base_rate": [0.5, 0.5]},
    "numbered": {"task": "binary", "outputs": 2, "classes": [0, 1], "base_rate": [0.5, 0.5]},
    "multiclass": {"task": "multiclass", "outputs": 3, "classes": ["a", "b", 7]}
    | {"base_rate": [0.2, 0.3, 0.5]},
    "regression": {"task": "regression", "outputs": 1},
}
TASKS["labelled"] = TASKS["binary"] | {"threshold": 0.9}
TASKS["numbered"] |= {"threshold": 0.9}


@pytest.fixture(params=TASKS)
def asked(request: Any, service: Any, tmp_path: Path) -> RunningService:
    """A service of each task, which Vertex AI may ask."""
    facts = TASKS[request.param]
    softmax = facts["task"] != "regression"
    model = write_model(tmp_path / "flights", softmax=softmax, **facts)
    log = {"prediction_log_uri": tmp_path / "log", "prediction_log_flush_seconds": 0.05}
    return service(model, **VERTEX, **log)  # type: ignore[no-any-return]


def post(running: RunningService, path: str, content: Any, **headers: str) -> Answer:
    return running.request("POST", path, json.dumps(content).encode(), JSON | headers)


def tensors(rows: list[dict[str, Any]], **datatypes: str) -> dict[str, Any]:
    """Return rows as a request of the Open Inference Protocol."""
    datatypes = {"x": "FP64", "a text": "BYTES", "seen": "BOOL"} | datatypes
    return {
        "inputs": [
            {
                "name": name,
                "shape": [len(rows)],
                "datatype": kind,
                "data": [row[name] for row in rows],
            }
            for name, kind in datatypes.items()
        ]
    }


def without_ids(body: bytes) -> str:
    return re.sub(r'"[0-9a-f]{16}-\d+"', '"ID"', body.decode())


def test_every_platform_answers_what_predict_answers(asked: RunningService, tmp_path: Path) -> None:
    plain = asked.predict(ROWS)
    said = without_ids(plain.body)
    assert without_ids(post(asked, "/invocations", ROWS).body) == said
    # The text of the predictions is the same, digit by digit.
    predictions = said.partition('"predictions":')[2]
    answer = post(asked, "/instances", {"instances": ROWS, "parameters": {"any": 1}})
    assert without_ids(answer.body) == f'{{"predictions":{predictions}'

    answer = post(asked, "/v2/models/flights/infer", {"id": "42"} | tensors(ROWS))
    told = answer.json()
    assert (told["model_name"], told["model_version"], told["id"]) == (
        "flights",
        "unregistered",
        "42",
    )
    assert told["parameters"] == {"logged": True}
    assert rows_of(answer.body) == [
        {name: value for name, value in row.items() if name != "id"}
        for row in exact(plain.body)["predictions"]
    ]
    again = post(asked, "/v2/models/flights/versions/unregistered/infer", tensors(ROWS))
    assert rows_of(again.body) == rows_of(answer.body)
    assert "id" not in again.json()

    metadata = asked.request("GET", "/v2/models/flights").json()
    assert [(it["name"], it["datatype"]) for it in metadata["outputs"]] == [
        (it["name"], it["datatype"]) for it in told["outputs"]
    ]
    assert metadata["platform"] == "onnx_onnxv1"
    assert metadata["versions"] == ["unregistered"]
    assert metadata["inputs"] == [
        {"name": "x", "datatype": "FP64", "shape": [-1]},
        {"name": "a text", "datatype": "BYTES", "shape": [-1]},
        {"name": "seen", "datatype": "BOOL", "shape": [-1]},
    ]
    metrics = asked.metrics()
    for path in ("/predict", "/invocations", "/instances", "/v2/models/flights/infer"):
        assert metrics[f'serving_requests_total{{path="{path}",status="200"}}'] == 1
    assert metrics["serving_rows_total"] == 10
    assert metrics["serving_request_seconds_count"] == 5
    assert asked.stop() == 0
    (log,) = (tmp_path / "log").glob("*.jsonl")
    records = [json.loads(line) for line in log.read_text().splitlines() if line.strip()]
    assert [record["features"] for record in records] == ROWS * 5
    ids = next(it["data"] for it in told["outputs"] if it["name"] == "id")
    assert [record["id"] for record in records[6:8]] == ids


def exact(body: bytes) -> Any:
    """Return a body with numbers as the texts that they were sent as."""
    return json.loads(body, parse_float=str)


def rows_of(body: bytes) -> list[dict[str, Any]]:
    """Return tensors as the predictions of /predict, without ids; numbers are texts."""
    found = {it["name"]: it for it in exact(body)["outputs"]}
    if "scores" not in found:
        names = [name for name in found if name != "id"]
        columns = [found[name]["data"] for name in names]
        return [dict(zip(names, values, strict=True)) for values in zip(*columns, strict=True)]
    classes, scores = found["classes"]["data"], found["scores"]
    many = len(classes)
    assert scores["shape"] == [len(scores["data"]) // many, many]
    starts = range(0, len(scores["data"]), many)
    parts = [scores["data"][start : start + many] for start in starts]
    return [{"scores": dict(zip(classes, part, strict=True))} for part in parts]


@pytest.fixture(scope="module")
def keyed(tmp_path_factory: pytest.TempPathFactory) -> Any:
    """A service with a key and narrow limits."""
    folder = tmp_path_factory.mktemp("keyed")
    model = write_model(folder / "flights", "regression", 1, False)
    limits = {"max_rows": 3, "max_body_bytes": 2000, "timeout_seconds": 5}
    one = RunningService(model, folder, api_key="secret", **limits, **VERTEX)
    yield one.wait()
    one.kill()


INFER = "/v2/models/flights/infer"
WRAPPED: dict[str, Any] = {
    "/invocations": lambda rows: rows,
    "/instances": lambda rows: {"instances": rows},
    INFER: tensors,
}
GOOD = tensors(ROWS)["inputs"]


def message(answer: Answer) -> str:
    """Return the message of an error in the form of its platform."""
    said = answer.json()
    assert list(said) == ["error"]
    return said["error"] if isinstance(said["error"], str) else answer.error["message"]


@pytest.mark.parametrize("path", WRAPPED)
def test_what_holds_for_predict_holds_for_each(keyed: RunningService, path: str) -> None:
    wrapped, key = WRAPPED[path], {"Authorization": "Bearer secret"}
    before = keyed.metrics()

    def refused(kind: str, answer: Answer) -> None:
        assert answer.status == STATUS[kind]  # type: ignore[index]
        assert isinstance(answer.json()["error"], str) is (path == INFER)
        assert message(answer)
        name = f'serving_errors_total{{kind="{kind}"}}'
        after = keyed.metrics()
        assert after[name] == before.get(name, 0) + 1
        before[name] = after[name]

    assert post(keyed, path, wrapped(ROWS), **key).status == 200
    refused("unauthorized", post(keyed, path, wrapped(ROWS)))
    refused("unauthorized", post(keyed, path, wrapped(ROWS), Authorization="Bearer other"))
    refused("too_many_rows", post(keyed, path, wrapped(ROWS * 2), **key))
    refused("too_large", post(keyed, path, wrapped(ROWS * 100), **key))
    refused("malformed", keyed.request("POST", path, b"{", JSON | key))
    refused("unsupported_media_type", post(keyed, path, {}, **key | {"Content-Type": "text/csv"}))
    refused("method_not_allowed", keyed.request("PUT", path, headers=key))
    answer = post(keyed, path, wrapped([ROWS[0], {**ROWS[1], "a text": "x"}]), **key)
    refused("invalid", answer)
    assert message(answer).startswith("row 1, column a text: Expected `str` of length >= 2")
    requests = keyed.metrics()
    assert requests[f'serving_requests_total{{path="{path}",status="422"}}'] == 1
    of_path = {"path": path, "error": {"kind": "invalid", "message": message(answer)}}
    eventually(lambda: any(it.items() >= of_path.items() for it in keyed.lines("request")))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ([], "Expected `object`, got `array`"),
        ({"rows": ROWS}, 'Object missing required field `instances`; send {"instances": [...]}'),
        ({"instances": ROWS[0]}, "instances must be an array of rows"),
        ({"instances": []}, "Expected `array` of length >= 1"),
        ({"instances": [1]}, "row 0: Expected `object`, got `int`"),
        ({"instances": [{**ROWS[0], "y": 1}]}, "row 0: there is no field y"),
    ],
)
def test_bad_instances(keyed: RunningService, content: Any, said: str) -> None:
    answer = post(keyed, "/instances", content, Authorization="Bearer secret")
    assert (answer.status, answer.error["kind"]) == (422, "invalid")
    assert message(answer).startswith(said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        ({}, "Object missing required field `inputs`"),
        ({"inputs": []}, "Expected `array` of length >= 1"),
        ({"inputs": GOOD[:2]}, "row 0, column seen: Object missing required field"),
        ({"inputs": [*GOOD, GOOD[0]]}, "two inputs have the same name"),
        (
            {"inputs": [*GOOD, {**GOOD[0], "name": "z" * 99}]},
            f"row 0: there is no field {'z' * 60}…",
        ),
        (tensors(ROWS, x="BYTES"), "input x: the datatype must be FP64 or FP32 or FP16 or INT64"),
        (tensors(ROWS, seen="UINT8"), "input seen: the datatype must be BOOL"),
        ({"inputs": [{**GOOD[0], "shape": [3]}]}, "input x: the shape must be [n] or [n, 1] of n"),
        ({"inputs": [{**GOOD[0], "shape": [1, 2]}]}, "input x: the shape must be [n] or [n, 1]"),
        (
            {"inputs": [{**GOOD[0], "shape": [-1]}]},
            "Expected `int` >= 0 - at `$.inputs[0].shape[0]`",
        ),
        ({"inputs": [{**GOOD[0], "shape": [0], "data": []}]}, "input x: the shape must be"),
        (
            {"inputs": [{"name": "?", "shape": [], "datatype": "", "data": []}]},
            "inputs[0]: the shape",
        ),
        ({"inputs": [GOOD[0], *tensors(ROWS[:1])["inputs"][1:]]}, "the inputs must have the same"),
        (
            {"inputs": [{**GOOD[0], "data": [[1], [2]]}, *GOOD[1:]]},
            "row 0, column x: Expected `float`",
        ),
        (
            {"inputs": [{**GOOD[0], "data": ["1", "2"]}, *GOOD[1:]]},
            "row 0, column x: Expected `float`",
        ),
        ({"inputs": GOOD, "outputs": [{"name": "probability"}]}, "outputs: there are id, score"),
    ],
)
def test_bad_tensors(keyed: RunningService, content: Any, said: str) -> None:
    answer = post(keyed, INFER, content, Authorization="Bearer secret")
    assert answer.status == 422
    assert answer.json()["error"].startswith(said)


def test_tensors_may_be_columns_of_a_matrix_and_outputs_chosen(keyed: RunningService) -> None:
    key = {"Authorization": "Bearer secret"}
    content = tensors([{**row, "x": 2} for row in ROWS], x="INT32")
    for one in content["inputs"]:
        one |= {"shape": [2, 1], "data": [[value] for value in one["data"]]}
    (score,) = post(keyed, INFER, content | {"outputs": [{"name": "score"}]}, **key).json()[
        "outputs"
    ]
    plain = post(keyed, "/predict", [{**row, "x": 2} for row in ROWS], **key).json()
    assert score == {
        "name": "score",
        "shape": [2],
        "datatype": "FP64",
        "data": [row["score"] for row in plain["predictions"]],
    }


def test_a_model_that_is_not_here_is_not_found(keyed: RunningService) -> None:
    for path in ("/v2/models/trains", "/v2/models/trains/ready", "/v2/models/flights/versions/9"):
        answer = keyed.request("GET", path)
        assert (answer.status, answer.json()) == (404, {"error": f"there is no {path}"})
    answer = post(keyed, "/v2/models/trains/infer", tensors(ROWS))
    assert (answer.status, answer.json()) == (404, {"error": "there is no /v2/models/trains/infer"})
    assert keyed.metrics()['serving_requests_total{path="other",status="404"}'] == 4
    answer = post(keyed, "/v2/models/flights", {})
    assert (answer.status, {*answer.headers["Allow"].split(", ")}) == (405, {"GET", "HEAD"})
    assert answer.json() == {"error": "Method Not Allowed: /v2/models/flights takes GET"}


def test_all_of_them_are_described(keyed: RunningService) -> None:
    described = keyed.request("GET", "/openapi.json").json()["paths"]
    for path, tag in {
        "/invocations": "SageMaker",
        "/instances": "Vertex AI",
        INFER: "Open Inference Protocol",
        "/v2/models/flights/versions/unregistered/infer": "Open Inference Protocol",
    }.items():
        operation = described[path]["post"]
        assert (operation["tags"], operation["security"]) == ([tag], [{"key": []}])
        assert set(operation["responses"]) == {"200", *(str(STATUS[kind]) for kind in REFUSALS)}
    for path in ("/ping", "/health", "/v2", "/v2/health/live", "/v2/health/ready"):
        assert "200" in described[path]["get"]["responses"]
        assert keyed.request("GET", path).status == 200


def test_readiness_ends_with_the_service(service: Any, tmp_path: Path) -> None:
    running = service(
        write_model(tmp_path / "flights", "regression", 1, False), drain_seconds=60, **VERTEX
    )
    model = "/v2/models/flights/ready"
    probes = ("/ping", "/health", "/v2/health/ready", model)
    assert running.request("GET", model).json() == {"name": "flights", "ready": True}
    assert [running.request("GET", path).status for path in probes] == [200] * 4
    running.terminate()
    eventually(lambda: running.request("GET", "/ready").status == 503)
    assert [running.request("GET", path).status for path in probes] == [503] * 4
    assert running.request("GET", model).json() == {"name": "flights", "ready": False}
    assert running.request("GET", "/v2/health/live").json() == {"live": True}
    assert not [
        line for line in running.lines("request") if line["path"] in ("/ping", "/v2/health/live")
    ]


def test_sagemaker_starts_it_with_an_argument_and_at_its_port(service: Any, tmp_path: Path) -> None:
    model = write_model(tmp_path / "flights", "regression", 1, False)
    # The image sets HOST and PORT.
    image = {"host": "127.0.0.1", "port": 1, "sagemaker_bind_to_port": 0}
    running = service(model, arguments=["serve"], **image)
    assert running.lines(f"listening at {running.url.replace('127.0.0.1', '0.0.0.0')}")
    assert running.request("GET", "/ping").status == 200
    accept = {"Accept": "application/json"}
    answer = post(running, "/invocations", ROWS, **accept)
    assert answer.headers["Content-Type"] == "application/json"
    assert without_ids(answer.body) == without_ids(running.predict(ROWS).body)
    assert settings.of_sagemaker(settings.read({"PORT": "8000"})).port == 8080


def test_vertex_chooses_port_and_may_ask_both_at_one_path(service: Any, tmp_path: Path) -> None:
    model = write_model(tmp_path / "flights", "regression", 1, False)
    path = "/v1/endpoints/1/deployedModels/2:predict"
    taken = service(model)
    port = int(taken.url.rpartition(":")[2])
    assert taken.stop() == 0
    routes = {"aip_http_port": port, "aip_health_route": path, "aip_predict_route": path}
    running = service(model, port=1, **routes)
    assert running.url == taken.url
    assert running.request("GET", path).json() == {"ready": True}
    assert len(post(running, path, {"instances": ROWS}).json()["predictions"]) == 2
    described = running.request("GET", "/openapi.json").json()["paths"][path]
    assert set(described) == {"get", "post"}


@pytest.mark.parametrize(
    ("setting", "route"),
    [
        ("AIP_PREDICT_ROUTE", "/predict"),
        ("AIP_PREDICT_ROUTE", "/ready"),
        ("AIP_PREDICT_ROUTE", "/v2/models/flights/infer"),
        ("AIP_HEALTH_ROUTE", "/invocations"),
        ("AIP_HEALTH_ROUTE", "/live"),
    ],
)
def test_a_route_that_is_taken_ends_the_start(setting: str, route: str, tmp_path: Path) -> None:
    model = write_model(tmp_path / "flights", "regression", 1, False)
    broken = RunningService(model, tmp_path, **{setting.lower(): route})
    assert broken.process.wait(20) == 1
    said = f"mlops.serving: {setting}: {route} is another page's; choose a path of its own\n"
    assert broken.log == said


@pytest.mark.parametrize("route", ["instances", "/a?b", "/{a}", "/a b", "http://x/"])
def test_what_is_no_path_ends_the_start(route: str) -> None:
    with pytest.raises(MlopsError, match=r"^AIP_PREDICT_ROUTE: got .*; path, such as /instances"):
        settings.read({"AIP_PREDICT_ROUTE": route})


def test_where_port_and_paths_are_declared_port_is_enough(service: Any, tmp_path: Path) -> None:
    """Azure ML, Cloud Run and Lambda: PORT, /ready, /predict; Lambda may write to /tmp alone."""
    model = write_model(tmp_path / "flights", "regression", 1, False)
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    url = f"http://127.0.0.1:{server.get_host_and_port()[1]}"
    keys = {"aws_access_key_id": "test", "aws_secret_access_key": "test"}
    bucket: Any = boto3.client("s3", endpoint_url=url, region_name="us-east-1", **keys)
    bucket.create_bucket(Bucket="lambda")
    here = tmp_path / "service-0"
    here.mkdir()
    running = service(
        model,
        prediction_log_uri="s3://lambda/flights",
        prediction_log_spool=tmp_path / "tmp" / "spool",
        aws_endpoint_url=url,
        aws_default_region="us-east-1",
        **keys,
    )
    assert running.request("GET", "/ready").json()["prediction_log"]["state"] == "ok"
    (one,) = running.predict(ROWS[0]).json()["predictions"]
    assert running.stop() == 0
    (entry,) = bucket.list_objects_v2(Bucket="lambda")["Contents"]
    body = bucket.get_object(Bucket="lambda", Key=entry["Key"])["Body"].read()
    assert msgspec.json.decode(body)["id"] == one["id"]
    # Beside the spool it wrote nothing: service.log is what the test reads.
    assert [path.name for path in here.iterdir()] == ["service.log"]
    assert stat.S_ISDIR((tmp_path / "tmp" / "spool").stat().st_mode)
    server.stop()
