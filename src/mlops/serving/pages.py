"""What can be read from the service: health, model, metrics and documentation."""

from dataclasses import asdict
from typing import TYPE_CHECKING, Any

from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from mlops.serving import measures, openapi
from mlops.serving.exchange import Exchange, encode
from mlops.serving.json_log import logger
from mlops.serving.openapi import LogState, Ready
from mlops.serving.refusal import Kind, Refusal

if TYPE_CHECKING:
    from mlops.serving.application import Service

OPEN = "API_KEY is not set: whoever reaches this service may ask for predictions"
KINDS: dict[int, Kind] = {404: "not_found", 405: "method_not_allowed"}


def build(service: "Service", lifespan: Any) -> Starlette:
    """Return the application that answers everything but /predict."""
    pages = Pages(service)
    application = Starlette(
        routes=[
            Route("/live", pages.live),
            Route("/ready", pages.ready),
            Route("/model", pages.model),
            Route("/metrics", pages.metrics),
            Route("/openapi.json", pages.openapi),
            Route("/docs", pages.docs),
        ],
        exception_handlers={HTTPException: _refuse, Exception: _fail},
        lifespan=lifespan,
    )
    application.router.redirect_slashes = False
    return application


def paths(application: Starlette) -> list[str]:
    return [route.path for route in application.routes if isinstance(route, Route)]


class Pages:
    """The endpoints; what does not change is encoded once."""

    def __init__(self, service: "Service") -> None:
        self._service = service
        self._model = encode(service.model.describe())
        self._openapi = encode(openapi.describe(service.model, service.predictor, service.settings))
        self._asked_ready = False

    async def live(self, _: Request) -> Response:
        return _json(b'{"status":"live"}')

    async def ready(self, _: Request) -> Response:
        service = self._service
        if not self._asked_ready and not service.settings.api_key:
            logger.warning(OPEN)
        self._asked_ready = True
        log = service.log_status()
        stopping = bool(service.stopping_since)
        said = Ready(
            status="stopping" if stopping else "ready",
            model_version=service.model.version,
            model_md5=service.model.facts.model_md5,
            api_key=bool(service.settings.api_key),
            prediction_log=LogState(**asdict(log)) if log else LogState(),
        )
        return _json(encode(said), 503 if stopping else 200)

    async def model(self, _: Request) -> Response:
        return _json(self._model)

    async def metrics(self, _: Request) -> Response:
        text = self._service.measures.text(self._service.log_status())
        return Response(text, media_type=measures.CONTENT_TYPE)

    async def openapi(self, _: Request) -> Response:
        return _json(self._openapi)

    async def docs(self, _: Request) -> Response:
        return Response(openapi.page(self._service.model.name), media_type="text/html")


def _json(content: bytes, status: int = 200) -> Response:
    return Response(content, status, media_type="application/json")


async def _refuse(request: Request, error: Exception) -> Response:
    assert isinstance(error, HTTPException)
    exchange: Exchange = request.scope["exchange"]
    kind = KINDS.get(error.status_code, "malformed")
    path = request.scope["path"]
    message = f"there is no {path}" if kind == "not_found" else f"{error.detail}: {path} takes GET"
    content = exchange.problem(Refusal(kind, message))
    answer = _json(content, error.status_code)
    answer.headers.update(error.headers or {})
    return answer


async def _fail(request: Request, error: Exception) -> Response:
    exchange: Exchange = request.scope["exchange"]
    failure = Refusal("internal", "the service failed; its log says why, under this id")
    return _json(exchange.problem(failure), failure.status)
