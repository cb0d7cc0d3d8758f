"""Tidemill: the registry of task types, and the way to an engine."""

import os
from collections.abc import (
    AsyncIterator,
    Awaitable,
    Callable,
    Collection,
    Coroutine,
    Iterable,
    Mapping,
    Sequence,
)
from contextlib import AbstractContextManager, nullcontext
from datetime import datetime, timedelta
from functools import cached_property
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    ParamSpec,
    TypeVar,
    Unpack,
    cast,
    overload,
)

import msgspec

from tidemill.app import pruning, statistics
from tidemill.app.batching import BatchDecorator, BatchOptions
from tidemill.app.blocking import Portal
from tidemill.app.decorator import Decorator
from tidemill.app.failed import Failed
from tidemill.app.function import (
    Call,
    Partial,
    TaskFunction,
    as_duration,
    decode_result,
)
from tidemill.app.handle import Handle
from tidemill.app.options import Options, new_task
from tidemill.app.registry import Registry
from tidemill.app.sessions import Sessions
from tidemill.app.tracing import Tracing
from tidemill.app.watch import Watch
from tidemill.batch import Batch
from tidemill.clock import EPOCH, Clock, SystemClock, from_micros
from tidemill.context import Context, Resource
from tidemill.engine import Engine, QueueDefinition, Resolution
from tidemill.errors import (
    ConfigError,
    DuplicateUniqueKey,
    TaskNotFound,
)
from tidemill.events import Bus, Event, TaskEnqueued, TasksEnqueued
from tidemill.ids import IdMaker, parse_id
from tidemill.keys import AtMost, Unique
from tidemill.metrics import Metrics
from tidemill.outcome import Cancel, Snooze
from tidemill.queue import QueueOptions
from tidemill.retry import RetryPolicy
from tidemill.settings import Defaults, Settings, with_keys_of
from tidemill.statistics import MOST_POINTS, By, Point, QueueStatistics, Statistics
from tidemill.task import FINAL, NewTask, Retention, State, Task
from tidemill.task_type import Isolation, TaskType
from tidemill.worker_record import WORKER, WorkerInfo, described

if TYPE_CHECKING:
    from tidemill.app.alerts import Alerts
    from tidemill.app.audit import Audit
    from tidemill.app.credentials import ApiKeys, Logins
    from tidemill.app.defining import ScheduleOptions
    from tidemill.app.inspect import Inspect
    from tidemill.app.queues import Queues
    from tidemill.app.schedules import Schedules
    from tidemill.app.webhooks import Webhooks
    from tidemill.app.workflow import Element, OnFailure, Workflow
    from tidemill.app.workflows import WorkflowHandle
    from tidemill.schedule import Schedule

P = ParamSpec("P")
R = TypeVar("R")
I = TypeVar("I")  # noqa: E741  # an item, as R is a result
E = TypeVar("E", bound=Event)
Middleware = Callable[[Context, Callable[[], Awaitable[Any]]], Awaitable[Any]]


