"""Whether recorded requests are such as GitHub understands, judged by GitHub's own schema."""

import json
import re
from collections.abc import Iterable, Iterator
from typing import Any

from github_server import Recorded
from githubkit_schemas.latest import models
from pydantic import BaseModel, ValidationError


def check(requests: Iterable[Recorded]) -> None:
    """Judge the requests to the REST API: their paths, and the bodies of those that succeeded.

    Raises
    ------
    AssertionError
        Naming each path that is not known, and each field that GitHub has not, or has otherwise.
    """
    found = [
        f"{request.method} {request.path}: {problem}"
        for request in requests
        if request.host == "api.github.com" and request.route != "/graphql"
        for problem in _problems(request)
    ]
    assert not found, "\n".join(found)


def _problems(request: Recorded) -> list[str]:
    if not request.route:
        return ["there is no such path, or this GitHub lacks it"]
    if request.method not in ("POST", "PUT", "PATCH") or not 200 <= request.status < 300:
        return []
    judged = [_misfits(model, request.body) for model in _models(request.method, request.route)]
    # Where the schema offers several forms, it must be one of them.
    return min(judged, key=len, default=["githubkit has no model of its body"])


def _models(method: str, route: str) -> Iterator[type[BaseModel]]:
    """Return the forms a body may have, which githubkit names after the path, or by themselves."""
    if route.endswith("/deployment-branch-policies"):
        yield models.DeploymentBranchPolicyNamePatternWithType
    words = re.findall(r"[a-z0-9]+", route)
    name = "".join(map(str.capitalize, words)) + method.capitalize() + "Body"
    forms = [name, *(f"{name}{kind}{place}" for kind in ("Oneof", "Anyof") for place in range(4))]
    yield from (getattr(models, form) for form in forms if hasattr(models, form))


def _misfits(model: type[BaseModel], body: Any) -> list[str]:
    try:
        # As JSON, so that a date may be text, and strictly, so that a number may not.
        parsed = model.model_validate_json(json.dumps(body), strict=True)
    except ValidationError as error:
        # githubkit says of each optional field that it could be left out, too.
        details = [it for it in error.errors() if "UNSET" not in str(it["loc"])]
        return [f"{'.'.join(map(str, it['loc']))}: {it['msg']}" for it in details]
    return [f"{name}: GitHub has no such field" for name in unknown_fields(parsed, body)]


def unknown_fields(parsed: Any, body: Any, where: str = "") -> Iterator[str]:
    """Return the fields that a model has not; one that has none at all is free in form."""
    if isinstance(parsed, BaseModel) and type(parsed).model_fields:
        names = {it.alias or name: name for name, it in type(parsed).model_fields.items()}
        for name, value in body.items():
            if name in names:
                yield from unknown_fields(getattr(parsed, names[name]), value, f"{where}{name}.")
            else:
                yield f"{where}{name}"
    elif isinstance(parsed, list):
        for place, (item, value) in enumerate(zip(parsed, body, strict=True)):
            yield from unknown_fields(item, value, f"{where}{place}.")
