"""What this process counts, as Prometheus reads it."""

from typing import Any, Final

from litestar import Request, Response
from litestar.handlers import HTTPRouteHandler

from tidemill.access import Scope
from tidemill.api.routing import Nothing, Operation, admit
from tidemill.api.services import Services
from tidemill.observe.exposition import exposition

METRICS: Final = Operation(
    method="GET",
    path="/metrics",
    prefix="",
    name="metrics",
    text="""Read the metrics of this process and of the queues, for Prometheus.

    In its text format, or in OpenMetrics where `Accept` asks for that.
    """,
    tag="health",
    scope=Scope.VIEW,
    tenants=False,
    query=Nothing,
    body=Nothing,
    shape=Nothing,
    answers={200: str},
    problems=(),
    headers=(),
    media_type="text/plain",
)


async def get_metrics(request: Request[Any, Any, Any]) -> Response[bytes]:
    """Answer with what is counted and how the queues stand now."""
    services: Services = request.app.state["services"].here()
    await admit(request, services, METRICS)
    families = await services.metering.families()
    body, media_type = exposition(families, request.headers.get("accept", ""))
    return Response(body, headers={"content-type": media_type})


HANDLERS: Final = [
    HTTPRouteHandler(
        METRICS.path,
        http_method="GET",
        status_code=200,
        opt={"operation": METRICS},
        include_in_schema=False,
        name=METRICS.name,
    )(get_metrics)
]
