"""Queues."""

from datetime import datetime
from typing import TypedDict, Unpack

from tidemill.client.asking import Ask, Route, path
from tidemill.client.routes.forms import API, if_match_of, post, read
from tidemill.interface.queues import PurgeRecord, QueueRecord, QueuesRecord, QueueStatsRecord


class QueueOptions(TypedDict, total=False):
    """The limits of a queue; None does not restrict. `rate` is such as `100/m`."""

    concurrency: int | None
    worker_concurrency: int | None
    rate: str | None
    burst: int
    capacity: int | None
    weight: int
    lease: float | None


@Route
def create_queue(name: str, **options: Unpack[QueueOptions]) -> Ask[QueueRecord]:
    """Create a queue; `Conflict` when there is one of that name."""
    return post(f"{API}/queues", QueueRecord, {"name": name, **options})


@Route
def list_queues() -> Ask[QueuesRecord]:
    """The queues by name."""
    return read(f"{API}/queues", QueuesRecord)


@Route
def get_queue(name: str) -> Ask[QueueRecord]:
    """One queue."""
    return read(path(f"{API}/queues/{{}}", name), QueueRecord)


@Route
def get_queue_stats(name: str) -> Ask[QueueStatsRecord]:
    """How a queue stands: what waits, how fast it goes, when it will be empty."""
    return read(path(f"{API}/queues/{{}}/stats", name), QueueStatsRecord)


@Route
def change_queue(
    name: str, *, if_match: str | None = None, **options: Unpack[QueueOptions]
) -> Ask[QueueRecord]:
    """Change a queue's limits; with the `etag` that was read, only if it is still the same."""
    return Ask(
        method="PATCH",
        path=path(f"{API}/queues/{{}}", name),
        answer=QueueRecord,
        body=options,
        headers=if_match_of(if_match),
    )


@Route
def reset_queue(name: str, *, if_match: str | None = None) -> Ask[QueueRecord]:
    """Take back what was changed at run time: the queue is as code declares it."""
    return post(path(f"{API}/queues/{{}}/reset", name), QueueRecord, headers=if_match_of(if_match))


@Route
def pause_queue(name: str, *, if_match: str | None = None) -> Ask[QueueRecord]:
    """Stop claims from a queue; what runs goes on."""
    return post(path(f"{API}/queues/{{}}/pause", name), QueueRecord, headers=if_match_of(if_match))


@Route
def resume_queue(name: str, *, if_match: str | None = None) -> Ask[QueueRecord]:
    """Let a queue be claimed from again."""
    return post(path(f"{API}/queues/{{}}/resume", name), QueueRecord, headers=if_match_of(if_match))


@Route
def purge_queue(
    name: str, *, dry_run: bool = False, until: datetime | None = None
) -> Ask[PurgeRecord]:
    """Cancel what waits in a queue; `dry_run` only counts, and its `until` goes into the next."""
    return Ask(
        method="POST",
        path=path(f"{API}/queues/{{}}/purge", name),
        answer=PurgeRecord,
        query={"dry_run": dry_run, "until": until},
    )
