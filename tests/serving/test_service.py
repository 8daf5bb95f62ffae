"""What the service answers, over real HTTP."""

import json
import time
from datetime import UTC, datetime
from typing import Any

import numpy as np
import pytest
from projects import Project
from running_service import JSON, RunningService

from mlops.artifact import model_folder, sample
from mlops.artifact.table import read, to_columns


@pytest.fixture(scope="module")
def model(trained: Project) -> model_folder.ModelArtifact:
    return model_folder.load(trained / "models")


def wait_for(found: Any, what: str) -> Any:
    """Call ``found`` until it returns something."""
    for _ in range(200):
        if value := found():
            return value
        time.sleep(0.02)
    raise AssertionError(f"{what} did not come")


def test_one_row_or_many_in_their_order(running: RunningService) -> None:
    row = running.example()
    one = running.predict(row)
    assert one.status == 200
    assert one.headers["Content-Type"] == "application/json"
    assert set(one.json()) == {"model_version", "logged", "predictions"}
    (prediction,) = one.json()["predictions"]
    others = [{**row, "sched_dep_time": at} for at in (600, 1130, 2059)]
    many = running.predict([row, *others]).json()["predictions"]
    alone = [running.predict(other).json()["predictions"][0]["score"] for other in others]
    assert [each["score"] for each in many] == pytest.approx(
        [prediction["score"], *alone], abs=1e-6
    )
    assert len({each["score"] for each in many}) == 4
    assert len({prediction["id"], *(each["id"] for each in many)}) == 5


def test_scores_are_those_of_training(
    running: RunningService, model: model_folder.ModelArtifact, trained: Project
) -> None:
    asked = sample.build(model, read(trained / "data/holdout.parquet"), seed=1)
    answered = running.predict(asked["rows"]).json()["predictions"]
    assert len(answered) == 500
    assert [each["score"] for each in answered] == pytest.approx(asked["scores"], abs=1e-6)


def test_unknown_and_missing_are_predicted_as_training_does_and_counted(
    running: RunningService, model: model_folder.ModelArtifact, trained: Project
) -> None:
    column = to_columns(read(trained / "data/holdout.parquet").head(1))
    row = sample.build(model, read(trained / "data/holdout.parquet").head(1), seed=1)["rows"][0]
    column |= {"carrier": np.array(["??"], object)}
    column |= {name: np.array([np.nan]) for name in ("humid", "seats")}
    odd = {**row, "carrier": "??", "humid": None}
    del odd["seats"]
    before = running.metrics()
    score = running.predict([row, odd]).json()["predictions"][1]["score"]
    assert score == pytest.approx(model.predict(column)[0], abs=1e-6)
    after = running.metrics()
    changed = {name for name in after if after[name] != before.get(name)}
    assert 'serving_unknown_categories_total{column="carrier"}' in changed
    assert 'serving_missing_values_total{column="humid"}' in changed
    assert 'serving_missing_values_total{column="seats"}' in changed
    assert 'serving_missing_values_total{column="visib"}' not in changed
    assert 'serving_unknown_categories_total{column="dest"}' not in changed


def test_a_number_without_a_fraction_is_an_integer(running: RunningService) -> None:
    row = running.example()
    as_float = {**row, "distance": float(row["distance"])}
    assert b".0" in json.dumps(as_float["distance"]).encode()
    (one, other) = running.predict([row, as_float]).json()["predictions"]
    assert one["score"] == other["score"]


def test_what_the_model_does_not_read_of_the_raw_data_is_dropped(running: RunningService) -> None:
    row = running.example()
    whole = {**row, "late": 1, "distance": float(row["distance"])}
    one, other = running.predict([row, whole]).json()["predictions"]
    assert one["score"] == other["score"]


HOSTILE = "\n\x1b[31m`$.carrier`" + "x" * 500


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("humidity", "there is no field humidity; did you mean humid?"),
        ("Carrier", "there is no field Carrier; did you mean carrier?"),
        ("gate", "there is no field gate; GET /model lists all columns"),
        (HOSTILE, f"there is no field ??[31m`$.carrier`{'x' * 43}…; GET /model lists all columns"),
    ],
)
def test_a_field_that_nobody_knows_is_refused_by_its_name(
    running: RunningService, name: str, said: str
) -> None:
    row = running.example()
    for rows, number in (({**row, name: 1}, 0), ([row, {**row, name: None}], 1)):
        refused = running.predict(rows)
        assert (refused.status, refused.error["kind"]) == (422, "invalid")
        assert refused.error["message"] == f"row {number}: {said}"


def test_fields_that_nobody_knows_are_ignored_where_it_is_said(service: Any) -> None:
    lenient = service(unknown_fields="ignore")
    row = lenient.example()
    whole = {**row, "gate": 7, "distance": float(row["distance"])}
    one, other = lenient.predict([row, whole]).json()["predictions"]
    assert one["score"] == other["score"]
    assert lenient.request("GET", "/model").json()["unknown_fields"] == "ignore"


