"""Rules about waiting for children: docs/engine.md, section 4, `Waiting` and rules 2 and 7."""

from datetime import timedelta

from tidemill.outcome import Cancelled, Completed, Failed, Retried, Waiting
from tidemill.task import Claim, Limit, State, UniqueKey
from tidemill.testing.builders import BROKE, numbered_id
from tidemill.testing.lab import Lab

MINUTE = timedelta(minutes=1)


async def _parent_of(lab: Lab, *children: str) -> str:
    """A parent that waits for these."""
    claim = await lab.start(queue="parents")
    assert await lab.settle(claim, Waiting(children)) is State.BLOCKED
    return claim.ref.task_id


async def _child(lab: Lab, **options: object) -> str:
    return await lab.add(**({"delay": MINUTE} | options))


async def _claim_child(lab: Lab, child: str) -> Claim:
    lab.clock.advance(MINUTE)
    await lab.engine.promote(100)
    return {claim.ref.task_id: claim for claim in await lab.claim()}[child]


async def a_waiting_parent_is_blocked_without_burning_its_attempt(lab: Lab) -> None:
    """Section 4, `Waiting`."""
    claim = await lab.start(max_attempts=1)
    child = lab.new()
    assert await lab.settle(claim, Waiting((child.id,)), enqueue=(child,)) is State.BLOCKED
    task = await lab.task(claim.ref.task_id)
    assert (task.state, task.blocked_on, task.attempt) == (State.BLOCKED, "children", 0)
    assert await lab.claimed() == [child.id]


async def children_made_in_the_same_settlement_are_waited_for(lab: Lab) -> None:
    """Rule 4.2: `enqueue` is made before children are counted."""
    parent = await lab.start()
    children = [lab.new(parent_id=parent.ref.task_id) for _ in range(2)]
    state = await lab.settle(
        parent, Waiting(tuple(child.id for child in children)), enqueue=tuple(children)
    )
    assert state is State.BLOCKED
    claims = await lab.claim()
    await lab.settle(claims[0], Completed())
    assert await lab.state(parent.ref.task_id) is State.BLOCKED
    await lab.settle(claims[1], Completed())
    again = await lab.take(parent.ref.task_id)
    assert again.attempt == 1
    assert again.ref.token == 2


async def the_last_child_lets_its_parent_go_on_whatever_became_of_it(lab: Lab) -> None:
    """Rule 4.7: any final state, reached by a settlement."""
    for outcome in (Completed(), Failed(BROKE), Cancelled()):
        child = await _child(lab)
        parent = await _parent_of(lab, child)
        due = (await lab.task(parent)).run_at
        await lab.settle(await _claim_child(lab, child), outcome)
        task = await lab.task(parent)
        assert (task.state, task.blocked_on, task.run_at) == (State.PENDING, None, due)
        await lab.engine.cancel([parent])


async def a_child_that_is_retried_is_still_waited_for(lab: Lab) -> None:
    """Rule 4.7: becomes final."""
    child = await _child(lab)
    parent = await _parent_of(lab, child)
    claim = await _claim_child(lab, child)
    await lab.settle(claim, Retried(BROKE))
    assert await lab.state(parent) is State.BLOCKED


async def a_child_cancelled_while_it_waits_lets_its_parent_go_on(lab: Lab) -> None:
    """Rule 4.7."""
    child = await _child(lab)
    parent = await _parent_of(lab, child)
    await lab.engine.cancel([child])
    assert await lab.state(parent) is State.PENDING


async def an_expired_child_lets_its_parent_go_on(lab: Lab) -> None:
    """Rule 4.7: expired by promote, and by a claim that came upon it."""
    child = await _child(lab, expires_at=lab.now(MINUTE), delay=2 * MINUTE)
    parent = await _parent_of(lab, child)
    lab.clock.advance(MINUTE)
    await lab.engine.promote(10)
    assert await lab.state(parent) is State.PENDING
    pending = await lab.add(expires_at=lab.now(MINUTE), queue="q")
    claims = await lab.claim(queues=("parents",))
    assert await lab.settle(claims[0], Waiting((pending,))) is State.BLOCKED
    lab.clock.advance(MINUTE)
    assert await lab.claimed(queues=("q",)) == []
    assert await lab.state(parent) is State.PENDING


