"""What went wrong, as the client reads it: problem details (RFC 9457) for every error."""

import inspect
import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException, ValidationException
from litestar.openapi import ResponseSpec
from litestar.types import ExceptionHandlersMap

from tidemill import (
    ConfigError,
    Conflict,
    EngineError,
    Forbidden,
    NotFound,
    QueueFull,
    TidemillError,
    Unauthenticated,
)

MEDIA_TYPE: Final = "application/problem+json"

_log = logging.getLogger("tidemill.apps.mailroom")

_STATUS: Final[Mapping[type[TidemillError], HTTPStatus]] = {
    ConfigError: HTTPStatus.UNPROCESSABLE_ENTITY,
    NotFound: HTTPStatus.NOT_FOUND,
    QueueFull: HTTPStatus.TOO_MANY_REQUESTS,
    Conflict: HTTPStatus.CONFLICT,
    Unauthenticated: HTTPStatus.UNAUTHORIZED,
    Forbidden: HTTPStatus.FORBIDDEN,
    EngineError: HTTPStatus.SERVICE_UNAVAILABLE,
    TidemillError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""By the nearest class that an error is of."""

_TITLES: Final[Mapping[int, tuple[str, str]]] = {
    400: ("bad-request", "The request cannot be read."),
    404: ("route-not-found", "There is nothing at this address."),
    405: ("method-not-allowed", "This address does not take that method."),
    413: ("body-too-large", "The body is larger than this address takes."),
    415: ("media-type", "The body has another content type than application/json."),
}


class FieldProblem(msgspec.Struct, frozen=True):
    """One value that is at fault, and how."""

    field: str
    message: str


class Problem(msgspec.Struct, frozen=True, kw_only=True):
    """Why a request was not carried out. `type` is stable, the texts are for people."""

    type: str
    title: str
    status: int
    detail: str
    errors: tuple[FieldProblem, ...] = ()


PROBLEMS: Final = {
    status: ResponseSpec(Problem, description=text, media_type=MEDIA_TYPE, generate_examples=False)
    for status, text in {
        401: "There is no token, or none that is valid.",
        404: "There is nothing of that id, or it is somebody else's.",
        409: "The state of things does not allow that.",
        413: "The body is too large.",
        422: "A value is not valid; `errors` names the fields.",
        503: "The engine does not answer.",
    }.items()
}
"""What the description says of the problems that a route may answer with."""


def handlers() -> ExceptionHandlersMap:
    """How each kind of error is answered."""
    return {
        TidemillError: _own,
        ValidationException: _invalid,
        HTTPException: _http,
        Exception: _unexpected,
    }


def _own(request: Request[Any, Any, Any], error: TidemillError) -> Response[bytes]:
    status = next(_STATUS[each] for each in type(error).__mro__ if each in _STATUS)
    title = (inspect.getdoc(type(error)) or "").partition("\n")[0]
    headers: dict[str, str] = {}
    if status is HTTPStatus.UNAUTHORIZED:
        headers["WWW-Authenticate"] = 'Bearer realm="mailroom"'
    if status in {HTTPStatus.TOO_MANY_REQUESTS, HTTPStatus.SERVICE_UNAVAILABLE}:
        headers["Retry-After"] = "1"
    # What an engine says may name hosts and files, and a fault of ours is nobody else's business.
    hidden = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    if hidden:
        _log.warning("%s %s: %s", request.method, request.url.path, error, exc_info=error)
    detail = title if hidden else str(error)
    return _answer(Problem(type=error.slug, title=title, status=status, detail=detail), headers)


def _invalid(_: Request[Any, Any, Any], error: ValidationException) -> Response[bytes]:
    named = error.extra if isinstance(error.extra, list) else []
    fields = tuple(
        FieldProblem(str(each.get("key", "")), str(each.get("message", ""))) for each in named
    )
    title = "A value of the request is not valid."
    detail = "; ".join(f"{each.field}: {each.message}" for each in fields) or title
    problem = Problem(type="request-invalid", title=title, status=422, detail=detail, errors=fields)
    return _answer(problem, {})


def _http(_: Request[Any, Any, Any], error: HTTPException) -> Response[bytes]:
    slug, title = _TITLES.get(error.status_code, _TITLES[400])
    problem = Problem(type=slug, title=title, status=error.status_code, detail=title)
    return _answer(problem, error.headers or {})


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[bytes]:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    title = "The server failed to answer; its log says why."
    return _answer(Problem(type="internal-error", title=title, status=500, detail=title), {})


def _answer(problem: Problem, headers: Mapping[str, str]) -> Response[bytes]:
    content = msgspec.json.encode(problem)
    return Response(
        content, status_code=problem.status, headers=dict(headers), media_type=MEDIA_TYPE
    )
