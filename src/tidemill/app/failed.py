"""`app.failed`: the tasks that failed for good, and what can be done about them."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from datetime import datetime
from typing import TYPE_CHECKING, Any

import msgspec

from tidemill.app.handle import Handle
from tidemill.app.options import NO_OPTIONS, Options
from tidemill.codec import DEFAULT_CODEC
from tidemill.engine import Engine, Retrial, TaskPage, TaskQuery
from tidemill.errors import (
    ConfigError,
    DuplicateUniqueKey,
    InvalidTransition,
    PayloadUndecodable,
)
from tidemill.events import TaskEnqueued
from tidemill.secret import secrets_of, unmasked
from tidemill.task import NewTask, State, Task

if TYPE_CHECKING:
    from tidemill.app.tidemill import Tidemill

BATCH = 500
"""Tasks in one call of the engine."""

MOST_GROUPED = 10_000
"""Tasks that `groups` looks at, the newest."""

EXAMPLES = 3
"""Ids that a group names."""

TURN = 0.2
"""Seconds' worth of tasks that a paced retry hands over at once."""

Wanted = TaskQuery | Iterable[str]
Told = Callable[[int, int | None], None]

_ALL = TaskQuery()
_FAILED = frozenset({State.FAILED})
_RETRYABLE = frozenset({State.FAILED, State.CANCELLED})


class FailedGroup(msgspec.Struct, frozen=True, kw_only=True):
    """Failed tasks with one fingerprint: errors of one type raised at one place.

    `message` is that of the newest one. `first_at` and `last_at` are when the first and the last of
    them failed; `examples` are ids, newest first.
    """

    fingerprint: str
    error_type: str
    message: str
    count: int
    task_types: tuple[str, ...]
    queues: tuple[str, ...]
    first_at: datetime
    last_at: datetime
    examples: tuple[str, ...]


class FailedGroups(msgspec.Struct, frozen=True):
    """Groups, the largest first, of the `looked_at` newest failed tasks.

    `capped`: there are more failed tasks than that, so that the counts are of the newest only.
    """

    groups: tuple[FailedGroup, ...]
    looked_at: int
    capped: bool


class RetryReport(msgspec.Struct, frozen=True):
    """How many tasks were asked for, how many run again, and why the others do not."""

    asked: int
    retried: int
    refused: dict[Retrial, int]


class Failed:
    """The failed tasks of an application: find, group, retry, retry edited, drop.

    What is `wanted` is either a `TaskQuery` (its filters; its `states` stay empty, only failed
    tasks are found) or ids. `enqueued_from` and `enqueued_until` are about when tasks were
    enqueued. A cancelled task can be retried as well, by its id.
    """

    def __init__(
        self,
        app: "Tidemill",
        *,
        now: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], Awaitable[object]] = asyncio.sleep,
    ) -> None:
        self._app = app
        self._now = now
        self._sleep = sleep

    async def find(self, wanted: TaskQuery = _ALL) -> TaskPage:
        """One page of failed tasks, newest first; `wanted.before` continues after a cursor."""
        return await (await self._app.engine()).find(_failed(wanted))

    async def groups(self, wanted: TaskQuery = _ALL) -> FailedGroups:
        """Failed tasks by the fingerprint of their error, of the newest 10,000 that match."""
        found: list[Task] = []
        async for page in _pages(await self._app.engine(), _failed(wanted)):
            found += page
            if len(found) > MOST_GROUPED:
                break
        looked_at = found[:MOST_GROUPED]
        return FailedGroups(_grouped(looked_at), len(looked_at), len(found) > MOST_GROUPED)

    async def retry(
        self, wanted: Wanted, *, rate: float | None = None, progress: Told | None = None
    ) -> RetryReport:
        """Run tasks again with a new budget of attempts; they keep their ids.

        At most `rate` tasks per second go back to their queues, evenly, however long the engine
        takes. `progress` is told how many were handled, and of how many if that is known.
        """
        if rate is not None and rate <= 0:
            raise ConfigError(f"a rate of {rate} tasks per second never ends: give one above 0")
        engine = await self._app.engine()
        refused: dict[Retrial, int] = {}
        asked = retried = 0
        size = BATCH if rate is None else max(1, min(BATCH, int(rate * TURN)))
        free_at = self._now()
        async for batch, total in self._batches(engine, wanted, size):
            if rate is not None:
                if (wait := free_at - self._now()) > 0:
                    await self._sleep(wait)
                free_at = self._now() + len(batch) / rate
            for answer in await engine.retry(batch):
                if answer is Retrial.RETRIED:
                    retried += 1
                else:
                    refused[answer] = refused.get(answer, 0) + 1
            asked += len(batch)
            if progress is not None:
                progress(asked, total)
        return RetryReport(asked, retried, refused)

    async def retry_edited(
        self,
        task_id: str,
        payload: dict[str, Any],
        *,
        beside: Options = NO_OPTIONS,
        **options: Any,
    ) -> Handle[Any]:
        """Enqueue a failed or cancelled task anew with another payload; it stays as it is.

        The new task names it in `retried_from`, and has its queue, priority, budget, time limits,
        tags, user, project and limit unless `options` (those of `TaskFunction.options`) and
        `beside` say otherwise. `payload` are all arguments, checked now. Raises `TaskNotFound`,
        `InvalidTransition`, `UnknownTaskType`, `PayloadInvalid`, and `DuplicateUniqueKey` when
        another task holds the new one's unique key.

        Where it says `***` in the place of a secret, as records show it, the secret stays.
        """
        record = await self._app.handle(task_id).get()
        if record.state not in _RETRYABLE:
            raise InvalidTransition(record.id, record.state.value, "retry with another payload")
        function = self._app.function(record.task_type).options(**_options(record) | options)
        function = function.with_options(beside)
        call = function.call(**with_secrets_of(record, payload))
        task = msgspec.structs.replace(call.new_task(), retried_from=record.id, limit=record.limit)
        if task.unique is not None:
            # A holder that is kept or replaced would run something else than what was edited.
            unique = msgspec.structs.replace(task.unique, on_conflict="reject")
            task = msgspec.structs.replace(task, unique=unique)
        (answer,) = await (await self._app.engine()).enqueue([task])
        if task.unique is not None and answer.duplicate:
            raise DuplicateUniqueKey(task.unique.key, answer.task_id)
        self._app.bus.emit(TaskEnqueued(task, answer.task_id, answer.duplicate))
        return Handle(self._app, answer.task_id)

    async def drop(self, wanted: Wanted) -> int:
        """Remove failed tasks for good, with results, logs and history; answers how many."""
        engine = await self._app.engine()
        dropped = 0
        async for batch, _ in self._batches(engine, wanted, BATCH):
            page = await engine.find(TaskQuery(ids=batch, states=_FAILED, limit=len(batch)))
            dropped += sum(await engine.remove([task.id for task in page.tasks]))
        return dropped

    async def _batches(
        self, engine: Engine, wanted: Wanted, size: int
    ) -> AsyncIterator[tuple[tuple[str, ...], int | None]]:
        """The ids that are wanted, in batches, and how many there are in all if that is known."""
        if isinstance(wanted, TaskQuery):
            async for page in _pages(engine, _failed(wanted)):
                for batch in _cut([task.id for task in page], size):
                    yield batch, None
            return
        named = (wanted,) if isinstance(wanted, str) else wanted
        ids = list(dict.fromkeys(self._app.handle(each).id for each in named))
        for batch in _cut(ids, size):
            yield batch, len(ids)


