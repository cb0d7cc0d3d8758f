"""The HTTP interface: `create_api` makes an ASGI application of an application's tasks.

routing        declaring routes; reading, problems: what comes in, and what is wrong with it
bodies         what clients send; limits: what it may hold; submitting: what it becomes
records        what clients read
services       what the routes of an event loop share; joining, idempotency
tasks, bulk, statistics, queues, scheduled_tasks, failed, workers, workflows, events, keys,
webhooks, audit, health, metrics: the routes
login, pages   signing a browser in
gate           who may ask at all
openapi        their description
"""

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler

import tidemill
from tidemill.access import Access
from tidemill.api import (
    alerts,
    audit,
    bulk,
    events,
    failed,
    health,
    keys,
    login,
    metrics,
    problems,
    queues,
    scheduled_tasks,
    statistics,
    tasks,
    webhooks,
    workers,
    workflows,
)
from tidemill.api.gate import Asked, Authenticate, Credentials, Gate, trusted
from tidemill.api.gate.door import Receive, Scope
from tidemill.api.gate.lasting import Send
from tidemill.api.limits import BESIDE_PAYLOAD
from tidemill.api.openapi import document
from tidemill.api.routing import PREFIX, Operation, operation_of
from tidemill.api.services import Everywhere, Services
from tidemill.api.streams import Streams
from tidemill.app import Tidemill
from tidemill.app.credentials.tokens import Tokens
from tidemill.configuration import Jwt
from tidemill.errors import ConfigError
from tidemill.observe.reading import observe

__all__ = ["Api", "Authenticate", "create_api", "openapi_document", "operations", "trusted"]


@dataclass(frozen=True, slots=True)
class Api:
    """The HTTP interface of an application: an ASGI application behind its gate.

    `routes` is what stands behind the gate.
    """

    routes: Litestar
    gate: Gate

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer a request."""
        await self.gate(scope, receive, send)

    def end(self) -> None:
        """End what would go on for ever, such as streams: the server stops."""
        streams: Streams = self.routes.state["streams"]
        streams.end()


def create_api(
    app: Tidemill,
    authenticate: Authenticate | None = None,
    *,
    jwt: Jwt | None = None,
    hosts: frozenset[str] | None = None,
) -> Api:
    """The HTTP interface of an application, an ASGI application.

    Run it by itself, or mount it under any prefix of another ASGI application; all its routes begin
    with `/api/v1` there. The engine is opened by the first request that needs it, and closed at
    shutdown where the lifespan of this application runs.

    It is closed: only health is told without credentials. It takes the API keys of `app.keys`,
    sessions of `tidemill login`, and tokens that are signed with the secret of `jwt`. With
    `authenticate`, for an application that has users of its own, that decides alone, and there are
    no login pages; `trusted` lets everybody in. `hosts` are the only names that may stand in the
    Host header; None does not look. Raises `ConfigError` for a secret that is too short.
    """
    if authenticate is not None and jwt is not None:
        raise ConfigError("authenticate decides alone who may ask: it has to check tokens itself")
    observe(app)
    services = Everywhere(lambda: Services(app))

    async def close() -> None:
        services.here().close()
        await app.close()

    pages = login.HANDLERS if authenticate is None else []
    routes = Litestar(
        [*_handlers(), _get_openapi, *pages],
        exception_handlers=problems.handlers(),
        state=State({"services": services, "streams": Streams(app)}),
        on_shutdown=[close],
        request_max_body_size=app.settings.payload_limit + BESIDE_PAYLOAD,
        openapi_config=None,
        logging_config=None,
    )
    public = {each.prefix + each.path for each in operations() if each.scope is None}
    if pages:
        public.add(login.LOGIN)
    inner: Any = routes  # it tells the kinds of ASGI messages apart, and the gate does not
    gate = Gate(inner, _asked_by(app, authenticate, jwt), public=frozenset(public), hosts=hosts)
    return Api(routes, gate)


def _asked_by(
    app: Tidemill, authenticate: Authenticate | None, jwt: Jwt | None
) -> Callable[[Asked], Awaitable[Access | None]]:
    """What finds out who asks."""
    if authenticate is not None:
        return lambda asked: authenticate(asked.scope)
    return Credentials(app, None if jwt is None or jwt.secret is None else Tokens(jwt))


def openapi_document(root: str = "/") -> dict[str, Any]:
    """The OpenAPI 3.1 document of the routes, found under `root`."""
    return document(operations(), version=tidemill.__version__, root=root)


def operations() -> list[Operation]:
    """How each route is documented."""
    return [operation_of(each) for each in _handlers()]


@get(f"{PREFIX}/openapi.json", include_in_schema=False)
async def _get_openapi(request: Request[Any, Any, Any]) -> Response[bytes]:
    body = msgspec.json.encode(openapi_document(request.scope.get("root_path") or "/"))
    return Response(body, media_type="application/json")


def _handlers() -> list[HTTPRouteHandler]:
    return [
        *tasks.HANDLERS,
        *bulk.HANDLERS,
        *statistics.HANDLERS,
        *queues.HANDLERS,
        *scheduled_tasks.HANDLERS,
        *failed.HANDLERS,
        *workers.HANDLERS,
        *workflows.HANDLERS,
        *alerts.HANDLERS,
        *audit.HANDLERS,
        *health.HANDLERS,
        *metrics.HANDLERS,
        *events.HANDLERS,
        *keys.HANDLERS,
        *webhooks.HANDLERS,
    ]
