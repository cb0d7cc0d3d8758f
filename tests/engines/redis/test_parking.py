"""Tasks of types that their claimer does not know: set aside once, in nobody's way, never lost.

And the order of claims on real servers: priorities are strict in a queue, no queue starves.
"""

import asyncio
from collections import Counter
from itertools import pairwise

import pytest

from tests.engines.redis.hands import command, looking, opened
from tidemill.engine import QueueDefinition
from tidemill.outcome import Completed, Released, Settlement
from tidemill.task import NewTask, State
from tidemill.testing.lab import Lab, LabClock

BOTH = frozenset({"work", "strange"})
STRANGE = frozenset({"strange"})


async def add_many(lab: Lab, count: int, **options: object) -> list[str]:
    tasks: list[NewTask] = [lab.new(**options) for _ in range(count)]
    await lab.enqueue(*tasks)
    return [task.id for task in tasks]


async def writes(url: str) -> int:
    """How many entries the servers have ever put into streams."""
    stats = [answer.decode() for answer in command(url, "INFO", "commandstats")]
    found = [line for text in stats for line in text.splitlines() if "_xadd:" in line]
    return sum(int(line.partition("calls=")[2].partition(",")[0]) for line in found)


async def test_an_unknown_type_is_parked_once(url: str) -> None:
    async with opened(url) as lab, looking(url) as look:
        await add_many(lab, 3, task_type="strange")
        assert await lab.claimed() == []
        assert await look.lanes() == {"default/5": 0, "default/5/type/strange": 3}
        before = await writes(url)
        for worker in ("w1", "w2"):
            assert await lab.claimed(worker=worker) == []
        assert await writes(url) == before


async def test_who_knows_the_type_reads_what_is_parked_first_and_in_order(url: str) -> None:
    async with opened(url) as lab:
        parked = await add_many(lab, 3, task_type="strange")
        known = await add_many(lab, 2)
        assert await lab.claimed(1) == known[:1]
        later = await add_many(lab, 2, task_type="strange")
        taken = [await lab.claimed(2, task_types=BOTH) for _ in range(3)]
        assert [each for part in taken for each in part] == [*parked, known[1], *later]


async def test_five_thousand_unknown_tasks_do_not_hide_one_that_is_known(url: str) -> None:
    async with opened(url) as lab, looking(url) as look:
        for _ in range(5):
            await add_many(lab, 1000, task_type="strange")
        known = await lab.add()
        assert await lab.claimed(1) == [known]
        assert (await look.lanes())["default/5/type/strange"] == 5000
        counts = {count.task_type: count.count for count in (await lab.engine.stats()).counts}
        assert counts == {"strange": 5000, "work": 1}


async def test_a_queue_of_unknown_tasks_takes_nothing_from_another_queue(url: str) -> None:
    async with opened(url) as lab:
        await add_many(lab, 20, queue="a", task_type="strange")
        known = await add_many(lab, 20, queue="b")
        taken = [await lab.claimed(1) for _ in range(20)]
        assert [each for part in taken for each in part] == known


async def test_parking_burns_no_attempt_and_no_token(url: str) -> None:
    async with opened(url) as lab:
        task_id = await lab.add(task_type="strange")
        for _ in range(3):
            assert await lab.claimed() == []
        assert (await lab.task(task_id)).state is State.PENDING
        claim = await lab.take(task_id, task_types=STRANGE)
        assert (claim.attempt, claim.ref.token) == (1, 1)


async def test_types_become_known_one_by_one(url: str) -> None:
    async with opened(url) as lab, looking(url) as look:
        ids = {name: await add_many(lab, 2, task_type=name) for name in ("work", "one", "two")}
        assert await lab.claimed() == ids["work"]
        assert await lab.claimed(task_types=frozenset({"one"})) == ids["one"]
        assert await lab.claimed(task_types=frozenset({"work", "one"})) == []
        assert await lab.claimed(task_types=frozenset({"work", "one", "two"})) == ids["two"]
        assert set(await look.lanes()) == {"default/5", "default/5/type/one", "default/5/type/two"}


async def test_priorities_are_strict_also_where_lanes_are_parked(url: str) -> None:
    async with opened(url) as lab:
        ids = {
            (priority, name): (await add_many(lab, 2, task_type=name, priority=priority))
            for priority in (1, 9, 5)
            for name in ("strange", "work")
        }
        assert await lab.claimed(1) == ids[9, "work"][:1]  # parks all that are unknown on its way
        taken = [await lab.claimed(3, task_types=BOTH) for _ in range(4)]
        assert [each for part in taken for each in part] == [
            *ids[9, "strange"],
            ids[9, "work"][1],
            *(
                each
                for priority in (5, 1)
                for name in ("strange", "work")
                for each in ids[priority, name]
            ),
        ]


