"""Workers that fall silent: named within their lease, once, and not because the engine was away."""

import asyncio
import os
import signal
import sys
import time
from contextlib import suppress
from datetime import timedelta
from pathlib import Path

from tests.queues.conftest import Open, Place
from tests.queues.test_workers import only
from tests.worker.facts import PATIENCE, Facts
from tidemill import Tidemill, VirtualClock, WorkerLost, WorkerSettings
from tidemill.sweeper import Sweeper
from tidemill.worker.presence import Presence
from tidemill.worker.slots import Slots
from tidemill.worker_record import KEPT_FOR


class Watch:
    """Workers that speak and sweepers that look when they are told to, in virtual time."""

    def __init__(self, here: Place, clock: VirtualClock, *, sweepers: int = 1) -> None:
        self.here = here
        self.clock = clock
        self.app = here.app()
        self.facts = Facts(self.app)
        self._sweepers = [Sweeper(self.app) for _ in range(sweepers)]
        slots = {"loop": Slots(1), "thread": Slots(1)}
        self._presence = Presence(
            "w", WorkerSettings(), (), runs=tuple, slots=slots, draining=lambda: False
        )

    async def speak(self) -> None:
        await self._presence.tell(self.here.engine)

    async def look(self, seconds: float = 0, *, every: float = 3) -> None:
        """Let time pass, and let each sweeper look as often as it does by itself."""
        for _ in range(int(seconds / every)):
            self.clock.advance(timedelta(seconds=every))
            for each in self._sweepers:
                await each._watch(self.here.engine)

    @property
    def lost(self) -> list[WorkerLost]:
        return self.facts.of(WorkerLost)


async def test_a_silent_worker_is_named_within_its_lease_and_once_by_the_fleet(
    place: Open, clock: VirtualClock
) -> None:
    async with place() as here:
        watch = Watch(here, clock, sweepers=3)
        await watch.speak()
        heard = (await only(watch.app)).heard_at
        await watch.look(21)
        assert watch.lost == []
        await watch.look(3)
        assert [(each.worker, each.pid) for each in watch.lost] == [("w", os.getpid())]
        info = await only(watch.app)
        assert (info.live, info.heard_at, info.worker.lost_since) == (False, heard, heard)
        await watch.look(60)
        assert len(watch.lost) == 1, "also to those who look later"


async def test_a_worker_that_is_heard_of_again_is_live_and_may_be_lost_again(
    place: Open, clock: VirtualClock
) -> None:
    async with place() as here:
        watch = Watch(here, clock)
        await watch.speak()
        await watch.look(24)
        assert len(watch.lost) == 1
        await watch.speak()
        assert (await only(watch.app)).live
        await watch.look(21)
        assert len(watch.lost) == 1
        await watch.look(3)
        assert len(watch.lost) == 2


async def test_after_an_outage_of_the_engine_no_worker_is_lost_that_speaks_again(
    place: Open, clock: VirtualClock
) -> None:
    async with place() as here:
        watch = Watch(here, clock)
        await watch.speak()
        await watch.look(9)
        clock.advance(timedelta(minutes=10))  # nobody could write or look
        await watch.look(9)
        assert watch.lost == []
        await watch.speak()
        await watch.look(21)
        assert watch.lost == []


async def test_the_record_of_a_lost_worker_is_kept_for_an_hour(
    place: Open, clock: VirtualClock
) -> None:
    async with place() as here:
        watch = Watch(here, clock)
        await watch.speak()
        await watch.look(24)
        clock.advance(KEPT_FOR - timedelta(seconds=24))
        await Sweeper(watch.app)._look(here.engine)
        assert len(await watch.app.workers()) == 1
        clock.advance(timedelta(seconds=1))
        await Sweeper(watch.app)._look(here.engine)
        assert await watch.app.workers() == []


KILLED = """
import asyncio
from datetime import timedelta
from tidemill import Tidemill, WorkerSettings
from tidemill.worker import Worker

app = Tidemill("sqlite:///lost.db")


@app.task(name="stay")
async def stay() -> None:
    print("inside", flush=True)
    await asyncio.Event().wait()


settings = WorkerSettings(lease=timedelta(seconds=4), heartbeat=timedelta(seconds=1))


async def main() -> None:
    await app.engine()
    await stay.enqueue()
    await Worker(app, settings, name="victim").run()


asyncio.run(main())
"""


async def delays(late: list[float]) -> None:
    """Notes by how many seconds the machine is late with each of many short pauses."""
    while True:
        due = time.monotonic() + 0.1
        await asyncio.sleep(0.1)
        late.append(time.monotonic() - due)


async def test_a_worker_that_is_killed_is_named_within_its_lease(tmp_path: Path) -> None:
    lease = timedelta(seconds=4)
    program = tmp_path / "killed.py"
    program.write_text(KILLED, encoding="utf-8")
    app = Tidemill(f"sqlite:///{tmp_path}/lost.db")
    facts = Facts(app)
    sweeping = asyncio.ensure_future(Sweeper(app, lease=lease).run())
    victim = await asyncio.create_subprocess_exec(
        sys.executable, str(program), cwd=tmp_path, stdout=asyncio.subprocess.PIPE
    )
    try:
        assert victim.stdout is not None
        assert await victim.stdout.readline() == b"inside\n"
        async with asyncio.timeout(PATIENCE):
            while not (found := await app.workers()) or not found[0].worker.running:  # noqa: ASYNC110  # another process writes it
                await asyncio.sleep(0.01)
        assert (await only(app)).live
        late: list[float] = []
        delaying = asyncio.ensure_future(delays(late))
        killed_at = time.monotonic()
        victim.send_signal(signal.SIGKILL)
        lost = await facts.first(WorkerLost)
        took = time.monotonic() - killed_at
        delaying.cancel()
    finally:
        with suppress(ProcessLookupError):
            victim.kill()
        await victim.communicate()
        sweeping.cancel()
        await asyncio.gather(sweeping, return_exceptions=True)
    assert (lost.worker, lost.pid, lost.running) == ("victim", victim.pid, 1)
    assert took - sum(late) < lease.total_seconds()
    assert not (await only(app)).live
    await app.close()
