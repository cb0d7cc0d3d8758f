"""Rules about unique keys: docs/engine.md, rule 1.3 and section 2."""

from datetime import timedelta

import msgspec

from tidemill.engine import Enqueued, Retrial
from tidemill.outcome import Cancelled, Completed, Failed, Released, Retried, Snoozed
from tidemill.task import NewTask, State, UniqueKey
from tidemill.testing.builders import BROKE
from tidemill.testing.lab import TICK, Lab

UNTIL_START = UniqueKey("k", "start")
UNTIL_END = UniqueKey("k", "end")
MINUTE = timedelta(minutes=1)
FOR_A_MINUTE = UniqueKey("k", lasting=MINUTE)


async def _is_free(lab: Lab, unique: UniqueKey = UNTIL_END, **options: object) -> bool:
    """Whether a task with this key would be made; it is taken away again."""
    task = lab.new(unique=unique, **options)
    [answer] = await lab.enqueue(task)
    if not answer.duplicate:
        assert answer.task_id == task.id
        await lab.engine.cancel([task.id])
        assert await lab.engine.remove([task.id]) == [True]
    return not answer.duplicate


async def a_held_key_answers_its_holder_and_makes_nothing(lab: Lab) -> None:
    """Rule 1.3."""
    holder = await lab.add(unique=UNTIL_END)
    before = await lab.task(holder)
    second = lab.new(unique=UNTIL_END, priority=9)
    assert await lab.enqueue(second) == [Enqueued(holder, duplicate=True)]
    assert await lab.found() == [holder]
    assert await lab.task(holder) == before


async def a_key_held_by_an_earlier_task_of_the_batch_is_held(lab: Lab) -> None:
    """Rules 1.3 and 1.4: in order."""
    first, second, third = (lab.new(unique=UNTIL_END) for _ in range(3))
    assert await lab.enqueue(first, second, third) == [
        Enqueued(first.id),
        Enqueued(first.id, duplicate=True),
        Enqueued(first.id, duplicate=True),
    ]
    assert await lab.found() == [first.id]


async def keys_of_different_queues_are_different(lab: Lab) -> None:
    """Section 2: per queue."""
    await lab.add(unique=UNTIL_END, queue="a")
    assert await _is_free(lab, queue="b")
    assert not await _is_free(lab, queue="a")


async def a_key_until_start_is_free_after_the_first_claim(lab: Lab) -> None:
    """Section 2."""
    task_id = await lab.add(unique=UNTIL_START)
    assert not await _is_free(lab, UNTIL_START)
    await lab.take(task_id)
    assert await _is_free(lab, UNTIL_START)


async def a_key_until_start_is_held_while_scheduled(lab: Lab) -> None:
    """Section 2."""
    await lab.add(unique=UNTIL_START, delay=MINUTE)
    assert not await _is_free(lab, UNTIL_START)


async def a_key_until_start_is_not_taken_again_by_a_second_attempt(lab: Lab) -> None:
    """Section 2: the start is the first claim."""
    claim = await lab.start(unique=UNTIL_START)
    assert await lab.settle(claim, Retried(BROKE)) is State.PENDING
    assert await _is_free(lab, UNTIL_START)


async def a_key_until_start_is_free_when_its_task_never_started(lab: Lab) -> None:
    """Section 2: a task cancelled before its start will never start."""
    task_id = await lab.add(unique=UNTIL_START)
    await lab.engine.cancel([task_id])
    assert await _is_free(lab, UNTIL_START)


async def a_key_until_end_is_held_through_every_state_that_is_not_final(lab: Lab) -> None:
    """Section 2."""
    task_id = await lab.add(unique=UNTIL_END, delay=MINUTE)
    assert not await _is_free(lab)
    lab.clock.advance(MINUTE)
    await lab.engine.promote(10)
    assert not await _is_free(lab)
    for outcome in (Retried(BROKE), Snoozed(MINUTE), Released()):
        claim = await lab.take(task_id)
        assert not await _is_free(lab)
        await lab.settle(claim, outcome)
        assert not await _is_free(lab)
        lab.clock.advance(MINUTE)
        await lab.engine.promote(10)