class Tidemill:
    """An application: its task types, and the engine that holds its tasks.

    `url` names the engine (`sqlite:///tidemill.db`, `memory://`) and wins over that of `settings`;
    the environment variable `TIDEMILL_URL` wins over both. `routes` assign queues by name pattern
    to task types that name none. `middleware` wraps each run of a task, the first outermost.
    Nothing is opened before the first call that needs the engine.

    `settings`, `middleware`, `resources` and `task_types` are what was declared, `bus` hands
    events on, `metrics` are those of this process (declare your own there), and `import_path`
    (`module:name`) is where another process finds the application, None until the command line has
    found it.
    """

    def __init__(
        self,
        url: str | None = None,
        *,
        defaults: Defaults | None = None,
        settings: Settings | None = None,
        routes: Mapping[str, str] | None = None,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        settings = with_keys_of(os.environ, settings or Settings())
        self.settings = msgspec.structs.replace(
            settings,
            url=os.environ.get("TIDEMILL_URL") or url or settings.url,
            defaults=defaults or settings.defaults,
        )
        self.middleware: tuple[Middleware, ...] = tuple(middleware)
        self.bus = Bus(on_error=_report_listener)
        self.metrics = Metrics()
        self.tracing: Tracing | None = None
        self.import_path: str | None = None
        self._declared = Registry(self.settings, routes or {})
        self._ids = IdMaker()
        self._portal = Portal()
        self._clock: Clock = SystemClock()
        self._sessions = Sessions(self.settings)

    # declare

    @property
    def task_types(self) -> Mapping[str, TaskType]:
        """The declared task types by name."""
        return self._declared.task_types

    @overload
    def task(
        self,
        function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R | Snooze | Cancel]],
        /,
    ) -> TaskFunction[P, R]: ...
    @overload
    def task(
        self, function: Callable[Concatenate[Context, P], R | Snooze | Cancel], /
    ) -> TaskFunction[P, R]: ...
    @overload
    def task(
        self, function: Callable[P, Coroutine[Any, Any, R | Snooze | Cancel]], /
    ) -> TaskFunction[P, R]: ...
    @overload
    def task(self, function: Callable[P, R | Snooze | Cancel], /) -> TaskFunction[P, R]: ...
    @overload
    def task(
        self,
        *,
        name: str | None = None,
        queue: str | None = None,
        priority: int | None = None,
        max_attempts: int | None = None,
        retry: RetryPolicy | None = None,
        timeout: timedelta | float | None = None,
        soft_timeout: timedelta | float | None = None,
        unique: Unique | str | None = None,
        limit: AtMost | None = None,
        expires: timedelta | float | None = None,
        retention: Retention | timedelta | None = None,
        isolation: Isolation | None = None,
        tags: Collection[str] = (),
        steps: Mapping[str, float] | None = None,
        keep_result: bool = True,
    ) -> Decorator: ...
    def task(self, *function: Callable[..., Any], **said: Any) -> Any:
        """Declare a task type: `@app.task`, or `@app.task(queue="mail", timeout=30, …)`.

        `name` is the function's module and name unless given. `queue` wins over routes.
        `priority` 0..10, higher first. `max_attempts` counts the first attempt, `retry` says
        which errors are tried again and when. `timeout` ends an attempt, `soft_timeout` raises
        `SoftTimeout` inside it; both in seconds or as timedelta. `unique` is a template over the
        arguments or a `Unique` (also by `debounce`, `throttle`, `cached`), `limit` bounds how many
        run at once (`AtMost`). `expires` after enqueueing, a task not yet started is cancelled.
        `retention` is how long it is kept when final. `isolation` is `loop` for async functions,
        `thread` for ordinary ones, `process` for code that must be killable. `steps` are names
        and weights for `ctx.step`. Raises `DeclarationError`.
        """
        if function:
            return self._declare(function[0], said)
        return lambda function: self._declare(function, said)

    def _declare(
        self, function: Callable[..., Any], said: dict[str, Any]
    ) -> TaskFunction[..., Any]:
        return TaskFunction(self, self._declared.add_task_type(function, said))

    def batch(
        self,
        item: Callable[P, I],
        *,
        size: int,
        within: timedelta | float,
        concurrency: int = 1,
        **said: Unpack[BatchOptions],
    ) -> BatchDecorator[P, I]:
        """Declare a batch task type: one call handles up to `size` tasks.

        `@app.batch(Visit, size=500, within=2)` over a function of `list[Visit]`; each task is
        enqueued by the fields of `Visit` and has its own id, attempts and result. A worker collects
        them for at most `within` (seconds or timedelta) after the first, and makes up to
        `concurrency` calls at once. The function returns None, or for each item its result, a
        `Snooze`, a `Cancel` or an exception; raising fails all. Middleware does not wrap it
        (docs/batches.md). The other options are those of `task`. Raises `DeclarationError`.
        """
        batch = Batch(item, size, as_duration(within) or timedelta(), concurrency)
        return cast(
            "BatchDecorator[P, I]",
            lambda function: self._declare(function, {**said, "batch": batch}),
        )

    def schedule(
        self, name: str, task: TaskFunction[..., Any] | str, **said: "Unpack[ScheduleOptions]"
    ) -> None:
        """Declare a schedule: `app.schedule("daily", summary, cron="0 9 * * *", payload={…})`.

        `ScheduleOptions` says what each option means. It is put into the engine when a scheduler
        of this application starts (docs/schedules.md). Raises what `schedules.create` raises, and
        `DeclarationError`.
        """
        from tidemill.app.defining import defined  # noqa: PLC0415  # who only enqueues needs it not

        self._declared.add_schedule(
            name,
            lambda: msgspec.structs.replace(defined(self, name, task, said, EPOCH), declared=True),
        )

    @property
    def declared_schedules(self) -> "Mapping[str, Schedule]":
        """The schedules that this application's code declares, by name."""
        return self._declared.schedules

    def queue(self, name: str, **said: Unpack[QueueOptions]) -> QueueDefinition:
        """Declare a queue: `app.queue("processing", concurrency=10, rate="100/m")`.

        `QueueOptions` says what each setting means. It is brought into force when a worker or a
        scheduler of this application starts (docs/queues.md); what an operator changes at run time
        wins over it. Raises `ConfigError`, and `DeclarationError` for a queue declared otherwise.
        """
        return self._declared.add_queue(name, said)

    @property
    def declared_queues(self) -> Mapping[str, QueueDefinition]:
        """The queues that this application's code declares, by name."""
        return self._declared.queues

    def resource(self, opener: Callable[[], AsyncIterator[R]]) -> Resource[R]:
        """Declare something that each worker process opens once: an async generator function.

        Resources open in the order of declaration and close in reverse; a task reaches one by
        `ctx.use(resource)`. Raises `DeclarationError`.
        """
        return self._declared.add_resource(opener)

    @property
    def resources(self) -> tuple[Resource[Any], ...]:
        """The declared resources, in the order in which they open; tests put others in place."""
        return self._declared.resources

    @resources.setter
    def resources(self, resources: tuple[Resource[Any], ...]) -> None:
        self._declared.resources = resources

    def on(self, kind: type[E]) -> Callable[[Callable[[E], Any]], Callable[[E], Any]]:
        """Subscribe a function to events of a kind seen in this process: `@app.on(TaskFailed)`.

        It is called at once, in the thread where the event happened, so it must be quick and
        must not wait. What it raises is logged and disturbs nobody. `Event` stands for all kinds.
        """

        def subscribe(listener: Callable[[E], Any]) -> Callable[[E], Any]:
            self.bus.subscribe(kind, listener)
            return listener

        return subscribe

    # enqueue

    def queue_of(self, task_type: str) -> str:
        """The queue that tasks of a type go to unless an enqueue says otherwise."""
        return self._declared.queue_of(task_type)

    def function(self, task_type: str) -> TaskFunction[..., Any]:
        """The callable face of a task type by name; raises `UnknownTaskType`."""
        return TaskFunction(self, self._declared.task_type(task_type))

    def new_task(
        self,
        task_type: TaskType,
        options: Options,
        payload: bytes,
        *,
        task_id: str | None = None,
        parent_id: str | None = None,
        step: bool = False,
        known: Mapping[str, object] | None = None,
    ) -> NewTask:
        """The task that a call enqueues, or a `step` of a workflow with the arguments `known`."""
        queue = options.queue or self._declared.queue_of(task_type.name)
        return new_task(
            task_type,
            options,
            payload,
            task_id=task_id or options.id or self._ids.make(queue),
            queue=queue,
            now=self._now,
            parent_id=parent_id,
            step=step,
            known=known,
        )

    def new_id(self, queue: str) -> str:
        """A new id for a task of a queue."""
        return self._ids.make(queue)

    async def enqueue(self, call: Call[R], *, tx: Any = None) -> Handle[R]:
        """Enqueue one call; raises `DuplicateUniqueKey` if its unique key is held and rejects."""
        task = call.new_task()
        (handle,) = await self._enqueue([task], tx)
        if handle.duplicate and task.unique and task.unique.on_conflict == "reject":
            raise DuplicateUniqueKey(task.unique.key, handle.id)
        return handle

    async def enqueue_many(self, calls: Iterable[Call[R]], *, tx: Any = None) -> list[Handle[R]]:
        """Enqueue calls in one step, all of them or none; answers their handles in order.

        A call whose unique key is held is not enqueued, whatever its rule on conflict: its handle
        says `duplicate=True`. To raise would lose the handles of the others.
        """
        tasks = [call.new_task() for call in calls]
        if len({task.id for task in tasks}) < len(tasks):
            raise ConfigError(
                "one id was given to several tasks: leave `id` out, or give it singly"
            )
        return await self._enqueue(tasks, tx)

    async def _enqueue(self, tasks: list[NewTask], tx: Any) -> list[Handle[Any]]:
        engine = await self.engine()
        with self.sending(tasks) as sent:
            answers = await engine.enqueue(sent, tx=tx)
        if self.bus.wanted(TaskEnqueued):
            for task, answer in zip(tasks, answers, strict=True):
                self.bus.emit(TaskEnqueued(task, answer.task_id, answer.duplicate))
        if self.bus.wanted(TasksEnqueued):
            pairs = zip(tasks, answers, strict=True)
            self.bus.emit(
                TasksEnqueued(tuple(task for task, answer in pairs if not answer.duplicate))
            )
        return [Handle(self, answer.task_id, duplicate=answer.duplicate) for answer in answers]

    def sending(self, tasks: list[NewTask]) -> AbstractContextManager[list[NewTask]]:
        """Around an enqueue: gives the tasks as they are to be enqueued, with their trace if any.

        For code that enqueues by the engine itself.
        """
        return nullcontext(tasks) if self.tracing is None else self.tracing.sending(tasks)

    def handle(self, task_id: str) -> Handle[Any]:
        """Find a task again by its id; whether it exists shows with the first question.

        A text that is no UUID raises `TaskNotFound` at once.
        """
        try:
            return Handle(self, parse_id(task_id))
        except ValueError:
            raise TaskNotFound(task_id) from None

    # workflows

    def workflow(self, name: str, *, on_failure: "OnFailure" = "fail") -> "Workflow[Any]":
        """Begin a workflow: add steps to it, then enqueue it (docs/workflows.md)."""
        from tidemill.app.workflow import Workflow  # noqa: PLC0415  # who only enqueues needs it not

        return Workflow(self, name, on_failure)

    def chain(
        self, *elements: "Element", name: str = "chain", on_failure: "OnFailure" = "fail"
    ) -> "Workflow[Any]":
        """A workflow of calls one after the other; a `partial` one takes the result before it.

        An element may be a list of calls, which run side by side: the next takes their results.
        """
        flow = self.workflow(name, on_failure=on_failure)
        flow.add_in_turn(elements)
        return flow

    def group(
        self, *calls: Call[R], name: str = "group", on_failure: "OnFailure" = "fail"
    ) -> "Workflow[list[R]]":
        """A workflow of calls side by side; its result is the list of theirs, in order."""
        return self.chain(calls, name=name, on_failure=on_failure)

    def chord(
        self,
        calls: Iterable[Call[Any]],
        callback: "Partial[R] | Call[R]",
        *,
        name: str = "chord",
        on_failure: "OnFailure" = "fail",
    ) -> "Workflow[R]":
        """A workflow of calls side by side, and one that takes the list of their results."""
        return self.chain(list(calls), callback, name=name, on_failure=on_failure)

    def workflow_handle(self, workflow_id: str) -> "WorkflowHandle[Any]":
        """Find a workflow again by its id; whether it exists shows with the first question.

        A text that is no UUID raises `TaskNotFound` at once.
        """
        from tidemill.app.workflows import WorkflowHandle  # noqa: PLC0415  # the same

        return WorkflowHandle(self, self.handle(workflow_id).id)

    def decode_result(self, task: Task) -> Any:
        """The value of a completed task's result."""
        return decode_result(self._declared.task_types.get(task.task_type), task.result)

    # schedules, queues, workers

    @property
    def schedules(self) -> "Schedules":
        """The schedules of the engine: create, read, change, run, delete."""
        from tidemill.app.schedules import Schedules  # noqa: PLC0415  # the same

        return Schedules(self)

    @property
    def alerts(self) -> "Alerts":
        """What the alert rules say, and silences."""
        from tidemill.app.alerts import Alerts  # noqa: PLC0415  # the same

        return Alerts(self)

    @property
    def audit(self) -> "Audit":
        """Who changed what: record, list, prune."""
        from tidemill.app.audit import Audit  # noqa: PLC0415  # the same

        return Audit(self)

    @property
    def queues(self) -> "Queues":
        """The queues of the engine: make, read, change, pause, empty."""
        from tidemill.app.queues import Queues  # noqa: PLC0415  # the same

        return Queues(self)

    @property
    def webhooks(self) -> "Webhooks":
        """The webhooks of the engine: create, read, change, test, delete (docs/webhooks.md)."""
        from tidemill.app.webhooks import Webhooks  # noqa: PLC0415  # the same

        return Webhooks(self)

    async def workers(self) -> list[WorkerInfo]:
        """The worker processes by name, also those that are not heard of any more."""
        engine = await self.engine()
        return described(await engine.documents(WORKER), await statistics.now(engine))

    def inspect(self) -> "Inspect":
        """A look into the fleet: what runs, what waits for its time, and who runs it."""
        from tidemill.app.inspect import Inspect  # noqa: PLC0415  # the same

        return Inspect(self)

    # what happened, and what is left of it

    async def statistics(
        self,
        since: datetime,
        until: datetime,
        *,
        queue: str | None = None,
        task_type: str | None = None,
    ) -> Statistics:
        """What ended in a range of time, also what was pruned since.

        It begins and ends at the minute where minutes are kept (48 hours), else at the hour (90
        days) or the day, UTC; the answer says which range it covers. Raises `ConfigError`.
        """
        engine = await self.engine()
        return await statistics.of_range(engine, since, until, queue=queue, task_type=task_type)

    async def statistics_over_time(
        self,
        since: datetime,
        until: datetime,
        *,
        points: int | None = None,
        resolution: Resolution | None = None,
        by: By | None = None,
        queue: str | None = None,
        task_type: str | None = None,
    ) -> list[Point]:
        """The statistics of each stretch of a range, oldest first, zeros included.

        Stretches are as short as is kept for that range and gives at most `points` (1,500) of them;
        `resolution` asks for their length. `by` makes one point for each queue or task type.
        Raises `ConfigError`.
        """
        return await statistics.points(
            await self.engine(),
            since,
            until,
            most=MOST_POINTS if points is None else points,
            resolution=resolution,
            by=by,
            queue=queue,
            task_type=task_type,
        )

    async def queue_statistics(self, queue: str | None = None) -> list[QueueStatistics]:
        """Every queue as it stands, by name; or the one named, which raises `QueueNotFound`."""
        return await statistics.queues(await self.engine(), queue)

    @property
    def failed(self) -> Failed:
        """The failed tasks: find, group, retry, retry edited, drop."""
        return Failed(self)

    async def prune(
        self,
        older_than: timedelta,
        *,
        states: Collection[State] = FINAL,
        task_types: Collection[str] = (),
    ) -> int:
        """Remove tasks that ended longer ago than this, in small batches; answers how many.

        With results, logs and history, and whatever their own retention is; statistics stay.
        """
        return await pruning.prune(
            await self.engine(), older_than, states=states, task_types=task_types
        )

    # who may use the HTTP interface

    @cached_property
    def keys(self) -> "ApiKeys":
        """The API keys of the engine: create, list, revoke."""
        from tidemill.app.credentials import ApiKeys  # noqa: PLC0415  # the same

        return ApiKeys(self)

    @cached_property
    def logins(self) -> "Logins":
        """The login links of the engine, and the sessions of browsers."""
        from tidemill.app.credentials import Logins  # noqa: PLC0415  # the same

        return Logins(self)

    # the engine

    async def engine(self) -> Engine:
        """The engine, opened in this process for the running event loop.

        The first call opens it; one that fails raises, and the next call tries again.
        """
        return (await self._sessions.here()).engine

    async def watch(self) -> Watch:
        """The reader of the engine's feed on the running event loop, shared by all handles."""
        return (await self._sessions.here()).watch

    def use_engine(self, engine: Engine | None, *, clock: Clock | None = None) -> None:
        """Work on an engine that is already there instead of the URL's; None goes back to it.

        `clock` is the one that the engine reads, where that is not the system's.
        """
        self._sessions.use(engine)
        self._clock = clock or SystemClock()

    async def close(self) -> None:
        """Close what this application opened on the running event loop; a later call reopens it.

        `app.run_blocking(app.close())` closes what `delay` and blocking handles use.
        """
        await self._sessions.close()

    def _now(self) -> datetime:
        return from_micros(self._clock.now())

    def run_blocking(self, work: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine of this application from ordinary code, on a thread of its own.

        Raises `ConfigError` on a running event loop, which it would stop.
        """
        return self._portal.run(work)


def _report_listener(event: Event, error: Exception) -> None:
    """Tell `logging` of a listener that failed: nobody else can."""
    import logging  # noqa: PLC0415  # only needed when user code failed

    logging.getLogger("tidemill").error(
        "a listener of %s failed", type(event).__name__, exc_info=error
    )
