"""Rules about taking in what another engine gave: docs/engine.md, section 18."""

from datetime import timedelta

import msgspec

from tidemill.engine import Fire, Fired, HistoryQuery, Mark, Resolution, Tally
from tidemill.outcome import Completed, Failed, Retried, Waiting
from tidemill.task import After, Limit, LogLine, Progress, Retention, State, Task, UniqueKey
from tidemill.testing.builders import BROKE, numbered_id
from tidemill.testing.lab import TICK, Lab

HOUR = timedelta(hours=1)
DAY = timedelta(days=1)


async def _moved(lab: Lab, task_id: str, **changes: object) -> Task:
    """A record as another engine would give it, its own gone or under another id."""
    return msgspec.structs.replace(await lab.task(task_id), id=numbered_id(0xABC), **changes)


async def _restored(lab: Lab, task: Task) -> Task:
    assert await lab.engine.restore([task]) == [True]
    return await lab.task(task.id)


async def a_final_task_is_restored_as_it_was(lab: Lab) -> None:
    """18.1: with instants, result, attempts, logs and all that was enqueued."""
    claim = await lab.start(
        user_id="u",
        project_id="p",
        tags=("a", "b"),
        headers={"h": "1"},
        priority=7,
        timeout=HOUR,
        retention=Retention(DAY, None, HOUR),
        unique=UniqueKey("k"),
        limit=Limit("l", 3),
        expires_at=lab.now(DAY),
        queue="q",
    )
    await lab.settle(claim, Retried(BROKE))
    lab.clock.advance(TICK)
    line = LogLine(lab.now(), "info", "said", 2)
    again = await lab.take(claim.ref.task_id)
    await lab.settle(again, Completed(b"yes"), progress=Progress(50.0, "half"), logs=(line,))
    task = await _moved(lab, claim.ref.task_id)
    lab.clock.advance(HOUR)
    assert await _restored(lab, task) == task
    assert await lab.claim() == []


async def a_failed_task_is_restored_and_can_be_retried(lab: Lab) -> None:
    """18.1: found by its error, retried with a new budget."""
    claim = await lab.start(max_attempts=1)
    await lab.settle(claim, Failed(BROKE))
    task = await _moved(lab, claim.ref.task_id)
    await lab.engine.remove([claim.ref.task_id])
    assert await _restored(lab, task) == task
    assert await lab.found(states=frozenset({State.FAILED})) == [task.id]
    await lab.engine.retry([task.id])
    assert (await lab.take(task.id)).attempt == 2


async def a_known_id_is_left_as_it_is(lab: Lab) -> None:
    """Section 18: False, and nothing changes."""
    task = await lab.task(await lab.add(payload=b"[1]"))
    changed = msgspec.structs.replace(task, payload=b"[2]")
    assert await lab.engine.restore([changed, task]) == [False, False]
    assert await lab.task(task.id) == task


async def waiting_tasks_are_restored_to_wait(lab: Lab) -> None:
    """18.2: pending or scheduled by their due instant."""
    pending, later = await lab.add(), await lab.add(delay=HOUR)
    one = await _moved(lab, pending)
    other = msgspec.structs.replace(await lab.task(later), id=numbered_id(0xDEF))
    await lab.engine.cancel([pending, later])
    assert await lab.engine.restore([one, other]) == [True, True]
    assert await lab.states(one.id, other.id) == [State.PENDING, State.SCHEDULED]
    assert (await lab.task(other.id)).run_at == other.run_at
    assert await lab.claimed() == [one.id]
    lab.clock.advance(HOUR)
    await lab.engine.promote(10)
    assert await lab.claimed() == [other.id]


async def a_running_task_is_pending_again_without_an_attempt_spent(lab: Lab) -> None:
    """18.2: its worker works on another store."""
    claim = await lab.start(max_attempts=1)
    task = await _moved(lab, claim.ref.task_id)
    restored = await _restored(lab, task)
    assert (restored.state, restored.attempt, restored.attempts) == (State.PENDING, 0, ())
    assert (await lab.take(task.id)).attempt == 1


async def ended_attempts_before_a_running_one_stay(lab: Lab) -> None:
    """Section 18: the history."""
    claim = await lab.start()
    await lab.settle(claim, Retried(BROKE))
    await lab.take(claim.ref.task_id)
    restored = await _restored(lab, await _moved(lab, claim.ref.task_id))
    assert restored.attempt == 1
    assert [each.outcome for each in restored.attempts] == ["retried"]


async def a_task_whose_cancel_was_requested_is_cancelled(lab: Lab) -> None:
    """18.2: it shall not run again."""
    claim = await lab.start()
    await lab.engine.cancel([claim.ref.task_id], "enough")
    restored = await _restored(lab, await _moved(lab, claim.ref.task_id))
    assert (restored.state, restored.reason) == (State.CANCELLED, "enough")


async def a_task_that_waited_for_children_is_pending(lab: Lab) -> None:
    """18.2: it runs, and waits again if it must."""
    child = await lab.add(delay=HOUR)
    parent = await lab.start()
    await lab.settle(parent, Waiting((child,)))
    task = await _moved(lab, parent.ref.task_id)
    assert task.blocked_on == "children"
    assert (await _restored(lab, task)).state is State.PENDING


async def a_limit_holds_for_restored_tasks(lab: Lab) -> None:
    """14, 18.2: they pass admission."""
    holder = await lab.add(limit=Limit("l", 1))
    restored = await _restored(lab, await _moved(lab, holder))
    assert (restored.state, restored.blocked_on) == (State.BLOCKED, "limit")
    await lab.engine.cancel([holder])
    assert await lab.state(restored.id) is State.PENDING


