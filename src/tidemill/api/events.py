"""Live changes as server-sent events: those of one task, and those of all that match."""

import asyncio
from collections.abc import AsyncGenerator, Callable
from contextlib import aclosing
from typing import Any, Final

import msgspec
from litestar import Request
from litestar.handlers import HTTPRouteHandler
from litestar.types import ASGIApp, Receive, Scope, Send

from tidemill.access import Access
from tidemill.access import Scope as Needed
from tidemill.api.frames import Place, frame, place_of, stats_frame, task_frame
from tidemill.api.problems import invalid
from tidemill.api.reading import query_of
from tidemill.api.routing import ACCESS, Nothing, Operation, admit
from tidemill.api.services import Services
from tidemill.api.streams import Listener, Stream, Streams, nothing_left
from tidemill.engine import Engine, TaskQuery, Transition
from tidemill.errors import TaskNotFound, TidemillError
from tidemill.interface.events import Change, Standing
from tidemill.interface.problems import FieldProblem
from tidemill.task import Task

CAUSES: Final = frozenset(
    "enqueued replaced promoted admitted claimed progress completed retried failed cancelled "
    "snoozed waiting released reclaimed expired cancel_requested manual_retry children_final "
    "upstream_final upstream_broken joined removed restored".split()
)
"""What an event may be named for, besides `state` and `reset`."""

MEDIA_TYPE: Final = "text/event-stream"
LAST_EVENT: Final = "last-event-id"
HEADERS: Final = (
    (b"content-type", b"text/event-stream; charset=utf-8"),
    (b"cache-control", b"no-store"),
    (b"x-accel-buffering", b"no"),
)