async def a_key_until_end_is_free_in_every_final_state(lab: Lab) -> None:
    """Section 2: any final state."""
    for outcome in (Completed(), Failed(BROKE), Cancelled()):
        claim = await lab.start(unique=UNTIL_END)
        state = await lab.settle(claim, outcome)
        assert state is not None
        assert state.final
        assert await _is_free(lab)


async def a_key_until_end_is_free_after_the_last_attempt_failed(lab: Lab) -> None:
    """Section 2."""
    claim = await lab.start(unique=UNTIL_END, max_attempts=1)
    assert await lab.settle(claim, Retried(BROKE)) is State.FAILED
    assert await _is_free(lab)


async def a_key_until_end_is_free_after_cancelling_a_waiting_task(lab: Lab) -> None:
    """Section 2."""
    for options in ({}, {"delay": MINUTE}):
        task_id = await lab.add(unique=UNTIL_END, **options)
        assert await lab.engine.cancel([task_id]) == [State.CANCELLED]
        assert await _is_free(lab)


async def a_key_until_end_is_free_after_the_task_expired(lab: Lab) -> None:
    """Section 2."""
    task_id = await lab.add(unique=UNTIL_END, expires_at=lab.now(MINUTE))
    lab.clock.advance(MINUTE)
    await lab.engine.promote(10)
    assert await lab.state(task_id) is State.CANCELLED
    assert await _is_free(lab)


async def a_crash_keeps_the_key_only_while_the_task_lives(lab: Lab) -> None:
    """Section 2: after a reclaim the task holds it; once it has failed the key is free."""
    claim = await lab.start(unique=UNTIL_END, max_attempts=2)
    assert await lab.lose(claim) is State.PENDING
    assert not await _is_free(lab)
    claim = await lab.take(claim.ref.task_id)
    assert await lab.lose(claim) is State.FAILED
    assert await _is_free(lab)


async def a_key_for_a_duration_outlives_its_task(lab: Lab) -> None:
    """Section 2: even past its end, and not a moment longer than it says."""
    claim = await lab.start(unique=FOR_A_MINUTE)
    await lab.settle(claim, Completed())
    lab.clock.advance(MINUTE - TICK)
    assert await lab.enqueue(lab.new(unique=FOR_A_MINUTE)) == [
        Enqueued(claim.ref.task_id, duplicate=True)
    ]
    lab.clock.advance(TICK)
    assert await _is_free(lab, FOR_A_MINUTE)


async def a_key_for_a_duration_is_free_after_it_while_its_task_still_runs(lab: Lab) -> None:
    """Section 2: the duration counts from enqueueing, whatever becomes of the task."""
    await lab.start(unique=FOR_A_MINUTE)
    lab.clock.advance(MINUTE)
    assert await _is_free(lab, FOR_A_MINUTE)


async def a_later_holder_of_a_passed_key_keeps_it_when_the_first_task_ends(lab: Lab) -> None:
    """Section 2: a task frees only a key that it still holds."""
    first = await lab.start(unique=FOR_A_MINUTE)
    lab.clock.advance(MINUTE)
    second = await lab.add(unique=UNTIL_END)
    await lab.settle(first, Completed())
    assert await lab.engine.remove([first.ref.task_id]) == [True]
    assert await lab.enqueue(lab.new(unique=UNTIL_END)) == [Enqueued(second, duplicate=True)]


async def a_key_whose_task_was_removed_is_free(lab: Lab) -> None:
    """Section 2: a held key whose task no longer exists is free."""
    claim = await lab.start(unique=UniqueKey("k", lasting=timedelta(days=365)))
    await lab.settle(claim, Completed())
    assert not await _is_free(lab)
    assert await lab.engine.remove([claim.ref.task_id]) == [True]
    assert await _is_free(lab)


