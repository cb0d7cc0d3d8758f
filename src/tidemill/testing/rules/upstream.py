"""Rules about tasks that come after others: docs/engine.md, section 19."""

from datetime import timedelta
from typing import Literal

import msgspec

from tidemill.engine import Retrial
from tidemill.outcome import Cancelled, Completed, Failed, Outcome, Retried, Settlement
from tidemill.task import After, Limit, State, TaskError, UniqueKey
from tidemill.testing.builders import BROKE, numbered_id
from tidemill.testing.lab import Lab

MINUTE = timedelta(minutes=1)
POLICIES: tuple[Literal["fail", "skip", "continue"], ...] = ("fail", "skip", "continue")


async def _after(lab: Lab, *upstream: str, **options: object) -> str:
    """A task after these; `on_failure` and `joins` are of `After`."""
    said = {name: options.pop(name) for name in ("on_failure", "joins") if name in options}
    return await lab.add(after=After(upstream, **said), **options)  # type: ignore[arg-type]  # by name


async def _end(lab: Lab, task_id: str, outcome: Outcome) -> None:
    await lab.settle(await lab.take(task_id), outcome)


async def a_task_waits_for_all_of_its_upstream_tasks(lab: Lab) -> None:
    """Rules 19.1 and 19.3, and 19.5: `awaiting` counts down."""
    first, second = await lab.add(), await lab.add()
    last = await _after(lab, first, second)
    task = await lab.task(last)
    assert (task.state, task.blocked_on, task.awaiting) == (State.BLOCKED, "upstream", 2)
    assert task.after == After((first, second))
    claims = await lab.claim()
    assert [claim.ref.task_id for claim in claims] == [first, second]
    await lab.settle(claims[1], Completed())
    task = await lab.task(last)
    assert (task.state, task.awaiting) == (State.BLOCKED, 1)
    await lab.settle(claims[0], Completed())
    task = await lab.task(last)
    assert (task.state, task.blocked_on, task.awaiting) == (State.PENDING, None, 0)
    assert await lab.causes(last) == ["enqueued", "upstream_final"]
    claim = await lab.take(last)
    assert (claim.attempt, claim.ref.token) == (1, 1)


async def a_join_starts_once_when_the_last_two_end_together(lab: Lab) -> None:
    """Rule 19.3: in one batch or in two, and each repeated."""
    for batches in ([slice(2)], [slice(1), slice(1, 2)]):
        upstream = [await lab.add() for _ in range(2)]
        join = await _after(lab, *upstream)
        done = [Settlement(claim.ref, Completed()) for claim in await lab.claim()]
        for batch in batches:
            await lab.engine.settle(done[batch])
        assert (await lab.causes(join)).count("upstream_final") == 1
        await _end(lab, join, Completed())
        assert await lab.engine.settle(done) == [State.COMPLETED] * 2
        assert await lab.state(join) is State.COMPLETED
        assert await lab.claimed() == []


async def a_whole_graph_is_enqueued_in_one_batch(lab: Lab) -> None:
    """Rule 19.1: upstream tasks of the same batch are there."""
    a = lab.new()
    b, c = lab.new(after=After((a.id,))), lab.new(after=After((a.id,)))
    d = lab.new(after=After((b.id, c.id)))
    await lab.enqueue(a, b, c, d)
    ran = []
    while claims := await lab.claim():
        ran.append([claim.ref.task_id for claim in claims])
        for claim in claims:
            await lab.settle(claim, Completed())
    assert ran == [[a.id], [b.id, c.id], [d.id]]


async def upstream_tasks_that_are_final_or_unknown_are_not_waited_for(lab: Lab) -> None:
    """Rule 19.1."""
    done = await lab.add()
    await _end(lab, done, Completed())
    assert await lab.state(await _after(lab, done, numbered_id(0xFFFF))) is State.PENDING
    assert await lab.state(await _after(lab)) is State.PENDING


