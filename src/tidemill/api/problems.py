"""What went wrong, as the client reads it: problem details (RFC 9457) for every error.

`type` is the slug of the error: stable, and the same as in logs. What nobody foresaw is told in
the log only.
"""

import inspect
import logging
import math
from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Any, Final

import msgspec
from litestar import Request, Response
from litestar.exceptions import HTTPException

from tidemill import errors
from tidemill.errors import TidemillError
from tidemill.interface.problems import FieldProblem, Problem

MEDIA_TYPE: Final = "application/problem+json"


class Refused(Exception):
    """A request that never reached the application, or not in the form that it needs."""

    def __init__(self, problem: Problem, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(problem.detail)
        self.problem = problem
        self.headers = headers or {}


_STATUS: Final[Mapping[type[TidemillError], HTTPStatus]] = {
    errors.ConfigError: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.InvalidSchedule: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.PayloadInvalid: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.UnknownTaskType: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.OutboundRefused: HTTPStatus.UNPROCESSABLE_ENTITY,
    errors.PayloadTooLarge: HTTPStatus.REQUEST_ENTITY_TOO_LARGE,
    errors.NotFound: HTTPStatus.NOT_FOUND,
    errors.QueueFull: HTTPStatus.TOO_MANY_REQUESTS,
    errors.Conflict: HTTPStatus.CONFLICT,
    errors.ChangedMeanwhile: HTTPStatus.PRECONDITION_FAILED,
    errors.Unauthenticated: HTTPStatus.UNAUTHORIZED,
    errors.Forbidden: HTTPStatus.FORBIDDEN,
    errors.RateLimited: HTTPStatus.TOO_MANY_REQUESTS,
    errors.EngineError: HTTPStatus.SERVICE_UNAVAILABLE,
    errors.TidemillError: HTTPStatus.INTERNAL_SERVER_ERROR,
}
"""By the nearest class that an error is of."""

_LATER: Final = {"Retry-After": "1"}


def refused(
    slug: str,
    status: int,
    title: str,
    detail: str = "",
    *,
    fields: tuple[FieldProblem, ...] = (),
    headers: Mapping[str, str] | None = None,
) -> Refused:
    """The error for a request that is at fault by itself."""
    problem = Problem(type=slug, title=title, status=status, detail=detail or title, errors=fields)
    return Refused(problem, headers)


def invalid(*fields: FieldProblem) -> Refused:
    """The error for values that no such request can have."""
    detail = "; ".join(
        f"{each.field}: {each.message}" if each.field else each.message for each in fields
    )
    return refused(
        "request-invalid",
        HTTPStatus.UNPROCESSABLE_ENTITY,
        "A value of the request is not valid.",
        detail,
        fields=fields,
    )


def problem_of(error: TidemillError) -> Problem:
    """One of Tidemill's own errors, with the fields that it names."""
    status = next(_STATUS[each] for each in type(error).__mro__ if each in _STATUS)
    title = (inspect.getdoc(type(error)) or "").partition("\n")[0]
    # What an engine says may name hosts and files, and a fault of ours is nobody else's business.
    hidden = status >= HTTPStatus.INTERNAL_SERVER_ERROR
    return Problem(
        type=error.slug,
        title=title,
        status=status,
        detail=title if hidden else str(error),
        errors=_fields_of(error),
    )


def _fields_of(error: TidemillError) -> tuple[FieldProblem, ...]:
    match error:
        case errors.PayloadInvalid():
            path = f"payload.{error.field}" if error.field else "payload"
            return (FieldProblem(path, error.reason),)
        case errors.PayloadTooLarge():
            return (FieldProblem("payload", str(error)),)
        case errors.UnknownTaskType():
            return (FieldProblem("task_type", str(error)),)
        case errors.OutboundRefused():
            return (FieldProblem("url", str(error)),)
        case errors.InvalidSchedule():
            return (FieldProblem(_OF_SCHEDULE.get(error.field, "cron_expr"), str(error)),)
    return ()


_OF_SCHEDULE: Final[Mapping[str | None, str]] = {
    "period": "every",
    **{
        name: name
        for name in "name timezone jitter at starts_at ends_at expires misfire misfire_limit grace "
        "overlap".split()
    },
}
"""The field of a body by that of an `InvalidSchedule`; others are parts of a cron expression."""


_SLUGS: Final[Mapping[int, tuple[str, str]]] = {
    404: ("route-not-found", "There is nothing at this address."),
    405: ("method-not-allowed", "This address does not take that method."),
    413: ("body-too-large", "The body is larger than this address takes."),
}


def refusal_of(error: TidemillError | Refused) -> tuple[Problem, Mapping[str, str]]:
    """An error as it is answered, with the headers that belong to it."""
    if isinstance(error, Refused):
        return error.problem, error.headers
    problem = problem_of(error)
    return problem, _headers_of(error, problem.status)


def _headers_of(error: TidemillError, status: int) -> Mapping[str, str]:
    match error:
        case errors.Unauthenticated():
            return {"WWW-Authenticate": 'Bearer realm="tidemill"'}
        case errors.RateLimited():
            return {"Retry-After": str(math.ceil(error.retry_after.total_seconds()))}
    later = status in {HTTPStatus.SERVICE_UNAVAILABLE, HTTPStatus.TOO_MANY_REQUESTS}
    return _LATER if later else {}


def handlers() -> dict[
    int | type[Exception], Callable[[Request[Any, Any, Any], Any], Response[Any]]
]:
    """How each kind of error is answered."""
    return {
        Refused: lambda _, error: _response(error.problem, error.headers),
        TidemillError: _tidemill,
        HTTPException: _http,
        Exception: _unexpected,
    }


def _tidemill(request: Request[Any, Any, Any], error: TidemillError) -> Response[Any]:
    problem = problem_of(error)
    if problem.status >= HTTPStatus.INTERNAL_SERVER_ERROR:
        _log.warning("%s %s: %s", request.method, request.url.path, error, exc_info=error)
    return _response(problem, _headers_of(error, problem.status))


def _http(_: Request[Any, Any, Any], error: HTTPException) -> Response[Any]:
    slug, title = _SLUGS.get(error.status_code, ("bad-request", "The request cannot be read."))
    problem = Problem(type=slug, title=title, status=error.status_code, detail=title)
    return _response(problem, error.headers or {})


def _unexpected(request: Request[Any, Any, Any], error: Exception) -> Response[Any]:
    _log.error("%s %s failed", request.method, request.url.path, exc_info=error)
    title = "The server failed to answer; its log says why."
    return _response(Problem(type="internal-error", title=title, status=500, detail=title), {})


def _response(problem: Problem, headers: Mapping[str, str]) -> Response[Any]:
    return Response(
        content=msgspec.json.encode(problem),
        status_code=problem.status,
        headers=dict(headers),
        media_type=MEDIA_TYPE,
    )


_log = logging.getLogger("tidemill")
