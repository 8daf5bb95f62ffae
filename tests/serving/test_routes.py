"""A FastAPI router of the user's beside /predict, behind the same protections."""

import asyncio
import json
import os
import re
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import schemathesis
import urllib3
from hypothesis import given, settings
from projects import ROOT, Project
from running_service import JSON, PATIENCE, RunningService
from schemathesis import GenerationMode
from uvicorn.config import STARTUP_FAILURE
from written_log import eventually

from mlops.serving.routes import GROUP, predict

PAGE = (ROOT / "deploy/settings.md").read_text(encoding="utf-8")
(SHOWN,) = re.findall(r"^```python\n(.*?)^```$", PAGE, re.MULTILINE | re.DOTALL)
MORE = r"""
import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

from fastapi import BackgroundTasks, Depends, HTTPException, Request
from fastapi.responses import StreamingResponse
from pydantic import BaseModel


@asynccontextmanager
async def lifespan(_):
    yield {"color": "blue"}
    Path("closed").touch()


router.lifespan_context = lifespan
done = []


class Row(BaseModel):  # names that the service has, too
    size: int
    problem: "Problem | None" = None
    kind: str = "small"


class Problem(BaseModel):
    said: str


def twice(size: int) -> int:
    return 2 * size


@router.delete("/{things}/9", include_in_schema=False)
async def delete(things: str) -> None: ...


@router.get("/unfit", include_in_schema=False)
async def unfit() -> Any:
    return await predict(Row(size=1))


@router.get("/sizes/{size}", tags=["Sizes"])
def sizes(request: Request, background: BackgroundTasks, double: int = Depends(twice)) -> Row:
    background.add_task(done.append, double)
    return Row(size=double, kind=request.state.color)


@router.put("/sizes/{size}", status_code=201)
async def put(size: int, row: Row) -> list[Row]:
    if size == 409:
        raise HTTPException(409, "there is one")
    if size == 500:
        raise ValueError("no size")
    return [row]


@router.get("/lines")
async def lines() -> StreamingResponse:
    async def all():
        for number in done:
            yield f"{number}\n"

    return StreamingResponse(all(), media_type="text/plain")


@router.get("/broken")
async def broken() -> StreamingResponse:
    async def some():
        yield "one"
        raise ValueError("no more")

    return StreamingResponse(some(), media_type="text/plain")


@router.post("/both", include_in_schema=False)
async def both(row: dict[str, Any]) -> Any:
    return await asyncio.gather(predict(row), predict([row, row]))


@router.post("/form", include_in_schema=False)
async def form(request: Request) -> int:
    return len(await request.body())
"""

Start = Callable[..., RunningService]


@pytest.fixture
def routes(tmp_path: Path, trained: Project) -> Iterator[Start]:
    """Starts a service beside a ``src/model/routes.py`` with this text."""
    started: list[RunningService] = []

    def start(text: str = SHOWN + MORE, **settings: Any) -> RunningService:
        file = tmp_path / "project/src/model/routes.py"
        file.parent.mkdir(parents=True)
        file.write_text(text, encoding="utf-8")
        started.append(RunningService(trained / "models", tmp_path / "project", **settings))
        return started[-1]

    yield start
    for one in started:
        if one.process.poll() is None:
            one.kill()


def post(service: RunningService, path: str, value: Any, **headers: str) -> Any:
    return service.request("POST", path, json.dumps(value).encode(), JSON | headers)


def test_the_page_s_example_asks_the_model_as_predict_does(routes: Start, tmp_path: Path) -> None:
    log = {"prediction_log_uri": tmp_path / "log", "prediction_log_fsync": True}
    service = routes(SHOWN, **log).wait()
    flight = service.example()
    rows = [flight | {"origin": "JFK"}, flight | {"origin": "JFK", "distance": 2000}]
    expected = [one["score"] for one in service.predict(rows).json()["predictions"]]
    answer = post(service, "/riskiest/JFK", rows, **{"X-Request-ID": "mine"})
    assert answer.status == 200
    assert answer.headers["X-Request-ID"] == "mine"
    assert answer.json()["score"] == pytest.approx(max(expected))
    assert service.metrics()["serving_rows_total"] == 4
    records = [line for file in (tmp_path / "log").iterdir() for line in file.open()]
    assert len(records) == 4
    refused = post(service, "/riskiest/JFK", [flight | {"distance": "far"}])
    assert refused.status == 422
    assert refused.error["kind"] == "invalid"
    there = service.predict([flight | {"origin": "JFK", "distance": "far"}]).error["message"]
    assert refused.error["message"] == there
    assert service.stop() == 0
    (line,) = [one for one in service.lines("request") if one["request_id"] == "mine"]
    assert (line["path"], line["status"], line["rows"]) == ("/riskiest/{origin}", 200, 2)


