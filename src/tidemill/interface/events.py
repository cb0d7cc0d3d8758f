"""What became of tasks, as the data of server-sent events."""

from datetime import datetime

import msgspec

from tidemill.task import State


class Change(msgspec.Struct, frozen=True, kw_only=True):
    """What became of a task at an instant. `progress` is 0..100, and null where none was reported.

    `status` is the state afterwards, `completed_steps` of `total_steps` counts inside `step`.
    """

    task_id: str
    task_type: str
    queue_name: str
    status: State
    attempt: int
    at: datetime
    progress: float | None
    message: str = ""
    step: str = ""
    completed_steps: int | None = None
    total_steps: int | None = None


class QueueCounts(msgspec.Struct, frozen=True):
    """How many tasks of a queue are in each state; states without any are left out."""

    queue_name: str
    counts: dict[str, int]


class Standing(msgspec.Struct, frozen=True):
    """The queues as they stand at an instant."""

    at: datetime
    queues: tuple[QueueCounts, ...]


class Cut(msgspec.Struct, frozen=True):
    """Why a stream was reset: changes are `lost`, or the client was too `slow`."""

    reason: str