async def a_child_that_dies_with_its_worker_lets_its_parent_go_on(lab: Lab) -> None:
    """Rule 4.7: failed by reclaim."""
    child = await _child(lab, max_attempts=1)
    parent = await _parent_of(lab, child)
    assert await lab.lose(await _claim_child(lab, child)) is State.FAILED
    assert await lab.state(parent) is State.PENDING


async def waiting_for_nobody_goes_on_at_once(lab: Lab) -> None:
    """Section 4, `Waiting`: admission if none is live; final and unknown children are not."""
    done = await lab.start()
    await lab.settle(done, Completed())
    pruned = await lab.start()
    await lab.settle(pruned, Completed())
    await lab.engine.remove([pruned.ref.task_id])
    for children in ((), (done.ref.task_id,), (pruned.ref.task_id, numbered_id(404_404))):
        claim = await lab.start(queue="parents")
        assert await lab.settle(claim, Waiting(children)) is State.PENDING
        task = await lab.task(claim.ref.task_id)
        assert (task.attempt, task.blocked_on) == (0, None)
        await lab.engine.cancel([claim.ref.task_id])


async def only_live_children_are_waited_for(lab: Lab) -> None:
    """Section 4, `Waiting`."""
    live = await _child(lab)
    parent = await _parent_of(lab, live, numbered_id(404_404), live)
    assert await lab.state(parent) is State.BLOCKED
    await lab.engine.cancel([live])
    assert await lab.state(parent) is State.PENDING


async def one_child_lets_all_its_waiting_parents_go_on(lab: Lab) -> None:
    """Rule 4.7."""
    child = await _child(lab)
    other = await _child(lab)
    parents = [await _parent_of(lab, child) for _ in range(2)]
    patient = await _parent_of(lab, child, other)
    await lab.engine.cancel([child])
    assert await lab.states(*parents, patient) == [State.PENDING, State.PENDING, State.BLOCKED]


async def children_settled_in_one_batch_let_their_parent_go_on_once(lab: Lab) -> None:
    """Rule 4.7: in the same step as the last of them."""
    children = [await _child(lab) for _ in range(3)]
    parent = await _parent_of(lab, *children)
    await lab.engine.cancel(children)
    assert await lab.causes(parent) == ["enqueued", "claimed", "waiting", "children_final"]


async def a_parent_that_goes_on_passes_admission(lab: Lab) -> None:
    """Rule 4.7: through admission; a waiting parent holds no slot."""
    limit = Limit("k", 1)
    parent = await lab.start(limit=limit)
    child = lab.new()
    await lab.settle(parent, Waiting((child.id,)), enqueue=(child,))
    other = await lab.add(limit=limit)
    assert await lab.state(other) is State.PENDING
    await lab.engine.cancel([child.id])
    task = await lab.task(parent.ref.task_id)
    assert (task.state, task.blocked_on) == (State.BLOCKED, "limit")
    await lab.engine.cancel([other])
    assert await lab.state(parent.ref.task_id) is State.PENDING


async def a_waiting_parent_keeps_its_unique_key(lab: Lab) -> None:
    """Section 2: blocked is not final."""
    parent = await lab.start(unique=UniqueKey("k"))
    child = lab.new()
    await lab.settle(parent, Waiting((child.id,)), enqueue=(child,))
    [answer] = await lab.enqueue(lab.new(unique=UniqueKey("k")))
    assert answer.task_id == parent.ref.task_id


async def cancelling_a_waiting_parent_leaves_its_children_alone(lab: Lab) -> None:
    """Section 6: and a child that ends later does not bring it back."""
    child = await _child(lab)
    parent = await _parent_of(lab, child)
    assert await lab.engine.cancel([parent]) == [State.CANCELLED]
    assert await lab.state(child) is State.SCHEDULED
    await lab.engine.cancel([child])
    assert await lab.state(parent) is State.CANCELLED


async def a_parent_retried_by_hand_no_longer_waits_for_its_old_children(lab: Lab) -> None:
    """Section 6: retry goes through admission, not back to the children."""
    child = await _child(lab)
    parent = await _parent_of(lab, child)
    await lab.engine.cancel([parent])
    await lab.engine.retry([parent])
    claim = await lab.take(parent)
    await lab.engine.cancel([child])
    assert await lab.state(parent) is State.RUNNING
    assert await lab.settle(claim, Completed()) is State.COMPLETED
