"""How one claim is shared between queues: stride scheduling.

Source: Waldspurger and Weihl, "Stride Scheduling: Deterministic Proportional-Share Resource
Management", 1995. Every queue has a pass, a virtual time that rises by 1/weight for each task
taken from it; the next task comes from the queue with the lowest pass. A queue that was empty
starts again at the virtual time of the last one served, so it cannot save up turns.
"""

from collections.abc import Mapping
from heapq import heapify, heappop, heapreplace

import msgspec

STRIDE = 1 << 20  # divides well by every allowed weight; passes stay integers, thus exact


class Turn(msgspec.Struct, frozen=True):
    """What rotation needs to know of one queue: its pass, its weight, its ready tasks."""

    passed: int
    weight: int
    ready: int


class Shares(msgspec.Struct, frozen=True):
    """The answer: tasks to take per queue, the passes afterwards, and the new virtual time."""

    take: dict[str, int]
    passed: dict[str, int]
    now: int


def share(turns: Mapping[str, Turn], now: int, limit: int) -> Shares:
    """Share `limit` between queues in proportion to their weights; ties go by name.

    Queues without ready tasks keep their pass. Nothing is left over while a queue has more.
    """
    waiting = {name: turn for name, turn in turns.items() if turn.ready > 0}
    if len(waiting) == 1:
        return _one(waiting, now, limit)
    line = [(max(turn.passed, now), name) for name, turn in waiting.items()]
    heapify(line)
    take = dict.fromkeys(waiting, 0)
    passed = {}
    for _ in range(limit):
        if not line:
            break
        now, name = line[0]
        turn = waiting[name]
        take[name] += 1
        passed[name] = now + STRIDE // turn.weight
        if take[name] < turn.ready:
            heapreplace(line, (passed[name], name))
        else:
            heappop(line)
    return Shares(take={name: n for name, n in take.items() if n}, passed=passed, now=now)


def _one(waiting: dict[str, Turn], now: int, limit: int) -> Shares:
    ((name, turn),) = waiting.items()
    taken = min(limit, turn.ready)
    if taken == 0:
        return Shares(take={}, passed={}, now=now)
    stride = STRIDE // turn.weight
    start = max(turn.passed, now)
    return Shares(
        take={name: taken},
        passed={name: start + taken * stride},
        now=start + (taken - 1) * stride,
    )
