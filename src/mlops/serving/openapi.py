"""The API's description, made from the types that check requests, and a page that shows it."""

import html
from typing import Any, Literal

import msgspec

from mlops.serving.platforms import InferenceAnswer, InferenceRequest, Platforms
from mlops.serving.prediction_log import LogState
from mlops.serving.predictor import Predictor
from mlops.serving.request import INFERENCE, STATUS, ErrorAnswer, Kind
from mlops.serving.served_model import ServedModel
from mlops.serving.settings import Settings

REFERENCE = "#/components/schemas/{name}"
REFUSALS: dict[Kind, str] = {
    "malformed": "The body is not JSON.",
    "unauthorized": "The API key is missing or wrong.",
    "timeout": "The body did not arrive in time.",
    "too_large": "The body has too many bytes or rows.",
    "unsupported_media_type": "The body is not application/json.",
    "invalid": "A row does not fit; the message names row, column and what is allowed.",
    "busy": "The service is stopping.",
}
SCORES = {
    "binary": "`score` is the probability of {second}.",
    "multiclass": "`scores` has the probability of each class.",
    "regression": "`score` is the value of {target}.",
}

# From a CDN and not in the image: 2 MB of JavaScript there would be scanned, updated and deployed
# for a page that people open a few times. The hashes are of the npm package swagger-ui-dist.
SWAGGER = "https://cdn.jsdelivr.net/npm/swagger-ui-dist@5.35.0"
SCRIPT = "sha384-gjRm0bEPMeTmMh5jT2cHccIwCUZSTd8YC+j0d0sXw0MdGEfScduGpSyF3ZSSLkX9"
STYLE = "sha384-WlYgdmXYOOBWL5apwjDEZwN+U3HmXSSu5R6V5aGxEcf7z+KuRNwBhoxKVN1i3D5I"

Json = dict[str, Any]

REQUEST_ID: Json = {
    "name": "X-Request-ID",
    "in": "header",
    "required": False,
    "description": "Comes back with the answer, and is in the log; without it, one is made.",
    "schema": {"type": "string"},
}


class Ready(msgspec.Struct):
    """Whether requests should be sent here, and how the prediction log is."""

    status: Literal["ready", "stopping"]
    model_version: str
    model_md5: str
    api_key: bool
    prediction_log: LogState


def describe(
    model: ServedModel, predictor: Predictor, settings: Settings, platforms: Platforms
) -> Json:
    """Return the OpenAPI document."""
    types = [predictor.row_type.type, predictor.answer_type, ErrorAnswer, Ready]
    types += [InferenceRequest, InferenceAnswer]
    schemas, components = msgspec.json.schema_components(types, ref_template=REFERENCE)
    row, answer, error, ready, inference_request, inference_answer = schemas
    predictions = components[predictor.answer_type.__name__]["properties"]["predictions"]
    sentence = _object("error", {"type": "string"})
    bodies = {  # of a request, an answer and an error, by the name of a group of pages
        "SageMaker": (_rows(row, settings.max_rows), answer, error),
        "Vertex AI": (
            _object("instances", _rows(row, settings.max_rows)["anyOf"][1]),
            _object("predictions", predictions),
            error,
        ),
        "Open Inference Protocol": (inference_request, inference_answer, sentence),
    }
    security: list[Json] = [{"key": []}] if settings.api_key else []
    return {
        "openapi": "3.1.0",
        "info": {
            "title": model.name,
            "version": model.version,
            "description": f"{_scores(model)} Trained on {model.facts.trained_on}.",
        },
        "servers": [{"url": "."}],  # beside this document, also behind a proxy
        "paths": {
            "/predict": {
                "post": {
                    "summary": "Predict a row, or up to "
                    f"{settings.max_rows:,} of them in {settings.max_body_bytes:,} bytes",
                    "security": security,
                    "parameters": [REQUEST_ID],
                    "requestBody": _body(row, settings.max_rows, predictor.row_type.example),
                    "responses": {
                        "200": response("Predictions in the order of the request.", answer),
                        **_refusals(error, bool(settings.api_key)),
                    },
                }
            },
            "/live": _get("Whether the process answers", {"200": response("It does.", {})}),
            "/ready": _get(
                "Whether requests should be sent here",
                {"200": response("Yes.", ready), "503": response("It is stopping.", ready)},
            ),
            "/model": _get(
                "What is served: version, lineage, window, metrics, columns",
                {"200": response("The model.", {"type": "object"})},
            ),
            "/metrics": _get(
                "Metrics for Prometheus",
                {
                    "200": {
                        "description": "Prometheus text format.",
                        "content": {"text/plain": {"schema": {"type": "string"}}},
                    }
                },
            ),
            **_of_platforms(platforms, bodies, settings),
        },
        "components": {
            "schemas": components,
            "securitySchemes": {"key": {"type": "http", "scheme": "bearer"}},
        },
    }