async def test_a_parked_task_can_be_cancelled_and_leaves_its_lane(url: str) -> None:
    async with opened(url) as lab, looking(url) as look:
        first, second = await add_many(lab, 2, task_type="strange")
        await lab.claimed()
        assert await lab.engine.cancel([first]) == [State.CANCELLED]
        assert (await look.lanes())["default/5/type/strange"] == 1
        assert await lab.claimed(task_types=BOTH) == [second]


async def test_a_released_parked_task_is_found_by_those_who_know_it(url: str) -> None:
    async with opened(url) as lab, looking(url) as look:
        task_id = await lab.add(task_type="strange")
        await lab.claimed()
        claim = await lab.take(task_id, task_types=STRANGE)
        assert await lab.settle(claim, Released()) is State.PENDING
        assert await lab.claimed() == []
        assert await look.lanes() == {"default/5": 0, "default/5/type/strange": 1}
        assert (await lab.take(task_id, task_types=STRANGE)).ref.token == 2


async def test_a_lost_task_of_an_unknown_type_is_parked_alone(url: str) -> None:
    async with opened(url, clock=LabClock()) as lab, looking(url) as look:
        claim = await lab.start()
        assert await lab.lose(claim) is State.PENDING
        assert await lab.claimed(alone=1, task_types=STRANGE) == []
        assert (await look.lanes())["default/5/alone/type/work"] == 1
        assert (await lab.take(claim.ref.task_id)).alone


# Order under concurrent claims


async def drained(lab: Lab, worker: str, *, limit: int) -> list[list[str]]:
    """Claim and settle until there is nothing; what each claim answered."""
    taken: list[list[str]] = []
    while claims := await lab.claim(limit, worker=worker):
        taken.append([claim.ref.task_id for claim in claims])
        await lab.engine.settle([Settlement(claim.ref, Completed()) for claim in claims])
    return taken


async def test_priorities_are_strict_under_concurrent_claims(url: str) -> None:
    async with opened(url) as lab:
        priority_of: dict[str, int] = {}
        for priority in (5, 0, 10, 7):
            made = await add_many(lab, 50, priority=priority)
            priority_of |= dict.fromkeys(made, priority)
        sessions = [lab.beside() for _ in range(4)]
        cursor = await lab.end_of_feed()
        await asyncio.gather(
            *(drained(each, f"w{n}", limit=n + 1) for n, each in enumerate(sessions))
        )
        for each in sessions:
            await each.engine.close()
        order = [entry.task_id for entry in await lab.feed(cursor) if entry.cause == "claimed"]
        assert sorted(order) == sorted(priority_of)
        priorities = [priority_of[each] for each in order]
        assert [pair for pair in pairwise(priorities) if pair[0] < pair[1]] == []


async def test_a_late_task_of_higher_priority_is_the_next_one_taken(url: str) -> None:
    async with opened(url) as lab:
        await add_many(lab, 100, priority=5)
        await lab.claimed(10)
        urgent = await lab.add(priority=6)
        assert (await lab.claimed(10))[0] == urgent


@pytest.mark.parametrize("limit", [1, 10])
async def test_no_queue_starves_beside_a_flooded_one(url: str, limit: int) -> None:
    async with opened(url) as lab:
        weights = {"flood": 1, "heavy": 3, "light": 1}
        await lab.engine.configure([QueueDefinition(*pair) for pair in weights.items()])
        queue_of: dict[str, str] = {}
        for queue, count in (("flood", 1000), ("heavy", 60), ("light", 20)):
            queue_of |= dict.fromkeys(await add_many(lab, count, queue=queue), queue)
        taken: Counter[str] = Counter()
        for _ in range(100 // limit):
            taken.update(queue_of[each] for each in await lab.claimed(limit))
        assert taken.total() == 100
        assert taken == {"heavy": 60, "flood": 20, "light": 20}


async def test_no_queue_starves_under_concurrent_claims(url: str) -> None:
    async with opened(url) as lab:
        flooded = await add_many(lab, 1000, queue="flood", priority=10)
        small = {name: await add_many(lab, 20, queue=name, priority=0) for name in "ab"}
        sessions = [lab.beside() for _ in range(3)]

        async def some(session: Lab, worker: str) -> list[str]:
            return [each for _ in range(10) for each in await session.claimed(10, worker=worker)]

        parts = await asyncio.gather(*(some(each, f"w{n}") for n, each in enumerate(sessions)))
        for session in sessions:
            await session.engine.close()
        taken = Counter(each for part in parts for each in part)
        assert set(taken.values()) == {1}
        assert {*small["a"], *small["b"]} < taken.keys()
        assert taken.keys() & {*flooded}