def test_whatever_fastapi_does_works_and_errors_have_the_service_s_form(routes: Start) -> None:
    service = routes().wait()
    assert service.request("GET", "/sizes/3").json() == {"size": 6, "problem": None, "kind": "blue"}
    eventually(lambda: service.request("GET", "/lines").body == b"6\n")  # the task has run
    assert service.request("GET", "/sizes/9").status == 200  # at a path of two pages
    put = service.request("PUT", "/sizes/1", b'{"size": 1}', JSON)
    assert (put.status, put.json()) == (201, [{"size": 1, "problem": None, "kind": "small"}])
    both = post(service, "/both", service.example()).json()
    assert [len(one["predictions"]) for one in both] == [1, 2]
    form = {"Content-Type": "application/x-www-form-urlencoded"}
    assert service.request("POST", "/form", b"a=1", form).body == b"3"

    def said(method: str, path: str, body: bytes | None = None) -> tuple[int, str, str]:
        answer = service.request(method, path, body, JSON)
        return answer.status, answer.error["kind"], answer.error["message"]

    assert said("GET", "/sizes/none")[:2] == (422, "invalid")
    assert said("GET", "/sizes/none")[2].startswith("path.size: Input should be a valid integer")
    assert said("PUT", "/sizes/1", b'{"size": "x"}')[2].startswith("body.size: Input should be")
    assert said("PUT", "/sizes/1", b"{") == (400, "malformed", "the body is not JSON")
    assert said("PUT", "/sizes/409", b'{"size": 1}') == (409, "invalid", "there is one")
    assert said("DELETE", "/sizes/1") == (405, "method_not_allowed", "Method Not Allowed")
    assert said("GET", "/unfit")[:2] == (422, "invalid")
    assert said("GET", "/sizes") == (404, "not_found", "there is no /sizes")
    status, kind, message = said("PUT", "/sizes/500", b'{"size": 1}')
    assert (status, kind) == (500, "internal")
    assert "no size" not in message
    counted = {
        name: int(number)
        for name, number in service.metrics().items()
        if name.startswith("serving_requests_total") and 'path="/sizes' in name
    }
    assert counted == {
        f'serving_requests_total{{path="/sizes/{{size}}",status="{status}"}}': number
        for status, number in ((200, 2), (201, 1), (400, 1), (405, 1), (409, 1), (422, 3), (500, 1))
    }
    assert service.metrics()['serving_requests_total{path="other",status="404"}'] == 1
    assert service.stop() == 0
    assert (service.folder / "closed").exists()
    (line,) = service.lines("/sizes/{size} failed")
    assert "ValueError: no size" in line["traceback"]
    assert [one["rows"] for one in service.lines("request") if one["path"] == "/both"] == [3]


def test_key_and_limits_are_those_of_predict(routes: Start) -> None:
    service = routes(api_key="secret", max_body_bytes=100, timeout_seconds=0.5).wait()
    key = {"Authorization": "Bearer secret"}
    assert service.request("GET", "/sizes/1").error["kind"] == "unauthorized"
    assert service.request("GET", "/sizes/1").headers["WWW-Authenticate"] == "Bearer"
    assert service.request("GET", "/sizes/1", headers=key).status == 200
    assert service.request("GET", "/nothing").status == 404
    large = service.request("PUT", "/sizes/1", b"1" * 101, JSON | key)
    assert (large.status, large.error["kind"]) == (413, "too_large")
    chunks = (b"1" * 60 for _ in range(2))  # of a length that nobody announces
    assert service.request("PUT", "/sizes/1", chunks, JSON | key).error["kind"] == "too_large"

    def slow() -> Any:
        yield b"1"
        time.sleep(1)
        yield b"1"

    late = service.request("PUT", "/sizes/1", slow(), JSON | key)
    assert (late.status, late.error["kind"]) == (408, "timeout")


def test_an_answer_that_breaks_off_is_in_the_log(routes: Start) -> None:
    service = routes().wait()
    with pytest.raises(urllib3.exceptions.HTTPError):
        service.request("GET", "/broken")
    assert service.request("GET", "/live").status == 200
    assert service.stop() == 0
    (line,) = service.lines("/broken failed")
    assert "ValueError: no more" in line["traceback"]


