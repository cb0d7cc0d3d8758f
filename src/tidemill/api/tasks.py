"""Tasks: submit, read, list, cancel, retry."""

from typing import Any, Literal
from urllib.parse import urlencode

import msgspec
from litestar.handlers import HTTPRouteHandler

from tidemill.access import Scope
from tidemill.api import waiting
from tidemill.api.auditing import Change
from tidemill.api.bodies import CancelTask, RetryTask, SubmitTask
from tidemill.api.limits import Instant, Label, Name, checked_instants
from tidemill.api.owning import id_taken, narrowed, submitted
from tidemill.api.paging import USUAL_PAGE, Cursor, PageNumber, PageSize, after_cursor, numbered
from tidemill.api.records.tasks import (
    log_records,
    progress_record,
    result_record,
    run_records,
    task_record,
)
from tidemill.api.repeating import id_for, once
from tidemill.api.routing import Answer, Call, Nothing, route
from tidemill.api.submitting import call_of
from tidemill.app.failed import with_secrets_of
from tidemill.engine import TaskQuery
from tidemill.errors import Forbidden, InvalidTransition, TaskNotFinished, TaskNotFound
from tidemill.interface.tasks import (
    LogRecord,
    ProgressRecord,
    ResultRecord,
    RunRecord,
    TaskPage,
    TaskRecord,
)
from tidemill.task import State, Task

TAG = "tasks"


class TaskFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Which tasks. `status`, `task_type`, `queue_name` and `tag` may be repeated.

    All tags must be there, one of the others. `error_contains` searches an error's type and text.
    `start_time` and `end_time` are about when tasks were submitted. With `cursor` (empty to begin)
    or `limit` there are no page numbers and no total.
    """

    status: tuple[State, ...] = ()
    task_type: tuple[Name, ...] = ()
    queue_name: tuple[Name, ...] = ()
    tag: tuple[Label, ...] = ()
    user_id: Label | None = None
    project_id: Label | None = None
    parent_id: Label | None = None
    error_fingerprint: Label | None = None
    error_contains: Label | None = None
    start_time: Instant | None = None
    end_time: Instant | None = None
    page: PageNumber | None = None
    page_size: PageSize | None = None
    limit: PageSize | None = None
    cursor: Cursor | None = None

    def __post_init__(self) -> None:
        """Refuse two ways to page at once, and instants that cannot be counted with."""
        checked_instants(self.start_time, self.end_time)
        by_cursor = self.cursor is not None or self.limit is not None
        if by_cursor and (self.page is not None or self.page_size is not None):
            raise ValueError("page by page and page_size, or by cursor and limit")

    @property
    def query(self) -> TaskQuery:
        """The same as the engine is asked."""
        return TaskQuery(
            states=frozenset(self.status),
            task_types=frozenset(self.task_type),
            queues=frozenset(self.queue_name),
            tags=self.tag,
            user_id=self.user_id,
            project_id=self.project_id,
            parent_id=self.parent_id,
            fingerprint=self.error_fingerprint,
            error_contains=self.error_contains,
            enqueued_from=self.start_time,
            enqueued_until=self.end_time,
        )


class Integers(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """With `big_integers=string`, integers beyond 2^53 in payloads and results are texts."""

    big_integers: Literal["number", "string"] = "number"

    @property
    def exact(self) -> bool:
        """Whether such integers are texts."""
        return self.big_integers == "string"


@route(
    "POST",
    "/tasks",
    tag=TAG,
    scope=Scope.SUBMIT,
    tenants=True,
    answers={201: TaskRecord, 200: TaskRecord},
    problems=(409, 413, 429),
    headers=("Idempotency-Key", "Prefer", "traceparent"),
    body_limit=None,
)
async def submit_task(call: Call[Nothing, SubmitTask]) -> Answer:
    """Submit a task.

    Answers 201 with the task, or 200 with an earlier task that holds its unique key. With
    `Prefer: wait=N` the answer comes when the task is final, or after N seconds (60 at most).
    """

    async def run(seed: str | None) -> Answer:
        task_id = id_for(call.app, call.body, seed)
        wanted = call_of(call.app, call.body, call.access, task_id, trace=call.trace)
        handle = await call.services.enqueue(wanted)
        try:
            answer = await _task(call, handle.id)
        except TaskNotFound:
            if call.body.id is None:
                raise
            raise id_taken(handle.id) from None
        headers = answer.headers | {"Location": call.address(f"/tasks/{handle.id}")}
        return Answer(answer.value, 200 if handle.duplicate else 201, headers=headers)

    return await once(call, run)


@route(
    "GET",
    "/tasks",
    tag=TAG,
    scope=Scope.VIEW,
    tenants=True,
    answers={200: TaskPage},
    headers=("If-None-Match",),
)
async def list_tasks(call: Call[TaskFilter, Nothing]) -> Answer:
    """List tasks, newest first."""
    wanted, engine = call.query, await call.app.engine()
    query = narrowed(wanted.query, call.access.tenant)
    if wanted.cursor is not None or wanted.limit is not None:
        size = wanted.limit or USUAL_PAGE
        page = await after_cursor(engine, query, wanted.cursor or "", size)
    else:
        size = wanted.page_size or USUAL_PAGE
        page = await numbered(engine, query, wanted.page or 1, size)
    following = _link(call, page.next_cursor)
    return Answer(page, headers={"Link": following} if following else {})


@route(
    "GET",
    "/tasks/{task_id}",
    tag=TAG,
    scope=Scope.VIEW,
    tenants=True,
    answers={200: TaskRecord},
    problems=(404,),
    headers=("If-None-Match", "Prefer"),
)
async def get_task(call: Call[Integers, Nothing]) -> Answer:
    """Read a task. `Prefer: wait=N` waits up to N seconds until it is final."""
    return await _task(call, call.named("task_id"), exact=call.query.exact)


@route(
    "DELETE",
    "/tasks/{task_id}",
    tag=TAG,
    scope=Scope.OPERATE,
    tenants=True,
    answers={200: TaskRecord, 202: TaskRecord},
    problems=(404, 409),
)
async def delete_task(call: Call[Nothing, Nothing]) -> Answer:
    """Cancel a task.

    200: it waited and is cancelled. 202: it runs and is asked to stop. 409: it is final.
    """
    return await _cancel(call, "")


@route(
    "POST",
    "/tasks/{task_id}/cancel",
    tag=TAG,
    scope=Scope.OPERATE,
    tenants=True,
    answers={200: TaskRecord, 202: TaskRecord},
    problems=(404, 409),
)
async def cancel_task(call: Call[Nothing, CancelTask]) -> Answer:
    """Cancel a task as DELETE does, with a reason."""
    return await _cancel(call, call.body.reason)


@route(
    "POST",
    "/tasks/{task_id}/retry",
    tag=TAG,
    scope=Scope.OPERATE,
    tenants=True,
    answers={200: TaskRecord, 201: TaskRecord},
    problems=(404, 409, 413, 429),
    body_limit=None,
)
async def retry_task(call: Call[Nothing, RetryTask]) -> Answer:
    """Run a failed or cancelled task again, with a new budget of attempts.

    With a payload, the task stays as it is: the answer is 201 and a new one that names it in
    `retried_from`. That is a submit too, and needs the scope `submit` as well.
    """
    if call.body.payload is not None and not call.access.may(Scope.SUBMIT):
        raise Forbidden(Scope.SUBMIT)
    task = await call.task(call.named("task_id"))
    if call.body.payload is None:
        await call.app.handle(task.id).retry()
        return await _task(call, task.id)
    payload = with_secrets_of(task, call.body.payload)
    call.app.function(task.task_type).task_type.signature.bind((), payload)
    handle = await call.app.failed.retry_edited(
        task.id, dict(payload), beside=submitted(call.access)
    )
    headers = {"Location": call.address(f"/tasks/{handle.id}")}
    answer = await _task(call, handle.id)
    change = Change(subject={"new_task_id": handle.id})
    return Answer(answer.value, 201, headers=headers, change=change)


@route(
    "GET",
    "/tasks/{task_id}/progress",
    tag=TAG,
    scope=Scope.VIEW,
    tenants=True,
    answers={200: ProgressRecord},
    problems=(404,),
    headers=("If-None-Match",),
)
async def get_progress(call: Call[Nothing, Nothing]) -> Answer:
    """Read how far a task is."""
    return Answer(progress_record(await call.task(call.named("task_id"))))


@route(
    "GET",
    "/tasks/{task_id}/result",
    tag=TAG,
    scope=Scope.VIEW,
    tenants=True,
    answers={200: ResultRecord},
    problems=(404, 409),
    headers=("If-None-Match", "Prefer"),
)
async def get_result(call: Call[Integers, Nothing]) -> Answer:
    """Read the result of a task; 409 until it is final. A failed task's result has an `error`."""
    task, headers = await _awaited(call, call.named("task_id"))
    if not task.state.final:
        raise TaskNotFinished(task.id, task.state.value)
    record = result_record(task, exact=call.query.exact, payloads=call.payloads)
    return Answer(record, headers=headers)


