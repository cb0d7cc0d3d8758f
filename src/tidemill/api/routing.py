"""Declaring routes: from a request to checked values, from a value to an answer, in one place.

A route is an async function of one `Call`. Its annotation names the shapes of the query and of the
body: they are what is read, what is refused and what the OpenAPI document says.
"""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any, Final, Generic, Literal, TypeVar, get_args, get_type_hints

import msgspec
from litestar import Request, Response
from litestar.handlers import HTTPRouteHandler
from litestar.types import Empty

from tidemill.access import Access, Scope
from tidemill.api import etags
from tidemill.api.auditing import Change
from tidemill.api.limits import SMALL_BODY
from tidemill.api.owning import outside
from tidemill.api.problems import Refused
from tidemill.api.reading import body_of, query_of
from tidemill.api.services import Services
from tidemill.api.traces import carried
from tidemill.app import Tidemill
from tidemill.errors import ChangedMeanwhile, Forbidden, Unauthenticated
from tidemill.task import Task

Q = TypeVar("Q", bound=msgspec.Struct)
B = TypeVar("B", bound=msgspec.Struct)
Method = Literal["GET", "POST", "PUT", "PATCH", "DELETE"]

PREFIX: Final = "/api/v1"
ACCESS: Final = "tidemill.access"
"""Where the gate leaves the caller's `Access` in the scope of a request."""

_JSON: Final = "application/json"
_encode: Final = msgspec.json.Encoder().encode


