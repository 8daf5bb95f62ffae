"""`mlops smoke` against a real service: what it says when all is well, and each way to fail."""

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from altering_proxy import AlteringProxy, Asked, Reply

from mlops import cli
from mlops.project import files
from mlops.project.errors import MlopsError
from mlops.project.params import Params, load
from mlops.trial import malformed, smoke
from mlops.trial.service_client import Answer, scores

EXAMPLE = Path(__file__).parents[1] / "example" / "params.yaml"
PARAMS = load(EXAMPLE)
Serve = Callable[..., str]
Altered = Callable[[str], str]


@pytest.fixture(autouse=True)
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The working folder: a project with nothing but its settings."""
    monkeypatch.delenv("API_KEY", raising=False)
    shutil.copyfile(EXAMPLE, tmp_path / "params.yaml")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(smoke, "TIMED", 50)
    return tmp_path


@pytest.fixture
def export(exported: Path, tmp_path: Path) -> Path:
    """A copy of the export that may be changed."""
    return Path(shutil.copytree(exported, tmp_path / "export"))


def change(path: Path, edit: Callable[[Any], object]) -> None:
    """Edit a JSON file in place."""
    content = json.loads(path.read_text())
    edit(content)
    path.write_text(json.dumps(content))


def stopped(url: str, export: Path, params: Params = PARAMS, wait: float = 5.0) -> str:
    """Return the sentence with which the smoke test stops, which is also what it writes."""
    with pytest.raises(MlopsError) as error:
        smoke.run(params, url, export, wait)
    said = str(error.value)
    assert "\n" not in said
    if files.SMOKE.is_file():
        written = json.loads(files.SMOKE.read_text())
        assert (written["passed"], written["reason"]) == (False, said)
    return said


def test_a_service_that_is_what_it_should_be(
    served: str, exported: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    report = smoke.run(PARAMS, served, exported)
    assert json.loads(files.SMOKE.read_text()) == report
    assert (report["passed"], report["reason"]) == (True, None)
    assert report["measured"]["rows"] == 500
    assert report["measured"]["malformed"] == 40
    assert report["measured"]["largest_difference"] <= 1e-5
    assert 0 < report["measured"]["p50_ms"] <= report["measured"]["p99_ms"]
    lines = capsys.readouterr().out.splitlines()
    assert lines == report["said"]
    assert lines[1].startswith("serves version 1, model ")
    assert lines[3].startswith("500 rows in batches and 50 one by one score as offline (largest")
    assert lines[5:] == ["40 malformed requests were refused with 4xx and a reason", "still ready"]


def test_the_command_ends_with_the_sentence(
    served: str, export: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    version = export / "model" / "version.json"
    change(version, lambda content: content.update(version=7))
    monkeypatch.setattr("sys.argv", ["mlops", "smoke", served, str(export), "--wait", "5"])
    with pytest.raises(SystemExit) as end:
        cli.main()
    assert end.value.code == 1
    said = capsys.readouterr()
    assert said.out.startswith("ready after ")
    (line,) = said.err.splitlines()
    assert line.startswith(f"mlops: the service at {served} serves version 1, and ")


def test_nobody_listens(exported: Path) -> None:
    said = stopped("http://127.0.0.1:9", exported, wait=0.2)
    assert said == (
        "the service at http://127.0.0.1:9 was not ready within 0.2 s: "
        "http://127.0.0.1:9 did not answer GET /ready: nobody listens there"
    )


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "ftp://host", "http://", "http://[::", ""])
def test_no_address(exported: Path, url: str) -> None:
    said = stopped(url, exported)
    assert said == f"{url!r} is no address of a service; expected http://HOST:PORT"


def test_never_ready(served: str, exported: Path) -> None:
    def stopping(asked: Asked, reply: Reply) -> Reply:
        return reply.but(status=503)

    with AlteringProxy(served, stopping) as proxy:
        said = stopped(proxy.url, exported, wait=0.2)
    assert said.endswith("was not ready within 0.2 s: GET /ready answers 503")


# The export


def test_a_folder_that_is_no_export(tmp_path: Path, served: str) -> None:
    said = stopped(served, tmp_path)
    assert said == (
        f"{tmp_path} is not an export: {tmp_path}/model/model.json is not there; "
        f"make it with `mlops export {tmp_path}`"
    )


def test_a_model_that_was_not_exported_like_this(export: Path, served: str) -> None:
    with (export / "model" / "model.onnx").open("ab") as file:
        file.write(b"\0")
    assert "model.onnx is not the model that was exported; make it" in stopped(served, export)


@pytest.mark.parametrize(
    ("name", "content", "said"),
    [
        ("sample.json", "{", "sample.json is damaged (Expecting property name"),
        ("sample.json", "{}", "version.json or sample.json is damaged (KeyError: 'scores')"),
        ("sample.json", '{"rows": [], "scores": [1]}', "damaged (ValueError: 0 rows have 1 scores"),
        ("model/version.json", "[]", "version.json or sample.json is damaged (TypeError"),
    ],
)
def test_a_damaged_export(export: Path, served: str, name: str, content: str, said: str) -> None:
    (export / name).write_text(content)
    assert said in stopped(served, export)


# What it serves


def test_another_model_under_the_same_version(export: Path, served: str) -> None:
    with (export / "model" / "model.onnx").open("ab") as file:
        file.write(b"\0")
    other = files.md5(export / "model" / "model.onnx")
    change(export / "model" / "model.json", lambda content: content.update(model_md5=other))
    said = stopped(served, export)
    assert f"its model is not the one in {export}: GET /model gives MD5 " in said
    assert said.endswith(f"expected {other}; build the image from this export")


@pytest.mark.parametrize(
    ("path", "status", "said"),
    [
        ("/model", 404, "/model answered 404 without the model's columns; is it a service of this"),
        ("/live", 500, "/live answered 500, expected 200"),
        ("/metrics", 404, "/metrics answered 404, expected 200"),
    ],
)
def test_a_page_that_is_missing(
    served: str, exported: Path, path: str, status: int, said: str
) -> None:
    def missing(asked: Asked, reply: Reply) -> Reply:
        return reply.but(status=status, body=b"") if asked.path == path else reply

    with AlteringProxy(served, missing) as proxy:
        assert said in stopped(proxy.url, exported)


def test_metrics_of_something_else(served: str, exported: Path) -> None:
    def other(asked: Asked, reply: Reply) -> Reply:
        return reply.but(body=b"up 1\n") if asked.path == "/metrics" else reply

    with AlteringProxy(served, other) as proxy:
        assert stopped(proxy.url, exported).endswith("/metrics lacks serving_requests_total")


# What it predicts


def test_a_wrong_score_names_the_row_and_no_value(export: Path, served: str) -> None:
    sample = json.loads((export / "sample.json").read_text())
    change(export / "sample.json", lambda content: content["scores"].__setitem__(16, 0.987654))
    said = stopped(served, export)
    assert said.startswith("row 16 (counted from 0) of sample.json: the service predicts 0.")
    assert "offline it was 0.987654; 2 of 550 predictions differ by more than 1e-05" in said
    texts = [value for value in sample["rows"][16].values() if isinstance(value, str)]
    assert texts
    assert [value for value in texts if value in said] == []


def test_other_feature_code_is_found(exported: Path, serve: Serve, altered: Altered) -> None:
    said = stopped(altered("shifted"), exported)
    assert "differ by more than 1e-05; the image has other feature code or libraries than" in said


def test_a_row_that_the_service_refuses(export: Path, served: str) -> None:
    change(export / "sample.json", lambda content: content["rows"][120].update(distance="far"))
    said, beginning = (
        stopped(served, export),
        "rows 100 to 199 of sample.json: the service answered",
    )
    assert said.startswith(f"{beginning} 422 invalid: row 20, column distance")


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (b"[]", "the service's answer to 100 rows does not hold 100 predictions"),
        (b'{"predictions": [{"score": 0.5}]}', "does not hold 100 predictions"),
        (
            json.dumps({"predictions": [{"score": 0.5}] * 99 + [{"score": None}]}).encode(),
            "the service's prediction for row 99 is not a score",
        ),
    ],
)
def test_an_answer_without_the_scores(served: str, exported: Path, body: bytes, said: str) -> None:
    def emptied(asked: Asked, reply: Reply) -> Reply:
        return reply.but(body=body) if asked.path == "/predict" else reply

    with AlteringProxy(served, emptied) as proxy:
        assert stopped(proxy.url, exported).startswith("rows 0 to 99 of sample.json: ")
        assert said in stopped(proxy.url, exported)


def test_without_a_sample_the_rest_is_done(
    export: Path, served: str, capsys: pytest.CaptureFixture[str]
) -> None:
    (export / "sample.json").unlink()
    report = smoke.run(PARAMS, served, export)
    assert report["passed"]
    assert f"{export}/sample.json is not there: scores are not compared" in report["said"]
    assert report["measured"]["malformed"] == 40
    assert report["measured"]["p99_ms"] > 0


def test_batches_as_large_as_the_service_takes(exported: Path, serve: Serve) -> None:
    assert smoke.run(PARAMS, serve(exported, max_rows=30), exported)["measured"]["rows"] == 500


def test_too_slow(served: str, exported: Path) -> None:
    limits = PARAMS.serving.model_copy(update={"latency_ms": 0.001})
    said = stopped(served, exported, PARAMS.model_copy(update={"serving": limits}))
    assert said.startswith("one row takes ")
    assert " ms (p99); params.yaml: serving.latency_ms allows 0.001 ms: make features.py" in said


# What it refuses


@pytest.mark.parametrize(
    ("changes", "said"),
    [
        ({"status": 200}, "was answered with 200, expected 4xx"),
        ({"status": 500}, "was answered with 500, expected 4xx"),
        ({"body": b"no"}, 'was answered with 422, but not with JSON {"error": ...}'),
        ({"body": b'{"error": {"kind": "malformed"}}'}, "422, but its error has no message"),
        ({"headers": {}}, "422, but its request_id is not the one in the header X-Request-ID"),
        ({"status": 0}, "(deep nesting) got no answer: http://127.0.0.1:"),
    ],
)
def test_a_malformed_request_that_is_not_refused(
    served: str, exported: Path, changes: dict[str, Any], said: str
) -> None:
    def accepting(asked: Asked, reply: Reply) -> Reply:
        return reply.but(**changes) if asked.body.startswith(b"[[[[[[") else reply

    with AlteringProxy(served, accepting) as proxy:
        sentence = stopped(proxy.url, exported)
    assert sentence.startswith("a malformed request (deep nesting) ")
    assert said in sentence


def test_a_service_that_does_not_survive_it(served: str, exported: Path) -> None:
    def wounded(asked: Asked, reply: Reply) -> Reply:
        return reply.but(status=503) if asked.path == "/ready" and asked.number > 2 else reply

    with AlteringProxy(served, wounded) as proxy:
        assert stopped(proxy.url, exported).endswith("/ready answered 503, expected 200")


def test_the_key_comes_from_the_environment(
    exported: Path, serve: Serve, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = serve(exported, api_key="open-sesame")
    assert "the service answered 401 unauthorized: " in stopped(url, exported)
    monkeypatch.setenv("API_KEY", "open-sesame")
    assert smoke.run(PARAMS, url, exported)["passed"]


COLUMN = {"type": "string", "nullable": True, "minimum": None, "maximum": None}


@pytest.mark.parametrize(
    ("columns", "most"),
    [
        ([{**COLUMN, "name": "word"}], 40),
        ([{**COLUMN, "name": f"n{n}", "type": "number", "minimum": 0.5} for n in range(30)], 40),
        ([{**COLUMN, "name": "at", "type": "datetime", "nullable": False}], 40),
        ([{**COLUMN, "name": "at", "type": "datetime", "nullable": False, "zoned": False}], 40),
        ([{**COLUMN, "name": "is", "type": "boolean"}], 32),
    ],
)
def test_malformed_requests_fit_any_columns(columns: list[dict[str, Any]], most: int) -> None:
    row = {column["name"]: None for column in columns}
    requests = malformed.requests(row, columns, "refuse")
    assert 30 < len(requests) <= most
    assert len({request.wrong for request in requests}) == len(requests)
    parts = [(one.method, one.path, one.body, str(one.headers)) for one in requests]
    assert len(set(parts)) == len(parts)


def answer(*predictions: Any) -> Answer:
    body = json.dumps({"predictions": predictions}).encode()
    return Answer(200, {}, body, seconds=0.001)


def test_scores_by_class_are_read_in_the_models_order() -> None:
    given = answer({"scores": {"late": 0.1, "early": 0.9}}, {"scores": {"early": 1, "late": 0}})
    assert scores(given, 2, ["early", "late"]) == [[0.9, 0.1], [1.0, 0.0]]
    assert scores(answer({"score": -17.5}), 1, None) == [[-17.5]]


@pytest.mark.parametrize("one", [{"score": 1}, {"scores": {"early": 1}}, {"scores": [1, 0]}, None])
def test_scores_of_other_classes_are_refused(one: Any) -> None:
    with pytest.raises(MlopsError, match="row 0 is not a score for each of its classes"):
        scores(answer(one), 1, ["early", "late"])
