"""Judges a campaign: pure functions over the engine's feed and the ledger of the tasks.

The feed says what the engine accepted, in its order; the ledger says what ran, and when. Neither
knows the other, so a task that runs twice at a time, is lost, or is settled by a worker that no
longer held it shows as a contradiction.
"""

from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from tests.chaos.ledger import Entry
from tidemill import State, Task, Transition

OF_A_CLAIM = {"completed", "failed", "retried", "snoozed", "waiting", "released", "reclaimed"}
"""Causes that only whoever holds the claim, or its reclaim, can bring about."""


@dataclass(frozen=True, slots=True)
class Outage:
    """A time without a store that answers, in monotonic nanoseconds."""

    began: int
    ended: int


@dataclass(frozen=True, slots=True)
class History:
    """All that is known of one campaign; instants are monotonic nanoseconds.

    `killed` maps the process ids of killed workers and of what they started to when; `epoch` is
    what to add to a monotonic instant to get nanoseconds since 1970.
    """

    accepted: Sequence[str]
    feed: Sequence[Transition]
    ledger: Sequence[Entry]
    tasks: Mapping[str, Task]
    killed: Mapping[int, int]
    max_attempts: int
    epoch: int = 0
    outages: Sequence[Outage] = ()

    def instant(self, at: datetime) -> int:
        """An instant of the feed on the ledger's clock."""
        return round(at.timestamp() * 1e9) - self.epoch

    def seconds(self, start: int, end: int) -> float:
        """How long the store was there between two instants."""
        away = (min(end, each.ended) - max(start, each.began) for each in self.outages)
        return (end - start - sum(gone for gone in away if gone > 0)) / 1e9


@dataclass(frozen=True, slots=True)
class Recovery:
    """One attempt lost with its worker. Seconds from the kill, those without a store not counted.

    `begun` None: never again. `disturbed`: another worker was killed, or the store was away,
    before the task began again.
    """

    task_id: str
    attempt: int
    reclaimed: float
    begun: float | None
    disturbed: bool


def lives(history: History) -> list[str]:
    """Contradictions in the life of each task as the engine recorded it."""
    wrong = []
    entries: defaultdict[str, list[Transition]] = defaultdict(list)
    for entry in history.feed:
        entries[entry.task_id].append(entry)
    for task_id in history.accepted:
        wrong += [f"{task_id}: {text}" for text in _life(entries[task_id], history.max_attempts)]
    strangers = entries.keys() - set(history.accepted)
    return wrong + [f"{task_id}: nobody enqueued it" for task_id in sorted(strangers)]


def _life(entries: Iterable[Transition], max_attempts: int) -> Iterable[str]:
    running, ended, attempt = False, 0, 0
    for entry in entries:
        if ended:
            yield f"{entry.cause} after its end"
        if entry.cause == "claimed":
            if running:
                yield f"claimed for attempt {entry.attempt} while attempt {attempt} was running"
            if entry.attempt != attempt + 1:
                yield f"attempt {entry.attempt} follows attempt {attempt}"
            running, attempt = True, entry.attempt
        elif entry.state is not State.RUNNING:
            if entry.cause in OF_A_CLAIM and (not running or entry.attempt != attempt):
                yield f"{entry.cause} by attempt {entry.attempt}, which was not held"
            running = False
        ended += entry.state.final
    if ended != 1:
        yield f"ended {ended} times"
    if attempt > max_attempts:
        yield f"attempt {attempt} of {max_attempts}"


def ends(history: History, expected: State = State.COMPLETED) -> list[str]:
    """Tasks that the engine does not hold any more, or that ended otherwise than expected."""
    wrong = []
    for task_id in history.accepted:
        task = history.tasks.get(task_id)
        if task is None:
            wrong.append(f"{task_id}: lost")
        elif task.state is not expected:
            why = f" ({task.error.type}: {task.error.message})" if task.error else ""
            wrong.append(f"{task_id}: {task.state}{why}")
    return wrong


