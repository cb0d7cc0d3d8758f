"""The one thread of a process that writes, and how it commits calls of many in groups.

Whatever is waiting when a transaction begins is part of it, so that a busy file costs a commit
per group and not per call. A call that fails takes nobody with it: the group is rolled back and
its calls run again one by one.
"""

import asyncio
import threading
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import accumulate, pairwise
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import Any

import apsw

from tidemill.clock import Clock
from tidemill.engines.sqlite.connection import LOCK_WAIT, Durability, connect
from tidemill.engines.sqlite.faults import faults
from tidemill.engines.sqlite.ledger import Ledger
from tidemill.engines.sqlite.schema import migrate
from tidemill.engines.sqlite.step import Step
from tidemill.engines.sqlite.wake import Bell
from tidemill.errors import EngineRefused, EngineUnavailable, QueueFull

Work = Callable[[Step], Any]

_GROUP_SIZE = 1_000  # a heartbeat that arrives behind a full group waits a few tens of ms
_IDLE_AFTER = 1.0


class Call:
    """Work for the writer, and the future of whoever waits for it.

    `items` and `of_many` say that calls of the same verb side by side may be run as one.
    """

    __slots__ = ("future", "items", "loop", "of_many", "size", "work")

    def __init__(
        self,
        work: Work,
        *,
        items: Sequence[Any] = (),
        of_many: Callable[[Step, Sequence[Any]], Sequence[Any]] | None = None,
    ) -> None:
        self.work = work
        self.items = items
        self.of_many = of_many
        self.size = len(items) or 1
        self.loop = asyncio.get_running_loop()
        self.future: asyncio.Future[Any] = self.loop.create_future()


class Lend:
    """Asks the writer to run another's transaction: it is `serve`'s until that returns."""

    __slots__ = ("serve",)

    def __init__(self, serve: Callable[["Writer"], None]) -> None:
        self.serve = serve


Answer = tuple[asyncio.Future[Any], Any, BaseException | None]


