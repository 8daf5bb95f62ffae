"""Asks a running service over HTTP, one request at a time on one connection that is kept open."""

import json
import os
import time
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import urllib3

from mlops.project.errors import MlopsError
from mlops.serving.log_file import TRIAL

TIMEOUT = 10.0  # seconds for one answer; the service's own TIMEOUT_SECONDS by default
KEY = "API_KEY"
JSON = {"Content-Type": "application/json"}


class NoAnswerError(MlopsError):
    """The service did not answer at all."""


@dataclass(frozen=True)
class Answer:
    """What a service answered; ``seconds`` is from the first byte sent to the last one received."""

    status: int
    headers: Mapping[str, str]
    body: bytes
    seconds: float

    def json(self) -> Any:
        """Return the body's JSON, or None when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            return None

    @property
    def error(self) -> str:
        """What the service says is wrong, in a line."""
        content = self.json()
        error = content.get("error") if isinstance(content, dict) else None
        if not isinstance(error, dict):
            return f"{self.status}"
        return f"{self.status} {error.get('kind')}: {' '.join(str(error.get('message')).split())}"


class Service:
    """A running service.

    Parameters
    ----------
    url : str
        Such as ``http://127.0.0.1:8000``; a path in it is put before every path asked for.
    timeout : float
        Seconds to wait for a connection, and for each part of an answer.

    Raises
    ------
    MlopsError
        When ``url`` is no address of a service.
    """

    def __init__(self, url: str, timeout: float = TIMEOUT) -> None:
        try:
            parts = urllib3.util.parse_url(url)
        except urllib3.exceptions.LocationParseError:
            parts = urllib3.util.Url()
        if parts.scheme not in ("http", "https") or not parts.host:
            raise MlopsError(f"{url!r} is no address of a service; expected http://HOST:PORT")
        self.url = url.rstrip("/")
        self._prefix = (parts.path or "").rstrip("/")
        self._timeout = timeout
        # One connection. No retries: they would hide a failure, or count it as a long answer.
        self._pool = urllib3.connection_from_url(url, maxsize=1, retries=False, timeout=timeout)
        key = os.environ.get(KEY, "")
        self._headers = {"Authorization": f"Bearer {key}"} if key else {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._pool.close()

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
    ) -> Answer:
        """Send one request with an id of its own.

        Raises
        ------
        NoAnswerError
            When there is no service, or it does not answer in time.
        """
        request_id = f"{TRIAL.decode()}{uuid.uuid4().hex}"
        sent = {"X-Request-ID": request_id, **self._headers, **(headers or {})}
        clock = time.perf_counter()
        try:
            got = self._pool.urlopen(
                method, f"{self._prefix}{path}", body=body, headers=sent, redirect=False
            )
        except urllib3.exceptions.HTTPError as error:
            raise NoAnswerError(
                f"{self.url} did not answer {method} {path}: {self._why(error)}"
            ) from None
        return Answer(got.status, got.headers, got.data, time.perf_counter() - clock)

    def get(self, path: str) -> Answer:
        return self.ask("GET", path)

    def about(self) -> dict[str, Any]:
        """Return what ``GET /model`` says of the model.

        Raises
        ------
        MlopsError
            When it does not name the model's columns.
        """
        answer = self.get("/model")
        content = answer.json()
        if answer.status != 200 or not isinstance(content, dict) or not content.get("columns"):
            raise MlopsError(
                f"GET {self.url}/model answered {answer.status} without the model's columns; "
                "is it a service of this project?"
            )
        return content

    def predict(self, rows: Any) -> Answer:
        """Ask for the predictions of one row (an object) or of several (a list of them)."""
        return self.ask("POST", "/predict", json.dumps(rows).encode(), JSON)

    def _why(self, error: Exception) -> str:
        if isinstance(error, urllib3.exceptions.NewConnectionError):  # a TimeoutError, too
            return "nobody listens there"
        if isinstance(error, urllib3.exceptions.TimeoutError):
            return f"nothing came within {self._timeout:g} s"
        return " ".join(str(error).split())


def scores(answer: Answer, rows: int, classes: list[str] | None) -> list[list[float]]:
    """Return the scores in an answer to ``rows`` rows.

    Parameters
    ----------
    classes : list of str, or None
        With the names of ``k`` classes, each row has ``k`` scores in their order; else it has one.

    Returns
    -------
    list
        Of shape (rows, k) or (rows, 1).

    Raises
    ------
    MlopsError
        When that is not what the answer holds.
    """
    if answer.status != 200:
        raise MlopsError(f"the service answered {answer.error}")
    content = answer.json()
    predictions = content.get("predictions") if isinstance(content, dict) else None
    if not isinstance(predictions, list) or len(predictions) != rows:
        raise MlopsError(f"the service's answer to {rows} rows does not hold {rows} predictions")
    found = [_scores(one, classes) for one in predictions]
    if None in found:
        wanted = "a score for each of its classes" if classes else "a score"
        raise MlopsError(f"the service's prediction for row {found.index(None)} is not {wanted}")
    return [one for one in found if one is not None]


def _scores(prediction: object, classes: list[str] | None) -> list[float] | None:
    if not isinstance(prediction, dict):
        return None
    if classes is None:
        values: list[Any] = [prediction.get("score")]
    else:
        by_class = prediction.get("scores")
        if not isinstance(by_class, dict) or set(by_class) != set(classes):
            return None
        values = [by_class[name] for name in classes]
    # By type: true and false are no numbers, though Python counts with them.
    return list(map(float, values)) if {*map(type, values)} <= {int, float} else None
