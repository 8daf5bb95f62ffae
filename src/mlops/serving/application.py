"""The service as an ASGI application: /predict on the short way, the other pages by Starlette."""

import asyncio
import gc
import itertools
import logging
import re
import secrets
import signal
import sys
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from functools import partial
from pathlib import Path
from types import FrameType
from typing import Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send
from uvicorn.config import STARTUP_FAILURE

from mlops.project.errors import MlopsError
from mlops.serving import json_log, measures, openapi, routes, served_model, settings
from mlops.serving.json_log import RequestLog, logger
from mlops.serving.measures import Measures
from mlops.serving.openapi import Ready
from mlops.serving.platforms import Envelope, Platforms
from mlops.serving.prediction_log import Keep, LogState, PredictionLog
from mlops.serving.predictor import Batching, Predictor
from mlops.serving.request import BUSY, STATUS, ClientGone, Exchange, Kind, Reader, Refusal, encode
from mlops.serving.settings import Settings
from mlops.serving.withheld import KEY

REQUEST_ID = re.compile(rb"[A-Za-z0-9._-]{1,128}")
PROBES = frozenset(["/live", "/ready", "/metrics", "/v2/health/live"])  # asked for ever
WATCH_SECONDS = 1.0  # between two looks at the prediction log
OPEN = "API_KEY is not set: whoever reaches this service may ask for predictions"
GUESSED = (
    f"{KEY} is not set: whoever reads the prediction log and guesses a value that is hashed can "
    "check the guess"
)
KINDS: dict[int, Kind] = {status: kind for kind, status in reversed(STATUS.items())}
FAILURE = Refusal("internal", "the service failed; its log says why, under this id")


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
        self.model = served_model.load(Path(settings.model_dir), settings.model_name)
        self.predictor = Predictor(
            self.model,
            settings.max_rows,
            settings.unknown_fields,
            settings.prediction_log_exclude,
            settings.prediction_log_hash_key,
        )
        self.platforms = Platforms(self.model, self.predictor, settings)
        self.measures = Measures(self.model, bool(settings.prediction_log_uri))
        self._batching = Batching(self.predictor, self.measures.note_predicted)
        self.prediction_log = _open_log(settings)
        self.stopping_since = 0.0
        self._reader = Reader(settings.api_key, settings.max_body_bytes, settings.timeout_seconds)
        self._asked_ready = False
        self.own = routes.load()
        pages = self._pages()
        self._predicting = frozenset(["/predict", *self.platforms.envelopes])
        self._paths = self._predicting.union(page.path for page in pages)
        self._probes = PROBES.union(self.platforms.ready)
        self._others = self._application(pages)
        self._others.router.redirect_slashes = False
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
                await self._predict(exchange, receive, send, self.platforms.rows)
            elif envelope := self.platforms.envelope(scope["method"], scope["path"]):
                await self._predict(exchange, receive, send, envelope)
            else:
                scope["exchange"] = exchange
                if self.own and scope["path"] not in self._paths:
                    exchange.route = self.own.asked(scope["method"], scope["path"])
                if exchange.route:
                    await self._ask_own(exchange, receive, send)
                else:
                    await self._others(scope, receive, exchange.marked(send))
        finally:
            self._note(exchange)

    async def too_busy(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Refuse one request, whatever it asks: too many clients are connected."""
        exchange = Exchange(scope, self._request_id(scope))
        try:
            await exchange.refuse(send, BUSY)
        finally:
            self._note(exchange)

    def refuse_raw(self, refusal: Refusal) -> tuple[bytes, bytes]:
        """Count what never became a request; returns its id and the answer's body."""
        scope = {"headers": [], "method": "", "path": ""}
        exchange = Exchange(scope, self._request_id(scope))
        body, exchange.status = exchange.problem(refusal), refusal.status
        self._note(exchange)
        return exchange.request_id, body

    def log_status(self) -> LogState:
        """Return how the prediction log is."""
        return self.prediction_log.status() if self.prediction_log else LogState()

    def _application(self, pages: list[Route]) -> Starlette:
        """Return what answers all but predictions; FastAPI, where the user has pages for it."""
        handlers: dict[Any, Any] = {HTTPException: _refuse, Exception: _fail}
        if self.own is None:
            return Starlette(routes=pages, exception_handlers=handlers, lifespan=self._lifespan)
        from fastapi import FastAPI
        from fastapi.exceptions import RequestValidationError

        self.own.refuse_taken(self._paths)
        handlers |= {RequestValidationError: _refuse_own, Refusal: _refuse_own}
        application = FastAPI(
            routes=list(pages),
            exception_handlers=handlers,
            lifespan=self._lifespan,
            openapi_url=None,
        )
        application.include_router(self.own.router)
        return application

    def _pages(self) -> list[Route]:
        """Return the other pages; an answer that does not change is made once."""
        settings_that_count = {"unknown_fields": self.settings.unknown_fields}
        described = openapi.describe(self.model, self.predictor, self.settings, self.platforms)
        if self.own:
            self.own.add_to(described, bool(self.settings.api_key))
        answers = {
            "/live": _json(b'{"status":"live"}'),
            "/model": _json(encode(self.model.describe() | settings_that_count)),
            "/openapi.json": _json(encode(described)),
            "/docs": Response(openapi.page(self.model.name), media_type="text/html"),
            **{path: _json(content) for path, content in self.platforms.pages.items()},
        }
        return [
            Route("/ready", self._ready),
            Route("/metrics", self._metrics),
            *(
                Route(path, partial(self._ready_for_platform, said))
                for path, said in self.platforms.ready.items()
            ),
            *(Route(path, answer, methods=["GET"]) for path, answer in answers.items()),
        ]

    async def _ready(self, _: Request) -> Response:
        if not self._asked_ready and not self.settings.api_key:
            logger.warning(OPEN)
        self._asked_ready = True
        stopping = bool(self.stopping_since)
        said = Ready(
            status="stopping" if stopping else "ready",
            model_version=self.model.version,
            model_md5=self.model.facts.model_md5,
            api_key=bool(self.settings.api_key),
            prediction_log=self.log_status(),
        )
        return _json(encode(said), 503 if stopping else 200)

    async def _ready_for_platform(self, said: dict[str, str], _: Request) -> Response:
        stopping = bool(self.stopping_since)
        return _json(encode({**said, "ready": not stopping}), 503 if stopping else 200)

    async def _metrics(self, _: Request) -> Response:
        text = self.measures.text(self.log_status())
        return Response(text, media_type=measures.CONTENT_TYPE)

    async def _predict(
        self, exchange: Exchange, receive: Receive, send: Send, envelope: Envelope
    ) -> None:
        path = exchange.scope["path"]
        try:
            if exchange.scope["method"] != "POST":
                raise Refusal("method_not_allowed", f"{path} takes POST")
            body = await self._reader.read(exchange.scope, receive)
            await exchange.answer(send, 200, await self._answer(exchange, envelope, body))
        except Refusal as refusal:
            await exchange.refuse(send, refusal)
        except ClientGone:
            pass
        except Exception:
            self._say_failed(exchange)
            await exchange.refuse(send, FAILURE)

    async def _answer(self, exchange: Exchange, envelope: Envelope, body: bytes) -> bytes:
        """Predict and log what is asked; return the body of the answer."""
        rows, answer = envelope(body)
        predicted = await self._batching.predict(rows)
        logged = False
        if self.prediction_log:
            lines = self.predictor.records(predicted, exchange.trial)
            logged = self.prediction_log.append(lines, len(predicted.rows))
            logged = logged and await self.prediction_log.sync()
        shown = predicted.rows
        if self.settings.log_features:
            shown = self.predictor.withheld.without(shown)
        exchange.rows += shown  # a page of the user's may ask several times
        exchange.predictions += predicted.predictions
        return answer(predicted, logged)

    async def _ask_own(self, exchange: Exchange, receive: Receive, send: Send) -> None:
        """Ask a page of the user's, which may ask the model."""
        try:
            body = await self._reader.read(exchange.scope, receive, any_type=True)
            routes.asking.set(partial(self._answer, exchange, self.platforms.rows))
            await self._others(exchange.scope, routes.again(body, receive), exchange.marked(send))
        except Refusal as refusal:
            await exchange.refuse(send, refusal)
        except ClientGone:
            pass
        except Exception:  # which Starlette has answered, as far as it could
            self._say_failed(exchange)

    def _say_failed(self, exchange: Exchange) -> None:
        fields = {"request_id": exchange.request_id.decode()}
        path = exchange.route or exchange.scope["path"]
        logger.exception("%s failed", path, extra={"fields": fields})

    def _request_id(self, scope: Scope) -> bytes:
        for name, value in scope["headers"]:
            if name == b"x-request-id" and REQUEST_ID.fullmatch(value):
                return bytes(value)
        return b"%s-%d" % (self._process, next(self._numbers))

    def _note(self, exchange: Exchange) -> None:
        seconds = time.perf_counter() - exchange.started
        path, status = exchange.route or exchange.scope["path"], exchange.status
        known = path if exchange.route or path in self._paths else "other"
        self.measures.note(known, status, exchange.kind)
        if known in self._predicting:
            self.measures.note_seconds(seconds)
        level = logging.ERROR if status == 500 else logging.INFO
        if path in self._probes and status < 500:
            level = logging.DEBUG
        if self.request_log.wants(level):
            name = logging.getLevelName(level).lower()
            self.request_log.write(exchange.line(name, seconds, self.settings.log_features))

    @asynccontextmanager
    async def _lifespan(self, _: object) -> AsyncIterator[None]:
        _drain(self.settings.drain_seconds, self._stop)
        watcher = asyncio.create_task(self._watch_log())
        gc.freeze()  # what is loaded now stays; collections need not look at it while requests wait
        logger.info("serving %s version %s", self.model.name, self.model.version)
        if not self.settings.api_key:
            logger.warning(OPEN)
        if self.predictor.withheld.hashed and not self.settings.prediction_log_hash_key:
            logger.warning(GUESSED)
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
        failing = False
        while self.prediction_log:
            log = self.log_status()
            self.measures.note_log(log)
            if (log.state == "failing") is not failing:
                failing = not failing
                if failing:
                    logger.error("the prediction log fails: %s", log.reason)
                else:
                    logger.warning("the prediction log works again; lost so far: %d", log.dropped)
            await asyncio.sleep(WATCH_SECONDS)


def _drain(seconds: float, begin: Callable[[], None]) -> None:
    """Have SIGTERM call ``begin``, and its present handler ``seconds`` later.

    So a load balancer that reads /ready loses no request. A second SIGTERM does not wait.
    """
    loop, stop = asyncio.get_running_loop(), signal.getsignal(signal.SIGTERM)
    if not callable(stop):
        return

    def handle(number: int, frame: FrameType | None) -> None:
        signal.signal(signal.SIGTERM, stop)
        loop.call_soon_threadsafe(begin)
        loop.call_soon_threadsafe(loop.call_later, seconds, stop, number, None)

    signal.signal(signal.SIGTERM, handle)


def _open_log(settings: Settings) -> PredictionLog | None:
    if not settings.prediction_log_uri:
        return None
    return PredictionLog(
        settings.prediction_log_uri,
        fsync=settings.prediction_log_fsync,
        flush_seconds=settings.prediction_log_flush_seconds,
        rotate_mb=settings.prediction_log_rotate_mb,
        rotate_seconds=settings.prediction_log_rotate_seconds,
        keep=Keep(
            settings.prediction_log_keep_mb, settings.prediction_log_keep_days, settings.workers
        ),
        spool=Path(settings.prediction_log_spool),
    )


def _json(content: bytes, status: int = 200) -> Response:
    return Response(content, status, media_type="application/json")


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    exchange: Exchange = request.scope["exchange"]
    kind = KINDS.get(error.status_code, "invalid" if error.status_code < 500 else "internal")
    path = request.scope["path"]
    message = f"there is no {path}" if kind == "not_found" else f"{error.detail}: {path} takes GET"
    if exchange.route:
        message = str(error.detail)
    content = exchange.problem(Refusal(kind, message))
    answer = _json(content, error.status_code)
    answer.headers.update(error.headers or {})
    return answer


async def _refuse_own(request: Request, error: Any) -> Response:
    exchange: Exchange = request.scope["exchange"]
    refusal = error if isinstance(error, Refusal) else routes.unfit(error.errors())
    return _json(exchange.problem(refusal), refusal.status)


async def _fail(request: Request, error: Exception) -> Response:
    exchange: Exchange = request.scope["exchange"]
    return _json(exchange.problem(FAILURE), FAILURE.status)
