"""Other task systems on the same kind of store, by turns with ours.

Each gets the same task: append 16 bytes to a file (peers/tally.py). N tasks are enqueued, then its
workers start; its rate is N divided by the time between the first start and the last. Of the
settings that its users would try the fastest is taken, found by a shorter run before. A slow one
gets fewer tasks, as many as it runs in a few seconds.
"""

import sys
from collections.abc import Sequence
from statistics import median

import msgspec
from figures import Figure, percentiles
from peers.catalogue import Peer, peers_on
from peers.measure import Entry, drain, waits

PROCESSES = (1, 2)
TRIAL = 5_000
FEWEST = 100


class Effort(msgspec.Struct, frozen=True):
    """How much is measured: of each peer what it does in so many seconds, tasks at most."""

    tasks: int
    seconds: float
    rounds: int
    samples: int


def contest(kind: str, names: Sequence[str], effort: Effort) -> list[Figure]:
    """Rates with one and two worker processes, how many times theirs ours is, and latency."""
    chosen = [each for each in peers_on(kind) if not names or each.name in names]
    if len(chosen) < len(set(names)):
        known = ", ".join(each.name for each in peers_on(kind))
        raise SystemExit(f"unknown peer among {', '.join(names)}; on {kind} there are: {known}")
    figures = [
        Figure(f"{each.name}, no-op tasks", None, "tasks/s", detail=each.absent)
        for each in chosen
        if each.absent
    ]
    present = [each for each in chosen if not each.absent]
    for processes in PROCESSES:
        figures += _rates(kind, present, processes, effort)
    for peer in present:
        figures += _latency(kind, peer, effort)
    return figures


def _rates(kind: str, peers: Sequence[Peer], processes: int, effort: Effort) -> list[Figure]:
    contenders = [_fastest(kind, peer, processes, effort) for peer in peers]
    rates: list[list[float]] = [[] for _ in contenders]
    for _ in range(effort.rounds):
        for (entry, tasks), found in zip(contenders, rates, strict=True):
            found.append(_told(entry, drain(kind, entry, tasks)))
    figures = [
        Figure(_name(entry), median(found), "tasks/s", detail=_detail(entry, tasks, found))
        for (entry, tasks), found in zip(contenders, rates, strict=True)
    ]
    found_by = list(zip([entry for entry, _ in contenders], rates, strict=True))
    for our, ours in found_by:
        for their, theirs in found_by:
            if our.peer.ours and not their.peer.ours:
                lead = median(one / other for one, other in zip(ours, theirs, strict=True))
                # What our stronger settings cost is shown; what is promised are the default ones.
                budget = None if our.peer.query else their.peer.lead
                name = f"{our.peer.name} to {their.peer.name}, {_so_many(processes)}"
                figures.append(Figure(name, lead, "×", budget))
    return figures


def _fastest(kind: str, peer: Peer, processes: int, effort: Effort) -> tuple[Entry, int]:
    """A peer with the best of its settings, and how many tasks keep it busy long enough."""
    entries = [Entry(peer, processes, width) for width in peer.widths]
    rates = {each: _told(each, drain(kind, each, TRIAL, effort.seconds / 2)) for each in entries}
    best = max(entries, key=rates.__getitem__)
    return best, min(effort.tasks, max(FEWEST, int(rates[best] * effort.seconds)))


def _latency(kind: str, peer: Peer, effort: Effort) -> list[Figure]:
    entry = Entry(peer, 1, peer.widths[0])
    p50, _, p99, _ = percentiles(
        f"{peer.name}, enqueue to start, idle worker", waits(kind, entry, effort.samples), "ms"
    )
    return [p50, p99]


def _name(entry: Entry) -> str:
    return f"{entry.peer.name} {entry.peer.version}, {_so_many(entry.processes)}"


def _so_many(processes: int) -> str:
    return "1 process" if processes == 1 else f"{processes} processes"


def _detail(entry: Entry, tasks: int, rates: Sequence[float]) -> str:
    rounds = ", ".join(f"{each:,.0f}" for each in rates)
    width = f"{entry.peer.width}: {entry.width}" if entry.peer.width else ""
    parts = [f"{rounds} ({tasks:,} tasks)", width, entry.peer.note]
    return "; ".join(part for part in parts if part)


def _told(entry: Entry, rate: float) -> float:
    """Say how it goes: this part takes minutes."""
    words = f"  {_name(entry)}, {entry.peer.width} {entry.width}: {rate:,.0f}/s"
    print(words, file=sys.stderr, flush=True)
    return rate
