"""Models that are not binary, made by hand: two inputs and a matrix."""

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from handmade_model import FEATURES, ROWS, write_model

from mlops.artifact import model_folder
from mlops.trial import service_client
from mlops.trial.service_client import Service


@pytest.fixture(scope="module")
def columns() -> dict[str, Any]:
    texts = np.array(["ab", "abcd", np.nan], object)
    return {"x": np.array([0.5, -0.2, 0.1]), "a text": texts, "seen": np.array([True, False, True])}


def test_multiclass(service: Any, tmp_path: Path, columns: dict[str, Any]) -> None:
    base_rate = [0.2, 0.3, 0.5]
    classes = ["late", "on time", 7]
    model = write_model(
        tmp_path / "model", "multiclass", 3, True, classes=classes, base_rate=base_rate
    )
    running = service(model, prediction_log_uri=tmp_path / "log", log_features=True)
    expected = model_folder.load(model).predict({name: part[:2] for name, part in columns.items()})
    answer = running.predict(ROWS).json()
    scores = [each["scores"] for each in answer["predictions"]]
    assert [list(each) for each in scores] == [["late", "on time", "7"]] * 2
    assert [list(each.values()) for each in scores] == expected.tolist()
    assert running.request("GET", "/model").json()["classes"] == ["late", "on time", "7"]
    metrics = running.metrics()
    counted = [metrics[f'serving_classes_total{{class="{name}"}}'] for name in classes]
    assert counted == np.bincount(expected.argmax(axis=1), minlength=3).tolist()
    assert running.stop() == 0
    (log,) = (tmp_path / "log").glob("*.jsonl")
    records = [json.loads(line) for line in log.read_text().splitlines() if line.strip()]
    assert [record["scores"] for record in records] == scores
    assert [record["features"] for record in records] == ROWS


def two_classes(folder: Path, threshold: float | None) -> Path:
    facts: dict[str, Any] = {"classes": ["no", "yes"], "base_rate": [0.5, 0.5]}
    return write_model(folder, "binary", 2, True, threshold=threshold, **facts)


def test_a_threshold_says_labels_and_is_described(
    service: Any, tmp_path: Path, columns: dict[str, Any]
) -> None:
    scores = model_folder.load(two_classes(tmp_path / "other", None)).predict(
        {name: part[:2] for name, part in columns.items()}
    )
    model = two_classes(tmp_path / "model", float(scores.max()))  # which is the second class itself
    running = service(model, prediction_log_uri=tmp_path / "log")
    answered = running.predict(ROWS).json()["predictions"]
    assert [each["score"] for each in answered] == scores.tolist()
    assert [each["label"] for each in answered] == [
        "yes" if score == scores.max() else "no" for score in scores
    ]
    assert {each["label"] for each in answered} == {"yes", "no"}
    with Service(running.url) as client:  # as smoke test and canary ask
        assert service_client.scores(client.predict(ROWS), 2, None) == [[one] for one in scores]
    assert running.request("GET", "/model").json()["threshold"] == scores.max()
    described = running.request("GET", "/openapi.json").json()
    assert (
        f"From {scores.max():g} on, `label` is the value of y = yes."
        in (described["info"]["description"])
    )
    schema = described["components"]["schemas"]["LabelledPrediction"]
    assert schema["required"] == ["id", "score", "label"]
    assert running.stop() == 0
    (log,) = (tmp_path / "log").glob("*.jsonl")
    kept = {"id", "time", "model_version", "score", "features"}
    records = [json.loads(line) for line in log.read_text().splitlines()]
    assert [set(record) - kept for record in records] == [set()] * 2 + [{"trial"}] * 2


def test_without_a_threshold_there_is_no_label(service: Any, tmp_path: Path) -> None:
    running = service(two_classes(tmp_path / "model", None))
    answer = running.predict(ROWS[0])
    (one,) = answer.json()["predictions"]
    assert answer.body.decode() == (
        f'{{"model_version":"unregistered","logged":false,"predictions":[{{"id":"{one["id"]}","score":'
        f"{one['score']}}}]}}"
    )
    assert "threshold" not in running.request("GET", "/model").json()
    assert "label" not in running.request("GET", "/openapi.json").body.decode()


def test_regression(service: Any, tmp_path: Path) -> None:
    quantiles = [-5.0, 0.0, 0.0, 5.0, 12.0]
    model = write_model(tmp_path / "model", "regression", 1, False, target_quantiles=quantiles)
    running = service(model)
    answer = running.predict(ROWS).json()
    assert [each["score"] for each in answer["predictions"]] == pytest.approx([7.5, 7.8])
    assert answer["logged"] is False
    metrics = running.metrics()
    buckets = {name: value for name, value in metrics.items() if "serving_scores_bucket" in name}
    assert {name.partition('"')[2].rstrip('"}'): count for name, count in buckets.items()} == {
        "-5.0": 0,
        "0.0": 0,
        "5.0": 0,
        "12.0": 2,
        "+Inf": 2,
    }
    assert "serving_prediction_log_up" not in metrics
    for change, said in {
        ("a text", "a"): "Expected `str` of length >= 2; allowed: a text of at least 2 characters",
        ("a text", "abcde"): "Expected `str` of length <= 4; allowed: a text of at least 2",
        ("a text", "Abc"): "Expected `str` matching regex '^(?:[a-z]+$)'; allowed: a text of at",
        ("seen", 1): "Expected `bool`, got `int`; allowed: true or false",
    }.items():
        refused = running.predict({**ROWS[0], change[0]: change[1]})
        assert refused.error["message"].startswith(f"row 0, column {change[0]}: {said}")


def test_a_row_without_a_finite_prediction_is_refused_alone(service: Any, tmp_path: Path) -> None:
    model = write_model(tmp_path / "model", "regression", 1, False)
    running = service(model)
    refused = running.predict([ROWS[0], {**ROWS[1], "x": 1e300}])
    assert (refused.status, refused.error["kind"]) == (422, "invalid")
    assert refused.error["message"] == "row 1: the model has no finite prediction for it"
    # The features of this toy know no missing text.
    refused = running.predict([ROWS[0], {**ROWS[1], "a text": None}])
    assert refused.error["message"].startswith("row 1: ")
    assert running.predict(ROWS).status == 200


def test_a_failure_of_the_users_code_is_an_error_of_ours_and_ends_nothing(
    service: Any, tmp_path: Path
) -> None:
    model = write_model(tmp_path / "model", "regression", 1, False)
    broken = FEATURES.replace("    lengths", "    1 // int(max(columns['x']))\n    lengths")
    (model / model_folder.FEATURES).write_text(broken)
    described = json.loads((model / model_folder.FACTS).read_text())
    described["columns"][0]["example"] = 3.0
    (model / model_folder.FACTS).write_text(json.dumps(described))
    running = service(model)
    failed = running.predict(ROWS[0], **{"X-Request-ID": "unlucky"})
    assert (failed.status, failed.error["kind"]) == (500, "internal")
    assert "ZeroDivision" not in failed.error["message"]
    (line,) = running.lines("/predict failed")
    assert line["request_id"] == "unlucky"
    assert "ZeroDivisionError" in line["traceback"]
    assert running.metrics()['serving_errors_total{kind="internal"}'] == 1
    assert running.predict({**ROWS[0], "x": 2.0}).status == 200
