"""Rules about queues, their weights and pauses: docs/engine.md, rules 3.1 and 3.4."""

from collections import Counter
from datetime import timedelta

from tidemill.engine import QueueDefinition
from tidemill.outcome import Completed
from tidemill.rates import Rate
from tidemill.task import State
from tidemill.testing.lab import Lab


async def _turns(lab: Lab, claims: int, limit: int = 1) -> str:
    """The queues that these claims took from, in order, by their one-letter names."""
    return "".join([claim.queue for _ in range(claims) for claim in await lab.claim(limit)])


async def a_request_takes_from_the_queues_it_names_only(lab: Lab) -> None:
    """`ClaimRequest.queues`."""
    a, _, c = [await lab.add(queue=name) for name in "abc"]
    assert sorted(await lab.claimed(queues=("a", "c", "never-made"))) == [a, c]
    assert await lab.claimed(queues=("a", "c")) == []
    assert await lab.claimed(queues=()) == []


async def a_request_for_every_queue_takes_from_those_made_later(lab: Lab) -> None:
    """`ClaimRequest.queues`: None means every queue, also those made later."""
    assert await lab.claimed(queues=None) == []
    made_later = await lab.add(queue="born-just-now")
    assert await lab.claimed(queues=None) == [made_later]


async def queues_of_equal_weight_take_turns(lab: Lab) -> None:
    """Rule 3.4: ties go by name."""
    for name in "bbbaaa":
        await lab.add(queue=name)
    assert await _turns(lab, 6) == "ababab"


async def turns_follow_the_weights(lab: Lab) -> None:
    """Rule 3.4."""
    await lab.engine.configure([QueueDefinition("a", weight=3), QueueDefinition("b", weight=1)])
    for name in "ab" * 40:
        await lab.add(queue=name)
    assert Counter(await _turns(lab, 40)) == {"a": 30, "b": 10}


async def one_claim_of_many_is_shared_like_many_claims_of_one(lab: Lab) -> None:
    """Rule 3.4: the candidates of each queue are shared by weight."""
    await lab.engine.configure([QueueDefinition("a", weight=4)])
    for name in "ab" * 30:
        await lab.add(queue=name)
    assert Counter(await _turns(lab, 1, limit=25)) == {"a": 20, "b": 5}


async def turns_are_remembered_between_claims_and_sessions(lab: Lab) -> None:
    """Rule 3.4: virtual time and passes are part of the store."""
    for name in "ab" * 3:
        await lab.add(queue=name)
    turns = await _turns(lab, 1)
    other = lab.beside()
    turns += await _turns(other, 1)
    await other.engine.close()
    turns += await _turns(lab, 2)
    assert turns == "abab"


async def a_queue_that_was_empty_does_not_save_up_turns(lab: Lab) -> None:
    """Rule 3.4: it starts again at the virtual time of the last one served, one turn ahead."""
    await lab.add(queue="a")
    assert await _turns(lab, 1) == "a"
    for _ in range(20):
        await lab.add(queue="b")
    assert await _turns(lab, 10) == "b" * 10
    for _ in range(10):
        await lab.add(queue="a")
    assert Counter(await _turns(lab, 8)) == {"a": 5, "b": 3}


async def nothing_is_left_over_while_a_queue_has_more(lab: Lab) -> None:
    """Rule 3.4: a share that one queue cannot use goes to the others."""
    await lab.engine.configure([QueueDefinition("a", weight=100)])
    for name in "abbbb":
        await lab.add(queue=name)
    assert Counter(await _turns(lab, 1, limit=5)) == {"a": 1, "b": 4}


async def the_weight_of_a_queue_can_be_changed(lab: Lab) -> None:
    """`configure`: change their settings."""
    for name in "ab" * 30:
        await lab.add(queue=name)
    assert Counter(await _turns(lab, 10)) == {"a": 5, "b": 5}
    await lab.engine.configure([QueueDefinition("b", weight=4)])
    assert Counter(await _turns(lab, 20)) == {"a": 4, "b": 16}


async def a_paused_queue_gives_nothing_and_what_runs_goes_on(lab: Lab) -> None:
    """Rule 3.1, and `pause`."""
    running = await lab.start(queue="a")
    waiting = await lab.add(queue="a")
    other = await lab.add(queue="b")
    await lab.engine.pause("a", paused=True)
    await lab.engine.pause("a", paused=True)
    assert await lab.claimed() == [other]
    assert await lab.claimed(queues=("a",)) == []
    assert await lab.state(waiting) is State.PENDING
    assert await lab.settle(running, Completed()) is State.COMPLETED
    await lab.engine.pause("a", paused=False)
    assert await lab.claimed() == [waiting]


async def a_paused_queue_accepts_tasks(lab: Lab) -> None:
    """`pause`: stops claims, nothing else."""
    await lab.engine.pause("a", paused=True)
    task_id = await lab.add(queue="a", delay=timedelta(minutes=1))
    lab.clock.advance(timedelta(minutes=1))
    await lab.engine.promote(10)
    assert await lab.state(task_id) is State.PENDING
    assert await lab.claimed() == []


async def a_queue_can_be_paused_before_it_is_used(lab: Lab) -> None:
    """`pause`: creates the queue that it names."""
    await lab.engine.pause("a", paused=True)
    [status] = (await lab.engine.stats()).queues
    assert (status.name, status.paused) == ("a", True)


async def configuring_a_queue_keeps_its_pause(lab: Lab) -> None:
    """`configure`: its definition only."""
    await lab.engine.pause("a", paused=True)
    whole = QueueDefinition(
        "a",
        weight=7,
        lease=timedelta(minutes=3),
        concurrency=5,
        worker_concurrency=2,
        rate=Rate(100, timedelta(seconds=1), burst=10),
        capacity=1_000_000,
    )
    for definition in (whole, QueueDefinition("a")):
        await lab.engine.configure([definition])
        [status] = (await lab.engine.stats()).queues
        assert (status.definition, status.paused) == (definition, True)