HHMM = "an integer from 0 up to 2400"


@pytest.mark.parametrize(
    ("column", "value", "said"),
    [
        ("sched_dep_time", 2401, f"Expected `int` <= 2400; allowed: {HHMM}"),
        ("sched_dep_time", "soon", f"Expected `int`, got `str`; allowed: {HHMM}"),
        ("sched_dep_time", 10**30, f"Expected `int` <= 2400; allowed: {HHMM}"),
        ("distance", 300.5, "Expected `int`, got `float`; allowed: an integer from 50 up to 6000"),
        ("carrier", None, "Expected `str`, got `null`; allowed: a text"),
        ("carrier", 9, "Expected `str`, got `int`; allowed: a text"),
        ("humid", -1, "Expected `float` >= 0.0; allowed: a number from 0 up to 100 or null"),
        ("humid", True, "Expected `float | null`, got `bool`; allowed: a number from 0 up to 100"),
        ("time_hour", "2013-04-01T12:00:00", "Expected `datetime` with a timezone component"),
        ("time_hour", "0001-01-01T00:00:00+14:00", "too early or late; allowed: a time in ISO"),
    ],
)
def test_a_bad_value_is_refused_with_its_row_its_column_and_what_is_allowed(
    running: RunningService, column: str, value: Any, said: str
) -> None:
    row = running.example()
    for rows, number in (({**row, column: value}, 0), ([row, {**row, column: value}], 1)):
        refused = running.predict(rows)
        assert (refused.status, refused.error["kind"]) == (422, "invalid")
        assert refused.error["message"].startswith(f"row {number}, column {column}: {said}")


def test_a_missing_column_is_named(running: RunningService) -> None:
    row = running.example()
    del row["origin"]
    message = running.predict(row).error["message"]
    assert message == (
        "row 0, column origin: Object missing required field `origin`; allowed: a text of at most "
        "1000 characters"
    )


def test_rows_in_an_object_as_other_services_want_them(running: RunningService) -> None:
    refused = running.predict({"rows": [running.example()]})
    assert (refused.status, refused.error["kind"]) == (422, "invalid")
    said, _, example = refused.error["message"].partition(", such as ")
    assert said == (
        'send the rows themselves, not {"rows": [...]}: an object for one row, an array of objects '
        "for several"
    )
    assert running.predict(json.loads(example)).status == 200


@pytest.mark.parametrize(
    ("status", "kind", "body"),
    [
        (400, "malformed", b""),
        (400, "malformed", b"{"),
        (400, "malformed", b'{"carrier": NaN}'),
        (400, "malformed", b'{"carrier": "\xff"}'),
        (400, "malformed", b'{"carrier": "\\ud800"}'),
        (422, "invalid", b"1"),
        (422, "invalid", b"null"),
        (422, "invalid", b"[]"),
        (422, "invalid", b"[[]]"),
        (422, "invalid", b"[null]"),
        (422, "invalid", b"[" * 100_000),
        (422, "invalid", b'{"rows": []}'),
        (400, "malformed", b'{"rows": ' + b"[" * 100_000),
    ],
)
def test_what_is_not_rows_is_refused(
    running: RunningService, status: int, kind: str, body: bytes
) -> None:
    refused = running.request("POST", "/predict", body, JSON)
    assert (refused.status, refused.error["kind"]) == (status, kind)
    assert running.predict(running.example()).status == 200


@pytest.mark.parametrize(
    ("method", "path", "headers", "status", "kind"),
    [
        ("POST", "/predict", {}, 415, "unsupported_media_type"),
        ("POST", "/predict", {"Content-Type": "text/plain"}, 415, "unsupported_media_type"),
        ("POST", "/predict", JSON | {"Content-Encoding": "gzip"}, 415, "unsupported_media_type"),
        ("GET", "/predict", {}, 405, "method_not_allowed"),
        ("POST", "/live", {}, 405, "method_not_allowed"),
        ("GET", "/predict/", {}, 404, "not_found"),
        ("GET", "/%0a%ff", {}, 404, "not_found"),
    ],
)
def test_other_requests_are_refused_in_the_same_form(
    running: RunningService, method: str, path: str, headers: dict[str, str], status: int, kind: str
) -> None:
    body = json.dumps(running.example()).encode() if method == "POST" else None
    refused = running.request(method, path, body, headers)
    assert (refused.status, refused.error["kind"]) == (status, kind)
    if status == 405:
        allowed = {"/predict": {"POST"}, "/live": {"GET", "HEAD"}}[path]
        assert set(refused.headers["Allow"].split(", ")) == allowed


def test_json_may_name_its_charset(running: RunningService) -> None:
    row = running.example()
    headers = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert running.predict(row, **headers).status == 200


