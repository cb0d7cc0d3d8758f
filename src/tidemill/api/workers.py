"""Worker processes."""

from litestar.handlers import HTTPRouteHandler

from tidemill.access import Scope
from tidemill.api.records.workers import workers_record
from tidemill.api.routing import Answer, Call, Nothing, route
from tidemill.interface.workers import WorkersRecord


@route(
    "GET",
    "/workers",
    tag="workers",
    scope=Scope.VIEW,
    tenants=False,
    answers={200: WorkersRecord},
    headers=("If-None-Match",),
)
async def list_workers(call: Call[Nothing, Nothing]) -> Answer:
    """List the worker processes by name."""
    return Answer(workers_record(await call.app.workers()))


HANDLERS: list[HTTPRouteHandler] = [list_workers]