async def a_key_whose_task_was_pruned_is_free(lab: Lab) -> None:
    """Section 2: a held key whose task no longer exists is free."""
    claim = await lab.start(unique=UniqueKey("k", lasting=timedelta(days=365)))
    await lab.settle(claim, Completed())
    lab.clock.advance(timedelta(days=8))
    assert not await _is_free(lab)
    assert await lab.engine.prune(10) == 1
    assert await _is_free(lab)


def _replacing(lab: Lab, **options: object) -> NewTask:
    return lab.new(unique=UniqueKey("k", on_conflict="replace"), **options)


async def replace_gives_a_scheduled_holder_the_new_content(lab: Lab) -> None:
    """Rule 1.3: its id and history stay."""
    holder = await lab.add(unique=UNTIL_END, delay=MINUTE, tags=("old",), max_attempts=7)
    lab.clock.advance(timedelta(seconds=30))
    new = _replacing(
        lab,
        payload=b"new",
        priority=9,
        delay=2 * MINUTE,
        expires_at=lab.now(5 * MINUTE),
        headers={"h": "new"},
        tags=("new",),
        max_attempts=1,
    )
    before = await lab.task(holder)
    assert await lab.enqueue(new) == [Enqueued(holder, duplicate=True)]
    assert await lab.found() == [holder]
    task = await lab.task(holder)
    assert (task.payload, task.priority, task.headers) == (b"new", 9, {"h": "new"})
    assert (task.run_at, task.expires_at) == (lab.now(2 * MINUTE), lab.now(5 * MINUTE))
    assert (task.state, task.enqueued_at) == (State.SCHEDULED, before.enqueued_at)
    assert (task.tags, task.max_attempts) == (("old",), 7)
    assert await lab.causes(holder) == ["enqueued", "replaced"]


async def replacing_with_a_due_task_lets_the_holder_run_now(lab: Lab) -> None:
    """Rule 1.3: the holder takes the new due."""
    holder = await lab.add(unique=UNTIL_END, delay=MINUTE)
    await lab.enqueue(_replacing(lab))
    task = await lab.task(holder)
    assert (task.state, task.run_at) == (State.PENDING, lab.now())


async def a_replaced_task_waiting_for_its_next_attempt_keeps_its_token_and_attempts(
    lab: Lab,
) -> None:
    """Rule 1.3: its id, token and history stay."""
    claim = await lab.start(unique=UNTIL_END)
    await lab.settle(claim, Retried(BROKE, MINUTE))
    await lab.enqueue(_replacing(lab, payload=b"new"))
    again = await lab.take(claim.ref.task_id)
    assert (again.attempt, again.payload) == (2, b"new")
    assert again.ref.token > claim.ref.token
    assert [past.number for past in (await lab.task(claim.ref.task_id)).attempts] == [1, 2]


async def replace_changes_nothing_once_the_holder_is_past_scheduled(lab: Lab) -> None:
    """Rule 1.3: replace only while scheduled."""
    holder = await lab.add(unique=UNTIL_END)
    pending = await lab.task(holder)
    assert await lab.enqueue(_replacing(lab, payload=b"new")) == [Enqueued(holder, duplicate=True)]
    assert await lab.task(holder) == pending
    await lab.take(holder)
    running = await lab.task(holder)
    assert await lab.enqueue(_replacing(lab, payload=b"new")) == [Enqueued(holder, duplicate=True)]
    assert await lab.task(holder) == running


async def reject_answers_the_holder_like_keep(lab: Lab) -> None:
    """Rule 1.3: `reject` differs only for the caller, which raises."""
    holder = await lab.add(unique=UNTIL_END, delay=MINUTE)
    before = await lab.task(holder)
    rejecting = lab.new(unique=UniqueKey("k", on_conflict="reject"), payload=b"new")
    assert await lab.enqueue(rejecting) == [Enqueued(holder, duplicate=True)]
    assert await lab.task(holder) == before


