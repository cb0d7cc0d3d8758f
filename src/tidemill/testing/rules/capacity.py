"""Rules about how many tasks may wait in a queue: docs/engine.md, rule 1.5."""

from datetime import timedelta

from tidemill.engine import Engine, Enqueued, Fired, Firing, QueueDefinition, Retrial
from tidemill.errors import QueueFull
from tidemill.outcome import Completed, Failed
from tidemill.task import Limit, NewTask, State, UniqueKey
from tidemill.testing.builders import BROKE
from tidemill.testing.lab import Lab

HOUR = timedelta(hours=1)


async def _refused(engine: Engine, *tasks: NewTask) -> QueueFull:
    try:
        await engine.enqueue(tasks)
    except QueueFull as full:
        return full
    raise AssertionError(f"{len(tasks)} tasks were accepted by a queue without room for them")


async def a_full_queue_refuses_more(lab: Lab) -> None:
    """Rule 1.5: scheduled, blocked and pending tasks count."""
    await lab.engine.configure([QueueDefinition("a", capacity=4)])
    await lab.add(queue="a", delay=HOUR)
    await lab.add(queue="a", limit=Limit("k", 1))
    await lab.add(queue="a", limit=Limit("k", 1))
    pending = await lab.add(queue="a")
    task = lab.new(queue="a")
    full = await _refused(lab.engine, task)
    assert (full.queue, full.capacity, full.waiting, full.more) == ("a", 4, 4, 1)
    assert await lab.state(task.id) is None
    assert (await lab.enqueue(lab.new(queue="b")))[0].duplicate is False
    await lab.engine.cancel([pending])
    assert await lab.enqueue(task) == [Enqueued(task.id)]


async def what_runs_makes_room(lab: Lab) -> None:
    """Rule 1.5: waiting tasks count, not running ones."""
    await lab.engine.configure([QueueDefinition("a", capacity=2)])
    for _ in range(2):
        await lab.add(queue="a")
    await _refused(lab.engine, lab.new(queue="a"))
    assert len(await lab.claim()) == 2
    for _ in range(2):
        await lab.add(queue="a")
    await _refused(lab.engine, lab.new(queue="a"))


async def a_batch_is_refused_whole(lab: Lab) -> None:
    """Rule 1.5: before anything is done."""
    await lab.engine.configure([QueueDefinition("a", capacity=3)])
    await lab.add(queue="a")
    batch = [lab.new(queue="a") for _ in range(3)]
    full = await _refused(lab.engine, lab.new(queue="new"), *batch)
    assert (full.waiting, full.more) == (1, 3)
    if lab.engine.info.atomic == "batch":
        assert [queue.name for queue in (await lab.engine.stats()).queues] == ["a"]
    assert await lab.states(*(task.id for task in batch)) == [None] * 3
    assert len(await lab.enqueue(*batch[:2])) == 2


async def a_task_that_is_there_already_needs_no_room(lab: Lab) -> None:
    """Rules 1.1, 1.3 and 1.5: a repeated call, and one whose key is held."""
    await lab.engine.configure([QueueDefinition("a", capacity=2)])
    unique = UniqueKey("k")
    tasks = [lab.new(queue="a", unique=unique), lab.new(queue="a")]
    await lab.enqueue(*tasks)
    assert await lab.enqueue(*tasks) == [Enqueued(task.id) for task in tasks]
    duplicate = lab.new(queue="a", unique=unique)
    assert await lab.enqueue(duplicate) == [Enqueued(tasks[0].id, duplicate=True)]
    await _refused(lab.engine, duplicate, lab.new(queue="a"))


async def an_id_or_a_key_that_comes_twice_counts_once(lab: Lab) -> None:
    """Rule 1.5."""
    await lab.engine.configure([QueueDefinition("a", capacity=2)])
    twice = lab.new(queue="a")
    keyed = [lab.new(queue="a", unique=UniqueKey("k")) for _ in range(2)]
    answers = await lab.enqueue(twice, twice, *keyed)
    assert [answer.duplicate for answer in answers] == [False, False, False, True]


async def accepted_work_may_always_go_on(lab: Lab) -> None:
    """Rule 1.5: settlements, schedules, retries and returns to the line are not refused."""
    await lab.engine.configure([QueueDefinition("a", capacity=1)])
    running = await lab.start(queue="a")
    failed = await lab.start(queue="a")
    await lab.settle(failed, Failed(BROKE))
    await lab.add(queue="a")
    child, fired = lab.new(queue="a"), lab.new(queue="a")
    assert await lab.settle(running, Completed(), enqueue=(child,)) is State.COMPLETED
    assert await lab.engine.fire([Firing("s", lab.now(), fired)]) == [Fired.FIRED]
    assert await lab.engine.retry([failed.ref.task_id]) == [Retrial.RETRIED]
    waiting = await lab.found(states=frozenset({State.PENDING}))
    assert {child.id, fired.id, failed.ref.task_id} < set(waiting)
    assert (await _refused(lab.engine, lab.new(queue="a"))).waiting == 4


async def a_capacity_can_be_lowered_and_lifted(lab: Lab) -> None:
    """`configure`: what waits stays."""
    for _ in range(3):
        await lab.add(queue="a")
    await lab.engine.configure([QueueDefinition("a", capacity=2)])
    assert (await _refused(lab.engine, lab.new(queue="a"))).waiting == 3
    await lab.engine.configure([QueueDefinition("a")])
    await lab.add(queue="a")
