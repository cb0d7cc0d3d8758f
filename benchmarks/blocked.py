"""What tasks that may not start cost those that may: 100,000 in front of them, or beside them.

A few tasks of the key, or of the queue, are held by somebody for the whole time, so that its limit
is reached and the others stay where they are.
"""

from collections.abc import Mapping
from contextlib import ExitStack
from statistics import median
from typing import Any, Final

import workload
from arena import calm, count, enqueue, opened, store
from figures import Figure
from throughput import drain, listed
from workload import BALLAST

from tidemill import AtMost, Engine, State
from tidemill.app import TaskFunction
from tidemill.clock import duration
from tidemill.engine import ClaimRequest, QueueDefinition
from tidemill.ids import IdMaker

AT_MOST: Final = 10
FULL: Final = "full"
FRONT: Final = "in front"
BESIDE: Final = "beside"
DAY: Final = duration(86_400)


async def blocked(kind: str, tasks: int, rounds: int, waiting: int) -> list[Figure]:
    """A worker by turns on stores with so many tasks that may not start, and on an empty one."""
    plain = workload.noop
    other = plain.options(limit=AtMost(tasks * (rounds + 1), name="other"))
    with ExitStack() as stack:
        urls = {name: stack.enter_context(store(kind)) for name in (FRONT, BESIDE)}
        await _fill(urls[FRONT], _in_front(), waiting)
        await _fill(urls[BESIDE], workload.ballast.options(queue=FULL), waiting)
        ways: Mapping[str, tuple[str | None, TaskFunction[..., Any]]] = {
            "empty": (None, plain),
            "empty, of another key": (None, other),
            f"{waiting:,} blocked by their key in front": (urls[FRONT], plain),
            f"{waiting:,} blocked in front of another key's": (urls[FRONT], other),
            f"{waiting:,} pending in a queue at its concurrency": (urls[BESIDE], plain),
        }
        rates: dict[str, list[float]] = {name: [] for name in ways}
        for _ in range(rounds):
            for name, (url, face) in ways.items():
                rates[name].append(await _rate(kind, url, tasks, face))
        for url in urls.values():
            await _check(url, waiting)
    return _figures(rates, {name: face for name, (_, face) in ways.items()}, plain)


def _in_front() -> TaskFunction[..., Any]:
    """Tasks of one key, before all others in the order of claims."""
    return workload.ballast.options(priority=5, limit=AtMost(AT_MOST, name="greedy"))


async def _rate(kind: str, url: str | None, tasks: int, face: TaskFunction[..., Any]) -> float:
    if url is not None:
        return (await drain(url, tasks, face=face)).rate
    with store(kind) as empty:
        return (await drain(empty, tasks, face=face)).rate


async def _fill(url: str, face: TaskFunction[..., Any], waiting: int) -> None:
    """Let the limit be reached by tasks that are held, and so many others wait for it."""
    async with opened(url) as engine:
        await engine.configure([QueueDefinition(FULL, concurrency=AT_MOST)])
        await enqueue(face, AT_MOST + waiting)
        request = ClaimRequest(
            claim_id=IdMaker().make(),
            worker="holder",
            queues=None,
            task_types=frozenset({BALLAST}),
            limit=2 * AT_MOST,
            lease=DAY,
        )
        if len(await engine.claim(request)) != AT_MOST:
            raise SystemExit(f"the limit of {AT_MOST} does not hold")
        await calm(engine)


async def _check(url: str, waiting: int) -> None:
    """Nobody took what may not start."""
    async with opened(url) as engine:
        if await _left(engine) != waiting:
            raise SystemExit(f"{await _left(engine)} of {waiting} are left")


async def _left(engine: Engine) -> int:
    states = (State.BLOCKED, State.PENDING)
    return sum([await count(engine, BALLAST, state) for state in states])


def _figures(
    rates: Mapping[str, list[float]],
    faces: Mapping[str, TaskFunction[..., Any]],
    plain: TaskFunction[..., Any],
) -> list[Figure]:
    """Each way compared with the same tasks on an empty store."""
    figures = []
    for name, found in rates.items():
        base = rates["empty" if faces[name] is plain else "empty, of another key"]
        if base is found:
            figures.append(
                Figure(f"throughput, {name}", median(found), "tasks/s", detail=listed(found))
            )
            continue
        ratio = median(rate / empty for rate, empty in zip(found, base, strict=True))
        detail = f"{listed(found)} to {listed(base)} tasks/s"
        figures.append(
            Figure(f"throughput with {name}, to empty", 100 * ratio, "%", 80, detail=detail)
        )
    return figures
