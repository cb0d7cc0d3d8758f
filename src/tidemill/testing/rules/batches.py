"""Rules that hold for every verb: many at once, in order, whole or not at all."""

from collections.abc import Awaitable
from datetime import datetime

from tidemill.engine import Fired, Firing
from tidemill.outcome import Completed, Settlement, Waiting
from tidemill.task import DEFAULT_LEASE, State
from tidemill.testing.builders import numbered_id
from tidemill.testing.lab import Lab

NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001  # what engines must refuse


async def empty_batches_are_answered_empty(lab: Lab) -> None:
    """The seam: an empty batch is allowed and answers empty."""
    engine = lab.engine
    assert await engine.enqueue([]) == []
    assert await engine.extend([], DEFAULT_LEASE) == []
    assert await engine.settle([]) == []
    assert await engine.cancel([]) == []
    assert await engine.retry([]) == []
    assert await engine.remove([]) == []
    assert await engine.fire([]) == []
    assert await engine.get("kind", []) == []
    assert await engine.put([]) == []
    assert await engine.reclaim(10) == []
    assert await engine.prune(10) == 0
    await engine.configure([])
    assert await lab.found() == []


async def an_enqueued_batch_that_is_refused_leaves_nothing_behind(lab: Lab) -> None:
    """Rule 1.4: a batch is atomic."""
    good, bad = lab.new(), lab.new(run_at=NAIVE)
    await _refused(lab.enqueue(good, bad))
    assert await lab.found() == []
    assert await lab.feed() == []
    assert (await lab.engine.stats()).counts == ()


async def a_settled_batch_that_is_refused_leaves_nothing_behind(lab: Lab) -> None:
    """The seam: all of it is recorded or none of it."""
    ids = [await lab.add() for _ in range(2)]
    first, second = await lab.claim()
    feed = await lab.feed()
    bad = lab.new(run_at=NAIVE)
    await _refused(
        lab.engine.settle(
            [
                Settlement(first.ref, Completed()),
                Settlement(second.ref, Completed(), enqueue=(lab.new(), bad)),
            ]
        )
    )
    assert await lab.states(*ids) == [State.RUNNING, State.RUNNING]
    assert await lab.feed() == feed
    assert len(await lab.found()) == 2
    assert await lab.settle(first, Completed()) is State.COMPLETED


async def a_fired_batch_that_is_refused_leaves_nothing_behind(lab: Lab) -> None:
    """Section 9: moving the mark and enqueueing are one step."""
    good = Firing("nightly", lab.now(), lab.new())
    bad = Firing("hourly", lab.now(), lab.new(run_at=NAIVE))
    await _refused(lab.engine.fire([good, bad]))
    assert await lab.found() == []
    assert await lab.engine.fire([good]) == [Fired.FIRED]


async def _refused(call: Awaitable[object]) -> None:
    try:
        await call
    except ValueError:
        return
    raise AssertionError("an instant without a time zone was accepted")


async def a_large_batch_is_one_batch(lab: Lab) -> None:
    """The seam: every verb takes many."""
    tasks = [lab.new() for _ in range(2500)]
    answers = await lab.enqueue(*tasks)
    assert [answer.task_id for answer in answers] == [task.id for task in tasks]
    claims = await lab.claim(2500)
    assert len(claims) == 2500
    settlements = [Settlement(claim.ref, Completed(b"x" * 10)) for claim in claims]
    assert set(await lab.engine.settle(settlements)) == {State.COMPLETED}
    assert await lab.engine.remove([task.id for task in tasks]) == [True] * 2500


async def a_batch_is_handled_in_order_across_queues(lab: Lab) -> None:
    """The seam: what comes first in a batch has happened when the next one is looked at."""
    for child_first in (True, False):
        child = await lab.start(queue="children")
        parent = await lab.start(queue="parents")
        ends = Settlement(child.ref, Completed())
        waits = Settlement(parent.ref, Waiting((child.ref.task_id,)))
        await lab.engine.settle([ends, waits] if child_first else [waits, ends])
        causes = ["enqueued", "claimed", "waiting"]
        assert await lab.causes(parent.ref.task_id) == (
            causes if child_first else [*causes, "children_final"]
        )
        await lab.engine.cancel([parent.ref.task_id])


async def answers_follow_the_order_of_the_batch(lab: Lab) -> None:
    """The seam: answers each input in order, repeated ones too."""
    ids = [await lab.add() for _ in range(3)]
    unknown = numbered_id(404_404)
    assert await lab.engine.cancel([ids[2], unknown, ids[0], ids[2]]) == [
        State.CANCELLED,
        None,
        State.CANCELLED,
        State.CANCELLED,
    ]
    assert await lab.engine.remove([ids[1], ids[2], unknown, ids[2]]) == [
        False,
        True,
        False,
        False,
    ]
