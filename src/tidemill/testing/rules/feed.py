"""Rules about the feed: docs/engine.md, section 16."""

import asyncio
from datetime import timedelta

from tidemill.engine import Extension
from tidemill.outcome import Completed, Failed, Released, Retried, Snoozed, Waiting
from tidemill.task import Progress, State, UniqueKey
from tidemill.testing.builders import BROKE, numbered_id
from tidemill.testing.lab import NO_TIME, Lab

MINUTE = timedelta(minutes=1)
PATIENCE = timedelta(seconds=30)


async def the_feed_tells_every_transition_in_order_with_its_cause(lab: Lab) -> None:
    """Section 16: the state and the attempt are those afterwards."""
    task_id = await lab.add(delay=MINUTE, unique=UniqueKey("k"))
    await lab.enqueue(lab.new(unique=UniqueKey("k", on_conflict="replace"), delay=MINUTE))
    lab.clock.advance(MINUTE)
    await lab.engine.promote(10)
    claim = await lab.take(task_id)
    await lab.extend(claim, progress=Progress(50.0))
    await lab.settle(claim, Retried(BROKE))
    await lab.settle(await lab.take(task_id), Snoozed(NO_TIME))
    await lab.settle(await lab.take(task_id), Released())
    await lab.settle(await lab.take(task_id), Waiting(()))
    await lab.lose(await lab.take(task_id))
    claim = await lab.take(task_id)
    await lab.engine.cancel([task_id])
    await lab.settle(claim, Failed(BROKE))
    await lab.engine.retry([task_id])
    await lab.settle(await lab.take(task_id), Completed())
    await lab.engine.remove([task_id])
    told = [(entry.cause, entry.state, entry.attempt) for entry in await lab.feed()]
    assert told == [
        ("enqueued", State.SCHEDULED, 0),
        ("replaced", State.SCHEDULED, 0),
        ("promoted", State.PENDING, 0),
        ("claimed", State.RUNNING, 1),
        ("progress", State.RUNNING, 1),
        ("retried", State.PENDING, 1),
        ("claimed", State.RUNNING, 2),
        ("snoozed", State.PENDING, 1),
        ("claimed", State.RUNNING, 2),
        ("released", State.PENDING, 1),
        ("claimed", State.RUNNING, 2),
        ("waiting", State.PENDING, 1),
        ("claimed", State.RUNNING, 2),
        ("reclaimed", State.PENDING, 2),
        ("claimed", State.RUNNING, 3),
        ("cancel_requested", State.RUNNING, 3),
        ("failed", State.FAILED, 3),
        ("manual_retry", State.PENDING, 3),
        ("claimed", State.RUNNING, 4),
        ("completed", State.COMPLETED, 4),
        ("removed", State.COMPLETED, 4),
    ]


async def an_entry_names_its_task_and_its_instant(lab: Lab) -> None:
    """`Transition`."""
    claim = await lab.start(queue="slow", task_type="work")
    lab.clock.advance(MINUTE)
    cursor = await lab.end_of_feed()
    progress = Progress(12.5, "m", "s", 1, 8)
    await lab.extend(claim, progress=progress)
    [entry] = await lab.feed(cursor)
    assert (entry.task_id, entry.task_type, entry.queue) == (claim.ref.task_id, "work", "slow")
    assert (entry.at, entry.progress) == (lab.now(), progress)


async def what_changes_nothing_is_not_told(lab: Lab) -> None:
    """Section 16: every transition, and only those."""
    claim = await lab.start(unique=UniqueKey("k"))
    cursor = await lab.end_of_feed()
    await lab.extend(claim)
    await lab.enqueue(lab.new(unique=UniqueKey("k")))
    await lab.engine.cancel([numbered_id(404_404)])
    await lab.engine.retry([claim.ref.task_id])
    await lab.engine.remove([claim.ref.task_id])
    await lab.engine.promote(10)
    await lab.engine.reclaim(10)
    await lab.engine.prune(10)
    await lab.claim()
    await lab.engine.pause("default", paused=True)
    assert await lab.feed(cursor) == []


async def none_starts_at_the_end_and_the_empty_text_at_the_oldest(lab: Lab) -> None:
    """`feed`."""
    first = await lab.add()
    cursor = await lab.end_of_feed()
    second = await lab.add()
    assert [entry.task_id for entry in await lab.feed(cursor)] == [second]
    assert [entry.task_id for entry in await lab.feed("")] == [first, second]


async def pages_of_the_feed_follow_each_other(lab: Lab) -> None:
    """`FeedPage.cursor`: continues after its entries, however long they were left."""
    ids = [await lab.add() for _ in range(5)]
    told, cursor = [], ""
    for _ in range(4):
        page = await lab.engine.feed(cursor, 2, NO_TIME)
        told.append([entry.task_id for entry in page.entries])
        assert not page.cut
        cursor = page.cursor
    assert told == [ids[:2], ids[2:4], ids[4:], []]
    assert (await lab.engine.feed(cursor, 2, NO_TIME)).cursor == cursor


async def a_reader_who_waits_is_told_of_the_next_transition(lab: Lab) -> None:
    """`feed`: waits when there are none; only a fact ends this wait before its patience."""
    cursor = await lab.end_of_feed()
    reader = asyncio.create_task(lab.engine.feed(cursor, 10, PATIENCE))
    await asyncio.sleep(0)
    task_id = await lab.add()
    page = await asyncio.wait_for(reader, PATIENCE.total_seconds() / 2)
    assert [entry.task_id for entry in page.entries] == [task_id]


async def a_reader_does_not_wait_when_there_is_something(lab: Lab) -> None:
    """`feed`."""
    await lab.add()
    page = await asyncio.wait_for(lab.engine.feed("", 10, PATIENCE), PATIENCE.total_seconds() / 2)
    assert len(page.entries) == 1


async def a_wait_for_nothing_ends(lab: Lab) -> None:
    """`feed`: waits up to `wait`, then answers an empty page."""
    page = await lab.engine.feed(None, 10, timedelta(milliseconds=1))
    assert (page.entries, page.cut) == ((), False)


async def a_cursor_before_the_cut_is_told_so(lab: Lab) -> None:
    """Section 16: capped while sweepers sweep; `cut=True`, and it goes on with what is left."""
    claim = await lab.start()
    page = first = await lab.engine.feed("", 1, NO_TIME)
    assert not first.cut
    moving = [Extension(claim.ref, progress=Progress(float(n % 100))) for n in range(5000)]
    for _ in range(100):
        await lab.engine.extend(moving, MINUTE)
        await lab.engine.promote(1)
        page = await lab.engine.feed(first.cursor, 2, NO_TIME)
        if page.cut:
            break
    assert page.cut
    assert len(page.entries) == 2
    rest = await lab.engine.feed(page.cursor, 10, NO_TIME)
    assert not rest.cut
    assert len(rest.entries) == 10
    assert not (await lab.engine.feed("", 1, NO_TIME)).cut
