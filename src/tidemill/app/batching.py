"""What `app.batch(…)` gives: it knows the fields of the items, and the result of each."""

from collections.abc import Callable, Collection, Coroutine, Sequence
from datetime import timedelta
from typing import Any, ParamSpec, Protocol, TypedDict, TypeVar, overload

from tidemill.app.function import TaskFunction
from tidemill.context import Context
from tidemill.keys import AtMost, Unique
from tidemill.outcome import Cancel, Snooze
from tidemill.retry import RetryPolicy
from tidemill.task import Retention
from tidemill.task_type import Isolation

P = ParamSpec("P")
I = TypeVar("I")  # noqa: E741  # an item, as R is a result
R = TypeVar("R")
Given = Sequence[R | Snooze | Cancel | Exception]
"""What a batch function gives for its items."""


class BatchOptions(TypedDict, total=False):
    """What a batch task type may be told besides how it collects.

    As for `Tidemill.task`; timeouts are those of one call, and `isolation` is `loop` or `thread`.
    """

    name: str | None
    queue: str | None
    priority: int | None
    max_attempts: int | None
    retry: RetryPolicy | None
    timeout: timedelta | float | None
    soft_timeout: timedelta | float | None
    unique: Unique | str | None
    limit: AtMost | None
    expires: timedelta | float | None
    retention: Retention | timedelta | None
    isolation: Isolation | None
    tags: Collection[str]
    keep_result: bool


class BatchDecorator(Protocol[P, I]):
    """Takes a function of a list of items, with a list of their contexts before it or without."""

    @overload
    def __call__(
        self,
        function: Callable[[list[I]], Coroutine[Any, Any, None]]
        | Callable[[list[Context], list[I]], Coroutine[Any, Any, None]],
    ) -> TaskFunction[P, None]: ...
    @overload
    def __call__(
        self,
        function: Callable[[list[I]], Coroutine[Any, Any, Given[R]]]
        | Callable[[list[Context], list[I]], Coroutine[Any, Any, Given[R]]],
    ) -> TaskFunction[P, R]: ...
    @overload
    def __call__(
        self,
        function: Callable[[list[I]], None] | Callable[[list[Context], list[I]], None],
    ) -> TaskFunction[P, None]: ...
    @overload
    def __call__(
        self,
        function: Callable[[list[I]], Given[R]] | Callable[[list[Context], list[I]], Given[R]],
    ) -> TaskFunction[P, R]: ...