async def a_task_does_not_wait_for_itself(lab: Lab) -> None:
    """Rule 19.1: nor is it broken by its own failure when it is retried."""
    task = lab.new()
    task = msgspec.structs.replace(task, after=After((task.id,)))
    await lab.enqueue(task)
    await _end(lab, task.id, Failed(BROKE))
    assert await lab.engine.retry([task.id]) == [Retrial.RETRIED]
    assert await lab.claimed() == [task.id]


async def a_failed_upstream_task_ends_what_comes_after_it_as_it_says(lab: Lab) -> None:
    """Rules 19.2 and 19.3."""
    expected = {"fail": State.FAILED, "skip": State.CANCELLED, "continue": State.PENDING}
    for policy in POLICIES:
        bad, good = await lab.add(), await lab.add()
        last = await _after(lab, good, bad, on_failure=policy)
        await lab.settle((claims := await lab.claim())[0], Failed(BROKE))
        assert await lab.state(last) is State.BLOCKED, "it waits for all of them"
        await lab.settle(claims[1], Completed())
        task = await lab.task(last)
        assert task.state is expected[policy]
        if policy == "fail":
            text = f"task {bad} failed, and this one comes after it"
            assert task.error == TaskError("UpstreamFailed", text, fingerprint="UpstreamFailed")
        if policy == "skip":
            assert (task.reason, task.error) == ("skipped", None)
        if policy != "continue":
            assert (task.attempt, task.started_at, task.attempts) == (0, None, ())
            assert task.prune_at == lab.now() + (task.retention.of(task.state) or MINUTE)
            assert (await lab.causes(last))[-1] == "upstream_broken"
        await lab.claim()


async def a_cancelled_upstream_task_cancels_what_comes_after_it(lab: Lab) -> None:
    """Rule 19.3: with `fail`; and what comes after that."""
    first = await lab.add()
    second = await _after(lab, first)
    third = await _after(lab, second)
    skipped = await _after(lab, second, on_failure="skip")
    goes_on = await _after(lab, second, on_failure="continue")
    await lab.engine.cancel([first], "no longer wanted")
    assert await lab.states(second, third, skipped) == [State.CANCELLED] * 3
    assert (await lab.task(second)).reason == (
        f"task {first} was cancelled, and this one comes after it"
    )
    assert (await lab.task(third)).reason == (
        f"task {second} was cancelled, and this one comes after it"
    )
    assert (await lab.task(skipped)).reason == "skipped"
    assert await lab.claimed() == [goes_on]


async def the_first_that_breaks_it_is_the_one_that_is_named(lab: Lab) -> None:
    """Rule 19.2: in time while it waits, in order of `after.tasks` when it asks."""
    one, two = await lab.add(), await lab.add()
    waited = await _after(lab, one, two)
    claims = await lab.claim()
    await lab.settle(claims[1], Failed(BROKE))
    await lab.settle(claims[0], Failed(BROKE))
    error = (await lab.task(waited)).error
    assert error is not None
    assert two in error.message
    late = await _after(lab, one, two)
    error = (await lab.task(late)).error
    assert error is not None
    assert one in error.message
    assert await lab.causes(late) == ["upstream_broken"]


async def what_broke_it_stays_when_that_runs_again(lab: Lab) -> None:
    """Rule 19.2: a manual retry of the upstream task comes too late for those that it broke."""
    failing, other = await lab.add(), await lab.add()
    last = await _after(lab, failing, other)
    claims = await lab.claim()
    await lab.settle(claims[0], Failed(BROKE))
    await lab.engine.retry([failing])
    await lab.settle(claims[1], Completed())
    error = (await lab.task(last)).error
    assert error is not None
    assert failing in error.message


