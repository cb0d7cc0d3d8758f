"""`app.queues`: queues made, read, changed, paused and emptied at run time."""

import asyncio
from datetime import timedelta

import pytest

from tests.queues.conftest import Open, Place
from tests.scheduler.interrupted import Interrupted
from tidemill import (
    ChangedMeanwhile,
    ConfigError,
    Conflict,
    QueueDefinition,
    QueueFull,
    QueueNotFound,
    Rate,
    State,
    Tidemill,
    VirtualClock,
)
from tidemill.engine import ClaimRequest, TaskQuery
from tidemill.ids import IdMaker
from tidemill.testing.builders import new_task

MINUTE = timedelta(minutes=1)
IDS = IdMaker()


async def in_force(here: Place, name: str) -> QueueDefinition:
    queues = {each.name: each.definition for each in (await here.engine.stats()).queues}
    return queues[name]


class TestChange:
    async def test_a_queue_is_made_with_its_settings_once(self, place: Open) -> None:
        async with place() as here:
            app = here.app()
            info = await app.queues.create("mail", concurrency=5, rate="100/m", lease=9)
            wanted = QueueDefinition(
                "mail", lease=timedelta(seconds=9), concurrency=5, rate=Rate(100, MINUTE, 10)
            )
            assert info.definition == await in_force(here, "mail") == wanted
            assert (info.declared, info.changed) == (None, ("lease", "concurrency", "rate"))
            assert info.counts == dict.fromkeys(State, 0)
            with pytest.raises(Conflict, match="a queue called 'mail' already"):
                await app.queues.create("mail", concurrency=9)
            assert await in_force(here, "mail") == wanted

    async def test_a_change_leaves_what_it_does_not_say(self, place: Open) -> None:
        async with place() as here:
            app = here.app()
            await app.queues.create("mail", concurrency=5, capacity=100, rate="100/m")
            await app.queues.change("mail", concurrency=None, burst=3, weight=2)
            rate = Rate(100, MINUTE, 3)
            assert await in_force(here, "mail") == QueueDefinition(
                "mail", weight=2, capacity=100, rate=rate
            )

    async def test_a_reset_takes_back_what_it_names_or_all(self, place: Open) -> None:
        async with place() as here:
            app = here.app()
            await app.queues.create("mail", concurrency=5, capacity=100, weight=3)
            assert (await app.queues.reset("mail", "capacity")).changed == ("weight", "concurrency")
            assert await in_force(here, "mail") == QueueDefinition("mail", weight=3, concurrency=5)
            assert (await app.queues.reset("mail")).changed == ()
            assert await in_force(here, "mail") == QueueDefinition("mail")
            with pytest.raises(ConfigError, match="no setting called 'speed'; there are weight, "):
                await app.queues.reset("mail", "speed")

    async def test_a_queue_that_only_tasks_named_can_be_changed(self, place: Open) -> None:
        async with place() as here:
            app = here.app()
            await here.engine.enqueue([new_task(IDS.make("mail"), queue="mail")])
            await here.engine.configure([QueueDefinition("mail", weight=7)])
            info = await app.queues.change("mail", concurrency=2)
            assert info.definition == QueueDefinition("mail", weight=7, concurrency=2)
            assert info.changed == ("weight", "concurrency")

    async def test_what_cannot_be_is_refused_and_changes_nothing(self, place: Open) -> None:
        async with place() as here:
            app = here.app()
            await app.queues.create("mail", concurrency=5)
            with pytest.raises(ConfigError, match="queue mail: concurrency is a whole number"):
                await app.queues.change("mail", concurrency=0, weight=9)
            assert await in_force(here, "mail") == QueueDefinition("mail", concurrency=5)
            for change in (
                app.queues.change("absent", weight=2),
                app.queues.reset("absent"),
                app.queues.get("absent"),
                app.queues.pause("absent"),
                app.queues.purge("absent"),
            ):
                with pytest.raises(QueueNotFound, match="absent"):
                    await change

    async def test_changes_of_several_operators_at_once_are_all_in_force(self, place: Open) -> None:
        async with place() as here:
            queues = here.app().queues
            await queues.create("mail")
            await asyncio.gather(
                queues.change("mail", concurrency=5),
                queues.change("mail", weight=3),
                queues.change("mail", capacity=9),
            )
            wanted = QueueDefinition("mail", weight=3, concurrency=5, capacity=9)
            assert await in_force(here, "mail") == wanted
            assert (await queues.get("mail")).changed == ("weight", "concurrency", "capacity")

    async def test_a_slow_one_never_leaves_older_settings_in_force(self, place: Open) -> None:
        """It has read what was to be configured, and somebody changes that before it does."""
        async with place() as here:
            between = Interrupted(here.engine)
            slow, quick = here.app(on=between), here.app()
            await quick.queues.create("mail")
            between.before("configure", lambda: quick.queues.change("mail", concurrency=9))
            await slow.queues.change("mail", concurrency=2, weight=4)
            assert await in_force(here, "mail") == QueueDefinition("mail", weight=4, concurrency=9)


