"""Rules about enqueueing: docs/engine.md, section 1."""

from datetime import timedelta

from tidemill.engine import Enqueued
from tidemill.task import Limit, Retention, State, UniqueKey
from tidemill.testing.builders import new_task
from tidemill.testing.lab import TICK, Lab


async def an_enqueued_task_is_pending_and_keeps_all_its_fields(lab: Lab) -> None:
    """The record: besides what was enqueued."""
    new = lab.new(
        task_type="mail.send",
        payload=b'{"n":1}\x00\xff',
        queue="mail",
        priority=7,
        max_attempts=9,
        expires_at=lab.now(timedelta(hours=2)),
        timeout=timedelta(minutes=5),
        soft_timeout=timedelta(minutes=4, microseconds=1),
        unique=UniqueKey("k", "start", "replace"),
        limit=Limit("customer-1", 3),
        retention=Retention(completed=None, failed=timedelta(days=2)),
        user_id="u",
        project_id="p",
        tags=("a", "b"),
        parent_id="00000000-0000-7000-8000-00000000dada",
        retried_from="00000000-0000-7000-8000-00000000beef",
        headers={"traceparent": "00-1", "ключ": "値"},
    )
    assert await lab.enqueue(new) == [Enqueued(new.id, duplicate=False)]
    task = await lab.task(new.id)
    assert (task.state, task.attempt, task.attempt_limit) == (State.PENDING, 0, 9)
    assert (task.enqueued_at, task.run_at) == (lab.now(), lab.now())
    for field in (
        "task_type payload queue priority max_attempts expires_at timeout soft_timeout retention"
        " unique limit user_id project_id tags parent_id retried_from headers"
    ).split():
        assert getattr(task, field) == getattr(new, field), field
    assert (task.started_at, task.finished_at, task.prune_at, task.worker) == (None,) * 4
    assert (task.result, task.error, task.reason, task.progress) == (None,) * 4
    assert (task.attempts, task.logs, task.crashes) == ((), (), 0)
    assert (task.alone, task.cancel_requested) == (False, False)


async def enqueueing_an_id_twice_is_one_task(lab: Lab) -> None:
    """Rule 1.1."""
    task = lab.new()
    assert await lab.enqueue(task) == [Enqueued(task.id)]
    assert await lab.enqueue(task) == [Enqueued(task.id, duplicate=False)]
    assert await lab.found() == [task.id]
    assert await lab.causes(task.id) == ["enqueued"]


async def the_same_id_twice_in_one_batch_is_one_task(lab: Lab) -> None:
    """Rule 1.1."""
    first, other = lab.new(priority=3), lab.new()
    second = lab.new(priority=8)
    again = type(first)(id=first.id, task_type="work", payload=b"[]", priority=second.priority)
    answer = await lab.enqueue(first, other, again)
    assert answer == [Enqueued(first.id), Enqueued(other.id), Enqueued(first.id)]
    assert await lab.found() == [other.id, first.id]
    assert (await lab.task(first.id)).priority == 3


async def enqueueing_an_id_that_exists_changes_nothing(lab: Lab) -> None:
    """Rule 1.1: also when the second call asks for something else, or the task has ended."""
    task_id = await lab.add()
    before = await lab.task(task_id)
    again = new_task(task_id, priority=9, payload=b"other", delay=timedelta(hours=1))
    assert await lab.enqueue(again) == [Enqueued(task_id)]
    assert await lab.task(task_id) == before
    await lab.engine.cancel([task_id])
    ended = await lab.task(task_id)
    assert await lab.enqueue(again) == [Enqueued(task_id)]
    assert await lab.task(task_id) == ended


async def an_id_is_one_task_whatever_queue_is_named(lab: Lab) -> None:
    """Rule 1.1: also when the second call names another queue."""
    task_id = await lab.add()
    before = await lab.task(task_id)
    assert await lab.enqueue(new_task(task_id, queue="elsewhere")) == [Enqueued(task_id)]
    assert await lab.find() == [before]


async def a_repeated_id_does_not_take_a_unique_key(lab: Lab) -> None:
    """Rule 1.1: the id is looked up before the key."""
    task_id = await lab.add()
    keyed = lab.new(unique=UniqueKey("k"))
    repeated = type(keyed)(id=task_id, task_type="work", payload=b"", unique=UniqueKey("k"))
    assert await lab.enqueue(repeated) == [Enqueued(task_id)]
    assert await lab.enqueue(keyed) == [Enqueued(keyed.id)]


async def a_delay_counts_from_the_engines_now(lab: Lab) -> None:
    """Rule 1.2."""
    task_id = await lab.add(delay=timedelta(seconds=90))
    task = await lab.task(task_id)
    assert (task.state, task.run_at) == (State.SCHEDULED, lab.now(timedelta(seconds=90)))


async def a_task_runs_at_its_instant(lab: Lab) -> None:
    """Rule 1.2."""
    at = lab.now(timedelta(days=400, microseconds=7))
    task = await lab.task(await lab.add(run_at=at))
    assert (task.state, task.run_at) == (State.SCHEDULED, at)


async def an_instant_that_has_passed_is_due_at_once_and_keeps_its_place(lab: Lab) -> None:
    """Rule 1.2: due is `run_at` even when that lies in the past."""
    at = lab.now(-timedelta(hours=1))
    task = await lab.task(await lab.add(run_at=at))
    assert (task.state, task.run_at) == (State.PENDING, at)


async def a_task_due_now_is_not_scheduled(lab: Lab) -> None:
    """Rule 1.2: scheduled is what is due later than now."""
    no_delay = await lab.add(delay=timedelta(0))
    now = await lab.add(run_at=lab.now())
    a_tick_later = await lab.add(run_at=lab.now(TICK))
    assert await lab.states(no_delay, now, a_tick_later) == [
        State.PENDING,
        State.PENDING,
        State.SCHEDULED,
    ]