def page(title: str) -> str:
    """Return the page that shows the document, with a form to try it."""
    name = html.escape(title)
    return f"""<!doctype html>
<html lang="en">
<meta charset="utf-8">
<title>{name}</title>
<link rel="stylesheet" href="{SWAGGER}/swagger-ui.css" integrity="{STYLE}" crossorigin="anonymous">
<main id="docs">This page needs {SWAGGER}; <a href="openapi.json">openapi.json</a> does not.</main>
<script src="{SWAGGER}/swagger-ui-bundle.js" integrity="{SCRIPT}" crossorigin="anonymous"></script>
<script>SwaggerUIBundle({{url: "openapi.json", dom_id: "#docs", deepLinking: true}})</script>
</html>
"""


def _scores(model: ServedModel) -> str:
    facts = model.facts
    second = f"{facts.target} = {(facts.classes or ['', ''])[-1]}"
    said = SCORES[facts.task].format(second=second, target=facts.target)
    if facts.threshold is None:
        return said
    return f"{said} From {facts.threshold:g} on, `label` is the value of {second}."


def _of_platforms(
    platforms: Platforms, bodies: dict[str, tuple[Json, Json, Json]], settings: Settings
) -> Json:
    """Return the pages that managed endpoints ask."""
    paths: Json = {}
    for path in (*platforms.ready, *platforms.pages):
        responses = {"200": response("Yes, or what it is.", {})}
        if path in platforms.ready:
            responses["503"] = response("It is stopping.", {})
        paths[path] = _get("What a platform asks", responses)
        paths[path]["get"]["tags"] = [_platform(path)]
    for path in platforms.envelopes:
        asked, answered, refused = bodies[_platform(path)]
        paths.setdefault(path, {})["post"] = {
            "summary": "Predict, as /predict does",
            "tags": [_platform(path)],
            "security": [{"key": []}] if settings.api_key else [],
            "parameters": [REQUEST_ID],
            "requestBody": {"required": True, "content": {"application/json": {"schema": asked}}},
            "responses": {
                "200": response("Predictions in the order of the request.", answered),
                **_refusals(refused, bool(settings.api_key)),
            },
        }
    return paths


def _platform(path: str) -> str:
    if f"{path}/".startswith(INFERENCE):
        return "Open Inference Protocol"
    return "SageMaker" if path in ("/ping", "/invocations") else "Vertex AI"


def _object(name: str, schema: Json) -> Json:
    return {"type": "object", "properties": {name: schema}, "required": [name]}


def _rows(row: Json, max_rows: int) -> Json:
    many = {"type": "array", "items": row, "minItems": 1, "maxItems": max_rows}
    return {"anyOf": [row, many]}


def _body(row: Json, max_rows: int, example: Json) -> Json:
    examples = {
        "one": {"summary": "One row", "value": example},
        "many": {"summary": "Many rows", "value": [example, example]},
    }
    content = {"schema": _rows(row, max_rows), "examples": examples}
    return {"required": True, "content": {"application/json": content}}


def _refusals(error: Json, api_key: bool) -> dict[str, Json]:
    return {
        str(STATUS[kind]): response(said, error)
        for kind, said in REFUSALS.items()
        if kind != "unauthorized" or api_key
    }


def response(description: str, schema: Json) -> Json:
    """Return what the document says of one status of a page."""
    return {
        "description": description,
        "headers": {"X-Request-ID": {"schema": {"type": "string"}, "required": True}},
        "content": {"application/json": {"schema": schema}},
    }


def _get(summary: str, responses: Json) -> Json:
    return {"get": {"summary": summary, "responses": responses}}