async def a_failure_of_before_counts_when_others_are_waited_for(lab: Lab) -> None:
    """Rules 19.1 and 19.2."""
    failed, live = await lab.start(), await lab.add()
    await lab.settle(failed, Failed(BROKE))
    last = await _after(lab, live, failed.ref.task_id)
    assert (await lab.task(last)).awaiting == 1
    await _end(lab, live, Completed())
    assert await lab.state(last) is State.FAILED


async def a_retried_upstream_task_is_waited_for_on(lab: Lab) -> None:
    """Rule 19.2: an attempt that fails is not its end."""
    first = await lab.add()
    last = await _after(lab, first)
    await _end(lab, first, Retried(BROKE))
    assert await lab.state(last) is State.BLOCKED
    await _end(lab, first, Completed())
    assert await lab.state(last) is State.PENDING


async def a_join_has_nothing_to_run(lab: Lab) -> None:
    """Rule 19.3: `joins`: completed without an attempt or a result."""
    step = await lab.add()
    join = await _after(lab, step, joins=True)
    last = await _after(lab, join)
    await _end(lab, step, Completed(b"result"))
    task = await lab.task(join)
    assert (task.state, task.attempt, task.started_at) == (State.COMPLETED, 0, None)
    assert (task.result, task.worker, task.finished_at) == (None, None, lab.now())
    assert await lab.causes(join) == ["enqueued", "joined"]
    assert await lab.claimed() == [last]
    assert await lab.state(await _after(lab, step, joins=True)) is State.COMPLETED


async def a_broken_join_ends_as_it_says(lab: Lab) -> None:
    """Rule 19.3: broken first, joined otherwise."""
    failed = await lab.start()
    await lab.settle(failed, Failed(BROKE))
    joins = [
        await _after(lab, failed.ref.task_id, joins=True, on_failure=policy) for policy in POLICIES
    ]
    assert await lab.states(*joins) == [State.FAILED, State.CANCELLED, State.COMPLETED]


async def ends_bring_about_ends_in_order(lab: Lab) -> None:
    """Rule 19.4: as they happen, and for each those that wait for it by id."""
    root = await lab.add()
    left, right = await _after(lab, root), await _after(lab, root)
    under_left, under_right = await _after(lab, left), await _after(lab, right)
    last = await _after(lab, under_left, under_right)
    before = await lab.end_of_feed()
    await _end(lab, root, Failed(BROKE))
    told = [each.task_id for each in await lab.feed(before) if each.cause == "upstream_broken"]
    assert told == [left, right, under_left, under_right, last]


async def a_long_chain_ends_in_one_step(lab: Lab) -> None:
    """Rule 19.4: 3,000 tasks, one after the other."""
    chain = [lab.new()]
    for _ in range(3_000):
        chain.append(lab.new(after=After((chain[-1].id,))))
    for start in range(0, len(chain), 500):
        await lab.enqueue(*chain[start : start + 500])
    await _end(lab, chain[0].id, Failed(BROKE))
    counts = {each.state: each.count for each in (await lab.engine.stats()).counts}
    assert counts == {State.FAILED: 3_001}


async def a_task_that_may_go_on_is_admitted_or_scheduled(lab: Lab) -> None:
    """Rule 19.3: by its limit, and by its due instant."""
    first = await lab.add()
    holder = await lab.add(limit=Limit("k", 1))
    limited = await _after(lab, first, limit=Limit("k", 1))
    delayed = await _after(lab, first, delay=MINUTE)
    past = await _after(lab, first, delay=MINUTE / 2)
    lab.clock.advance(MINUTE / 2)
    await lab.engine.promote(100)
    await lab.settle((await lab.claim())[0], Completed())
    task = await lab.task(limited)
    assert (task.state, task.blocked_on) == (State.BLOCKED, "limit")
    assert await lab.states(delayed, past, holder) == [
        State.SCHEDULED,
        State.PENDING,
        State.RUNNING,
    ]


