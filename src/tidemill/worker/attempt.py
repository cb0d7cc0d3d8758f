"""One attempt, from the payload to the verdict: the same in a worker and in its child processes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from functools import partial
from typing import Any

from tidemill.app import Middleware
from tidemill.context import Context, Ports, Suspended
from tidemill.outcome import Completed, Snoozed, Waiting
from tidemill.task import Claim
from tidemill.task_type import TaskType
from tidemill.worker.middleware import wrap
from tidemill.worker.verdict import Verdict, raised, returned

Call = Callable[[Callable[..., Any], Mapping[str, object]], Awaitable[Any]]
"""Runs a task function with its arguments where it belongs: on the loop or on a thread."""

Listening = Callable[[], Ports]


async def attempt(
    task_type: TaskType,
    claim: Claim,
    *,
    call: Call,
    ports: Listening,
    middleware: Sequence[Middleware] = (),
) -> Verdict:
    """Decode, run through the middleware, and judge; never raises.

    `ports` is asked only when somebody takes a context: making one costs more than a no-op task.
    """
    context = None
    try:
        arguments = task_type.signature.load(claim.payload)
        name = task_type.signature.context_parameter
        if name is None and not middleware:
            value = await call(task_type.function, arguments)
        else:
            context = Context(claim, ports(), task_type.steps)
            if name is not None:
                arguments[name] = context
            step = wrap(middleware, context, partial(call, task_type.function, arguments))
            value = await step()
        outcome = returned(task_type, value)
    except Suspended as suspended:
        outcome = Waiting(suspended.children)
    except BaseException as error:  # noqa: BLE001  # whatever ends a task is its outcome
        return Verdict(raised(task_type, claim, error))
    if context is not None and isinstance(outcome, Completed | Snoozed | Waiting):
        return Verdict(outcome, context.enqueued)
    return Verdict(outcome)
