"""The attempts of one batch, from the payloads to the verdicts: one call for all of them.

Middleware is not around it: it is written for one task's context, and here are many.
"""

from collections.abc import Awaitable, Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any, Never, TypeVar

from tidemill.app.tracing import Tracing
from tidemill.context import Context, Ports, Suspended
from tidemill.engine import Transaction
from tidemill.errors import EngineUnavailable, KeyMissing, Permanent, ResultInvalid
from tidemill.inputs import INPUTS
from tidemill.outcome import Completed, Outcome, Snoozed, Waiting
from tidemill.secret import Veil, together
from tidemill.task import Claim, LogLine, Progress, Task
from tidemill.task_type import TaskType
from tidemill.worker.attempt import PAUSE, Call
from tidemill.worker.failure import describe
from tidemill.worker.inputs import payload_of
from tidemill.worker.verdict import Verdict, locked, raised, returned

R = TypeVar("R")


async def attempts(
    task_type: TaskType,
    claims: Sequence[Claim],
    *,
    call: Call,
    ports: Callable[[Claim], Ports],
    tracing: Tracing | None = None,
) -> list[Verdict]:
    """Decode each, call the function once for those that can be, judge each; never raises.

    The verdicts stand in the order of the claims. `tracing` is around the call.
    """
    items: list[Any] = []
    handled: list[_Handled] = []
    refused: dict[str, Verdict] = {}
    try:
        for claim in claims:
            opened = await _opened(task_type, claim, ports)
            if isinstance(opened, Verdict):
                refused[claim.ref.task_id] = opened
            else:
                item, veil = opened
                handled.append(_Handled(claim, veil))
                items.append(item)
    except BaseException as error:  # noqa: BLE001  # made to end while inputs were read
        return _all_raised(task_type, claims, error)
    claimed = [each.claim for each in handled]
    traced = call if tracing is None else _traced(call, claimed, tracing)
    judged = iter(await _handle(task_type, handled, items, traced, ports) if items else ())
    return [refused.get(claim.ref.task_id) or next(judged) for claim in claims]


@dataclass(frozen=True, slots=True)
class _Handled:
    """A claim whose item is handed to the function, and what hides its secrets."""

    claim: Claim
    veil: Veil | None


def _traced(call: Call, claims: Sequence[Claim], tracing: Tracing) -> Call:
    def traced(function: Callable[..., Any], arguments: Mapping[str, object]) -> Awaitable[Any]:
        return tracing.handling(claims, partial(call, function, arguments))

    return traced


async def _opened(
    task_type: TaskType, claim: Claim, ports: Callable[[Claim], Ports]
) -> tuple[Any, Veil | None] | Verdict:
    """The item of a claim with its veil; a verdict where there is none."""
    payload = claim.payload
    try:
        if INPUTS in claim.headers:
            payload = await payload_of(claim, ports(claim))
        return task_type.signature.load_item(payload), task_type.signature.veil(payload)
    except Suspended as suspended:  # a task whose result it takes runs again
        return Verdict(Waiting(suspended.children))
    except EngineUnavailable as problem:  # no fault of the task: this attempt counts not
        return Verdict(Snoozed(PAUSE, f"its inputs could not be read: {problem}"))
    except KeyMissing as problem:
        return Verdict(locked(problem))
    except Exception as error:  # noqa: BLE001  # what cannot be decoded ends by itself
        return Verdict(raised(task_type, claim, error))


async def _handle(
    task_type: TaskType,
    handled: Sequence[_Handled],
    items: list[Any],
    call: Call,
    ports: Callable[[Claim], Ports],
) -> list[Verdict]:
    contexts: list[Context | None] = [None] * len(handled)
    function = partial(task_type.function, items)
    if task_type.takes_contexts:
        contexts = [
            Context(each.claim, _OfItem(ports(each.claim)), task_type.steps, each.veil)
            for each in handled
        ]
        function = partial(task_type.function, contexts, items)
    try:
        value = await call(function, {})
        if value is None:
            done = Completed()
            return [_with_enqueued(done, context) for context in contexts]
        values = _one_each(task_type, value, len(handled))
    except BaseException as error:  # noqa: BLE001  # whatever ends a call is the outcome of all
        veil = together(each.veil for each in handled)
        return _all_raised(task_type, [each.claim for each in handled], error, veil)
    return [
        _judge(task_type, each, value, context)
        for each, value, context in zip(handled, values, contexts, strict=True)
    ]


def _all_raised(
    task_type: TaskType,
    claims: Sequence[Claim],
    error: BaseException,
    veil: Veil | None = None,
) -> list[Verdict]:
    described = describe(error, veil)
    return [Verdict(raised(task_type, claim, error, described)) for claim in claims]


def _one_each(task_type: TaskType, value: Any, count: int) -> Sequence[Any]:
    if not isinstance(value, Sequence) or isinstance(value, str | bytes):
        raise ResultInvalid(
            task_type.name,
            f"it handled a batch of {count} and returned {type(value).__name__}, neither None nor "
            "a list with one value for each item",
        )
    if len(value) != count:
        raise ResultInvalid(
            task_type.name,
            f"it handled a batch of {count} and returned {len(value)} values: one for each item, "
            "in their order, or None",
        )
    return value


def _judge(task_type: TaskType, handled: _Handled, value: Any, context: Context | None) -> Verdict:
    claim, veil = handled.claim, handled.veil
    if isinstance(value, BaseException):
        return Verdict(raised(task_type, claim, value, describe(value, veil)))
    try:
        return _with_enqueued(returned(task_type, value, veil), context)
    except Exception as error:  # noqa: BLE001  # a result that does not fit fails its own task
        return Verdict(raised(task_type, claim, error, describe(error, veil)))


def _with_enqueued(outcome: Outcome, context: Context | None) -> Verdict:
    if context is None or not isinstance(outcome, Completed | Snoozed):
        return Verdict(outcome)
    return Verdict(outcome, context.enqueued)


@dataclass(frozen=True, slots=True)
class _OfItem:
    """The ports of one item: without what suspends or commits one task alone."""

    ports: Ports

    def report(self, progress: Progress) -> None:
        self.ports.report(progress)

    def log(self, line: LogLine) -> None:
        self.ports.log(line)

    def stopping(self) -> bool:
        return self.ports.stopping()

    async def tasks(self, ids: tuple[str, ...]) -> dict[str, Task]:
        del ids
        _refuse("gather() leaves the function until the children are final")

    async def begin(self) -> Transaction:
        _refuse("transaction() is committed with one task's settlement")

    def resource(self, name: str) -> Any:
        return self.ports.resource(name)

    def block_on(self, work: Coroutine[Any, Any, R]) -> R:
        return self.ports.block_on(work)


def _refuse(why: str) -> Never:
    raise Permanent(f"ctx.{why}, and this call handles a batch of tasks: use an ordinary task type")
