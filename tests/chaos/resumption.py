"""How soon workers go on after the store was away: pure functions over what was seen."""

from bisect import bisect_left
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise

from tests.chaos.history import History
from tests.chaos.ledger import Entry
from tidemill import State

Span = tuple[int, int]
"""From one monotonic nanosecond to another."""


def idle(history: History, limit: float) -> list[str]:
    """Workers that began nothing for more than `limit` seconds on end, although they could have.

    That is while the store was there and held a task that any worker may begin at once: pending,
    and not one of those that were reclaimed, which wait for a child process to be alone in.
    """
    ready = list(_ready(history))
    over = ready[-1][1] if ready else 0
    gaps = (
        (pid, gap)
        for pid, begins in shifts(history.ledger).items()
        for gap in pairwise([*begins, history.killed.get(pid, over)])
        if _seconds(gap) > limit
    )
    waits = ((pid, max(_seconds(_both(span, gap)) for span in ready)) for pid, gap in gaps)
    return [
        f"worker {pid} began nothing for {wait:.1f} s although tasks were ready"
        for pid, wait in waits
        if wait > limit
    ]


def resumed(ledger: Sequence[Entry], ends: Sequence[int]) -> list[float]:
    """Seconds from each of these instants to the next begin, by each worker that was there.

    A worker that was killed before, or had nothing to begin any more, is left out: `idle` judges
    it.
    """
    return [
        (begins[at] - end) / 1e9
        for end in ends
        for begins in shifts(ledger).values()
        if begins[0] < end and (at := bisect_left(begins, end)) < len(begins)
    ]


def shifts(ledger: Sequence[Entry]) -> Mapping[int, list[int]]:
    """By worker, when it was ready, and then whenever it began a task itself."""
    found: defaultdict[int, list[int]] = defaultdict(list)
    for entry in ledger:
        if entry.phase == "ready" or (entry.phase == "begin" and entry.pid in found):
            found[entry.pid].append(entry.at)
    return found


def _ready(history: History) -> Iterator[Span]:
    """When there was something for any worker and a store to have it from, in order."""
    waiting: set[str] = set()
    since = 0
    for entry in history.feed:
        at = history.instant(entry.at)
        was_empty = not waiting
        if entry.state is State.PENDING and entry.cause != "reclaimed":
            waiting.add(entry.task_id)
        else:
            waiting.discard(entry.task_id)
        if was_empty and waiting:
            since = at
        elif not waiting and not was_empty:
            yield from _outside(history, since, at)
    if waiting:
        yield from _outside(history, since, history.instant(history.feed[-1].at))


def _outside(history: History, start: int, end: int) -> Iterator[Span]:
    """What remains of a span without the outages in it."""
    for outage in history.outages:
        if start < outage.began < end:
            yield start, outage.began
        if outage.began < end:
            start = max(start, outage.ended)
    if start < end:
        yield start, end


def _both(one: Span, other: Span) -> Span:
    return max(one[0], other[0]), min(one[1], other[1])


def _seconds(span: Span) -> float:
    return (span[1] - span[0]) / 1e9