@route(
    "GET",
    "/tasks/{task_id}/executions",
    tag=TAG,
    scope=Scope.VIEW,
    tenants=True,
    answers={200: tuple[RunRecord, ...]},
    problems=(404,),
    headers=("If-None-Match",),
)
async def get_runs(call: Call[Nothing, Nothing]) -> Answer:
    """List the attempts of a task, with their errors."""
    return Answer(run_records((await call.task(call.named("task_id"))).attempts))


@route(
    "GET",
    "/tasks/{task_id}/logs",
    tag=TAG,
    scope=Scope.VIEW,
    tenants=True,
    answers={200: tuple[LogRecord, ...]},
    problems=(404,),
    headers=("If-None-Match",),
)
async def get_logs(call: Call[Nothing, Nothing]) -> Answer:
    """Read what a task logged."""
    return Answer(log_records((await call.task(call.named("task_id"))).logs))


async def _task(call: Call[Any, Any], task_id: str, *, exact: bool = False) -> Answer:
    """A task as it is, or when it is final if the request prefers to wait for that."""
    task, headers = await _awaited(call, task_id)
    return Answer(task_record(task, exact=exact, payloads=call.payloads), headers=headers)


async def _awaited(call: Call[Any, Any], task_id: str) -> tuple[Task, dict[str, str]]:
    """A task, waited for where the request prefers that; nobody waits for those of others."""
    task = await call.task(task_id)
    seconds = waiting.preferred(call.header("prefer"))
    if seconds is None:
        return task, {}
    if not task.state.final:
        await waiting.wait(call.app, task.id, seconds)
        task = await call.task(task.id)
    return task, {"Preference-Applied": f"wait={seconds}"}


async def _cancel(call: Call[Any, Any], reason: str) -> Answer:
    task = await call.task(call.named("task_id"))
    state = task.state if task.state.final else await call.app.handle(task.id).cancel(reason)
    if task.state.final or state in {State.COMPLETED, State.FAILED}:
        raise InvalidTransition(task.id, state.value, "cancel")
    now = await call.task(task.id)
    return Answer(
        task_record(now, payloads=call.payloads), 200 if now.state is State.CANCELLED else 202
    )


def _link(call: Call[Any, Any], cursor: str | None) -> str | None:
    """The address of the next page, with the same filters (RFC 8288)."""
    if cursor is None:
        return None
    paging = {"page", "page_size", "limit", "cursor"}
    given = [each for each in call.request.query_params.multi_items() if each[0] not in paging]
    size = call.query.limit or call.query.page_size or USUAL_PAGE
    query = urlencode([*given, ("limit", size), ("cursor", cursor)])
    return f'<{call.address("/tasks")}?{query}>; rel="next"'


HANDLERS: list[HTTPRouteHandler] = [
    submit_task,
    list_tasks,
    get_task,
    delete_task,
    cancel_task,
    retry_task,
    get_progress,
    get_result,
    get_runs,
    get_logs,
]