async def a_restored_task_takes_its_unique_key_if_it_is_free(lab: Lab) -> None:
    """18.3: until its end, or for the rest of its duration."""
    holder = await lab.add(unique=UniqueKey("k", lasting=HOUR), delay=DAY)
    task = await _moved(lab, holder)
    assert await lab.engine.restore([task]) == [True]
    await lab.engine.cancel([holder, task.id])
    await lab.engine.remove([holder, task.id])
    lab.clock.advance(HOUR / 2)
    assert await lab.engine.restore([task]) == [True]
    new = lab.new(unique=UniqueKey("k"))
    assert [(each.task_id, each.duplicate) for each in await lab.enqueue(new)] == [(task.id, True)]
    lab.clock.advance(HOUR)
    assert [each.duplicate for each in await lab.enqueue(new)] == [False]


async def the_feed_tells_of_restored_tasks(lab: Lab) -> None:
    """18.4: with the cause `restored`."""
    task = await _moved(lab, await lab.add())
    await lab.engine.restore([task])
    assert await lab.causes(task.id) == ["restored"]


async def restored_tasks_are_counted_as_they_stand_but_did_not_end_here(lab: Lab) -> None:
    """17, 18.4: stats know them, the history does not."""
    claim = await lab.start()
    await lab.settle(claim, Completed())
    task = await _moved(lab, claim.ref.task_id)
    before = await lab.engine.history(_all(lab))
    await lab.engine.restore([task])
    assert await lab.engine.history(_all(lab)) == before
    assert [each.count for each in (await lab.engine.stats()).counts] == [2]


async def a_restored_task_is_pruned_at_its_time(lab: Lab) -> None:
    """Section 18: its end of retention is kept."""
    claim = await lab.start(retention=Retention(DAY, DAY, DAY))
    await lab.settle(claim, Completed())
    task = await _moved(lab, claim.ref.task_id)
    lab.clock.advance(DAY)
    assert await lab.engine.prune(10) == 1
    await lab.engine.restore([task])
    assert await lab.engine.prune(10) == 1
    assert await lab.found() == []


async def marks_and_tallies_are_restored_where_there_are_none(lab: Lab) -> None:
    """Section 18: those that are there stay."""
    fire = Fire(at=lab.now(), recorded_at=lab.now(), outcome=Fired.FIRED, task_id=numbered_id(7))
    mark = Mark("nightly", lab.now(), 9, (fire,))
    at = lab.now(-DAY).replace(hour=0, minute=0, second=0, microsecond=0)
    tally = Tally(
        resolution=Resolution.DAY,
        at=at,
        queue="q",
        task_type="t",
        completed=3,
        ran=30,
        waited=3,
        runs={13: 3},
        waits={0: 3},
    )
    for number in (0, 1):
        await lab.engine.restore(
            [],
            marks=[msgspec.structs.replace(mark, count=9 + number)],
            tallies=[msgspec.structs.replace(tally, completed=3 + number)],
        )
    assert (await lab.engine.marks(["nightly"], 50)).marks == (mark,)
    assert await lab.engine.history(_all(lab)) == [tally]


def _all(lab: Lab) -> HistoryQuery:
    return HistoryQuery(
        since=lab.now(-10 * DAY), until=lab.now(10 * DAY), resolution=Resolution.DAY
    )


async def a_task_that_waited_for_upstream_tasks_waits_again(lab: Lab) -> None:
    """18.2 and 19.1: for those of the same call too, in whatever order they come."""
    first = await lab.add(queue="q")
    second = await lab.add(queue="q", after=After((first,)))
    third = await lab.add(queue="q", after=After((second, first), "continue"))
    tasks = [await lab.task(each) for each in (third, second, first)]
    await lab.engine.cancel([third, second, first])
    await lab.engine.remove([third, second, first])
    assert await lab.engine.restore(tasks) == [True] * 3
    assert await lab.states(first, second, third) == [
        State.PENDING,
        State.BLOCKED,
        State.BLOCKED,
    ]
    assert (await lab.task(third)).awaiting == 2
    assert (await lab.task(second)).after == After((first,))
    await lab.settle(await lab.take(first), Failed(BROKE))
    assert await lab.states(second, third) == [State.FAILED, State.PENDING]


async def a_task_that_went_on_before_is_not_stopped_again(lab: Lab) -> None:
    """18.2: only one that was blocked on `upstream` asks again."""
    first = await lab.start(queue="q")
    second = await lab.add(queue="q", after=After((first.ref.task_id,), "continue"))
    await lab.settle(first, Failed(BROKE))
    task = await _moved(lab, second, after=After((first.ref.task_id,)))
    assert (await _restored(lab, task)).state is State.PENDING


async def a_cached_result_is_restored_with_its_key(lab: Lab) -> None:
    """18.3: for what is left of its time."""
    unique = UniqueKey("k", cached=HOUR)
    claim = await lab.start(unique=unique)
    await lab.settle(claim, Completed(b"result"))
    task = await lab.task(claim.ref.task_id)
    await lab.engine.remove([task.id])
    lab.clock.advance(HOUR / 2)
    assert await lab.engine.restore([task]) == [True]
    [answer] = await lab.enqueue(lab.new(unique=unique))
    assert (answer.task_id, answer.duplicate) == (task.id, True)
    lab.clock.advance(HOUR / 2)
    [answer] = await lab.enqueue(lab.new(unique=unique))
    assert answer.duplicate is False
