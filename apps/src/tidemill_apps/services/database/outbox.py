"""Tasks that exist exactly when the transaction that asked for them does."""

import asyncio
import logging
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, suppress
from datetime import timedelta
from itertools import groupby
from typing import Any, Final

import msgspec
from sqlalchemy import delete, event, insert, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.ext.asyncio import AsyncSession

from tidemill import Call, QueueFull, Tidemill, TidemillError
from tidemill_apps.services.database import tables
from tidemill_apps.services.database.instants import utc_now
from tidemill_apps.services.database.recorded import record, replay
from tidemill_apps.services.database.sessions import Database

AT_ONCE: Final = 200
POLL: Final = timedelta(seconds=1)
LONGEST_PAUSE: Final = timedelta(seconds=30)

_log = logging.getLogger("tidemill.apps.outbox")


class Relayed(msgspec.Struct, frozen=True):
    """What one pass did: tasks `enqueued`, `waiting` for room in their queue, `refused` by code."""

    enqueued: int = 0
    waiting: int = 0
    refused: int = 0


class _Waiting(msgspec.Struct, frozen=True):
    """A row, and the call that it makes."""

    id: int
    queue: str
    call: Call[Any]


class Outbox:
    """Calls that are recorded in the caller's transaction and enqueued after it has committed.

    The id of the task is made when the call is recorded. A crash before the commit leaves nothing;
    a crash after it leaves the row, which any relay enqueues; a crash between that and the removal
    of the row enqueues the same id again, which is one task. That holds while the engine knows the
    task: keep finished tasks longer than a relay may be down (`retention`).
    """

    def __init__(self, app: Tidemill, database: Database, *, poll: timedelta = POLL) -> None:
        self._app = app
        self._database = database
        self._poll = poll.total_seconds()
        self._wake = asyncio.Event()

    async def enqueue_after_commit(self, session: AsyncSession, call: Call[Any]) -> str:
        """Record a call in the transaction of `session`; answers the id that its task will have.

            async with database.writing() as session:
                session.add(mail)
                await outbox.enqueue_after_commit(session, analyze.call(email_id=mail.id))

        A `delay` counts from when the engine accepts the task. Raises `PayloadInvalid`, and
        `ConfigError` for task types that declare secrets.
        """
        task_id, recorded = record(call)
        row = {"task_id": task_id, "call": recorded, "recorded_at": utc_now()}
        await session.execute(insert(tables.outbox).values(row))
        event.listen(session.sync_session, "after_commit", self._committed, once=True)
        return task_id

    @asynccontextmanager
    async def running(self) -> AsyncIterator["Outbox"]:
        """Relay in the background until the end of the block; any number of processes may.

        What older code could not enqueue is tried again at the start.
        """
        stopping = asyncio.Event()
        relaying = asyncio.create_task(self._run(stopping), name="outbox relay")
        try:
            yield self
        finally:
            # a statement that is cancelled half-way costs its connection, and is told as an error
            stopping.set()
            self._wake.set()
            await relaying

    async def relay(self, *, also_refused: bool = False) -> Relayed:
        """Enqueue all that is recorded, once; rows of a full queue stay for the next pass.

        A row that this code cannot enqueue (its task type is gone, or takes other arguments) stays
        with the reason in `problem`, and is left out of later passes unless `also_refused`. Raises
        `EngineUnavailable`; nothing is lost, and every pass is safe to repeat.
        """
        return await self._relayed(asyncio.Event(), also_refused=also_refused)

    async def _relayed(self, stopping: asyncio.Event, *, also_refused: bool) -> Relayed:
        """Relay batch after batch, until there is no more or it is to stop."""
        done, last, full = Relayed(), 0, set[str]()
        while not stopping.is_set() and (rows := await self._rows(last, also_refused=also_refused)):
            last = rows[-1][0]
            fit, problems = self._replayed(rows)
            accepted: list[int] = []
            for queue, group in groupby(sorted(fit, key=lambda each: each.queue), _queue_of):
                waiting = list(group)
                taken = [] if queue in full else await self._enqueue(waiting)
                if len(taken) < len(waiting):
                    full.add(queue)
                accepted += taken
            await self._settle(accepted, problems)
            done = Relayed(
                done.enqueued + len(accepted),
                done.waiting + len(fit) - len(accepted),
                done.refused + len(problems),
            )
        return done

    def _committed(self, _session: object) -> None:
        self._wake.set()

    async def _run(self, stopping: asyncio.Event) -> None:
        failures = 0
        again = True
        while not stopping.is_set():
            self._wake.clear()
            pause = self._poll
            try:
                await self._relayed(stopping, also_refused=again)
                failures, again = 0, False
            except (TidemillError, SQLAlchemyError, OSError) as error:
                failures += 1
                pause = min(self._poll * 2**failures, LONGEST_PAUSE.total_seconds())
                _log.warning("the outbox waits %.0f s, nothing is lost: %s", pause, error)
            with suppress(TimeoutError):
                async with asyncio.timeout(pause):
                    await self._wake.wait()

    async def _rows(self, after: int, *, also_refused: bool) -> list[tuple[int, str]]:
        outbox = tables.outbox
        wanted = select(outbox.c.id, outbox.c.call).where(outbox.c.id > after)
        if not also_refused:
            wanted = wanted.where(outbox.c.problem.is_(None))
        async with self._database.reading() as session:
            found = await session.execute(wanted.order_by(outbox.c.id).limit(AT_ONCE))
            return [(row.id, row.call) for row in found]

    def _replayed(self, rows: Sequence[tuple[int, str]]) -> tuple[list[_Waiting], dict[int, str]]:
        """The calls of rows, and why some have none."""
        fit, problems = list[_Waiting](), dict[int, str]()
        for row, recorded in rows:
            try:
                call = replay(self._app, recorded)
                fit.append(_Waiting(row, call.new_task().queue, call))
            except (TidemillError, msgspec.MsgspecError) as error:
                problems[row] = f"{type(error).__name__}: {error}"
                _log.error("row %d of the outbox stays: %s", row, problems[row])
        return fit, problems

    async def _enqueue(self, waiting: Sequence[_Waiting]) -> list[int]:
        """Enqueue calls of one queue, all or as many as there is room for; answers their rows."""
        with suppress(QueueFull):
            await self._app.enqueue_many(each.call for each in waiting)
            return [each.id for each in waiting]
        taken: list[int] = []
        with suppress(QueueFull):
            for each in waiting:
                await self._app.enqueue_many([each.call])
                taken.append(each.id)
        return taken

    async def _settle(self, accepted: Sequence[int], problems: dict[int, str]) -> None:
        outbox = tables.outbox
        async with self._database.writing() as session:
            if accepted:
                await session.execute(delete(outbox).where(outbox.c.id.in_(accepted)))
            for row, problem in problems.items():
                await session.execute(
                    update(outbox).where(outbox.c.id == row).values(problem=problem)
                )


def _queue_of(waiting: _Waiting) -> str:
    return waiting.queue
