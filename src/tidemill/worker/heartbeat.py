"""Renews the leases of all that a worker holds, from a thread of its own.

The thread has its own loop and engine session, so that a busy or blocked worker loop does not cost
it its leases. Native code that never gives up the interpreter lock stalls this thread too.
"""

import asyncio
import threading
import time
from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from datetime import timedelta

from tidemill.engine import Engine, Extension, Hold
from tidemill.errors import EngineError
from tidemill.events import Bus, EngineLost, EngineRecovered
from tidemill.worker.insist import BACKOFF
from tidemill.worker.reports import NOTHING, Report, Reports
from tidemill.worker.run import Run
from tidemill.worker_record import TELL_EVERY, TELLS_IN_LEASE

GATHER = 0.02
"""Seconds for which progress gathers before it is sent: half of the 50 ms that it may take."""

BATCH = 500

REVIEW = 30.0
"""Seconds between looks at the queues' own leases."""

Answers = Sequence[tuple[Run, Hold, Report | None]]


class Heartbeat:
    """Extends leases each `interval`, and sends reports soon after they are made.

    Queues with a short lease of their own make it faster: a third of the shortest lease. `held`
    gives all runs; `answered` is called on the worker's loop with what the engine said of each. A
    worker loop that has not moved for `stall` gets no more extensions. Every 5 s, sooner with a
    short lease, `present` says that the worker is here, unless it stalls. `broken` ends when the
    thread cannot go on.
    """

    def __init__(
        self,
        engine: Engine,
        bus: Bus,
        *,
        lease: timedelta,
        interval: timedelta,
        stall: timedelta,
        reports: Reports,
        held: Callable[[], Iterable[Run]],
        answered: Callable[[Answers], None],
        present: Callable[[Engine], Awaitable[None]],
    ) -> None:
        self._session = engine.session()
        self._bus = bus
        self._lease = lease
        self._most = min(interval, lease / 3).total_seconds()
        self._stall = stall.total_seconds()
        self._reports = reports
        self._held = held
        self._answered = answered
        self._present = present
        self._worker_loop = asyncio.get_running_loop()
        self.broken: asyncio.Future[None] = self._worker_loop.create_future()
        self._asked_at: float | None = None
        self._interval = self._most
        self._reviewed_at = -REVIEW
        self._failures = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._woken = asyncio.Event()
        self._stopping = False
        self._thread = threading.Thread(target=self._serve, name="tidemill-heartbeat", daemon=True)

    def start(self) -> None:
        """Start the thread."""
        self._thread.start()

    async def stop(self) -> None:
        """Stop extending, and wait for the thread to end."""
        self._stopping = True
        self._wake()
        await self._worker_loop.run_in_executor(None, self._thread.join)

    def _wake(self) -> None:
        if self._loop is not None:
            with suppress(RuntimeError):  # the thread has ended
                self._loop.call_soon_threadsafe(self._woken.set)

    def _tell(self, listener: Callable[..., object], *values: object) -> None:
        with suppress(RuntimeError):  # the worker has ended
            self._worker_loop.call_soon_threadsafe(listener, *values)

    def _serve(self) -> None:
        try:
            asyncio.run(self._run())
        except Exception as error:  # noqa: BLE001  # without a heartbeat the worker must end
            self._tell(self._break, error)

    def _break(self, error: Exception) -> None:
        if not self.broken.done():
            self.broken.set_exception(error)

    async def _run(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._reports.when_first(self._wake)
        telling = asyncio.ensure_future(self._tell_presence())
        next_at = time.monotonic()  # at once: a queue's own lease may be short
        try:
            while not self._stopping:
                with suppress(TimeoutError):
                    async with asyncio.timeout(next_at - time.monotonic()):
                        await self._woken.wait()
                        await asyncio.sleep(GATHER)
                self._woken.clear()
                all_due = time.monotonic() >= next_at
                pause = await self._attend(all_due=all_due)
                if all_due or self._failures:
                    next_at = time.monotonic() + pause
        finally:
            self._reports.when_first(None)
            telling.cancel()
            await asyncio.gather(telling, return_exceptions=True)
            await self._session.close()

    async def _tell_presence(self) -> None:
        while True:
            await asyncio.sleep(min(TELL_EVERY, self._lease / TELLS_IN_LEASE).total_seconds())
            if self._reviewed_at > 0 and not self._stalled(ask=False):
                await self._present(self._session)

    async def _attend(self, *, all_due: bool) -> float:
        """Extend what is due, and answer how long to wait for the next time."""
        try:
            if all_due:
                await self._review()
            await self._extend(all_due=all_due)
        except EngineError as problem:
            self._failures += 1
            pause = min(BACKOFF.delay(self._failures), timedelta(seconds=self._interval))
            self._tell(self._bus.emit, EngineLost("extend", str(problem), pause))
            return pause.total_seconds()
        if self._failures:
            self._failures = 0
            self._tell(self._bus.emit, EngineRecovered("extend"))
        return self._interval

    async def _review(self) -> None:
        """Open the session at first; look at the queues' leases from time to time."""
        if time.monotonic() - self._reviewed_at < REVIEW:
            return
        await self._session.migrate()
        queues = (await self._session.stats()).queues
        own = [queue.definition.lease for queue in queues]
        leases = [lease.total_seconds() for lease in own if lease is not None]
        self._interval = min([self._most, *(lease / 3 for lease in leases)])
        self._reviewed_at = time.monotonic()

    async def _extend(self, *, all_due: bool) -> None:
        if self._stalled(ask=all_due):
            return
        reports = self._reports.take()
        try:
            runs = list(self._held()) if all_due else list(reports)
            for start in range(0, len(runs), BATCH):
                await self._extend_some(runs[start : start + BATCH], reports)
        except BaseException:
            self._reports.returned()
            raise
        self._reports.arrived()

    async def _extend_some(self, runs: Sequence[Run], reports: Mapping[Run, Report]) -> None:
        extensions = []
        for run in runs:
            report = reports.get(run, NOTHING)
            extensions.append(Extension(run.claim.ref, report.progress, tuple(report.logs)))
        holds = await self._session.extend(extensions, self._lease)
        answers = [(run, hold, reports.get(run)) for run, hold in zip(runs, holds, strict=True)]
        self._tell(self._answered, answers)

    def _stalled(self, *, ask: bool) -> bool:
        now = time.monotonic()
        if self._asked_at is None and ask:
            self._asked_at = now
            self._tell(self._moved)
        return self._asked_at is not None and now - self._asked_at > self._stall

    def _moved(self) -> None:
        self._asked_at = None