async def a_blocked_task_can_be_cancelled_and_expires(lab: Lab) -> None:
    """Rule 19.4, and section 15: it waits for nothing any more."""
    first = await lab.add()
    cancelled = await _after(lab, first)
    expired = await _after(lab, first, expires_at=lab.now(MINUTE))
    after_both = await _after(lab, cancelled, expired, on_failure="continue")
    await lab.engine.cancel([cancelled])
    lab.clock.advance(MINUTE)
    await lab.engine.promote(100)
    assert await lab.states(cancelled, expired) == [State.CANCELLED] * 2
    assert await lab.state(after_both) is State.PENDING
    await lab.settle((await lab.claim())[0], Completed())
    assert await lab.states(cancelled, expired) == [State.CANCELLED] * 2


async def a_blocked_task_holds_its_unique_key(lab: Lab) -> None:
    """Section 2: from enqueueing, and it is freed with the end that its upstream task brings."""
    first = await lab.add()
    task = lab.new(after=After((first,)), unique=UniqueKey("k"))
    await lab.enqueue(task)
    [answer] = await lab.enqueue(lab.new(unique=UniqueKey("k")))
    assert (answer.task_id, answer.duplicate) == (task.id, True)
    await lab.engine.cancel([first])
    [answer] = await lab.enqueue(lab.new(unique=UniqueKey("k")))
    assert answer.duplicate is False


async def tasks_of_a_settlement_may_come_after_each_other(lab: Lab) -> None:
    """Rules 4.2 and 19.1: also after the task that is settled."""
    parent = await lab.start()
    first = lab.new()
    second = lab.new(after=After((first.id, parent.ref.task_id)))
    await lab.settle(parent, Completed(), enqueue=(first, second))
    task = await lab.task(second.id)
    assert (task.state, task.blocked_on) == (State.BLOCKED, "upstream")
    await _end(lab, first.id, Completed())
    assert await lab.state(second.id) is State.PENDING


async def a_retried_task_asks_again(lab: Lab) -> None:
    """Rule 19.1: what is live is waited for, what failed breaks it again."""
    first = await lab.start()
    second = await _after(lab, first.ref.task_id)
    third = await _after(lab, second)
    await lab.settle(first, Failed(BROKE))
    assert await lab.states(second, third) == [State.FAILED] * 2
    retry = lab.engine.retry
    assert await retry([third]) == [Retrial.RETRIED]
    assert await lab.state(third) is State.FAILED
    assert await retry([first.ref.task_id, second, third]) == [Retrial.RETRIED] * 3
    assert await lab.states(first.ref.task_id, second, third) == [
        State.PENDING,
        State.BLOCKED,
        State.BLOCKED,
    ]
    for task_id in (first.ref.task_id, second, third):
        await _end(lab, task_id, Completed())
    assert await lab.states(second, third) == [State.COMPLETED] * 2


async def a_retry_of_its_own_failure_needs_no_upstream(lab: Lab) -> None:
    """Rule 19.1: what completed is not waited for, nor what was removed since."""
    first = await lab.add()
    second = await _after(lab, first)
    await _end(lab, first, Completed())
    await _end(lab, second, Failed(BROKE))
    await lab.engine.remove([first])
    assert await lab.engine.retry([second]) == [Retrial.RETRIED]
    assert await lab.state(second) is State.PENDING


async def many_upstream_tasks_are_waited_for(lab: Lab) -> None:
    """Rule 19.1: 2,000 of one task."""
    upstream = [lab.new() for _ in range(2_000)]
    for start in range(0, len(upstream), 500):
        await lab.enqueue(*upstream[start : start + 500])
    join = await _after(lab, *(task.id for task in upstream), priority=9)
    claims = [claim for _ in range(4) for claim in await lab.claim(500)]
    for claim in claims[1:]:
        await lab.settle(claim, Cancelled() if claim is claims[5] else Completed())
    task = await lab.task(join)
    assert (task.state, task.awaiting) == (State.BLOCKED, 1)
    await lab.settle(claims[0], Completed())
    assert await lab.state(join) is State.CANCELLED