async def a_manual_retry_takes_the_key_again(lab: Lab) -> None:
    """Section 2: for `start` and `end`."""
    for unique in (UniqueKey("s", "start"), UniqueKey("e", "end")):
        claim = await lab.start(unique=unique, queue=unique.key)
        await lab.settle(claim, Failed(BROKE))
        assert await _is_free(lab, UniqueKey(unique.key), queue=unique.key)
        assert await lab.engine.retry([claim.ref.task_id]) == [Retrial.RETRIED]
        second = lab.new(unique=unique, queue=unique.key)
        assert await lab.enqueue(second) == [Enqueued(claim.ref.task_id, duplicate=True)]


async def a_manual_retry_is_refused_while_another_task_holds_the_key(lab: Lab) -> None:
    """Section 2: `key_taken`, and nothing changes."""
    claim = await lab.start(unique=UNTIL_END)
    await lab.settle(claim, Failed(BROKE))
    holder = await lab.add(unique=UNTIL_END)
    before = await lab.task(claim.ref.task_id)
    assert await lab.engine.retry([claim.ref.task_id]) == [Retrial.KEY_TAKEN]
    assert await lab.task(claim.ref.task_id) == before
    await lab.engine.cancel([holder])
    assert await lab.engine.retry([claim.ref.task_id]) == [Retrial.RETRIED]


async def a_completed_task_keeps_its_key_while_its_result_is_cached(lab: Lab) -> None:
    """Rule 2.1: counted from its end, whatever its `until`."""
    for until in (UNTIL_END, UNTIL_START):
        unique = msgspec.structs.replace(until, key=until.until, cached=MINUTE)
        claim = await lab.start(unique=unique, queue=unique.key)
        lab.clock.advance(MINUTE)
        await lab.settle(claim, Completed(b"result"))
        held = until is UNTIL_END  # the other was free from its start on
        assert await _is_free(lab, unique, queue=unique.key) is not held
        lab.clock.advance(MINUTE - TICK)
        assert await _is_free(lab, unique, queue=unique.key) is not held
        lab.clock.advance(TICK)
        assert await _is_free(lab, unique, queue=unique.key)


async def what_does_not_complete_is_not_cached(lab: Lab) -> None:
    """Rule 2.1: failed and cancelled tasks free their key."""
    unique = UniqueKey("k", cached=MINUTE)
    for outcome in (Failed(BROKE), Cancelled()):
        await lab.settle(await lab.start(unique=unique), outcome)
        assert await _is_free(lab, unique)


async def a_cached_key_goes_with_its_task(lab: Lab) -> None:
    """Section 2: a key whose task no longer exists is free; and its duration ends by itself."""
    unique = UniqueKey("k", cached=MINUTE)
    claim = await lab.start(unique=unique)
    await lab.settle(claim, Completed())
    assert not await _is_free(lab, unique)
    await lab.engine.remove([claim.ref.task_id])
    assert await _is_free(lab, unique)


async def a_replacement_is_due_within_a_time_of_the_first(lab: Lab) -> None:
    """Rule 2.2: from when the holder was enqueued, as the new task's key says."""
    start = lab.now()
    unique = UniqueKey("k", on_conflict="replace", within=3 * MINUTE)
    holder = await lab.add(unique=unique, delay=2 * MINUTE)
    for later, due in ((1, 3), (1, 3), (0, 3)):
        lab.clock.advance(later * MINUTE)
        await lab.enqueue(lab.new(unique=unique, delay=2 * MINUTE))
        assert (await lab.task(holder)).run_at == start + due * MINUTE
    longer = UniqueKey("k", on_conflict="replace", within=10 * MINUTE)
    await lab.enqueue(lab.new(unique=longer, delay=3 * MINUTE))
    assert (await lab.task(holder)).run_at == start + 5 * MINUTE
    lab.clock.advance(2 * MINUTE)
    now = UniqueKey("k", on_conflict="replace", within=MINUTE)
    await lab.enqueue(lab.new(unique=now, delay=MINUTE))
    assert await lab.state(holder) is State.PENDING
