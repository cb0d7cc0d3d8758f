"""What somebody does to a server behind our back: scripts, groups or everything is gone."""

import re
from collections import Counter
from collections.abc import Awaitable, Callable
from datetime import timedelta

import pytest

from tests.engines.redis.campaign import QUEUES, Campaign
from tests.engines.redis.hands import Look, comes_true, command, looking, opened
from tests.engines.redis.site import SOON, at_work
from tidemill import LeaseLost, Tidemill
from tidemill.engine import ClaimRequest, Hold
from tidemill.engines.redis import shards
from tidemill.engines.redis.keys import GROUP
from tidemill.errors import TaskNotFound
from tidemill.outcome import Completed, Released, Retried
from tidemill.task import Claim, State, Task
from tidemill.testing.builders import BROKE, numbered_id
from tidemill.testing.lab import TICK, Lab, LabClock

LEASE = timedelta(seconds=30)


# Scripts


async def test_forgotten_scripts_change_no_answer(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab, opened(f"{url}x", clock=LabClock()) as other:
        # What queues of a cluster have for each other comes in no order that would be promised.
        queues = QUEUES[:1] if lab.engine.info.atomic == "queue" else QUEUES
        flushed, plain = Campaign(lab, 11, queues), Campaign(other, 11, queues)
        await plain.run(60)
        for _ in range(60):
            command(url, "SCRIPT", "FLUSH")
            await flushed.run(1)
        assert await facts(lab) == await facts(other)


async def facts(lab: Lab) -> tuple[list[Task], list[str]]:
    return await lab.find(), [f"{entry.task_id} {entry.cause}" for entry in await lab.feed()]


# Everything


async def test_an_idle_worker_works_on_when_everything_was_removed(url: str) -> None:
    producer = Tidemill(url)
    async with at_work(url) as site:
        command(url, "FLUSHALL")
        await site.works(1)
        command(url, "FLUSHALL")
        quick = producer.task(name="quick")(site.quick.function)
        await quick.enqueue(2)  # it knew of no queue before
        command(url, "FLUSHALL")
        handle = await quick.enqueue(3)  # and now it thinks that the queue is known
        assert await handle.result(SOON) == 3
        assert site.ran[-1] == 3
    await producer.close()


async def test_what_ran_when_everything_was_removed_is_stale_and_new_tasks_run(url: str) -> None:
    async with at_work(url) as site:
        old = await site.begin(1)
        command(url, "FLUSHALL")
        await site.facts.first(LeaseLost)
        await site.works(2)
        site.go.set()
        with pytest.raises(TaskNotFound):
            await old.get()
        await site.works(3)
        assert [event.task_id for event in site.facts.of(LeaseLost)] == [old.id]
        assert site.ran == [0, 1, 2, 3]


async def test_queues_of_an_emptied_cluster_become_known_to_new_sessions(
    spread: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with opened(spread) as lab, opened(spread, first=100) as producer:
        await producer.add(queue="old")
        await lab.engine.promote(10)
        command(spread, "FLUSHALL")
        task_id = await producer.add(queue="old")  # which it thinks is known
        monkeypatch.setattr(shards, "REGISTER_EVERY", 0.01)
        async with looking(spread) as look:

            async def known() -> bool:
                await lab.engine.promote(10)
                return bool(await look.ask("SISMEMBER", look.key("known", queue="/"), "old"))

            await comes_true(known)
        async with opened(spread, first=200) as newcomer:
            assert await newcomer.claimed() == [task_id]


async def test_verbs_on_an_emptied_store_answer_as_on_a_new_one(url: str) -> None:
    async with opened(url) as lab:
        cursor = await lab.end_of_feed()
        held = [await lab.start() for _ in range(2)]
        command(url, "FLUSHALL")
        assert await lab.settle(held[0], Completed()) is None
        assert await lab.extend(held[1]) is Hold.LOST
        assert await lab.engine.cancel([held[1].ref.task_id]) == [None]
        assert await lab.find() == []
        assert (await lab.engine.stats()).counts == ()
        task_id = await lab.add()
        page = await lab.engine.feed(cursor, 10, timedelta(0))
        assert [entry.task_id for entry in page.entries] == [task_id]
        assert await lab.claimed() == [task_id]
        assert await lab.found() == [task_id]


# Groups


Step = Callable[[Lab, list[Claim]], Awaitable[object]]

STEPS: dict[str, Step] = {
    "claim": lambda lab, _: lab.claim(0),
    "extend": lambda lab, held: lab.extend(held[0]),
    "stats": lambda lab, _: lab.engine.stats(),
    "reclaim": lambda lab, _: lab.engine.reclaim(10),
    "enqueue": lambda lab, _: lab.add(queue="other"),
    "repeat": lambda lab, _: lab.engine.claim(again(lab)),
}
"""What may be the first to meet a lane without its group."""


def again(lab: Lab) -> ClaimRequest:
    """The same request each time, which takes up to two tasks as `w1`."""
    return ClaimRequest(
        claim_id=numbered_id(0xC1A1),
        worker="w1",
        queues=("default",),
        task_types=frozenset({"work"}),
        limit=2,
    )


async def destroy_groups(look: Look) -> None:
    """Remove the consumer group of every lane, as somebody may by hand."""
    lanes = [key for key in await look.keys() if ":lane:" in key]
    assert [await look.ask("XGROUP DESTROY", lane, GROUP) for lane in lanes] == [1] * len(lanes)


@pytest.mark.parametrize("first", STEPS)
async def test_without_its_group_a_lane_keeps_what_runs_and_goes_on_in_order(
    url: str, first: str
) -> None:
    async with opened(url, clock=LabClock()) as lab, looking(url) as look:
        ids = [await lab.add() for _ in range(6)]
        held = await lab.engine.claim(again(lab))
        await destroy_groups(look)
        await STEPS[first](lab, held)
        assert await lab.engine.claim(again(lab)) == held
        assert await lab.extend(held[0]) is Hold.HELD
        taken = await lab.claim(3, worker="w2", queues=("default",))
        assert [claim.ref.task_id for claim in taken] == ids[2:5]
        lane = look.key("lane", "default/5")
        assert await pending(look, lane) == {"w1": 2, "w2": 3}
        assert await lab.settle(held[1], Completed()) is State.COMPLETED
        assert await lab.settle(held[0], Released()) is State.PENDING
        assert [await lab.settle(claim, Completed()) for claim in taken] == [State.COMPLETED] * 3
        assert await lab.claimed(queues=("default",)) == [ids[5], ids[0]]
        assert await pending(look, lane) == {"w1": 2}
        assert await look.ask("XLEN", lane) == 2
        causes = Counter(entry.cause for entry in await lab.feed() if entry.queue == "default")
        assert causes == {"enqueued": 6, "claimed": 7, "completed": 4, "released": 1}


async def pending(look: Look, lane: str) -> dict[str, int]:
    """How many entries of a lane each worker holds."""
    _, _, _, holders = await look.ask("XPENDING", lane, GROUP)
    return {name.decode(): int(count) for name, count in holders}


async def test_tasks_can_leave_a_lane_without_a_group(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab, looking(url) as look:
        lost, ended, retried = [await lab.start(max_attempts=2) for _ in range(3)]
        cancelled, last = await lab.add(), await lab.add()
        await destroy_groups(look)
        assert await lab.engine.cancel([cancelled]) == [State.CANCELLED]
        assert await lab.settle(ended, Completed()) is State.COMPLETED
        assert await lab.settle(retried, Retried(BROKE)) is State.PENDING
        lab.clock.advance(LEASE + TICK)
        (reclaimed,) = await lab.engine.reclaim(10)
        assert reclaimed.task_id == lost.ref.task_id
        taken = await lab.claimed(alone=9)
        assert sorted(taken) == sorted([last, retried.ref.task_id, lost.ref.task_id])
        assert (await look.lanes()) == {"default/5": 2, "default/5/alone": 1}


async def test_parked_lanes_without_a_group_are_mended_too(url: str) -> None:
    async with opened(url) as lab, looking(url) as look:
        ids = [await lab.add(task_type="strange") for _ in range(3)]
        assert await lab.claimed() == []
        await destroy_groups(look)
        assert await lab.claimed(task_types=frozenset({"strange"})) == ids


async def extended_again(url: str) -> None:
    """Return when a heartbeat has renewed a lease that it found without a group."""
    before = command(url, "INFO", "commandstats")

    async def renewed() -> bool:
        return calls(command(url, "INFO", "commandstats")) > calls(before) + 1

    def calls(answers: list[bytes]) -> int:
        lines = [line for text in answers for line in text.decode().splitlines()]
        found = [line for line in lines if line.startswith("cmdstat_xclaim:")]
        return sum(int(re.findall(r"calls=(\d+)", line)[0]) for line in found)

    await comes_true(renewed)


async def test_a_worker_works_on_when_groups_were_removed(url: str) -> None:
    async with at_work(url) as site, looking(url) as look:
        running = await site.begin(1)
        await destroy_groups(look)
        await site.works(2)
        await destroy_groups(look)
        await extended_again(url)
        site.go.set()
        assert await running.result(SOON) == 1
        assert site.ran == [0, 1, 2]
        assert site.facts.of(LeaseLost) == []