class Writer:
    """Owns the write connection of one process to one file."""

    def __init__(self, path: Path, durability: Durability, clock: Clock, bell: Bell) -> None:
        self.path = path
        self._durability = durability
        self._clock = clock
        self._bell = bell
        self._calls: SimpleQueue[Call | Lend | None] = SimpleQueue()
        self._kept: Call | Lend | None = None
        self._on: apsw.Connection | None = None
        self._ledger = Ledger()
        self._seen = 0
        self.opened = threading.Event()
        self._thread = threading.Thread(
            target=self._run, name="tidemill-sqlite-writer", daemon=True
        )
        self._thread.start()

    def put(self, call: Call | Lend | None) -> None:
        """Queue work; None ends the thread behind all that is queued."""
        self._calls.put(call)

    def join(self) -> None:
        """Wait for the end of the thread, and of its connection."""
        self._thread.join()

    # the thread

    def _run(self) -> None:
        dirty = False
        while True:
            try:
                first = self._kept or self._calls.get(timeout=_IDLE_AFTER if dirty else None)
            except Empty:
                dirty = False
                self._checkpoint()
                continue
            self._kept = None
            if first is None:
                break
            if isinstance(first, Lend):
                first.serve(self)
            else:
                self.commit(self._gather(first))
            dirty = True
        if self._on is not None:
            with suppress(apsw.Error):
                self._on.close()

    def _gather(self, first: Call) -> list[Call]:
        group, size = [first], first.size
        while size < _GROUP_SIZE:
            try:
                following = self._calls.get_nowait()
            except Empty:
                break
            if not isinstance(following, Call):
                self._kept = following
                if following is None:
                    self._calls.put(None)
                break
            group.append(following)
            size += following.size
        return group

    def _checkpoint(self) -> None:
        if self._on is not None:
            with suppress(apsw.Error):
                self._on.wal_checkpoint(mode=apsw.SQLITE_CHECKPOINT_PASSIVE)

    def commit(self, group: Sequence[Call]) -> None:
        """Run calls in one transaction, or each in its own when one of them fails."""
        wanted = [call for call in group if not call.future.cancelled()]
        if not wanted:
            return
        step: Step | None = None
        try:
            step, answers = self._transact(wanted)
        except (EngineUnavailable, EngineRefused) as error:
            answers = [(call.future, None, error) for call in wanted]
        except Exception as error:  # noqa: BLE001  # whatever it is, it belongs to the caller
            if len(wanted) > 1:
                for call in wanted:
                    self.commit([call])
                return
            answers = [(wanted[0].future, None, error)]
        # Whoever can start a task is told first, then the callers, then those who only look on:
        # a claim's tasks begin before anybody hears of the claim.
        if step is not None and step.ready:
            self.ring(step)
        _resolve(wanted, answers)
        if step is not None and not step.ready:
            self.ring(step)

    def _transact(self, group: Sequence[Call]) -> tuple[Step, list[Answer]]:
        with faults(self.path, waited=LOCK_WAIT):
            step = self.begin()
            try:
                answers = _work(step, group)
                step.end()
                step.on.execute("COMMIT")
            except BaseException:
                self.roll_back()
                raise
        self._ledger.keep(step.on)
        return step, answers

    # also for a lent connection

    def begin(self) -> Step:
        """Open a write transaction."""
        if self._on is None:
            self._on = self._open()
        self._on.execute("BEGIN IMMEDIATE")
        try:
            self._ledger.catch_up(self._on)
            return self.step(self._on)
        except BaseException:
            self.roll_back()
            raise

    def step(self, on: apsw.Connection) -> Step:
        """A step in the transaction that is open."""
        self._seen = max(self._seen, self._clock.now())
        return Step(on, self._ledger, self._seen)

    def committed(self, step: Step) -> None:
        """Remember what was committed, and wake who waits for it."""
        self._ledger.keep(step.on)
        self.ring(step)

    def ring(self, step: Step) -> None:
        """Wake who waits for what was committed."""
        if step.told or step.ready:
            with suppress(OSError):  # a hint; what was committed stays so
                self._bell.ring(frozenset(step.ready), told=step.told)

    def roll_back(self) -> None:
        """Undo the transaction that is open."""
        self._ledger.forget()
        if self._on is not None and self._on.in_transaction:
            with suppress(apsw.Error):
                self._on.execute("ROLLBACK")

    def _open(self) -> apsw.Connection:
        on = connect(self.path, self._durability, write=True)
        try:
            migrate(on)
        except BaseException:
            on.close()
            raise
        self.opened.set()
        return on


def _work(step: Step, group: Sequence[Call]) -> list[Answer]:
    answers: list[Answer] = []
    for verb in _merged(group):
        answers += _answers(step, verb)
        step.end_call()
    return answers


def _answers(step: Step, verb: Sequence[Call]) -> list[Answer]:
    first, *others = verb
    try:
        if not others or first.of_many is None:
            return [(first.future, first.work(step), None)]
        together = first.of_many(step, [item for call in verb for item in call.items])
    except QueueFull as error:  # before anything of it was done: the others need not begin anew
        if not others:
            return [(first.future, None, error)]
        return [answer for call in verb for answer in _answers(step, [call])]
    ends = accumulate((call.size for call in verb), initial=0)
    return [
        (call.future, list(together[start:end]), None)
        for call, (start, end) in zip(verb, pairwise(ends), strict=True)
    ]


def _merged(group: Sequence[Call]) -> list[list[Call]]:
    """Calls side by side that may be run as one, together."""
    verbs: list[list[Call]] = []
    for call in group:
        last = verbs[-1][0] if verbs else None
        mergeable = call.of_many is not None and call.items
        if last is not None and mergeable and last.items and last.of_many is call.of_many:
            verbs[-1].append(call)
        else:
            verbs.append([call])
    return verbs


def _resolve(calls: Sequence[Call], answers: Sequence[Answer]) -> None:
    loops = {call.loop for call in calls}
    for loop in loops:
        mine = [answer for answer in answers if answer[0].get_loop() is loop]
        with suppress(RuntimeError):  # the loop was closed: nobody waits any more
            loop.call_soon_threadsafe(_settle_futures, mine)


def _settle_futures(answers: Sequence[Answer]) -> None:
    for future, answer, error in answers:
        if future.done():
            continue
        if error is None:
            future.set_result(answer)
        else:
            future.set_exception(error)
