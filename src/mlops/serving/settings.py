"""The service's settings: environment variables, checked at start."""

import os
from collections.abc import Mapping
from typing import Annotated, Literal

import msgspec
from msgspec import Meta

from mlops.project.errors import MlopsError

Port = Annotated[int, Meta(ge=0, le=65535)]
Count = Annotated[int, Meta(ge=1)]
Seconds = Annotated[float, Meta(gt=0, le=86400)]
NotNegative = Annotated[float, Meta(ge=0, le=86400)]
Visible = Annotated[str, Meta(pattern="^[!-~]*$")]  # what a header can carry
Route = Annotated[str, Meta(pattern="^(/[A-Za-z0-9._~!$&'()*+,;=:@/-]*)?$")]
Limit = Annotated[float, Meta(ge=0)]  # 0 is none
UnknownFields = Literal["refuse", "ignore"]
Level = Literal["debug", "info", "warning", "error"]

MEANING = {
    "MODEL_DIR": "folder of the model, as `mlops train` or `mlops export` wrote it",
    "MODEL_NAME": "name of a model that comes from no registry; empty: that of its folder",
    "HOST": "address to listen at; 0.0.0.0 for all",
    "PORT": "port to listen at, 0 to 65535",
    "WORKERS": "number of processes, 1 or more",
    "API_KEY": "when set, /predict wants `Authorization: Bearer KEY`; visible ASCII characters",
    "MAX_CONNECTIONS": "most open connections of a process; with more, it answers 503, 1 or more",
    "MAX_BODY_BYTES": "largest request body, 1 or more",
    "MAX_ROWS": "most rows in a request, 1 or more",
    "UNKNOWN_FIELDS": "refuse or ignore: what is done with a row that has fields nobody knows",
    "TIMEOUT_SECONDS": "longest time until a request's head is here, and then its body, above 0",
    "DRAIN_SECONDS": "after SIGTERM, how long requests are taken while /ready says 503, 0 or more",
    "SHUTDOWN_SECONDS": "then, how long what was taken may need, above 0",
    "LOG_LEVEL": "debug, info, warning or error; each request is a line from info on",
    "LOG_FEATURES": "true: rows and scores are in the lines about requests",
    "PREDICTION_LOG_URI": "folder or fsspec address (s3://...) for the prediction log; empty: none",
    "PREDICTION_LOG_FSYNC": "true: a prediction is answered when its record is on the disk",
    "PREDICTION_LOG_FLUSH_SECONDS": "longest time that a record is in memory only, above 0",
    "PREDICTION_LOG_ROTATE_MB": "size at which a file of the log is closed, above 0",
    "PREDICTION_LOG_ROTATE_SECONDS": "age at which a file of the log is closed, above 0",
    "PREDICTION_LOG_KEEP_MB": "size of the folder; the oldest closed files go first, 0: none does",
    "PREDICTION_LOG_KEEP_DAYS": "age at which records are removed from the folder, 0: they are not",
    "PREDICTION_LOG_EXCLUDE": "columns that no log gets, with commas; NAME:hash: only a hash of it",
    "PREDICTION_LOG_HASH_KEY": "secret key of these hashes; visible ASCII characters",
    "PREDICTION_LOG_SPOOL": "folder where files wait until they are uploaded",
    "SAGEMAKER_BIND_TO_PORT": "port to listen at when started as `serve`, as SageMaker does",
    "AIP_HTTP_PORT": "port to listen at instead of PORT; Vertex AI sets it; 0: PORT",
    "AIP_HEALTH_ROUTE": "path, such as /health, at which Vertex AI asks for readiness; empty: none",
    "AIP_PREDICT_ROUTE": "path, such as /instances, at which Vertex AI asks; empty: none",
}


class Settings(msgspec.Struct, frozen=True, kw_only=True):
    """What :data:`MEANING` says, by lower-case name."""

    model_dir: str = "model"
    model_name: str = ""
    host: str = "127.0.0.1"
    port: Port = 8000
    workers: Count = 1
    api_key: Visible = ""
    max_connections: Count = 500
    max_body_bytes: Count = 1_048_576
    max_rows: Count = 1000
    unknown_fields: UnknownFields = "refuse"
    timeout_seconds: Seconds = 10.0
    drain_seconds: NotNegative = 1.0
    shutdown_seconds: Seconds = 20.0
    log_level: Level = "info"
    log_features: bool = False
    prediction_log_uri: str = ""
    prediction_log_fsync: bool = False
    prediction_log_flush_seconds: Seconds = 1.0
    prediction_log_rotate_mb: Annotated[float, Meta(gt=0)] = 64.0
    prediction_log_rotate_seconds: Annotated[float, Meta(gt=0)] = 3600.0
    prediction_log_keep_mb: Limit = 800.0  # fits where deploy/kubernetes has the folder
    prediction_log_keep_days: Limit = 0.0
    prediction_log_exclude: str = ""
    prediction_log_hash_key: Visible = ""
    prediction_log_spool: str = "prediction-log"
    sagemaker_bind_to_port: Port = 8080
    aip_http_port: Port = 0
    aip_health_route: Route = ""
    aip_predict_route: Route = ""


def read(environment: Mapping[str, str] = os.environ) -> Settings:
    """Read the settings; an empty variable counts as absent.

    Raises
    ------
    MlopsError
        One line for each bad value: the variable, the value and what is allowed.
    """
    values, wrong = {}, []
    for field in msgspec.structs.fields(Settings):
        name = field.name.upper()
        if not (text := environment.get(name, "").strip()):
            continue
        try:
            values[field.name] = msgspec.convert(text, field.type, strict=False)
        except msgspec.ValidationError:
            shown = "***" if name.endswith("_KEY") else text
            wrong.append(f"{name}: got {shown!r}; {MEANING[name]}")
    if wrong:
        raise MlopsError("\n".join(wrong))
    return Settings(**values)


def of_sagemaker(settings: Settings) -> Settings:
    """Return the settings of a service that SageMaker starts: it asks at a port of its own."""
    port = settings.sagemaker_bind_to_port
    return msgspec.structs.replace(settings, host="0.0.0.0", port=port)  # noqa: S104 - its contract


def table() -> str:
    """Return all settings with their defaults, for people."""
    lines = ["Settings of the service, from environment variables:", ""]
    for field in msgspec.structs.fields(Settings):
        name = field.name.upper()
        default = msgspec.json.encode(field.default).decode().strip('"') or "empty"
        lines.append(f"  {name:30} {default:15} {MEANING[name]}")
    return "\n".join(lines)
