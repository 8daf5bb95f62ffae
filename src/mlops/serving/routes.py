"""The user's own pages: the FastAPI router of ``src/model/routes.py``, where there is that file.

It runs behind the key, limits, log and metrics of ``/predict``. FastAPI is imported only then: it
is not in every image, and takes a third of a second.
"""

import sys
import warnings
from collections.abc import Awaitable, Callable
from contextvars import ContextVar
from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from starlette.types import Message, Receive

from mlops.project.errors import MlopsError
from mlops.project.user_code import running, shortened
from mlops.serving.openapi import REFERENCE, Json, response
from mlops.serving.request import Refusal

if TYPE_CHECKING:
    from fastapi import APIRouter

FILE = Path("src/model/routes.py")
GROUP = "Own routes"  # under which /docs shows those without tags
UNFIT = "HTTPValidationError"  # FastAPI's form of a 422, which the service's own replaces

# Asks the model as /predict does, from JSON to JSON; set while a page of the user's is asked.
asking: ContextVar[Callable[[bytes], Awaitable[bytes]]] = ContextVar("asking")


async def predict(rows: Any) -> dict[str, Any]:
    """Predict a row, or a list of rows, and return what ``/predict`` answers.

    The rows are checked, counted and logged as if the client had sent them there. They are dicts or
    Pydantic models.

    Raises
    ------
    Refusal
        When a row does not fit; what is not caught answers the client as ``/predict`` does.
    RuntimeError
        When no page of the service is asked.
    """
    if (ask := asking.get(None)) is None:
        raise RuntimeError("predict() works while the service answers a request, and only then")
    body = msgspec.json.encode(rows, enc_hook=lambda model: model.model_dump(mode="json"))
    return msgspec.json.decode(await ask(body), type=dict[str, Any])


class Routes:
    """The router, and which of its pages a request asks for."""

    def __init__(self, router: "APIRouter") -> None:
        from fastapi.routing import iter_route_contexts

        self.router = router
        self._pages = list(iter_route_contexts(router.routes))
        for page in self._pages:
            if page.methods is None:
                raise MlopsError(
                    f"{FILE}: {page.path} is no page of HTTP; write it with router.get, post or put"
                )

    def refuse_taken(self, taken: frozenset[str]) -> None:
        """Refuse a page that would answer at a path of the service's own.

        Raises
        ------
        MlopsError
            When there is one.
        """
        for page in self._pages:
            for path in sorted(taken):
                if page.path_regex.match(path):
                    raise MlopsError(
                        f"{FILE}: {page.path} would answer at {path}, which is the service's own; "
                        "choose another path"
                    )

    def asked(self, method: str, path: str) -> str:
        """Return the path of the page as the router has it, with its parameters' names, or ""."""
        fitting = [page for page in self._pages if page.path_regex.match(path)]
        fitting.sort(key=lambda page: method not in (page.methods or ()))
        return str(fitting[0].path_format) if fitting else ""

    def add_to(self, document: Json, api_key: bool) -> None:
        """Add what FastAPI says of the pages to the service's OpenAPI document.

        Raises
        ------
        MlopsError
            When two pages have the same operation_id, or FastAPI cannot describe one.
        """
        from fastapi.openapi.utils import get_openapi

        with running("its description"), warnings.catch_warnings():
            warnings.filterwarnings("error", "Duplicate Operation ID")
            theirs = get_openapi(title="", version="", routes=self.router.routes)
        text, ours = msgspec.json.encode(theirs), document["components"]
        for name in ours["schemas"]:  # which the user's may have, too
            old, new = (f'"{REFERENCE.format(name=it)}"' for it in (name, f"routes.{name}"))
            text = text.replace(old.encode(), new.encode())
        theirs = msgspec.json.decode(text)
        components = theirs.get("components", {})
        schemas = components.get("schemas", {})
        for name in schemas.keys() & ours["schemas"].keys():
            schemas[f"routes.{name}"] = schemas.pop(name)
        error = response("Refused, or failed.", {"$ref": REFERENCE.format(name="ErrorAnswer")})
        for page in theirs["paths"].values():
            for operation in page.values():
                said = operation["responses"].items()
                kept = {status: one for status, one in said if UNFIT not in str(one)}
                operation["responses"] = {"default": error} | kept
                operation.setdefault("tags", [GROUP])
                if api_key:
                    others = operation.get("security") or [{}]
                    operation["security"] = [{**one, "key": []} for one in others]
        document["paths"] |= theirs["paths"]
        for kind, found in components.items():
            ours[kind] = found | ours.get(kind, {})


def load() -> Routes | None:
    """Load ``src/model/routes.py``; without that file, there are none.

    Raises
    ------
    MlopsError
        When the file cannot be imported or has no ``router``.
    """
    if not FILE.exists():
        return None
    if find_spec("fastapi") is None:
        raise MlopsError(
            f"{FILE} needs FastAPI, which is not installed here; make add GROUP=routes puts it "
            "into the lock of the image"
        )
    from fastapi import APIRouter

    spec = spec_from_file_location("routes", FILE)
    assert spec is not None
    assert spec.loader is not None
    module = module_from_spec(spec)
    sys.modules["routes"] = module  # where Pydantic looks up what annotations name
    with running("its import"):
        spec.loader.exec_module(module)
    router = getattr(module, "router", None)
    if not isinstance(router, APIRouter):
        raise MlopsError(f"{FILE} has no `router`; write router = APIRouter()")
    return Routes(router)


def again(body: bytes, receive: Receive) -> Receive:
    """Return a ``receive`` that begins with a body which has been read."""
    first: list[Message] = [{"type": "http.request", "body": body}]

    async def receiving() -> Message:
        return first.pop() if first else await receive()

    return receiving


def unfit(errors: list[Any]) -> Refusal:
    """Return why a page of the user's refuses a request that FastAPI has checked."""
    first = errors[0]
    if first["type"] == "json_invalid":
        return Refusal("malformed", "the body is not JSON")
    where = ".".join(shortened(str(part), 60) for part in first["loc"])
    return Refusal("invalid", f"{where}: {shortened(first['msg'])}")
