"""Queues: create, read, change, pause, purge."""

from typing import Final

import msgspec
from litestar.handlers import HTTPRouteHandler

from tidemill.access import Scope
from tidemill.api.auditing import Change
from tidemill.api.bodies import ChangeQueue, CreateQueue
from tidemill.api.limits import Instant, checked_instants
from tidemill.api.records.audit import difference
from tidemill.api.records.queues import (
    purge_record,
    queue_record,
    queue_stats_record,
)
from tidemill.api.routing import Answer, Call, Nothing, route
from tidemill.api.submitting import queue_options
from tidemill.app.queues import QueueInfo
from tidemill.interface.queues import PurgeRecord, QueueRecord, QueuesRecord, QueueStatsRecord

TAG: Final = "queues"
SETTINGS: Final = (
    "paused",
    "concurrency",
    "worker_concurrency",
    "rate",
    "burst",
    "capacity",
    "weight",
    "lease",
    "changed",
)
"""What of a queue the audit tells, as it was and as it is."""


class Purge(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With `dry_run` nothing is cancelled; `until` is the answer's, so that later tasks stay."""

    dry_run: bool = False
    until: Instant | None = None

    def __post_init__(self) -> None:
        """Refuse instants that cannot be counted with."""
        checked_instants(self.until)


@route(
    "POST",
    "/queues",
    tag=TAG,
    scope=Scope.OPERATE,
    tenants=False,
    answers={201: QueueRecord},
    problems=(409,),
)
async def create_queue(call: Call[Nothing, CreateQueue]) -> Answer:
    """Create a queue. Workers that serve all queues serve it at once."""
    info = await call.app.queues.create(call.body.name, **queue_options(call.body))
    location = {"Location": call.address(f"/queues/{info.name}")}
    change = Change(subject={"queue_name": info.name})
    return Answer(queue_record(info), 201, str(info.version), location, change=change)


@route(
    "GET",
    "/queues",
    tag=TAG,
    scope=Scope.VIEW,
    tenants=False,
    answers={200: QueuesRecord},
    headers=("If-None-Match",),
)
async def list_queues(call: Call[Nothing, Nothing]) -> Answer:
    """List the queues by name."""
    found = await call.app.queues.list()
    return Answer(QueuesRecord(tuple(queue_record(each) for each in found)))


@route(
    "GET",
    "/queues/{queue_name}",
    tag=TAG,
    scope=Scope.VIEW,
    tenants=False,
    answers={200: QueueRecord},
    problems=(404,),
    headers=("If-None-Match",),
)
async def get_queue(call: Call[Nothing, Nothing]) -> Answer:
    """Read a queue."""
    return _answer(await call.app.queues.get(call.named("queue_name")))


@route(
    "GET",
    "/queues/{queue_name}/stats",
    tag=TAG,
    scope=Scope.VIEW,
    tenants=False,
    answers={200: QueueStatsRecord},
    problems=(404,),
    headers=("If-None-Match",),
)
async def get_queue_stats(call: Call[Nothing, Nothing]) -> Answer:
    """Read how a queue stands."""
    [found] = await call.app.queue_statistics(call.named("queue_name"))
    return Answer(queue_stats_record(found))


@route(
    "PATCH",
    "/queues/{queue_name}",
    tag=TAG,
    scope=Scope.OPERATE,
    tenants=False,
    answers={200: QueueRecord},
    problems=(404, 409, 412),
    headers=("If-Match",),
)
async def change_queue(call: Call[Nothing, ChangeQueue]) -> Answer:
    """Change the limits of a queue; they hold from the next claim."""
    before, version = await _meant(call)
    options = queue_options(call.body)
    changed = await call.app.queues.change(before.name, if_version=version, **options)
    return _answer(changed, before)


@route(
    "POST",
    "/queues/{queue_name}/reset",
    tag=TAG,
    scope=Scope.ADMIN,
    tenants=False,
    answers={200: QueueRecord},
    problems=(404, 409, 412),
    headers=("If-Match",),
)
async def reset_queue(call: Call[Nothing, Nothing]) -> Answer:
    """Take changes back: the limits are as the application's code declares them."""
    before, version = await _meant(call)
    return _answer(await call.app.queues.reset(before.name, if_version=version), before)


@route(
    "POST",
    "/queues/{queue_name}/pause",
    tag=TAG,
    scope=Scope.OPERATE,
    tenants=False,
    answers={200: QueueRecord},
    problems=(404, 412),
    headers=("If-Match",),
)
async def pause_queue(call: Call[Nothing, Nothing]) -> Answer:
    """Start no more of its tasks until it is resumed; what runs goes on."""
    before, version = await _meant(call)
    return _answer(await call.app.queues.pause(before.name, if_version=version), before)


@route(
    "POST",
    "/queues/{queue_name}/resume",
    tag=TAG,
    scope=Scope.OPERATE,
    tenants=False,
    answers={200: QueueRecord},
    problems=(404, 412),
    headers=("If-Match",),
)
async def resume_queue(call: Call[Nothing, Nothing]) -> Answer:
    """Start its tasks again."""
    before, version = await _meant(call)
    return _answer(await call.app.queues.resume(before.name, if_version=version), before)


@route(
    "POST",
    "/queues/{queue_name}/purge",
    tag=TAG,
    scope=Scope.ADMIN,
    tenants=False,
    answers={200: PurgeRecord},
    problems=(404,),
)
async def purge_queue(call: Call[Purge, Nothing]) -> Answer:
    """Cancel the tasks of a queue that wait; running ones go on."""
    wanted = call.query
    found = await call.app.queues.purge(
        call.named("queue_name"), dry_run=wanted.dry_run, until=wanted.until
    )
    change = None if wanted.dry_run else Change(after={"cancelled": found.cancelled})
    return Answer(purge_record(found, dry_run=wanted.dry_run), change=change)


async def _meant(
    call: Call[Nothing, ChangeQueue] | Call[Nothing, Nothing],
) -> tuple[QueueInfo, int | None]:
    """The queue as it is, and the version that `If-Match` binds its change to."""
    info = await call.app.queues.get(call.named("queue_name"))
    return info, call.version(info.version)


def _answer(info: QueueInfo, before: QueueInfo | None = None) -> Answer:
    record = queue_record(info)
    if before is None:
        return Answer(record, version=str(info.version))
    was, now = difference(queue_record(before), record, SETTINGS)
    change = Change(before=was, after=now) if was else None
    return Answer(record, version=str(info.version), change=change)


HANDLERS: list[HTTPRouteHandler] = [
    create_queue,
    list_queues,
    get_queue,
    get_queue_stats,
    change_queue,
    reset_queue,
    pause_queue,
    resume_queue,
    purge_queue,
]