class EventsQuery(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which changes to tell; each takes several names with commas between them.

    `types` are names of events, such as `completed,failed,progress`.
    """

    queue: str = ""
    task_type: str = ""
    types: str = ""


class EventStream:
    """An answer that goes on until its source ends or the client is gone."""

    def __init__(self, frames: AsyncGenerator[bytes, None]) -> None:
        self._frames = frames

    async def __call__(self, _scope: Scope, receive: Receive, send: Send) -> None:
        """Write what comes, and stop as soon as nobody reads it."""
        writing = asyncio.ensure_future(self._write(send))
        leaving = asyncio.ensure_future(_left(receive))
        try:
            await asyncio.wait({writing, leaving}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for each in (writing, leaving):
                each.cancel()
            await asyncio.gather(writing, leaving, return_exceptions=True)
        error = None if writing.cancelled() else writing.exception()
        if error is not None and not isinstance(error, TidemillError | OSError):
            raise error

    async def _write(self, send: Send) -> None:
        async with aclosing(self._frames) as frames:
            first = await anext(frames)  # from here on nothing is missed: now the client may go on
            await send({"type": "http.response.start", "status": 200, "headers": list(HEADERS)})
            await send({"type": "http.response.body", "body": first, "more_body": True})
            async for piece in frames:
                await send({"type": "http.response.body", "body": piece, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _no_more(_scope: Scope, _receive: Receive, send: Send) -> None:
    """Tell a client to stay away, for nothing will come: an EventSource stops at 204."""
    await send({"type": "http.response.start", "status": 204, "headers": []})
    await send({"type": "http.response.body", "body": b"", "more_body": False})


async def task_events(request: Request[Any, Any, Any]) -> ASGIApp:
    """Follow one task live."""
    access = await _admitted(request, TASK_EVENTS)
    query_of(list(request.query_params.multi_items()), Nothing)
    streams: Streams = request.app.state["streams"]
    task_id = streams.app.handle(str(request.path_params["task_id"])).id
    engine = await streams.app.engine()
    task = await _task(engine, task_id)
    if not access.tenant.owns(task.user_id, task.project_id):
        raise TaskNotFound(task_id)
    listener = Listener(lambda entry: entry.task_id == task_id, task_id)
    place = _place(request)
    if place and task.state.final and await nothing_left(engine, place, listener):
        return _no_more

    async def look(engine: Engine) -> tuple[object, Callable[[Place], bytes], bool]:
        task = await _task(engine, task_id)
        at = (await engine.marks([])).at
        return task, lambda place: task_frame(task, at, place), task.state.final

    stream = Stream(streams.app, streams.here(), listener, look)
    return EventStream(stream.frames(place))


async def events(request: Request[Any, Any, Any]) -> ASGIApp:
    """Follow all tasks live, or those that match."""
    tenant = (await _admitted(request, EVENTS)).tenant
    query = query_of(list(request.query_params.multi_items()), EventsQuery)
    streams: Streams = request.app.state["streams"]
    queues, task_types, causes = map(_names, (query.queue, query.task_type, query.types))
    if unknown := causes - CAUSES:
        names, known = ", ".join(sorted(unknown)), ", ".join(sorted(CAUSES))
        raise invalid(FieldProblem("types", f"there are no events {names}; there are {known}"))

    def wants(entry: Transition) -> bool:
        return (
            (not queues or entry.queue in queues)
            and (not task_types or entry.task_type in task_types)
            and (not causes or entry.cause in causes)
        )

    async def look(engine: Engine) -> tuple[object, Callable[[Place], bytes], bool]:
        if not tenant.everything:
            at = (await engine.marks([])).at
            return None, lambda place: frame("state", Standing(at, ()), place), False
        stats = await engine.stats()
        return None, lambda place: stats_frame(stats, queues, task_types, place), False

    await streams.app.engine()  # that it cannot be reached is an answer, not a broken stream
    stream = Stream(streams.app, streams.here(), Listener(wants, tenant=tenant), look)
    return EventStream(stream.frames(_place(request)))


TASK_EVENTS: Final = Operation(
    method="GET",
    path="/tasks/{task_id}/events",
    name="task_events",
    text="""Follow one task live: a stream of server-sent events.

    It begins with the event `state`, the task as it stands. Each change follows as an event that is
    named for its cause (`claimed`, `progress`, `completed`, …); data are a Change. After the one
    with which the task is final the stream ends. A client that comes back with `Last-Event-ID`
    misses nothing; `reset` and a new `state` say that changes in between were lost, and 204 that
    nothing more will come.
    """,
    tag="events",
    scope=Needed.VIEW,
    tenants=True,
    query=Nothing,
    body=Nothing,
    shape=Nothing,
    answers={200: Change, 204: None},
    problems=(404,),
    headers=("Last-Event-ID",),
    media_type=MEDIA_TYPE,
)

EVENTS: Final = Operation(
    method="GET",
    path="/events",
    name="events",
    text="""Follow all tasks live, or those of some queues and types: server-sent events.

    Each change is an event that is named for its cause; data are a Change. A client that comes back
    with `Last-Event-ID` misses nothing. `reset` says that changes were lost (then `state` has the
    counts of the queues, a Standing) or that the client was too slow (then the stream ends, and it
    may come back). Callers that are bound to a user or project are told of their own tasks only,
    and their `state` counts nothing.
    """,
    tag="events",
    scope=Needed.VIEW,
    tenants=True,
    query=EventsQuery,
    body=Nothing,
    shape=Nothing,
    answers={200: Change | Standing},  # type: ignore[dict-item]  # a union is a shape too
    problems=(),
    headers=("Last-Event-ID",),
    media_type=MEDIA_TYPE,
)


def _handler(operation: Operation, function: Callable[..., Any]) -> HTTPRouteHandler:
    return HTTPRouteHandler(
        f"{operation.prefix}{operation.path}".replace("}", ":str}"),
        http_method="GET",
        status_code=200,
        media_type=MEDIA_TYPE,
        opt={"operation": operation},
        include_in_schema=False,
        name=operation.name,
    )(function)


async def _admitted(request: Request[Any, Any, Any], operation: Operation) -> Access:
    services: Services = request.app.state["services"].here()
    await admit(request, services, operation)
    access: Access = request.scope[ACCESS]  # type: ignore[typeddict-item]  # the gate's
    return access


async def _task(engine: Engine, task_id: str) -> Task:
    page = await engine.find(TaskQuery(ids=(task_id,)))
    if not page.tasks:
        raise TaskNotFound(task_id)
    return page.tasks[0]


def _place(request: Request[Any, Any, Any]) -> Place | None:
    given = request.headers.get(LAST_EVENT)
    return place_of(given) if given else None


def _names(text: str) -> frozenset[str]:
    return frozenset(each for part in text.split(",") if (each := part.strip()))


HANDLERS: Final = [_handler(TASK_EVENTS, task_events), _handler(EVENTS, events)]
