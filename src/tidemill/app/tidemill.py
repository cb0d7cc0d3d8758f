"""Tidemill: the registry of task types, and the way to an engine."""

import asyncio
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
from datetime import timedelta
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

import msgspec

from tidemill.app.blocking import Portal
from tidemill.app.function import Call, TaskFunction, as_duration, as_unique, decode_result
from tidemill.app.handle import Handle
from tidemill.app.options import Options, new_task
from tidemill.app.routes import Routes
from tidemill.codec import Codec
from tidemill.context import Context, Resource
from tidemill.engine import Engine
from tidemill.engines import open_engine
from tidemill.errors import DeclarationError, DuplicateUniqueKey, UnknownTaskType
from tidemill.events import Bus, Event, TaskEnqueued
from tidemill.ids import IdMaker
from tidemill.outcome import Cancel, Snooze
from tidemill.retry import RetryPolicy
from tidemill.settings import DEFAULT_URL, Defaults, Settings
from tidemill.task import NewTask, Retention, Task
from tidemill.task_type import Isolation, TaskType, Unique, declare

P = ParamSpec("P")
R = TypeVar("R")
E = TypeVar("E", bound=Event)
Middleware = Callable[[Context, Callable[[], Awaitable[Any]]], Awaitable[Any]]


class Decorator(Protocol):
    """What `app.task(…)` gives: it knows the function's parameters and its result."""

    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, P], Coroutine[Any, Any, R | Snooze | Cancel]]
    ) -> TaskFunction[P, R]: ...
    @overload
    def __call__(
        self, function: Callable[Concatenate[Context, P], R | Snooze | Cancel]
    ) -> TaskFunction[P, R]: ...
    @overload
    def __call__(
        self, function: Callable[P, Coroutine[Any, Any, R | Snooze | Cancel]]
    ) -> TaskFunction[P, R]: ...
    @overload
    def __call__(self, function: Callable[P, R | Snooze | Cancel]) -> TaskFunction[P, R]: ...


