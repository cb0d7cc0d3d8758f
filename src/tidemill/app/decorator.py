"""What `app.task(…)` gives: it knows the function's parameters and its result."""

from collections.abc import Callable, Coroutine
from typing import Any, Concatenate, ParamSpec, Protocol, TypeVar, overload

from tidemill.app.function import TaskFunction
from tidemill.context import Context
from tidemill.outcome import Cancel, Snooze

P = ParamSpec("P")
R = TypeVar("R")


class Decorator(Protocol):
    """Takes a function, with its context before the other parameters or without."""

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
