"""The callable face of a task type: what `@app.task` gives back."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Generic, ParamSpec, TypeVar, cast

import msgspec

from tidemill.app.handle import BlockingHandle, Handle
from tidemill.app.options import NO_OPTIONS, Options
from tidemill.clock import duration
from tidemill.codec import DEFAULT_CODEC
from tidemill.errors import ConfigError, DeclarationError, PayloadInvalid
from tidemill.inputs import Placeholder
from tidemill.keys import AtMost, Unique
from tidemill.signature import BoundAround
from tidemill.task import NewTask
from tidemill.task_type import TaskType

if TYPE_CHECKING:
    from tidemill.app.tidemill import Tidemill

P = ParamSpec("P")
R = TypeVar("R")


class TaskFunction(Generic[P, R]):
    """A declared function: enqueue it, describe a call of it, or reach the function itself.

    Type checkers know its parameters and what its result is.
    """

    def __init__(self, app: "Tidemill", task_type: TaskType, options: Options = NO_OPTIONS) -> None:
        self._app = app
        self._options = options
        self.task_type = task_type

    @property
    def name(self) -> str:
        """The name of the task type."""
        return self.task_type.name

    @property
    def function(self) -> Callable[..., Any]:
        """The function as it was written, for calling it in place."""
        return self.task_type.function

    def __repr__(self) -> str:
        return f"<task type {self.name}>"

    async def enqueue(self, /, *args: P.args, **kwargs: P.kwargs) -> Handle[R]:
        """Enqueue a task durably; raises `PayloadInvalid`, `QueueFull` or `EngineUnavailable`.

        When the unique key of the task is held, the handle is that of the first task, with
        `duplicate=True`, or `DuplicateUniqueKey` is raised if the rule is to reject.
        """
        return await self._app.enqueue(self._bound(args, kwargs), tx=self._options.tx)

    def delay(self, /, *args: P.args, **kwargs: P.kwargs) -> BlockingHandle[R]:
        """Enqueue from ordinary code and wait until the engine has accepted the task.

        On a running event loop it raises `ConfigError`: await `enqueue` there.
        """
        return self._app.run_blocking(self.enqueue(*args, **kwargs)).blocking

    async def enqueue_many(self, payloads: Iterable[Mapping[str, Any]]) -> list[Handle[R]]:
        """Enqueue one task per mapping of arguments, all of them or none, in one step.

        A held unique key never raises here: its handle says `duplicate=True`.
        """
        return await self._app.enqueue_many(
            [self._bound((), each) for each in payloads], tx=self._options.tx
        )

    def call(self, /, *args: P.args, **kwargs: P.kwargs) -> "Call[R]":
        """Describe a call without enqueueing it, for `ctx.gather`, `ctx.enqueue` and bulk."""
        if self._options.tx is not None:
            raise ConfigError(
                "a call cannot carry a transaction: give it to app.enqueue_many(calls, tx=…)"
            )
        return self._bound(args, kwargs)

    def partial(self, /, **some: Any) -> "Partial[R]":
        """Describe a call that lacks one argument, for `app.chain` and `app.chord`.

        The result of the step before it takes the place of the required parameter that is not
        given, or where all are given, of the first other one. Raises `DeclarationError` when none
        is left, and what `call` raises.
        """
        return Partial(self, some)

    def _bound(self, args: Sequence[object], kwargs: Mapping[str, object]) -> "Call[R]":
        signature = self.task_type.signature
        try:
            payload, around = signature.bind(args, kwargs), None
        except PayloadInvalid:
            around = signature.bind_around(args, kwargs)
            if around is None:
                raise
            payload = around.payload
        return Call(self._app, self.task_type, self._options, payload, around)

    def options(
        self,
        *,
        id: str | None = None,
        queue: str | None = None,
        priority: int | None = None,
        max_attempts: int | None = None,
        delay: timedelta | float | None = None,
        run_at: datetime | None = None,
        expires_at: datetime | None = None,
        timeout: timedelta | float | None = None,
        soft_timeout: timedelta | float | None = None,
        unique: Unique | str | None = None,
        limit: AtMost | None = None,
        user_id: str | None = None,
        project_id: str | None = None,
        tags: Iterable[str] | None = None,
        tx: Any = None,
    ) -> "TaskFunction[P, R]":
        """The same function with options for its enqueues; later calls add to earlier ones.

        Durations are `timedelta` or seconds. `Options` says what each means. Tags add up; a
        `delay` and a `run_at` replace each other.
        """
        said = Options(
            id=id,
            queue=queue,
            priority=priority,
            max_attempts=max_attempts,
            delay=as_duration(delay),
            run_at=run_at,
            expires_at=expires_at,
            timeout=as_duration(timeout),
            soft_timeout=as_duration(soft_timeout),
            unique=as_unique(unique),
            limit=limit,
            user_id=user_id,
            project_id=project_id,
            tags=as_names(tags),
            tx=tx,
        )
        if said.unique is not None:
            said.unique.check(self.task_type.signature, self.task_type.retention)
        if said.limit is not None:
            said.limit.check(self.task_type.signature)
        return self.with_options(said)

    def with_options(self, said: Options) -> "TaskFunction[P, R]":
        """The same function with options that were put together elsewhere laid over its own."""
        return TaskFunction(self._app, self.task_type, said.over(self._options))


class Call(Generic[R]):
    """A task type with its arguments already checked and encoded.

    `around` is there when some of them are results of steps, which only a workflow knows.
    """

    def __init__(
        self,
        app: "Tidemill",
        task_type: TaskType,
        options: Options,
        payload: bytes,
        around: BoundAround | None = None,
    ) -> None:
        self._app = app
        self._options = options
        self.task_type = task_type
        self.payload = payload
        self.around = around

    def new_task(self, *, task_id: str | None = None, parent_id: str | None = None) -> NewTask:
        """The task that this call enqueues; a new id unless one is given."""
        if self.around is not None:
            raise ConfigError(
                f"this call of {self.task_type.name} takes the result of a step: add it to the "
                "workflow of that step"
            )
        task = self._app.new_task(
            self.task_type,
            self._options,
            self.payload,
            task_id=task_id,
            parent_id=parent_id,
        )
        if parent_id is None:
            return task
        with self._app.sending([task]) as [child]:  # its parent's settlement enqueues it
            return child

    def new_tasks(self, *, parent_id: str) -> list[NewTask]:
        """What a running task enqueues for this call: its task."""
        return [self.new_task(parent_id=parent_id)]

    def new_step(self) -> NewTask:
        """The task of this call as a step, as yet of no workflow."""
        known = self.around.known if self.around else None
        return self._app.new_task(
            self.task_type, self._options, self.payload, step=True, known=known
        )

    def decode(self, result: bytes | None) -> R:
        """The value of a result of this call."""
        return cast("R", decode_result(self.task_type, result))


class Partial(Generic[R]):
    """A call that lacks one argument: the result of the step before it, or a list of results."""

    def __init__(self, function: TaskFunction[..., R], some: Mapping[str, object]) -> None:
        self._function = function
        self._some = some
        self.lacking = _lacking(function.task_type, some)
        self.with_result(Placeholder(""))  # what is wrong with the others is told here

    def __repr__(self) -> str:
        return f"<{self._function.name} without {self.lacking}>"

    def with_result(self, result: object) -> Call[R]:
        """The call with this in the place that was open."""
        return self._function.call(**{**self._some, self.lacking: result})


def _lacking(task_type: TaskType, some: Mapping[str, object]) -> str:
    fields = msgspec.structs.fields(task_type.signature.payload_type)
    left = [field for field in fields if field.name not in some]
    left.sort(key=lambda field: not field.required)
    if not left:
        raise DeclarationError(
            f"{task_type.name}.partial(…) leaves no parameter for the result of the step before "
            "it: leave one out, or use call(…), which only comes after that step"
        )
    return left[0].name


def decode_result(task_type: TaskType | None, result: bytes | None) -> Any:
    """A stored result as the return annotation says, or as plain JSON values without one."""
    if result is None:
        return None
    if task_type is None:
        return DEFAULT_CODEC.decode(result)
    return task_type.signature.decode_result(result)


def as_duration(value: timedelta | float | None) -> timedelta | None:
    """A duration given as `timedelta` or as seconds."""
    return None if value is None else duration(value)


def as_unique(value: Unique | str | None) -> Unique | None:
    """A unique key given by its rule or by its template alone."""
    return Unique(value) if isinstance(value, str) else value


def as_names(tags: Iterable[str] | None) -> tuple[str, ...]:
    """Tags as a tuple; one text would be taken for its letters."""
    if isinstance(tags, str):
        raise ConfigError(f"tags are a list of names: write [{tags!r}]")
    return tuple(tags or ())
