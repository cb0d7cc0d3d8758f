"""Judges limits: pure functions over the feed, and over the instants of starts."""

from bisect import bisect_left
from collections import Counter
from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from datetime import datetime
from itertools import pairwise

from tidemill import State, Transition
from tidemill.clock import to_micros
from tidemill.rates import Rate

HOLDS_SLOT = frozenset({State.PENDING, State.RUNNING})
"""States in which a task takes one of its key's slots."""
RUNS = frozenset({State.RUNNING})


def most_at_once(
    feed: Iterable[Transition],
    group: Callable[[Transition], str | None],
    states: Collection[State],
) -> Counter[str]:
    """By group, the most tasks that were in these states at a time, in the order of the feed.

    A task belongs to the group that it entered with; None is not counted.
    """
    inside: dict[str, str] = {}
    now: Counter[str] = Counter()
    most: Counter[str] = Counter()
    for entry in feed:
        if entry.state not in states:
            if (left := inside.pop(entry.task_id, None)) is not None:
                now[left] -= 1
        elif entry.task_id not in inside and (entered := group(entry)) is not None:
            inside[entry.task_id] = entered
            now[entered] += 1
            most[entered] = max(most[entered], now[entered])
    return most


def used(feed: Iterable[Transition], queue: str, limit: int) -> float:
    """How much of `limit` ran in a queue while it had something to claim, from 0 to 1.

    That is from its first claim to its last: it must never have been empty between.
    """
    ours = [entry for entry in feed if entry.queue == queue]
    claims = [entry.at for entry in ours if entry.cause == "claimed"]
    if len(claims) < 2 or claims[0] == claims[-1]:
        return 0.0
    span = [entry for entry in ours if claims[0] <= entry.at <= claims[-1]]
    busy = sum(
        count * (later.at - entry.at).total_seconds()
        for (entry, later), count in zip(pairwise(span), _running(span), strict=False)
    )
    return busy / (limit * (claims[-1] - claims[0]).total_seconds())


def _running(feed: Iterable[Transition]) -> Iterator[int]:
    """After each entry, how many run."""
    running: set[str] = set()
    for entry in feed:
        (running.add if entry.state is State.RUNNING else running.discard)(entry.task_id)
        yield len(running)


def micros(instants: Iterable[datetime]) -> list[int]:
    """Instants as the engine counts them, in order."""
    return sorted(map(to_micros, instants))


def at_once(rate: Rate, starts: Sequence[int]) -> float:
    """The burst that these starts (microseconds, in order) need, over stretches of any length.

    Between two of them there are at most so many, and what the rate brings in that time.
    """
    lowest, most = 0, 0
    for number, at in enumerate(starts):
        level = number * rate.cell - at * rate.count
        lowest = level if number == 0 else min(lowest, level)
        most = max(most, level - lowest + rate.cell)
    return most / rate.cell


def fullest(rate: Rate, starts: Sequence[int]) -> int:
    """The most starts in any stretch of length `per`, one that begins with each of them."""
    return max(
        (bisect_left(starts, at + rate.cell) - number for number, at in enumerate(starts)),
        default=0,
    )


def share(rate: Rate, starts: Sequence[int], seconds: float) -> float:
    """How much of the rate was used in so many seconds from the first start, its burst aside."""
    if not starts:
        return 0.0
    within = bisect_left(starts, starts[0] + round(seconds * 1e6))
    return (within - rate.burst) / (rate.count * seconds / rate.per.total_seconds())
