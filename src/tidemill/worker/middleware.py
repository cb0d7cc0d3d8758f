"""Middleware as a fold: the first one declared is the outermost."""

from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from tidemill.app import Middleware
from tidemill.context import Context

Step = Callable[[], Awaitable[Any]]


def wrap(middleware: Sequence[Middleware], context: Context, innermost: Step) -> Step:
    """The innermost step with every middleware around it."""
    step = innermost
    for layer in reversed(middleware):
        step = partial(layer, context, step)
    return step