@pytest.mark.parametrize("path", ["/predict", "/live", "/ready", "/model", "/metrics", "/nowhere"])
def test_every_answer_has_the_clients_request_id_or_one_of_ours(
    running: RunningService, path: str
) -> None:
    def request_id(sent: str) -> str:
        return running.request("GET", path, headers={"X-Request-ID": sent}).headers["X-Request-ID"]

    assert request_id("order-66_a.b") == "order-66_a.b"
    made = [request_id(bad) for bad in ("", "a b", "x" * 129, "ü", "<script>")]
    assert len(set(made)) == len(made)
    assert all(one.isascii() and len(one) < 40 for one in made)


def test_health_and_model(running: RunningService, model: model_folder.ModelArtifact) -> None:
    ready = running.request("GET", "/ready")
    assert ready.status == 200
    log = ready.json().pop("prediction_log")
    assert (log["state"], log["reason"], log["dropped"]) == ("ok", "", 0)
    assert {name: value for name, value in ready.json().items() if name != "prediction_log"} == {
        "status": "ready",
        "model_version": "unregistered",
        "model_md5": model.facts.model_md5,
        "api_key": False,
    }
    said = running.request("GET", "/model").json()
    assert said["model_md5"] == model.facts.model_md5
    assert (said["version"], said["task"], said["window"]) == (
        "unregistered",
        "binary",
        "2013-01 to 2013-03",
    )
    assert [column["name"] for column in said["columns"]] == model.facts.inputs


def test_metrics_count_what_happened(running: RunningService) -> None:
    before = running.metrics()
    row = running.example()
    score = running.predict([row, row]).json()["predictions"][0]["score"]
    running.predict({})
    running.request("GET", "/nowhere")
    after = running.metrics()

    def more(name: str) -> float:
        return after[name] - before.get(name, 0)

    assert more('serving_requests_total{path="/predict",status="200"}') == 1
    assert more('serving_requests_total{path="/predict",status="422"}') == 1
    assert more('serving_requests_total{path="other",status="404"}') == 1
    assert more("serving_request_seconds_count") == 2
    assert more('serving_errors_total{kind="invalid"}') == 1
    assert more("serving_rows_total") == 2
    assert more("serving_scores_count") == 2
    assert more("serving_scores_sum") == pytest.approx(2 * score)
    (info,) = (name for name in after if name.startswith("serving_model_info"))
    assert 'version="unregistered",window="2013-01 to 2013-03"' in info
    assert after["serving_prediction_log_up"] == 1
    assert after["serving_prediction_log_dropped_total"] == 0
    assert after["process_resident_memory_bytes"] > 0


def test_predictions_are_on_record_as_they_were_answered(running: RunningService) -> None:
    row = running.example()
    row["dest"] = "Zürich \u2028 \"'\n"
    del row["seats"]
    before = datetime.now(UTC)
    answer = running.predict([row, row]).json()
    after = datetime.now(UTC)
    assert answer["logged"]
    ids = {each["id"] for each in answer["predictions"]}

    def recorded() -> Any:
        lines = [line for file in logs.glob("*.jsonl") for line in file.read_text().split("\n")]
        found = {record["id"]: record for record in map(json.loads, filter(str.strip, lines))}
        return found if ids <= set(found) else None

    logs = running.folder / "log"
    records = wait_for(recorded, "records")
    for prediction in answer["predictions"]:
        record = records[prediction["id"]]
        assert set(record) == {"id", "time", "model_version", "score", "features"}
        assert record["score"] == prediction["score"]
        assert record["features"] == {**row, "seats": None}
        assert before <= datetime.fromisoformat(record["time"]) <= after


def test_the_log_tells_requests_but_no_values(running: RunningService) -> None:
    row = running.example() | {"dest": "VALUE-OF-A-CLIENT"}
    asked = running.predict([row, row], **{"X-Request-ID": "asked"})
    running.predict({**row, "distance": "VALUE-OF-A-CLIENT"}, **{"X-Request-ID": "refused"})
    running.request("GET", "/live", headers={"X-Request-ID": "probe"})

    def lines() -> Any:
        found = {line.get("request_id"): line for line in running.lines("request")}
        return found if "refused" in found else None

    said = wait_for(lines, "lines")
    assert asked.status == 200
    assert (
        said["asked"].items()
        >= {"level": "info", "method": "POST", "path": "/predict", "status": 200, "rows": 2}.items()
    )
    assert 0 < said["asked"]["milliseconds"] < 10_000
    assert said["refused"]["status"] == 422
    assert said["refused"]["error"]["kind"] == "invalid"
    assert "probe" not in said
    assert "VALUE-OF-A-CLIENT" not in running.log


def test_no_api_key_is_said_at_start_and_when_first_asked_for_readiness(
    running: RunningService,
) -> None:
    running.request("GET", "/ready")
    running.request("GET", "/ready")
    warnings = [
        line for line in map(json.loads, running.log.splitlines()) if line["level"] == "warning"
    ]
    assert [line["message"].partition(":")[0] for line in warnings] == ["API_KEY is not set"] * 2