def with_secrets_of(record: Task | NewTask, payload: Mapping[str, Any]) -> Mapping[str, Any]:
    """A payload with the secrets of a task in the places where it has them masked.

    Raises `PayloadInvalid` for a mask where the task has no secret.
    """
    try:
        before = {} if record.payload is None else DEFAULT_CODEC.decode(record.payload)
    except PayloadUndecodable:
        before = {}
    completed: Mapping[str, Any] = unmasked(payload, before, secrets_of(record.headers).payload)
    return completed


def _failed(query: TaskQuery) -> TaskQuery:
    if query.states - _FAILED:
        named = ", ".join(sorted(query.states))
        raise ConfigError(f"only failed tasks are looked for here, not {named}: leave states out")
    return msgspec.structs.replace(query, states=_FAILED)


async def _pages(engine: Engine, query: TaskQuery) -> AsyncIterator[tuple[Task, ...]]:
    """All that a query finds, newest first, whatever becomes of the tasks meanwhile."""
    query = msgspec.structs.replace(query, limit=BATCH, details=False)
    while True:
        page = await engine.find(query)
        yield page.tasks
        if page.cursor is None:
            return
        query = msgspec.structs.replace(query, before=page.cursor)


def _cut(ids: Sequence[str], size: int) -> Iterable[tuple[str, ...]]:
    return (tuple(ids[start : start + size]) for start in range(0, len(ids), size))


def _grouped(tasks: Sequence[Task]) -> tuple[FailedGroup, ...]:
    members: dict[str, list[Task]] = {}
    for task in tasks:
        members.setdefault(task.error.fingerprint if task.error else "", []).append(task)
    groups = [_group(fingerprint, group) for fingerprint, group in members.items()]
    return tuple(sorted(groups, key=lambda group: (-group.count, group.fingerprint)))


def _group(fingerprint: str, tasks: Sequence[Task]) -> FailedGroup:
    failed_at = [task.finished_at or task.enqueued_at for task in tasks]
    newest = max(tasks, key=lambda task: task.finished_at or task.enqueued_at)
    return FailedGroup(
        fingerprint=fingerprint,
        error_type=newest.error.type if newest.error else "",
        message=newest.error.message if newest.error else "",
        count=len(tasks),
        task_types=tuple(sorted({task.task_type for task in tasks})),
        queues=tuple(sorted({task.queue for task in tasks})),
        first_at=min(failed_at),
        last_at=max(failed_at),
        examples=tuple(task.id for task in tasks[:EXAMPLES]),
    )


def _options(record: Task) -> dict[str, Any]:
    """What of a task its successor has as well."""
    return {
        "queue": record.queue,
        "priority": record.priority,
        "max_attempts": record.max_attempts,
        "timeout": record.timeout,
        "soft_timeout": record.soft_timeout,
        "user_id": record.user_id,
        "project_id": record.project_id,
        "tags": record.tags,
    }
