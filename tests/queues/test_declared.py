"""Queues that code declares, and what becomes of them in the engine when a process starts."""

import pytest

from tests.queues.conftest import Open, Place
from tests.queues.test_operations import in_force
from tests.scheduler.interrupted import Interrupted
from tidemill import (
    ConfigError,
    DeclarationError,
    EngineUnavailable,
    QueueDefinition,
    QueueNotFound,
    QueueOptions,
    Tidemill,
)
from tidemill.app.declared_queues import reconcile_queues
from tidemill.scheduler import Scheduler


def declares(
    here: Place, path: str = "shop:app", task: str = "work", **queues: QueueOptions
) -> Tidemill:
    """An application as code of some version declares it: queues by name."""
    app = here.app(path)

    @app.task(name=task)
    async def work() -> None: ...

    for name, said in queues.items():
        app.queue(name, **said)
    return app


async def start(app: Tidemill) -> None:
    await reconcile_queues(app, await app.engine())


class TestDeclare:
    def test_what_can_never_be_kept_is_refused_where_it_is_written(self) -> None:
        app = Tidemill("memory://")
        with pytest.raises(ConfigError, match="queue mail: weight is a whole number from 1 to 100"):
            app.queue("mail", weight=0)
        assert app.declared_queues == {}

    def test_a_queue_may_be_declared_again_but_not_otherwise(self) -> None:
        app = Tidemill("memory://")
        declared = app.queue("mail", concurrency=5)
        assert app.queue("mail", concurrency=5) == declared
        with pytest.raises(DeclarationError, match="the queue mail is declared twice"):
            app.queue("mail", concurrency=6)
        assert app.declared_queues == {"mail": QueueDefinition("mail", concurrency=5)}

    async def test_declaring_writes_nothing(self, place: Open) -> None:
        async with place() as here:
            app = declares(here, mail={"concurrency": 5})
            with pytest.raises(QueueNotFound):
                await app.queues.get("mail")


class TestReconcile:
    async def test_a_declared_queue_is_in_force_when_a_scheduler_has_started(
        self, place: Open
    ) -> None:
        async with place() as here:
            app = declares(here, mail={"concurrency": 5, "rate": "5/s"}, files={})
            await Scheduler(app).catch_up()
            assert await in_force(here, "mail") == app.declared_queues["mail"]
            info = await app.queues.get("mail")
            assert (info.declared, info.changed) == (app.declared_queues["mail"], ())
            assert [each.name for each in await app.queues.list()] == ["files", "mail"]

    async def test_a_restart_writes_nothing(self, place: Open) -> None:
        async with place() as here:
            for _ in range(3):
                await start(declares(here, mail={"concurrency": 5}))
            [document] = await here.engine.documents("queue")
            assert document.version == 1

    async def test_what_the_code_says_now_replaces_what_it_said_before(self, place: Open) -> None:
        async with place() as here:
            await start(declares(here, mail={"concurrency": 5, "weight": 2}))
            await start(declares(here, mail={"capacity": 100}))
            assert await in_force(here, "mail") == QueueDefinition("mail", capacity=100)

    async def test_what_an_operator_changed_wins_until_it_is_reset(self, place: Open) -> None:
        async with place() as here:
            await start(declares(here, mail={"concurrency": 5}))
            await here.app().queues.change("mail", concurrency=None, weight=9)
            app = declares(here, mail={"concurrency": 7, "capacity": 100})
            await start(app)
            info = await app.queues.get("mail")
            assert info.definition == QueueDefinition("mail", weight=9, capacity=100)
            assert info.changed == ("weight", "concurrency")
            assert info.declared == QueueDefinition("mail", concurrency=7, capacity=100)
            await app.queues.reset("mail", "concurrency")
            assert await in_force(here, "mail") == QueueDefinition(
                "mail", weight=9, concurrency=7, capacity=100
            )

    async def test_a_queue_made_by_hand_keeps_what_was_said_by_hand(self, place: Open) -> None:
        async with place() as here:
            await here.app().queues.create("mail", concurrency=2)
            await start(declares(here, mail={"concurrency": 5, "capacity": 100}))
            assert await in_force(here, "mail") == QueueDefinition(
                "mail", concurrency=2, capacity=100
            )

    async def test_what_is_not_declared_any_more_is_as_any_queue(self, place: Open) -> None:
        async with place() as here:
            await start(declares(here, mail={"concurrency": 5, "weight": 2}, files={"weight": 3}))
            await here.app().queues.change("mail", weight=9)
            app = declares(here, files={"weight": 3})
            await start(app)
            assert await in_force(here, "mail") == QueueDefinition("mail", weight=9)
            assert (await app.queues.get("mail")).declared is None
            assert await in_force(here, "files") == QueueDefinition("files", weight=3)

    async def test_an_application_takes_back_only_what_it_declared_itself(
        self, place: Open
    ) -> None:
        async with place() as here:
            await start(declares(here, "shop:app", mail={"concurrency": 5}, files={"weight": 3}))
            await start(declares(here, "other:app", files={"weight": 3}))
            await start(declares(here, "shop:app", task="strange"))
            assert (await in_force(here, "mail")).concurrency == 5, "another of the same path"
            await start(declares(here, "shop:app", mail={"concurrency": 5}, files={"weight": 3}))
            await start(declares(here, "shop:app"))
            assert await in_force(here, "mail") == QueueDefinition("mail")
            assert (await in_force(here, "files")).weight == 3, "declared by another one too"

    async def test_queues_that_nobody_told_anything_stay_as_they_are(self, place: Open) -> None:
        async with place() as here:
            await here.engine.configure([QueueDefinition("old", weight=7)])
            await start(declares(here, mail={"concurrency": 5}))
            assert await in_force(here, "old") == QueueDefinition("old", weight=7)

    async def test_a_start_and_a_change_at_once_leave_both_in_force(self, place: Open) -> None:
        async with place() as here:
            await start(declares(here, mail={"concurrency": 5}))
            between = Interrupted(here.engine)
            operator = here.app().queues
            between.before("put", lambda: operator.change("mail", weight=2))
            between.before("configure", lambda: operator.change("mail", weight=3))
            app = declares(here, mail={"concurrency": 7})
            app.use_engine(between, clock=here.clock)
            await start(app)
            assert await in_force(here, "mail") == QueueDefinition("mail", weight=3, concurrency=7)

    async def test_a_change_that_was_cut_off_is_brought_into_force_by_the_next_start(
        self, place: Open
    ) -> None:
        async def cut_off() -> None:
            raise EngineUnavailable("gone")

        async with place() as here:
            await start(declares(here, mail={"concurrency": 5}))
            between = Interrupted(here.engine)
            between.before("configure", cut_off)
            with pytest.raises(EngineUnavailable):
                await here.app(on=between).queues.change("mail", concurrency=9)
            assert (await in_force(here, "mail")).concurrency == 5
            await start(declares(here, mail={"concurrency": 5}))
            assert (await in_force(here, "mail")).concurrency == 9