def overlaps(history: History) -> list[str]:
    """Attempts that began while an earlier attempt of the same task still ran somewhere."""
    wrong = []
    last: dict[str, Entry] = {}
    ended = {(e.task_id, e.attempt): e.at for e in history.ledger if e.phase == "end"}
    for entry in history.ledger:
        if entry.phase != "begin":
            continue
        before = last.get(entry.task_id)
        last[entry.task_id] = entry
        if before is None:
            continue
        over = ended.get((before.task_id, before.attempt)) or killed_at(history, before)
        if over is None or over > entry.at:
            wrong.append(
                f"{entry.task_id}: attempt {entry.attempt} began beside attempt {before.attempt}"
            )
    return wrong


def undone(history: History) -> list[str]:
    """Results that a worker was told are recorded, and that were recorded or begun again."""
    wrong = []
    settled: dict[str, int] = {}
    for entry in history.ledger:
        if entry.task_id not in settled:
            if entry.phase == "settled":
                settled[entry.task_id] = entry.attempt
        elif entry.phase in {"settled", "begin"}:
            what = "settled again" if entry.phase == "settled" else "began again"
            wrong.append(
                f"{entry.task_id}: {what} as attempt {entry.attempt}, although attempt "
                f"{settled[entry.task_id]} was settled"
            )
    return wrong


def killed_at(history: History, entry: Entry) -> int | None:
    """When the worker that ran this was killed, if it was."""
    return history.killed.get(entry.pid) or history.killed.get(entry.parent)


def robbed(history: History) -> list[str]:
    """Attempts taken away although nobody had killed their worker."""
    began = {(e.task_id, e.attempt): e for e in history.ledger if e.phase == "begin"}
    wrong = []
    for entry in history.feed:
        begin = began.get((entry.task_id, entry.attempt))
        if entry.cause != "reclaimed" or begin is None:
            continue
        killed = killed_at(history, begin)
        if killed is None or killed > history.instant(entry.at):
            wrong.append(
                f"{entry.task_id}: attempt {entry.attempt} reclaimed from living {begin.pid}"
            )
    return wrong


def recoveries(history: History) -> list[Recovery]:
    """How long each task that was reclaimed from a killed worker took to come back.

    Of an attempt that was claimed and never began, the worker is not known: its kill is taken to
    be the first one after the claim, which can only make the recovery look longer.
    """
    began = {(e.task_id, e.attempt): e for e in history.ledger if e.phase == "begin"}
    claimed: dict[tuple[str, int], int] = {}
    found = []
    for entry in history.feed:
        key = entry.task_id, entry.attempt
        if entry.cause == "claimed":
            claimed[key] = history.instant(entry.at)
        if entry.cause != "reclaimed":
            continue
        begin = began.get(key)
        kill = killed_at(history, begin) if begin else _first_after(history, claimed[key])
        if kill is None:
            continue
        again = began.get((entry.task_id, entry.attempt + 1))
        found.append(
            Recovery(
                *key,
                history.seconds(kill, history.instant(entry.at)),
                None if again is None else history.seconds(kill, again.at),
                again is not None and _disturbed(history, kill, again.at),
            )
        )
    return found


def _disturbed(history: History, start: int, end: int) -> bool:
    return any(start < at < end for at in history.killed.values()) or any(
        each.began < end and each.ended > start for each in history.outages
    )


def late(came_back: Iterable[Recovery], limit: float) -> list[str]:
    """Tasks that were reclaimed more than `limit` seconds after the kill."""
    return [
        f"{each.task_id}: reclaimed {each.reclaimed:.2f} s after the kill, more than {limit:g} s"
        for each in came_back
        if each.reclaimed > limit
    ]


def late_begins(came_back: Iterable[Recovery], limit: float) -> list[str]:
    """Tasks that began again more than `limit` seconds after the kill, although undisturbed.

    An engine that orders by lane puts a reclaimed task behind all that waits: there is no limit.
    """
    return [
        f"{each.task_id}: began again {each.begun:.2f} s after the only kill, more than {limit:g} s"
        for each in came_back
        if each.begun is not None and not each.disturbed and each.begun > limit
    ]


def _first_after(history: History, instant: int) -> int | None:
    return min((at for at in history.killed.values() if at >= instant), default=None)