class TestVersion:
    async def test_it_rises_with_every_change_pause_and_resume(self, place: Open) -> None:
        async with place() as here:
            queues = here.app().queues
            await here.engine.enqueue([new_task(IDS.make("mail"), queue="mail")])
            assert (await queues.get("mail")).version == 0
            assert (await queues.pause("mail", if_version=0)).version == 1
            assert (await queues.pause("mail", if_version=1)).version == 1  # it is paused
            assert (await queues.resume("mail", if_version=1)).version == 2
            assert (await queues.change("mail", if_version=2, weight=3)).version == 3
            assert (await queues.reset("mail", if_version=3)).version == 4
            assert [each.version for each in await queues.list()] == [4]

    async def test_another_version_than_was_read_is_not_changed(self, place: Open) -> None:
        async with place() as here:
            queues = here.app().queues
            read = await queues.create("mail", concurrency=5)
            await queues.change("mail", concurrency=6)
            for change in (
                queues.change("mail", if_version=read.version, concurrency=7),
                queues.reset("mail", if_version=read.version),
                queues.pause("mail", if_version=read.version),
                queues.resume("mail", if_version=read.version),
            ):
                with pytest.raises(ChangedMeanwhile, match="the queue 'mail' was changed"):
                    await change
            found = await queues.get("mail")
            assert (found.definition.concurrency, found.paused) == (6, False)

    @pytest.mark.parametrize("verb", ["change", "reset", "pause"])
    async def test_a_change_that_comes_between_check_and_write_is_not_lost(
        self, verb: str, place: Open
    ) -> None:
        async with place() as here:
            between = Interrupted(here.engine)
            slow, quick = here.app(on=between), here.app()
            read = await quick.queues.create("mail", capacity=5)
            between.before("put", lambda: quick.queues.change("mail", weight=4))
            said = {"weight": 9} if verb == "change" else {}
            with pytest.raises(ChangedMeanwhile):
                await getattr(slow.queues, verb)("mail", if_version=read.version, **said)
            found = await quick.queues.get("mail")
            assert found.definition == QueueDefinition("mail", weight=4, capacity=5)
            assert not found.paused

    async def test_of_many_who_read_the_same_one_changes_it(self, place: Open) -> None:
        async with place() as here:
            queues = here.app().queues
            version = (await queues.create("mail")).version
            ended = await asyncio.gather(
                *(queues.change("mail", if_version=version, weight=each) for each in range(2, 9)),
                queues.pause("mail", if_version=version),
                return_exceptions=True,
            )
            assert sum(isinstance(each, ChangedMeanwhile) for each in ended) == len(ended) - 1
            assert (await queues.get("mail")).version == version + 1


