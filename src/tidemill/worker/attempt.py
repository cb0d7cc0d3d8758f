"""One attempt, from the payload to the verdict: the same in a worker and in its child processes."""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from datetime import timedelta
from functools import partial
from typing import Any

from tidemill.app import Middleware
from tidemill.context import RUNNING, Context, Ports, Suspended
from tidemill.errors import EngineUnavailable, KeyMissing
from tidemill.inputs import INPUTS
from tidemill.outcome import Completed, Snoozed, Waiting
from tidemill.task import Claim
from tidemill.task_type import TaskType
from tidemill.worker.failure import describe
from tidemill.worker.inputs import payload_of
from tidemill.worker.middleware import wrap
from tidemill.worker.verdict import Verdict, locked, raised, returned

Call = Callable[[Callable[..., Any], Mapping[str, object]], Awaitable[Any]]
"""Runs a task function with its arguments where it belongs: on the loop or on a thread."""

Listening = Callable[[], Ports]

PAUSE = timedelta(seconds=1)
"""Before a step is run again whose inputs the engine did not give."""


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
    context, veil = None, None
    try:
        payload = claim.payload
        try:
            if INPUTS in claim.headers:
                payload = await payload_of(claim, ports())
            arguments = task_type.signature.load(payload)
        except EngineUnavailable as problem:  # no fault of the task: this attempt counts not
            return Verdict(Snoozed(PAUSE, f"its inputs could not be read: {problem}"))
        except KeyMissing as problem:
            return Verdict(locked(problem))
        veil = task_type.signature.veil(payload)
        running = RUNNING.get()
        if veil is not None and running is not None:
            running.veil = veil
        name = task_type.signature.context_parameter
        if name is None and not middleware:
            value = await call(task_type.function, arguments)
        else:
            context = Context(claim, ports(), task_type.steps, veil)
            if name is not None:
                arguments[name] = context
            step = wrap(middleware, context, partial(call, task_type.function, arguments))
            value = await step()
        outcome = returned(task_type, value, veil)
    except Suspended as suspended:
        outcome = Waiting(suspended.children)
    except BaseException as error:  # noqa: BLE001  # whatever ends a task is its outcome
        return Verdict(raised(task_type, claim, error, describe(error, veil)))
    if context is not None and isinstance(outcome, Completed | Snoozed | Waiting):
        return Verdict(outcome, context.enqueued)
    return Verdict(outcome)