class Tidemill:
    """An application: its task types, and the engine that holds its tasks.

    `url` names the engine (`sqlite:///tidemill.db`, `memory://`); the environment variable
    `TIDEMILL_URL` wins over it. `routes` assign queues by name pattern to task types that name
    none. Nothing is opened before the first enqueue.
    """

    def __init__(
        self,
        url: str = DEFAULT_URL,
        *,
        defaults: Defaults | None = None,
        settings: Settings | None = None,
        routes: Mapping[str, str] | None = None,
        middleware: Sequence[Middleware] = (),
    ) -> None:
        settings = settings or Settings(url=url)
        if defaults is not None:
            settings = msgspec.structs.replace(settings, defaults=defaults)
        self.settings = msgspec.structs.replace(
            settings, url=os.environ.get("TIDEMILL_URL", settings.url)
        )
        self.middleware: tuple[Middleware, ...] = tuple(middleware)
        self.resources: tuple[Resource[Any], ...] = ()
        self.bus = Bus(on_error=_report_listener)
        self.import_path: str | None = None
        self._routes = Routes.of(routes or {})
        self._queues: dict[str, str] = {}
        self._task_types: dict[str, TaskType] = {}
        self._ids = IdMaker()
        self._portal = Portal()
        self._engine: Engine | None = None
        self._sessions: dict[tuple[int, asyncio.AbstractEventLoop], asyncio.Future[Engine]] = {}

    # declare

    @property
    def task_types(self) -> Mapping[str, TaskType]:
        """The declared task types by name."""
        return self._task_types

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
        arguments or a `Unique`. `expires` after enqueueing, a task not yet started is cancelled.
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
        for name in ("timeout", "soft_timeout", "expires"):
            said[name] = as_duration(said.get(name))
        retention = said.get("retention")
        if isinstance(retention, timedelta):
            said["retention"] = Retention(retention, retention, retention)
        said["unique"] = as_unique(said.get("unique"))
        said["tags"] = tuple(said.get("tags", ()))
        codec = Codec(limit=self.settings.payload_limit)
        task_type = declare(function, self.settings.defaults, codec=codec, **said)
        if task_type.name in self._task_types:
            raise DeclarationError(f"{task_type.name} is declared twice; name one of them")
        self._task_types[task_type.name] = task_type
        self._queues[task_type.name] = (
            task_type.queue or self._routes.queue_of(task_type.name) or self.settings.defaults.queue
        )
        return TaskFunction(self, task_type)

    def resource(self, opener: Callable[[], AsyncIterator[R]]) -> Resource[R]:
        """Declare something that each worker process opens once: an async generator function.

        Resources open in the order of declaration and close in reverse; a task reaches one by
        `ctx.use(resource)`.
        """
        made = Resource(opener.__qualname__, opener)
        self.resources = (*self.resources, made)
        return made

    def on(self, kind: type[E]) -> Callable[[Callable[[E], Any]], Callable[[E], Any]]:
        """Subscribe a function to events of a kind seen in this process."""

        def subscribe(listener: Callable[[E], Any]) -> Callable[[E], Any]:
            self.bus.subscribe(kind, listener)
            return listener

        return subscribe

    # enqueue

    def queue_of(self, task_type: str) -> str:
        """The queue that tasks of a type go to unless an enqueue says otherwise."""
        if task_type not in self._queues:
            raise UnknownTaskType(task_type, self._task_types)
        return self._queues[task_type]

    def function(self, task_type: str) -> TaskFunction[..., Any]:
        """The callable face of a task type by name; raises `UnknownTaskType`."""
        if task_type not in self._task_types:
            raise UnknownTaskType(task_type, self._task_types)
        return TaskFunction(self, self._task_types[task_type])

    def new_task(
        self,
        task_type: TaskType,
        options: Options,
        payload: bytes,
        *,
        task_id: str | None = None,
        parent_id: str | None = None,
    ) -> NewTask:
        """The task that a call enqueues."""
        return new_task(
            task_type,
            options,
            payload,
            task_id=task_id or options.id or self._ids.make(),
            queue=options.queue or self._queues[task_type.name],
            parent_id=parent_id,
        )

    async def enqueue_many(self, calls: Iterable[Call[R]], *, tx: Any = None) -> list[Handle[R]]:
        """Enqueue calls in one step, all of them or none; answers their handles in order."""
        tasks = [call.new_task() for call in calls]
        engine = await self.engine()
        answers = await engine.enqueue(tasks, tx=tx)
        if self.bus.wanted(TaskEnqueued):
            for task, answer in zip(tasks, answers, strict=True):
                self.bus.emit(TaskEnqueued(task, answer.task_id, answer.duplicate))
        for task, answer in zip(tasks, answers, strict=True):
            if answer.duplicate and task.unique and task.unique.on_conflict == "reject":
                raise DuplicateUniqueKey(task.unique.key, answer.task_id)
        return [Handle(self, answer.task_id, duplicate=answer.duplicate) for answer in answers]

    def handle(self, task_id: str) -> Handle[Any]:
        """Find a task again by its id; whether it exists shows with the first question."""
        return Handle(self, task_id)

    def decode_result(self, task: Task) -> Any:
        """The value of a completed task's result."""
        return decode_result(self._task_types.get(task.task_type), task.result)

    # the engine

    async def engine(self) -> Engine:
        """The engine, opened in this process for the running event loop."""
        loop = asyncio.get_running_loop()
        place = (os.getpid(), loop)
        if place not in self._sessions:
            self._forget_closed_loops()
            self._sessions[place] = loop.create_task(self._open())
        opening = self._sessions[place]
        return opening.result() if opening.done() else await asyncio.shield(opening)

    async def _open(self) -> Engine:
        base = self._engine or open_engine(self.settings.url)
        session = base.session()
        try:
            await session.migrate()
        except BaseException:
            self._sessions.pop((os.getpid(), asyncio.get_running_loop()), None)
            raise
        return session

    def _forget_closed_loops(self) -> None:
        for place in list(self._sessions):
            if place[0] != os.getpid() or place[1].is_closed():
                del self._sessions[place]

    def use_engine(self, engine: Engine | None) -> None:
        """Work on an engine that is already there instead of the URL's; None goes back to it."""
        self._engine = engine
        self._sessions.clear()

    async def close(self) -> None:
        """Close what this application opened on the running event loop."""
        session = self._sessions.pop((os.getpid(), asyncio.get_running_loop()), None)
        if session is not None:
            await (await session).close()

    def run_blocking(self, work: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine of this application from ordinary code."""
        return self._portal.run(work)


def _report_listener(event: Event, error: Exception) -> None:
    """Tell `logging` of a listener that failed: nobody else can."""
    import logging  # noqa: PLC0415  # only needed when user code failed

    logging.getLogger("tidemill").error(
        "a listener of %s failed", type(event).__name__, exc_info=error
    )