class Nothing(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """No values."""


@dataclass(frozen=True, slots=True)
class Call(Generic[Q, B]):
    """One request: its values, already checked, and what it is asked of.

    `raw` are the bytes of the body.
    """

    services: Services
    request: Request[Any, Any, Any]
    query: Q
    body: B
    raw: bytes

    @property
    def app(self) -> Tidemill:
        """The application that the request is about."""
        return self.services.app

    @property
    def access(self) -> Access:
        """What the caller proved to the gate."""
        access: Access = self.request.scope[ACCESS]  # type: ignore[typeddict-item]  # the gate's
        return access

    @property
    def payloads(self) -> bool:
        """Whether the caller may see payloads and results."""
        return self.access.may(Scope.PAYLOADS)

    @property
    def trace(self) -> dict[str, str]:
        """The trace that it belongs to, as headers of the tasks that it makes."""
        return carried(self.app, self.request.headers)

    async def task(self, task_id: str) -> Task:
        """The record of a task with all details; raises `TaskNotFound` for one of others too."""
        return await self.services.read(task_id, self.access.tenant)

    def named(self, name: str) -> str:
        """A part of the path."""
        return str(self.request.path_params[name])

    def header(self, name: str) -> str | None:
        """A header of the request."""
        return self.request.headers.get(name)

    def address(self, path: str) -> str:
        """Where another resource of this API is found, below whatever it is mounted under."""
        return f"{self.request.scope.get('root_path', '').rstrip('/')}{PREFIX}{path}"

    def version(self, present: int) -> int | None:
        """The version that a change is bound to by `If-Match`: the present one, which it names.

        None where any will do. Raises `ChangedMeanwhile` where the present one is not named.
        """
        named = etags.versions(self.header("if-match"))
        if named is None:
            return None
        if str(present) not in named:
            raise ChangedMeanwhile("it")
        return present


NO_MORE: Final = Change()
"""What the audit tells of a change that its request says all of."""


class Answer(msgspec.Struct, frozen=True):
    """What a route answers. `status` of None is the first that the route names.

    `version` is what `If-Match` compares; `kept` are bytes that were encoded before. `change` is
    what the audit tells besides the request, None where nothing was changed.
    """

    value: Any = None
    status: int | None = None
    version: str = ""
    headers: dict[str, str] = {}
    kept: bytes | None = None
    change: Change | None = NO_MORE

    @property
    def body(self) -> bytes:
        """The bytes of the answer."""
        if self.kept is not None:
            return self.kept
        return b"" if self.value is None else _encode(self.value)


class Operation(msgspec.Struct, frozen=True, kw_only=True):
    """A route as it is documented. `answers` are the shapes by status, None for no body.

    `shape` is that of the body as clients write it, `body` as the function reads it. Callers need
    the `scope`, None for none; `tenants` may use it too, for what is theirs.
    """

    method: Method
    path: str
    name: str
    text: str
    tag: str
    scope: Scope | None
    tenants: bool
    query: type[msgspec.Struct]
    body: type[msgspec.Struct]
    shape: type[msgspec.Struct]
    answers: Mapping[int, type | None]
    problems: tuple[int, ...]
    headers: tuple[str, ...]
    prefix: str = PREFIX
    media_type: str = _JSON
    asks_engine: bool = True

    @property
    def audited(self) -> bool:
        """Whether it leaves an entry in the audit: submitted tasks carry who submitted them."""
        return self.method != "GET" and self.scope not in {None, Scope.SUBMIT}


Function = Callable[[Call[Any, Any]], Awaitable[Answer]]


def route(
    method: Method,
    path: str,
    *,
    tag: str,
    scope: Scope | None,
    tenants: bool,
    answers: Mapping[int, type | None],
    problems: tuple[int, ...] = (),
    headers: tuple[str, ...] = (),
    body_limit: int | None = SMALL_BODY,
    documented_body: type[msgspec.Struct] | None = None,
    prefix: str = PREFIX,
) -> Callable[[Function], HTTPRouteHandler]:
    """Declare a route; `path`, below `prefix`, has its parameters in braces.

    Callers need the `scope`; None opens it to everybody, also without credentials. `tenants` says
    whether callers that are bound to a user or project may use it: then it has to see to it that
    they reach nothing but theirs.

    `problems` are the statuses that it answers besides those that any route may, `headers` the
    request headers that it understands. `body_limit` is in bytes; None is the application's limit
    of payloads and a little more. `documented_body` is the shape to document where the function
    looks at parts of the body itself.
    """

    def declare(function: Function) -> HTTPRouteHandler:
        query, body = _shapes(function)
        operation = Operation(
            shape=documented_body or body,
            method=method,
            path=path,
            prefix=prefix,
            name=function.__name__,
            text=(function.__doc__ or "").strip(),
            tag=tag,
            scope=scope,
            tenants=tenants,
            query=query,
            body=body,
            answers=answers,
            problems=problems,
            headers=headers,
        )
        return _handler(operation, function, body_limit)

    return declare


def _shapes(function: Function) -> tuple[type[msgspec.Struct], type[msgspec.Struct]]:
    """The shapes of the query and of the body, by the annotation of the only parameter."""
    [call] = [hint for name, hint in get_type_hints(function).items() if name != "return"]
    query, body = get_args(call)
    return query, body


def operation_of(handler: HTTPRouteHandler) -> Operation:
    """How a declared route is documented."""
    operation: Operation = handler.opt["operation"]
    return operation


def _handler(operation: Operation, function: Function, body_limit: int | None) -> HTTPRouteHandler:
    decoder = None if operation.body is Nothing else msgspec.json.Decoder(operation.body)
    usual = next(iter(operation.answers))

    async def respond(request: Request[Any, Any, Any]) -> Response[Any]:
        services: Services = request.app.state["services"].here()
        await admit(request, services, operation)
        given = request.query_params.multi_items()
        query = query_of(list(given), operation.query)
        raw = b"" if decoder is None else await request.body()
        body = (
            Nothing()
            if decoder is None
            else body_of(raw, request.headers.get("content-type"), decoder)
        )
        call = Call(services, request, query, body, raw)
        answer = await function(call)
        status = answer.status or usual
        if operation.audited and answer.change is not None:
            await services.auditing.changed(
                request, call.access, operation.name, status, answer.change
            )
        return _response(request, answer, status)

    return HTTPRouteHandler(
        f"{operation.prefix}{operation.path}".replace("}", ":str}"),
        http_method=operation.method,
        status_code=HTTPStatus.OK,
        opt={"operation": operation},
        include_in_schema=False,
        name=operation.name,
        request_max_body_size=Empty if body_limit is None else body_limit,
    )(respond)


async def admit(request: Request[Any, Any, Any], services: Services, operation: Operation) -> None:
    """Raise what refuses a caller, before anything of the request is read or looked for.

    So a refusal cannot tell whether a thing exists: `Unauthenticated`, `Forbidden`, or `Refused` of
    a tenant where there is nothing for tenants.
    """
    if operation.scope is None:
        return
    access: Access | None = request.scope.get(ACCESS)  # type: ignore[assignment]  # the gate's
    if access is None:
        raise Unauthenticated
    refusal: Forbidden | Refused | None = None
    if not access.may(operation.scope):
        refusal = Forbidden(operation.scope.value)
    elif not (operation.tenants or access.tenant.everything):
        refusal = outside()
    if refusal is None:
        return
    if operation.audited:
        await services.auditing.refused(request, access, operation.name, HTTPStatus.FORBIDDEN)
    raise refusal


def _response(request: Request[Any, Any, Any], answer: Answer, status: int) -> Response[Any]:
    body = answer.body
    headers = dict(answer.headers)
    if request.method == "GET" or answer.version:
        headers["ETag"] = tag = etags.tag_of(body, answer.version)
        if request.method == "GET" and etags.has(request.headers.get("if-none-match"), tag):
            return Response(content=None, status_code=304, headers=headers)
    return Response(content=body or None, status_code=status, headers=headers, media_type=_JSON)
