"""The service as an ASGI application: /predict on the short way, everything else by Starlette."""

import asyncio
import gc
import itertools
import logging
import re
import secrets
import sys
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from pathlib import Path

from starlette.types import Receive, Scope, Send
from uvicorn.config import STARTUP_FAILURE

from mlops.project.errors import MlopsError
from mlops.serving import json_log, pages, served_model, settings, stopping
from mlops.serving.batching import Batching
from mlops.serving.exchange import Exchange
from mlops.serving.json_log import RequestLog, logger
from mlops.serving.measures import Measures
from mlops.serving.prediction_log import LogStatus, PredictionLog
from mlops.serving.predictor import Predictor
from mlops.serving.reading import ClientGone, Reader
from mlops.serving.refusal import Refusal
from mlops.serving.settings import Settings

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
PROBES = frozenset(["/live", "/ready", "/metrics"])  # asked every few seconds, for ever
WATCH_SECONDS = 1.0  # between two looks at the prediction log


def create() -> "Service":
    """Make the application in a worker; a failure here is one that no restart would cure."""
    try:
        return Service(settings.read())
    except MlopsError as error:
        logger.error(str(error))
        sys.exit(STARTUP_FAILURE)


class Service:
    """Answers requests for one model.

    Raises
    ------
    MlopsError
        When the model cannot be served, or its predictions cannot be logged as the settings say.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.request_log = RequestLog(json_log.configure(settings.log_level))
        self.model = served_model.load(Path(settings.model_dir))
        self.predictor = Predictor(self.model, settings.max_rows)
        self.measures = Measures(self.model, bool(settings.prediction_log_uri))
        self._batching = Batching(self.predictor, self.measures.note_predicted)
        self.prediction_log = _open_log(settings)
        self.stopping_since = 0.0
        self._reader = Reader(settings.api_key, settings.max_body_bytes, settings.timeout_seconds)
        self._others = pages.build(self, self._lifespan)
        self._paths = frozenset(["/predict", *pages.paths(self._others)])
        self._process = secrets.token_hex(8).encode()
        self._numbers = itertools.count(1)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer, count and log one request."""
        if scope["type"] != "http":
            await self._others(scope, receive, send)
            return
        exchange = Exchange(scope, self._request_id(scope))
        try:
            if scope["path"] == "/predict":
                await self._predict(exchange, receive, send)
            else:
                scope["exchange"] = exchange
                await self._others(scope, receive, exchange.marked(send))
        finally:
            self._note(exchange)

    def log_status(self) -> LogStatus | None:
        """Return how the prediction log is; None when there is none."""
        return self.prediction_log.status() if self.prediction_log else None

    async def _predict(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        try:
            if exchange.scope["method"] != "POST":
                raise Refusal("method_not_allowed", "/predict takes POST")
            body = await self._reader.read(exchange.scope, receive)
            predicted = await self._batching.predict(self.predictor.row_type.decode(body))
            logged = False
            if self.prediction_log:
                lines = self.predictor.records(predicted)
                logged = self.prediction_log.append(lines, len(predicted.rows))
                logged = logged and await self.prediction_log.sync()
            exchange.predicted = predicted
            await exchange.answer(send, 200, self.predictor.answer(predicted, logged))
        except Refusal as refusal:
            problem = exchange.problem(refusal)
            await exchange.answer(send, refusal.status, problem, refusal.headers)
        except ClientGone:
            pass
        except Exception:
            fields = {"request_id": exchange.request_id.decode()}
            logger.exception("/predict failed", extra={"fields": fields})
            failure = Refusal("internal", "the service failed; its log says why, under this id")
            await exchange.answer(send, failure.status, exchange.problem(failure))

    def _request_id(self, scope: Scope) -> bytes:
        for name, value in scope["headers"]:
            if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
                return bytes(value)
        return b"%s-%d" % (self._process, next(self._numbers))

    def _note(self, exchange: Exchange) -> None:
        seconds = time.perf_counter() - exchange.started
        path, status = exchange.scope["path"], exchange.status
        known = path if path in self._paths else "other"
        self.measures.note(known, status, exchange.kind, seconds)
        level = logging.ERROR if status == 500 else logging.INFO
        if path in PROBES and status < 500:
            level = logging.DEBUG
        if self.request_log.wants(level):
            name = logging.getLevelName(level).lower()
            self.request_log.write(exchange.line(name, seconds, self.settings.log_features))

    @asynccontextmanager
    async def _lifespan(self, _: object) -> AsyncIterator[None]:
        stopping.drain(self.settings.drain_seconds, self._stop)
        watcher = asyncio.create_task(self._watch_log())
        gc.freeze()  # what is loaded now stays; collections need not look at it while requests wait
        gc.freeze()  # what is loaded now stays: no need to look through it again and again
        logger.info("serving %s version %s", self.model.name, self.model.version)
        if not self.settings.api_key:
            logger.warning(pages.OPEN)
        yield
        watcher.cancel()
        with suppress(asyncio.CancelledError):
            await watcher
        if self.prediction_log:
            spent = time.monotonic() - (self.stopping_since or time.monotonic())
            left = self.settings.drain_seconds + self.settings.shutdown_seconds - spent
            self.prediction_log.close(max(1.0, left))
        self.request_log.flush()
        logger.info("stopped")

    def _stop(self) -> None:
        self.stopping_since = time.monotonic()
        logger.info("stopping: /ready says so, requests are still answered")

    async def _watch_log(self) -> None:
        while self.prediction_log:
            self.measures.note_log(self.log_status())
            await asyncio.sleep(WATCH_SECONDS)


def _open_log(settings: Settings) -> PredictionLog | None:
    if not settings.prediction_log_uri:
        return None
    return PredictionLog.open(
        settings.prediction_log_uri,
        fsync=settings.prediction_log_fsync,
        flush_seconds=settings.prediction_log_flush_seconds,
        rotate_mb=settings.prediction_log_rotate_mb,
        rotate_seconds=settings.prediction_log_rotate_seconds,
        spool=Path(settings.prediction_log_spool),
    )
