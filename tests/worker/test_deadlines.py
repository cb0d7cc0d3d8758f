"""The shared timer."""

import asyncio

from tidemill.worker.deadlines import RESOLUTION, Deadlines


async def test_deadlines_ring_in_order_and_never_early() -> None:
    loop = asyncio.get_running_loop()
    deadlines = Deadlines(loop)
    began = loop.time()
    rung: list[tuple[str, float]] = []
    done = asyncio.Event()

    def ring(name: str, after: float) -> None:
        def note() -> None:
            rung.append((name, loop.time() - began - after))
            if len(rung) == 3:
                done.set()

        deadlines.add(after, note)

    ring("late", 0.12)
    ring("early", 0.01)
    ring("middle", 0.06)
    await done.wait()
    assert [name for name, _ in rung] == ["early", "middle", "late"]
    assert all(late >= -RESOLUTION / 100 for _, late in rung)


async def test_a_removed_deadline_does_not_ring() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    rung = []
    done = asyncio.Event()
    place = deadlines.add(0.01, lambda: rung.append("removed"))
    deadlines.add(0.02, done.set)
    deadlines.remove(place)
    deadlines.remove(place)
    await done.wait()
    assert rung == []


async def test_a_deadline_may_add_another_one() -> None:
    deadlines = Deadlines(asyncio.get_running_loop())
    done = asyncio.Event()

    def again() -> None:
        deadlines.add(0.01, done.set)

    deadlines.add(0.01, again)
    await done.wait()