@pytest.mark.parametrize("key", ["", "secret"])
def test_the_description_is_one_and_true(routes: Start, key: str) -> None:
    service = routes(api_key=key).wait()
    document = service.request("GET", "/openapi.json").json()
    assert document["paths"].keys() > {"/predict", "/riskiest/{origin}", "/sizes/{size}"}
    assert not document["paths"].keys() & {"/both", "/form"}
    schemas = document["components"]["schemas"]
    assert "distance" in schemas["Row"]["properties"]
    assert schemas["routes.Row"]["properties"].keys() == {"size", "problem", "kind"}
    assert schemas["routes.Problem"]["properties"].keys() == {"said"}
    assert schemas["Problem"]["properties"].keys() == {"kind", "message", "request_id"}
    references = re.findall(r'"#/components/schemas/([^"]+)"', json.dumps(document))
    assert set(references) <= schemas.keys()
    assert "routes.Problem" in references
    sizes = document["paths"]["/sizes/{size}"]
    (body,) = sizes["put"]["requestBody"]["content"].values()
    assert body["schema"] == {"$ref": "#/components/schemas/routes.Row"}
    assert sizes["get"]["tags"] == ["Sizes"]
    assert sizes["put"]["tags"] == [GROUP]
    assert sizes["put"].get("security") == ([{"key": []}] if key else None)
    assert sizes["put"]["responses"].keys() == {"201", "default"}
    operations = [one for path in document["paths"].values() for one in path.values()]
    names = [one["operationId"] for one in operations if "operationId" in one]
    assert len(set(names)) == len(names) == 5

    schema = schemathesis.openapi.from_dict(document)
    schema.config.update(base_url=service.url)
    for method, path in (("GET", "/sizes/{size}"), ("PUT", "/sizes/{size}")):
        for mode in GenerationMode:
            strategy = schema[path][method].as_strategy(generation_mode=mode)

            @settings(max_examples=15, derandomize=True, database=None, deadline=None)
            @given(case=strategy)
            def ask(case: Any) -> None:
                case.call_and_validate(headers={"Authorization": f"Bearer {key}"})

            ask()


ROUTER = "from fastapi import APIRouter\nrouter = APIRouter()\n"
PAGE_AT = ROUTER + "@router.{}\ndef page(): ...\n"
FILE = "src/model/routes.py"


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("x = 1\n", f"{FILE} has no `router`; write router = APIRouter()"),
        ("x = 1\nx / 0\n", f"{FILE}:2: its import stops: ZeroDivisionError: division by zero"),
        ("x = (\n", f"{FILE}:1: its import stops: SyntaxError: '(' was never closed"),
        ("import missing\n", f"{FILE}:1: its import stops: ModuleNotFoundError: No module named"),
        *(
            (
                PAGE_AT.format(f'get("{path}")'),
                f"{FILE}: {path} would answer at {taken}, which is the service's own; "
                "choose another path",
            )
            for path, taken in (
                ("/predict", "/predict"),
                ("/docs", "/docs"),
                ("/invocations", "/invocations"),
                ("/{name}", "/docs"),
                ("/v2/models/{name}/infer", "/v2/models/models/infer"),
            )
        ),
        (
            PAGE_AT.format('websocket("/talk")'),
            f"{FILE}: /talk is no page of HTTP; write it with router.get, post or put",
        ),
        (
            PAGE_AT.format('get("/a", operation_id="x")')
            + PAGE_AT.format('get("/b", operation_id="x")').removeprefix(ROUTER),
            "src/model: its description stops: UserWarning: Duplicate Operation ID x",
        ),
    ],
)
def test_what_cannot_be_served_is_said_in_a_sentence(routes: Start, text: str, said: str) -> None:
    service = routes(text)
    assert service.process.wait(PATIENCE) == 1
    (line,) = service.log.splitlines()
    assert line.startswith(f"mlops.serving: {said}")


def test_several_processes_refuse_it_as_one_does(routes: Start) -> None:
    service = routes(PAGE_AT.format('get("/docs")'), workers=2)
    assert service.process.wait(PATIENCE) == STARTUP_FAILURE
    assert f"{FILE}: /docs would answer at /docs" in service.log
    assert "Traceback" not in service.log


def test_without_fastapi_the_way_to_it_is_said(routes: Start) -> None:
    hidden = "import sys; sys.modules['fastapi'] = None; from mlops.serving.routes import load; "
    file = routes(SHOWN).folder / FILE
    done = subprocess.run(
        [sys.executable, "-c", hidden + "load()"],
        cwd=file.parents[2],
        env=os.environ | {"PYTHONPATH": str(ROOT / "src")},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.stderr.splitlines()[-1].endswith(
        f"MlopsError: {FILE} needs FastAPI, which is not installed here; make add GROUP=routes "
        "puts it into the lock of the image"
    )


def test_outside_of_a_request_nothing_is_predicted() -> None:
    with pytest.raises(RuntimeError, match="while the service answers a request"):
        asyncio.run(predict({}))
