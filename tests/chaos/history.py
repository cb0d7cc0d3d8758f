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

    def instant(self, at: datetime) -> int:
        """An instant of the feed on the ledger's clock."""
        return round(at.timestamp() * 1e9) - self.epoch


@dataclass(frozen=True, slots=True)
class Recovery:
    """One attempt lost with its worker. Seconds from the kill; `begun` None: never again.

    `disturbed`: another worker was killed before the task began again.
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
                (history.instant(entry.at) - kill) / 1e9,
                None if again is None else (again.at - kill) / 1e9,
                again is not None and any(kill < at < again.at for at in history.killed.values()),
            )
        )
    return found


def _first_after(history: History, instant: int) -> int | None:
    return min((at for at in history.killed.values() if at >= instant), default=None)
