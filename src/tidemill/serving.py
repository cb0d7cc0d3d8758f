"""Who serves what: pending tasks that no live worker would take."""

from collections.abc import Iterable, Sequence

import msgspec

from tidemill.engine import Stats
from tidemill.task import State
from tidemill.worker_record import WorkerRecord


class UnservedQueue(msgspec.Struct, frozen=True):
    """A queue from which no live worker claims, and how many of its tasks are pending."""

    queue: str
    pending: int


class UnknownType(msgspec.Struct, frozen=True):
    """A task type that no live worker of its queue knows, and how many such tasks are pending."""

    task_type: str
    queue: str
    pending: int


class Unserved(msgspec.Struct, frozen=True):
    """What is pending and would not be taken, by name."""

    queues: tuple[UnservedQueue, ...] = ()
    task_types: tuple[UnknownType, ...] = ()


def unserved(stats: Stats, live: Iterable[WorkerRecord]) -> Unserved:
    """What is pending that none of these workers would take.

    Of a queue that nobody serves a task type is told as well when there are workers and none of
    them knows it: serving the queue alone would not help.
    """
    workers = tuple(live)
    pending = [each for each in stats.counts if each.state is State.PENDING and each.count]
    waiting: dict[str, int] = {}
    for each in pending:
        waiting[each.queue] = waiting.get(each.queue, 0) + each.count
    return Unserved(
        queues=tuple(
            UnservedQueue(queue, count)
            for queue, count in sorted(waiting.items())
            if not is_served(queue, workers)
        ),
        task_types=tuple(
            UnknownType(each.task_type, each.queue, each.count)
            for each in sorted(pending, key=lambda each: (each.task_type, each.queue))
            if workers and not is_known(each.task_type, each.queue, workers)
        ),
    )


def is_served(queue: str, workers: Sequence[WorkerRecord]) -> bool:
    """Whether one of the workers claims from the queue."""
    return any(each.serves(queue) for each in workers)


def is_known(task_type: str, queue: str, workers: Sequence[WorkerRecord]) -> bool:
    """Whether a worker that could take it knows the type: one of its queue's, if it has any."""
    serving = [each for each in workers if each.serves(queue)] or workers
    return any(task_type in each.task_types for each in serving)
