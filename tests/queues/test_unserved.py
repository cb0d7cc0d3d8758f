"""Pending tasks that nobody would run, as a sweeper tells of them."""

from datetime import timedelta

from tests.queues.conftest import Open, Place
from tests.worker.facts import Facts
from tidemill import QueueUnserved, TaskTypeUnknown, Tidemill, VirtualClock, WorkerSettings
from tidemill.ids import IdMaker
from tidemill.sweeper import LOOK_EVERY, Sweeper
from tidemill.testing.builders import new_task
from tidemill.worker.presence import Presence
from tidemill.worker.slots import Slots

LOOK = timedelta(seconds=LOOK_EVERY)
IDS = IdMaker()


class Scene:
    """A sweeper that looks when it is told to, and workers that say that they are there."""

    def __init__(self, here: Place, clock: VirtualClock) -> None:
        self.engine = here.engine
        self.clock = clock
        self.app: Tidemill = here.app()
        self.facts = Facts(self.app)
        self._sweeper = Sweeper(self.app)

    async def enqueue(self, queue: str, task_type: str) -> None:
        task = new_task(IDS.make(queue), queue=queue, task_type=task_type)
        await self.engine.enqueue([task])

    async def worker(self, name: str, *task_types: str, queues: tuple[str, ...] | None) -> Presence:
        settings = WorkerSettings(queues=queues)
        slots = {"loop": Slots(1), "thread": Slots(1)}
        presence = Presence(
            name, settings, task_types, runs=tuple, slots=slots, draining=lambda: False
        )
        await presence.tell(self.engine)
        return presence

    async def look(self) -> None:
        await self._sweeper._look(self.engine)
        self.clock.advance(timedelta(seconds=1))

    @property
    def told(self) -> list[QueueUnserved | TaskTypeUnknown]:
        return [*self.facts.of(QueueUnserved), *self.facts.of(TaskTypeUnknown)]


async def test_the_first_look_tells_nothing_because_workers_may_be_starting(
    place: Open, clock: VirtualClock
) -> None:
    async with place() as here:
        scene = Scene(here, clock)
        await scene.enqueue("mail", "send")
        await scene.look()
        await scene.worker("w", "send", queues=None)
        await scene.look()
        await scene.look()
        assert scene.told == []


async def test_an_unserved_queue_is_told_once_until_it_was_served_in_between(
    place: Open, clock: VirtualClock
) -> None:
    async with place() as here:
        scene = Scene(here, clock)
        await scene.enqueue("mail", "send")
        for _ in range(4):
            await scene.look()
        assert scene.told == [QueueUnserved("mail")]
        worker = await scene.worker("w", "send", queues=("mail",))
        await scene.look()
        await worker.withdraw(scene.engine)
        await scene.look()
        assert len(scene.told) == 1, "it may be replaced just now"
        await scene.look()
        await scene.look()
        assert scene.told == [QueueUnserved("mail"), QueueUnserved("mail")]


async def test_a_worker_that_is_not_heard_of_any_more_serves_nothing(
    place: Open, clock: VirtualClock
) -> None:
    async with place() as here:
        scene = Scene(here, clock)
        await scene.worker("w", "send", queues=None)
        await scene.enqueue("mail", "send")
        await scene.look()
        clock.advance(LOOK)
        await scene.look()
        assert [info.live for info in await scene.app.workers()] == [False]
        await scene.look()
        assert scene.told == [QueueUnserved("mail")]


async def test_a_type_that_no_worker_of_its_queue_knows_is_told_once_until_one_does(
    place: Open, clock: VirtualClock
) -> None:
    async with place() as here:
        scene = Scene(here, clock)
        await scene.worker("w", "send", queues=None)
        await scene.enqueue("mail", "file")
        for _ in range(4):
            await scene.look()
        assert scene.told == [TaskTypeUnknown("file", "mail")]
        newer = await scene.worker("v", "file", queues=None)
        await scene.look()
        await newer.withdraw(scene.engine)
        await scene.look()
        await scene.look()
        assert scene.told == [TaskTypeUnknown("file", "mail")] * 2


async def test_records_of_workers_not_heard_of_for_an_hour_are_removed(
    place: Open, clock: VirtualClock
) -> None:
    async with place() as here:
        scene = Scene(here, clock)
        await scene.worker("old", "send", queues=None)
        clock.advance(timedelta(minutes=50))
        await scene.worker("new", "send", queues=None)
        clock.advance(timedelta(minutes=10))
        await scene.look()
        assert [info.worker.name for info in await scene.app.workers()] == ["new", "old"]
        clock.advance(timedelta(seconds=1))
        await scene.look()
        assert [info.worker.name for info in await scene.app.workers()] == ["new"]
