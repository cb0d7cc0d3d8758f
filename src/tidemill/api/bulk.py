"""Many submits in one request, each accepted or refused by itself."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

import msgspec
from litestar.handlers import HTTPRouteHandler

from tidemill import app
from tidemill.access import Scope
from tidemill.api.bodies import RawTasks, SubmitTask, SubmitTasks
from tidemill.api.limits import BULK_BODY
from tidemill.api.owning import id_taken
from tidemill.api.problems import Refused, invalid, problem_of
from tidemill.api.reading import decoded
from tidemill.api.repeating import id_for, once
from tidemill.api.routing import Answer, Call, Nothing, route
from tidemill.api.submitting import call_of
from tidemill.engine import TaskQuery
from tidemill.errors import DuplicateUniqueKey, EngineError, QueueFull, TidemillError
from tidemill.interface.problems import FieldProblem, Problem
from tidemill.interface.tasks import SubmittedTask, SubmittedTasks

_decoder = msgspec.json.Decoder(SubmitTask)


@route(
    "POST",
    "/tasks/bulk",
    tag="tasks",
    scope=Scope.SUBMIT,
    tenants=True,
    answers={201: SubmittedTasks, 207: SubmittedTasks},
    headers=("Idempotency-Key", "traceparent"),
    documented_body=SubmitTasks,
    body_limit=BULK_BODY,
)
async def submit_tasks(call: Call[Nothing, RawTasks]) -> Answer:
    """Submit many tasks. 201: all were accepted. 207: some were not, and say why."""

    async def run(seed: str | None) -> Answer:
        items = [_item(call, raw, seed, n) for n, raw in enumerate(call.body.tasks)]
        queues, told = _parted(items)
        for queue in queues.values():
            told |= {each.index: each for each in await _enqueue(call.app, queue)}
        told |= await _not_theirs(call, queues)
        refused = sum(each.error is not None for each in told.values())
        record = SubmittedTasks(
            accepted=len(told) - refused,
            refused=refused,
            tasks=tuple(told[index] for index in range(len(told))),
        )
        return Answer(record, 207 if refused else 201)

    return await once(call, run)


class _Item(msgspec.Struct, frozen=True):
    """One task of the request: its place, the call that it describes, and its queue."""

    index: int
    call: app.Call[Any]
    queue: str
    id: UUID | None


def _item(
    asked: Call[Nothing, RawTasks], raw: msgspec.Raw, seed: str | None, index: int
) -> _Item | Problem:
    on = asked.app
    try:
        wanted = decoded(raw, _decoder)
        task_id = id_for(on, wanted, seed, index)
        call = call_of(on, wanted, asked.access, task_id, trace=asked.trace)
    except Refused as error:
        return error.problem
    except TidemillError as error:
        return problem_of(error)
    return _Item(index, call, wanted.queue_name or on.queue_of(wanted.task_type), wanted.id)


def _parted(
    items: Iterable[_Item | Problem],
) -> tuple[dict[str, list[_Item]], dict[int, SubmittedTask]]:
    """What can be enqueued, by queue, and what is refused already, by place."""
    queues: dict[str, list[_Item]] = {}
    told: dict[int, SubmittedTask] = {}
    ids: set[UUID] = set()
    for index, item in enumerate(items):
        if isinstance(item, Problem):
            told[index] = _refused(index, item)
        elif item.id in ids:
            told[index] = _refused(index, _REPEATED)
        else:
            queues.setdefault(item.queue, []).append(item)
            ids |= {item.id} if item.id else set()
    return queues, told


async def _enqueue(on: app.Tidemill, items: Sequence[_Item]) -> list[SubmittedTask]:
    """Enqueue tasks of one queue, each alone where what one of them says refuses all."""
    try:
        handles = await on.enqueue_many([item.call for item in items])
    except EngineError:
        raise
    except TidemillError as error:
        if len(items) == 1 or isinstance(error, QueueFull):
            return [_refused(item.index, problem_of(error)) for item in items]
        return [told for item in items for told in await _enqueue(on, [item])]
    return [_told(item, handle) for item, handle in zip(items, handles, strict=True)]


async def _not_theirs(
    asked: Call[Nothing, RawTasks], queues: Mapping[str, Sequence[_Item]]
) -> dict[int, SubmittedTask]:
    """What is refused because the id that a tenant chose is that of a task of others."""
    tenant = asked.access.tenant
    chosen = {str(each.id): each.index for queue in queues.values() for each in queue if each.id}
    if tenant.everything or not chosen:
        return {}
    engine = await asked.app.engine()
    page = await engine.find(TaskQuery(ids=tuple(chosen), limit=len(chosen)))
    return {
        chosen[task.id]: _refused(chosen[task.id], id_taken(task.id).problem)
        for task in page.tasks
        if not tenant.owns(task.user_id, task.project_id)
    }


def _told(item: _Item, handle: app.Handle[Any]) -> SubmittedTask:
    if not handle.duplicate:
        return SubmittedTask(index=item.index, status=201, task_id=handle.id)
    task_type = item.call.task_type
    unique = task_type.unique
    if unique is not None and unique.on_conflict == "reject":
        key = unique.of(task_type.name, task_type.signature.load(item.call.payload)).key
        return _refused(item.index, problem_of(DuplicateUniqueKey(key, handle.id)))
    return SubmittedTask(index=item.index, status=200, task_id=handle.id)


def _refused(index: int, problem: Problem) -> SubmittedTask:
    return SubmittedTask(index=index, status=problem.status, error=problem)


_REPEATED = invalid(FieldProblem("id", "is that of an earlier task of this request")).problem

HANDLERS: list[HTTPRouteHandler] = [submit_tasks]
