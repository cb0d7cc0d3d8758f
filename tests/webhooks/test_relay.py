"""The relay: each transition once, however often a page is read and however many nodes read it."""

import asyncio
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from typing import Any, cast

import pytest

from tests.outbound.receiver import receiving
from tests.webhooks.conftest import START, News, running
from tidemill import Tidemill, VirtualClock, WebhookDisabled, WebhooksMissed
from tidemill.app.webhook import QUEUE, TASK_TYPE, WEBHOOK
from tidemill.app.webhooks import PLACE, RELAY
from tidemill.engine import Engine, FeedPage, Put, TaskQuery, Transition
from tidemill.engines.memory import MemoryEngine
from tidemill.task import NewTask, State
from tidemill.webhooks import Relay
from tidemill.webhooks.matching import event_of

URL = "https://example.org/hook"


async def turns(relay: Relay, engine: Engine, count: int = 2) -> None:
    """Let a relay look, read and move on, as `run` does, without its pauses."""
    hurried = cast("Engine", Hurried(engine))
    for _ in range(count):
        await relay._turn(hurried)


class Hurried:
    """An engine that waits for nothing."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._engine, verb)

    async def feed(self, after: str | None, limit: int, wait: timedelta) -> FeedPage:
        return await self._engine.feed(after, limit, timedelta(0))


async def deliveries(engine: Engine) -> list[str]:
    """The ids of all deliveries, as they were enqueued."""
    page = await engine.find(TaskQuery(queues=frozenset({QUEUE}), limit=1_000))
    return [task.id for task in page.tasks]


async def enqueue(app: Tidemill, count: int = 1, **options: Any) -> list[str]:
    function = app.function("work").options(**options)
    return [(await function.enqueue(number=number)).id for number in range(count)]


async def test_without_webhooks_the_feed_is_not_read(app: Tidemill, engine: MemoryEngine) -> None:
    read = Counted(engine)
    assert await Relay(app)._turn(read) > 1
    assert read.calls["feed"] == 0
    assert sum(read.calls.values()) == 2


class Counted:
    """Passes everything on to an engine, and counts it."""

    def __init__(self, engine: Engine) -> None:
        self._engine = engine
        self.calls: Counter[str] = Counter()

    def __getattr__(self, verb: str) -> Any:
        self.calls[verb] += 1
        return getattr(self._engine, verb)


async def test_a_relay_that_was_killed_before_it_moved_on_repeats_and_enqueues_nothing_twice(
    app: Tidemill, engine: MemoryEngine
) -> None:
    await app.webhooks.create(URL, events=["task.enqueued"])
    await enqueue(app, 3)
    [place] = await engine.get(RELAY, [PLACE])
    await turns(Relay(app), engine)
    first = await deliveries(engine)
    assert len(first) == 3
    assert place is not None
    await engine.put([Put(RELAY, PLACE, place.body)])
    await turns(Relay(app), engine)
    assert await deliveries(engine) == first


async def test_two_relays_at_once_tell_each_transition_once(
    make_app: Callable[..., Tidemill], engine: MemoryEngine
) -> None:
    first, second = make_app(), make_app()
    async with receiving() as receiver:
        await first.webhooks.create(receiver.url(), events=["task.completed"])
        async with running(first, second):
            ids = await enqueue(first, 50)
            await receiver.until_count(50)
            for task_id in ids:
                await first.handle(task_id).result()
            await until_settled(engine, 50)
    told = Counter(each.headers["webhook-id"] for each in receiver.got)
    assert len(told) == 50
    assert set(told.values()) == {1}


async def until_settled(engine: Engine, count: int) -> None:
    """Return when so many deliveries are completed."""
    cursor: str | None = ""
    done: set[str] = set()
    async with asyncio.timeout(20):
        while len(done) < count:
            page = await engine.feed(cursor, 1_000, timedelta(seconds=5))
            cursor = page.cursor
            done |= {
                each.task_id
                for each in page.entries
                if each.task_type == TASK_TYPE and each.state is State.COMPLETED
            }


async def test_a_relay_that_loses_stands_by_and_takes_over_when_the_place_stays_still(
    make_app: Callable[..., Tidemill], engine: MemoryEngine, clock: VirtualClock
) -> None:
    app = make_app()
    await app.webhooks.create(URL, events=["task.enqueued"])
    leader, other = Relay(app), Relay(app)
    await enqueue(app)
    other._place = await other._look(engine)
    await turns(leader, engine, 1)
    assert await other._turn(engine) > 0
    await enqueue(app)
    await turns(leader, engine, 1)
    await enqueue(app)
    assert await other._turn(engine) > 0
    assert len(await deliveries(engine)) == 2
    clock.advance(timedelta(seconds=5))
    await turns(other, engine, 1)
    assert len(await deliveries(engine)) == 3


async def test_what_happens_after_a_webhook_was_made_is_told_although_a_relay_was_reading(
    app: Tidemill, engine: MemoryEngine
) -> None:
    """The relay knows the first webhook only when the second is made and a task enqueued."""
    await app.webhooks.create(URL, events=["task.failed"])
    relay = Relay(app)
    relay._place = await relay._look(engine)
    await app.webhooks.create(URL, events=["task.enqueued"])
    await enqueue(app)
    await turns(relay, engine, 4)
    assert len(await deliveries(engine)) == 1


async def test_what_happened_before_a_webhook_was_made_is_not_told(
    app: Tidemill, engine: MemoryEngine, clock: VirtualClock
) -> None:
    await app.webhooks.create(URL, events=["task.failed"])
    await enqueue(app)
    clock.advance(timedelta(seconds=1))
    await app.webhooks.create(URL, events=["task.enqueued"])
    await turns(Relay(app), engine)
    assert await deliveries(engine) == []


async def test_what_happened_while_nobody_was_to_be_told_is_neither_told_nor_missed(
    app: Tidemill, engine: MemoryEngine, clock: VirtualClock, news: News
) -> None:
    made = await app.webhooks.create(URL, events=["task.enqueued"])
    await app.webhooks.update(made.webhook.id, active=False)
    await overflow(app, engine)
    clock.advance(timedelta(seconds=1))
    await app.webhooks.update(made.webhook.id, active=True)
    await enqueue(app)
    await turns(Relay(app), engine)
    assert len(await deliveries(engine)) == 1
    assert not [each for each in news.seen if isinstance(each, WebhooksMissed)]


async def overflow(app: Tidemill, engine: MemoryEngine) -> None:
    """More transitions than the feed keeps."""
    ids = [app.new_id("work") for _ in range(2_000)]
    await engine.enqueue([NewTask(id=each, task_type="none", payload=b"") for each in ids])


async def test_a_feed_that_was_cut_before_it_was_read_is_told(
    app: Tidemill, engine: MemoryEngine, news: News
) -> None:
    await app.webhooks.create(URL, events=["task.enqueued"], task_types=["work"])
    await enqueue(app)
    await overflow(app, engine)
    await enqueue(app)
    await turns(Relay(app), engine, 5)
    [missed] = [each for each in news.seen if isinstance(each, WebhooksMissed)]
    assert (missed.after, missed.webhooks) == (START, 1)
    assert len(await deliveries(engine)) == 1


async def test_filters_say_whose_tasks_a_webhook_is_told_of(
    app: Tidemill, engine: MemoryEngine
) -> None:
    async def ids_told(**filters: Any) -> int:
        made = await app.webhooks.create(URL, events=["task.enqueued"], **filters)
        mine = {"user_id": "ana", "project_id": "p1"}
        await enqueue(app, 1)
        await enqueue(app, 2, queue="other", **mine)
        await app.function("fail").options(project_id="p1").enqueue()
        before = set(await deliveries(engine))
        await turns(Relay(app), engine)
        await app.webhooks.delete(made.webhook.id)
        return len(set(await deliveries(engine)) - before)

    assert await ids_told() == 4
    assert await ids_told(queues=["work"]) == 2
    assert await ids_told(queues=["work", "other"], task_types=["work"]) == 3
    assert await ids_told(task_types=["fail"]) == 1
    assert await ids_told(user_id="ana") == 2
    assert await ids_told(project_id="p1") == 3
    assert await ids_told(user_id="ana", project_id="p2") == 0


async def test_deliveries_and_other_tasks_of_our_own_are_not_told(
    app: Tidemill, engine: MemoryEngine
) -> None:
    await app.webhooks.create(URL, events=["task.enqueued"])
    await enqueue(app)
    await enqueue(app, queue="tidemill.alerts")
    await turns(Relay(app), engine, 6)
    assert len(await deliveries(engine)) == 1


@pytest.mark.parametrize(
    ("cause", "state", "event"),
    [
        ("completed", State.COMPLETED, "task.completed"),
        ("joined", State.COMPLETED, "task.completed"),
        ("failed", State.FAILED, "task.failed"),
        ("reclaimed", State.FAILED, "task.failed"),
        ("reclaimed", State.PENDING, "task.reclaimed"),
        ("upstream_broken", State.CANCELLED, "task.cancelled"),
        ("expired", State.CANCELLED, "task.cancelled"),
        ("retried", State.SCHEDULED, "task.retried"),
        ("removed", State.FAILED, "task.removed"),
        ("cancel_requested", State.RUNNING, "task.cancel_requested"),
    ],
)
def test_a_task_that_ended_is_told_by_its_end_whatever_caused_it(
    cause: str, state: State, event: str
) -> None:
    assert event_of(Transition(START, cause, "id", "work", "work", state, 1)) == event


async def test_a_definition_that_cannot_be_read_is_told_once_and_stops_nobody(
    app: Tidemill, engine: MemoryEngine, news: News
) -> None:
    await engine.put([Put(WEBHOOK, "00000000-0000-0000-0000-000000000001", b"{}")])
    await app.webhooks.create(URL, events=["task.enqueued"])
    relay = Relay(app)
    await enqueue(app)
    await turns(relay, engine)
    await relay._look(engine)
    assert len(await deliveries(engine)) == 1
    assert len([each for each in news.seen if isinstance(each, WebhookDisabled)]) == 1


async def test_a_full_queue_of_deliveries_holds_the_relay_up_and_loses_nothing(
    app: Tidemill, engine: MemoryEngine
) -> None:
    await app.queues.create(QUEUE, capacity=1)
    await app.webhooks.create(URL, events=["task.enqueued"])
    await enqueue(app, 2)
    relay = Relay(app)
    assert await relay._turn(engine) > 0
    assert await deliveries(engine) == []
    await app.queues.change(QUEUE, capacity=None)
    await turns(relay, engine)
    assert len(await deliveries(engine)) == 2


async def test_a_page_is_read_on_from_where_the_last_one_ended(
    app: Tidemill, engine: MemoryEngine
) -> None:
    await app.webhooks.create(URL, events=["task.enqueued"])
    await enqueue(app, 5)
    pages: list[FeedPage] = []
    relay = Relay(app)
    small = Small(engine, pages)
    await turns(relay, small, 5)
    assert [len(page.entries) for page in pages] == [2, 2, 2, 2, 2]
    assert len(await deliveries(engine)) == 5


class Small:
    """An engine whose pages have two entries."""

    def __init__(self, engine: Engine, pages: list[FeedPage]) -> None:
        self._engine = engine
        self._pages = pages

    def __getattr__(self, verb: str) -> Any:
        return getattr(self._engine, verb)

    async def feed(self, after: str | None, limit: int, wait: timedelta) -> FeedPage:
        page = await self._engine.feed(after, 2, wait)
        if after is not None:
            self._pages.append(page)
        return page
