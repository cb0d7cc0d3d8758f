"""Taking in what another engine gave: tasks with all details, marks and tallies."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Final

from tidemill.clock import to_micros
from tidemill.engine import Mark, Tally
from tidemill.engines.redis import history, marks
from tidemill.engines.redis.arguments import HERE, Blobs
from tidemill.engines.redis.records import (
    AFTER,
    ALONE,
    ERROR,
    LABELS,
    PROGRESS,
    REASON,
    RESULT,
    ROW,
    RULES,
    STATES,
    Ended,
    Live,
    after,
    facts,
    has_labels,
    has_rules,
    pack,
    to_json,
)
from tidemill.engines.redis.scripts import script
from tidemill.engines.redis.shard import Shard
from tidemill.task import Attempt, LogLine, Progress, State, Task, TaskError

_ABSENT: Final = 0


async def restore(
    shard: Shard,
    tasks: Sequence[Task],
    kept: Sequence[Mark] = (),
    tallies: Sequence[Tally] = (),
    elsewhere: Mapping[str, str] = HERE,
) -> list[bool]:
    """Take in what is not there yet; ValueError for a task without its payload.

    `elsewhere` has the queues of upstream tasks that are in other shards, by id.
    """
    blobs = Blobs()
    arguments = (
        [_stored(task, blobs, elsewhere) for task in tasks],
        [marks.stored(mark) for mark in kept],
        [history.stored(tally, blobs) for tally in tallies],
    )
    answers, sent = await shard.call(script("restore", repeatable=False), arguments, blobs.all)
    shard.sent |= sent == 1
    return [answer == 1 for answer in answers]


def _stored(task: Task, blobs: Blobs, elsewhere: Mapping[str, str]) -> tuple[object, ...]:
    new, before = task.as_new(), task.earlier_attempts
    number = blobs.add(
        facts(new), new.payload, _row(task, before), task.result or b"", after(new, elsewhere)
    )
    for each in before:
        blobs.add(pack(_ended(each)))
    return (
        task.id,
        number,
        _was(task),
        [_text(task.error), task.reason is not None and task.reason, _text(task.progress)],
        len(before),
        [to_json(line) for line in task.logs],
    )


def _was(task: Task) -> str:
    if task.cancel_requested:
        return "cancelled"
    return "upstream" if task.blocked_on == "upstream" else ""


def _row(task: Task, before: Sequence[Attempt]) -> bytes:
    """The row of `records.lua` as it is to be, with the state that it was in.

    The attempt of a running task did not end, so it does not count; tokens begin anew.
    """
    flags = (
        (RULES, has_rules(task)),
        (LABELS, has_labels(task)),
        (ALONE, task.alone),
        (RESULT, task.result is not None),
        (ERROR, task.error is not None),
        (REASON, task.reason is not None),
        (PROGRESS, task.progress is not None),
        (AFTER, task.after is not None),
    )
    live = Live(
        state=STATES.index(task.state) + 1,
        blocked=_ABSENT,
        flags=sum(flag for flag, there in flags if there),
        priority=task.priority,
        crashes=task.crashes,
        attempt=task.attempt - (task.state is State.RUNNING),
        limit=task.attempt_limit,
        told=before[-1].number if before else _ABSENT,
        token=_ABSENT,
        arrival=_ABSENT,
        enqueued=to_micros(task.enqueued_at),
        due=to_micros(task.run_at),
        started=_instant(task.started_at),
        finished=_instant(task.finished_at),
        prune=_instant(task.prune_at),
    )
    texts = (task.queue, task.task_type, "", task.worker or "", "")
    return ROW.pack(*live) + b"".join(text.encode() + b"\0" for text in texts)


def _ended(attempt: Attempt) -> Ended:
    return Ended(
        number=attempt.number,
        worker=attempt.worker,
        started=to_micros(attempt.started_at),
        ended=_instant(attempt.ended_at),
        outcome=attempt.outcome or "",
        error=None if attempt.error is None else to_json(attempt.error),
    )


def _text(value: TaskError | Progress | LogLine | None) -> str | bool:
    return value is not None and to_json(value)


def _instant(at: datetime | None) -> int:
    return _ABSENT if at is None else to_micros(at)