class TestLook:
    async def test_queues_are_listed_with_what_they_hold(
        self, place: Open, clock: VirtualClock
    ) -> None:
        async with place() as here:
            app = here.app()
            await app.queues.create("b", capacity=10)
            await here.engine.enqueue(
                [
                    new_task(IDS.make("a"), queue="a"),
                    new_task(IDS.make("b"), queue="b"),
                    new_task(IDS.make("b"), queue="b", delay=MINUTE),
                ]
            )
            a, b = await app.queues.list()
            assert (a.name, a.waiting, a.changed, a.paused) == ("a", 1, (), False)
            assert (b.waiting, b.counts[State.PENDING], b.counts[State.SCHEDULED]) == (2, 1, 1)
            assert b == await app.queues.get("b")
            assert a.oldest_pending_at == b.oldest_pending_at

    async def test_a_document_of_a_newer_version_hides_no_queue_and_is_not_overwritten(
        self, place: Open
    ) -> None:
        from tidemill.engine import Put

        async with place() as here:
            app = here.app()
            await app.queues.create("mail", concurrency=5)
            await here.engine.put([Put("queue", "mail", b'{"changed": {"weight": "heavy"}}')])
            assert [each.name for each in await app.queues.list()] == ["mail"]
            with pytest.raises(ConfigError, match="settings of the queue mail cannot be read"):
                await app.queues.change("mail", weight=2)
            assert await in_force(here, "mail") == QueueDefinition("mail", concurrency=5)

    async def test_a_paused_queue_gives_nothing_until_it_is_resumed(self, place: Open) -> None:
        async with place() as here:
            queues = here.app().queues
            await here.engine.enqueue([new_task(IDS.make("mail"), queue="mail")])
            assert (await queues.pause("mail")).paused
            assert await here.engine.claim(request()) == []
            assert not (await queues.resume("mail")).paused
            assert len(await here.engine.claim(request())) == 1


class TestPurge:
    async def test_a_dry_run_counts_what_waits_and_changes_nothing(self, place: Open) -> None:
        async with place() as here:
            await fill(here)
            purged = await here.app().queues.purge("mail", dry_run=True)
            assert (purged.waiting, purged.cancelled) == (602, 0)
            assert (await here.app().queues.get("mail")).waiting == 602

    async def test_a_purge_cancels_what_waits_in_its_queue_and_lets_the_rest_go_on(
        self, place: Open, clock: VirtualClock
    ) -> None:
        async with place() as here:
            await fill(here)
            told: list[tuple[int, int]] = []
            app = here.app()
            dry = await app.queues.purge("mail", dry_run=True)
            clock.advance(MINUTE)
            late = new_task(IDS.make("mail"), queue="mail")
            await here.engine.enqueue([late])
            purged = await app.queues.purge(
                "mail", until=dry.at, progress=lambda done, total: told.append((done, total))
            )
            assert (purged.waiting, purged.cancelled) == (603, 602)
            assert told[-1] == (602, 603)
            info = await app.queues.get("mail")
            assert (info.waiting, info.counts[State.RUNNING]) == (1, 1)
            assert (await app.queues.get("other")).waiting == 1
            found = await here.engine.find(
                TaskQuery(states=frozenset({State.CANCELLED}), limit=700)
            )
            assert {task.reason for task in found.tasks} == {"purged"}
            assert len(found.tasks) == 602


async def fill(here: Place) -> None:
    """One running, 602 waiting (one of them delayed), and one in another queue."""
    await here.engine.enqueue([new_task(IDS.make("mail"), queue="mail")])
    assert len(await here.engine.claim(request())) == 1
    tasks = [new_task(IDS.make("mail"), queue="mail") for _ in range(601)]
    delayed = new_task(IDS.make("mail"), queue="mail", delay=MINUTE)
    await here.engine.enqueue([*tasks, delayed, new_task(IDS.make("other"), queue="other")])


def request() -> ClaimRequest:
    return ClaimRequest(
        claim_id=IDS.make(),
        worker="w",
        queues=None,
        task_types=frozenset({new_task(IDS.make()).task_type}),
        limit=1,
    )


class TestCapacity:
    def declared(self, here: Place) -> Tidemill:
        app = here.app()

        @app.task(name="send", queue="mail", unique="to:{to}")
        async def send(to: str) -> None: ...

        return app

    async def test_enqueueing_beyond_the_capacity_raises_and_enqueues_nothing(
        self, place: Open
    ) -> None:
        async with place() as here:
            app = self.declared(here)
            send = app.function("send")
            await app.queues.create("mail", capacity=3)
            await send.enqueue(to="a")
            with pytest.raises(QueueFull) as raised:
                await send.enqueue_many({"to": name} for name in "bcd")
            error = raised.value
            assert (error.queue, error.capacity, error.waiting, error.more) == ("mail", 3, 1, 3)
            await send.enqueue_many({"to": name} for name in "bc")
            with pytest.raises(QueueFull, match="3 of at most 3 tasks wait there"):
                await send.enqueue(to="d")
            assert (await send.enqueue(to="a")).duplicate, "what is there already needs no room"
            assert (await app.queues.get("mail")).waiting == 3
            await app.queues.change("mail", capacity=None)
            await send.enqueue(to="d")
