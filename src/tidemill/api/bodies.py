"""What clients send: the shapes of bodies, in the words of the HTTP interface.

A field that is absent from a change stays; null removes it.
"""

from typing import Annotated, Any
from uuid import UUID

import msgspec
from msgspec import UNSET, Meta, UnsetType

from tidemill.api.limits import (
    MOST_IN_BULK,
    Count,
    Instant,
    Label,
    Name,
    Priority,
    Retries,
    Seconds,
    Sentence,
    TimeLimit,
    checked_instants,
)
from tidemill.schedule import Misfire, Overlap

Tags = Annotated[tuple[Label, ...], Meta(max_length=50)]
Payload = dict[str, Any]
Weight = Annotated[int, Meta(ge=1, le=100)]
Rate = Annotated[str, Meta(max_length=50, description="Such as 5/s, 100/m, 1000/h, 20/10s.")]
MisfireLimit = Annotated[int, Meta(ge=1, le=1_000)]
Zone = Annotated[str, Meta(max_length=100, description="An IANA time zone.")]
Expression = Annotated[
    str, Meta(max_length=200, description="Five fields, or @hourly and the like.")
]
PerSecond = Annotated[float, Meta(gt=0, le=1_000_000)]


class SubmitTask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A task to run. What is left out is as its task type says.

    `payload` are the arguments by name. Higher `priority` runs first. `max_retries` are attempts
    after the first. `timeout`, `soft_timeout` and `delay` are in seconds; give `delay` or `run_at`.
    With an `id` of the client's own, submitting again is the same task. While a task with the same
    `unique_key` is live, that one is the answer.
    """

    task_type: Name
    payload: Payload = {}
    id: UUID | None = None
    queue_name: Name | None = None
    priority: Priority | None = None
    max_retries: Retries | None = None
    timeout: TimeLimit | None = None
    soft_timeout: TimeLimit | None = None
    delay: Seconds | None = None
    run_at: Instant | None = None
    expires_at: Instant | None = None
    unique_key: Label | None = None
    user_id: Label | None = None
    project_id: Label | None = None
    tags: Tags = ()

    def __post_init__(self) -> None:
        """Refuse instants that cannot be counted with."""
        checked_instants(self.run_at, self.expires_at)


class SubmitTasks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Many tasks at once; each is accepted or refused by itself."""

    tasks: Annotated[tuple[SubmitTask, ...], Meta(min_length=1, max_length=MOST_IN_BULK)]


class RawTasks(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The same with its tasks not looked at yet: one that is wrong does not spoil the others."""

    tasks: Annotated[tuple[msgspec.Raw, ...], Meta(min_length=1, max_length=MOST_IN_BULK)]


class CancelTask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Why, for the record."""

    reason: Sentence = ""


class RetryTask(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """With a `payload`, a new task is enqueued with it instead, and names the old one."""

    payload: Payload | None = None


class RetryGroup(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """At most `rate` tasks per second go back to their queues; null is as fast as it goes."""

    rate: PerSecond | None = None


class CreateQueue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A queue and its limits; null does not restrict.

    At most `concurrency` of its tasks run at once in all workers together, `worker_concurrency` of
    them in one; they start at `rate`, and up to `burst` at once after a pause. At most `capacity`
    of its tasks wait. `weight` is its share where several queues have tasks. `lease` is in seconds.
    """

    name: Name
    concurrency: Count | None = None
    worker_concurrency: Count | None = None
    rate: Rate | None = None
    burst: Count | None = None
    capacity: Count | None = None
    weight: Weight = 1
    lease: TimeLimit | None = None


class ChangeQueue(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """The limits of a queue that are to be different; absent ones stay, null removes one."""

    concurrency: Count | UnsetType | None = UNSET
    worker_concurrency: Count | UnsetType | None = UNSET
    rate: Rate | UnsetType | None = UNSET
    burst: Count | UnsetType = UNSET
    capacity: Count | UnsetType | None = UNSET
    weight: Weight | UnsetType = UNSET
    lease: TimeLimit | UnsetType | None = UNSET


class ChangeSchedule(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different; what is absent stays, null is what the task type says, or none.

    Give one of `cron_expr` (in `timezone`), `every` (seconds, each later by up to `jitter`) and
    `at`. A task that has not started `expires` seconds after its instant is cancelled. `misfire`,
    `misfire_limit` and `grace` (seconds) decide about instants that are late, `overlap` about those
    whose predecessor still runs.
    """

    task_type: Name | UnsetType = UNSET
    cron_expr: Expression | UnsetType = UNSET
    every: TimeLimit | UnsetType = UNSET
    at: Instant | UnsetType = UNSET
    timezone: Zone | UnsetType = UNSET
    jitter: Seconds | UnsetType | None = UNSET
    payload: Payload | UnsetType = UNSET
    queue_name: Name | UnsetType | None = UNSET
    priority: Priority | UnsetType | None = UNSET
    max_retries: Retries | UnsetType | None = UNSET
    timeout: TimeLimit | UnsetType | None = UNSET
    tags: Tags | UnsetType = UNSET
    user_id: Label | UnsetType | None = UNSET
    project_id: Label | UnsetType | None = UNSET
    misfire: Misfire | UnsetType = UNSET
    misfire_limit: MisfireLimit | UnsetType = UNSET
    grace: Seconds | UnsetType = UNSET
    overlap: Overlap | UnsetType = UNSET
    starts_at: Instant | UnsetType | None = UNSET
    ends_at: Instant | UnsetType | None = UNSET
    expires: TimeLimit | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET

    def __post_init__(self) -> None:
        """Refuse instants that cannot be counted with."""
        instants = (self.at, self.starts_at, self.ends_at)
        checked_instants(*(None if each is UNSET else each for each in instants))


class CreateSchedule(ChangeSchedule, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """A schedule: a task like this at each of its instants.

    The fields are those of a change; what is absent is as the task type says, or the default.
    """

    name: Name
    task_type: Name
