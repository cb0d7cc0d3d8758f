"""The HTTP interface: `create_api` makes an ASGI application of an application's tasks.

routing        declaring routes; reading, problems: what comes in, and what is wrong with it
bodies         what clients send; limits: what it may hold; submitting: what it becomes
records        what clients read
services       what the routes of an event loop share; joining, idempotency
tasks, bulk, statistics, queues, scheduled_tasks, failed, workers, workflows, events,
health         the routes
openapi        their description
"""

from typing import Any

import msgspec
from litestar import Litestar, Request, Response, get
from litestar.datastructures import State
from litestar.handlers import HTTPRouteHandler

import tidemill
from tidemill.api import (
    bulk,
    events,
    failed,
    health,
    problems,
    queues,
    scheduled_tasks,
    statistics,
    tasks,
    workers,
    workflows,
)
from tidemill.api.limits import BESIDE_PAYLOAD
from tidemill.api.openapi import document
from tidemill.api.routing import PREFIX, Operation, operation_of
from tidemill.api.services import Everywhere, Services
from tidemill.api.streams import Streams
from tidemill.app import Tidemill

__all__ = ["create_api", "openapi_document", "operations"]


def create_api(app: Tidemill) -> Litestar:
    """The HTTP interface of an application, an ASGI application.

    Run it by itself, or mount it under any prefix of another ASGI application; all its routes begin
    with `/api/v1` there. The engine is opened by the first request that needs it, and closed at
    shutdown where the lifespan of this application runs.
    """
    services = Everywhere(lambda: Services(app))

    async def close() -> None:
        services.here().close()
        await app.close()

    return Litestar(
        [*_handlers(), _get_openapi],
        exception_handlers=problems.handlers(),
        state=State({"services": services, "streams": Streams(app)}),
        on_shutdown=[close],
        request_max_body_size=app.settings.payload_limit + BESIDE_PAYLOAD,
        openapi_config=None,
        logging_config=None,
    )


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
        *health.HANDLERS,
        *events.HANDLERS,
    ]
