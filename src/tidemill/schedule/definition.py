"""What a schedule is, and its form as a document."""

from datetime import datetime, timedelta
from enum import StrEnum

import msgspec

from tidemill.errors import InvalidSchedule
from tidemill.ids import is_name
from tidemill.schedule.timing import Timing, checked, in_utc
from tidemill.sealing import unsealed
from tidemill.task import NewTask

LARGEST_MISFIRE_LIMIT = 1_000


class Misfire(StrEnum):
    """What becomes of instants that are late: reached more than `grace` after they were due.

    `skip` drops them. `once` fires the latest of them. `all` fires the latest `misfire_limit` of
    them, in order. What is dropped is recorded as missed, with its number.
    """

    SKIP = "skip"
    ONCE = "once"
    ALL = "all"


class Overlap(StrEnum):
    """What happens at an instant when the task fired before has not ended.

    `allow` runs both. `skip` leaves the new one out. `queue` lets it wait until the other ends.
    """

    ALLOW = "allow"
    SKIP = "skip"
    QUEUE = "queue"


class Schedule(msgspec.Struct, frozen=True, kw_only=True):
    """A schedule: fires tasks like `task` at the instants of `timing`.

    Instants are later than `since` (the engine's now when it was created, changed or resumed), not
    before `starts_at` and before `ends_at`. `task` is a template: its id is empty, and it has no
    instants of its own; a fired task expires `expires` after its instant. `declared` says that
    code declares it, `changed` which fields an operator changed at run time: code does not take
    those back.
    """

    name: str
    timing: Timing
    task: NewTask
    since: datetime
    created_at: datetime
    updated_at: datetime
    expires: timedelta | None = None
    starts_at: datetime | None = None
    ends_at: datetime | None = None
    misfire: Misfire = Misfire.ONCE
    misfire_limit: int = 100
    grace: timedelta = timedelta(seconds=60)
    overlap: Overlap = Overlap.ALLOW
    paused: bool = False
    declared: bool = False
    changed: tuple[str, ...] = ()


def checked_schedule(schedule: Schedule) -> Schedule:
    """The same schedule with its instants in UTC; raises `InvalidSchedule` if it cannot work."""
    instants = {
        field: in_utc(instant, field)
        for field in ("since", "starts_at", "ends_at", "created_at", "updated_at")
        if (instant := getattr(schedule, field)) is not None
    }
    made = msgspec.structs.replace(schedule, timing=checked(schedule.timing), **instants)
    for broken, field, reason in _rules(made):
        if broken:
            raise InvalidSchedule(f"schedule {made.name!r}: {reason}", field=field)
    return made


def _rules(schedule: Schedule) -> tuple[tuple[bool, str, str], ...]:
    """What must not be, of which field, and why."""
    task, start, end = schedule.task, schedule.starts_at, schedule.ends_at
    return (
        (
            not is_name(schedule.name),
            "name",
            "its name is not 1 to 200 of the characters A-Z a-z 0-9 _ . : -",
        ),
        (
            start is not None and end is not None and end <= start,
            "ends_at",
            f"it ends at {end}, which is not after its start {start}",
        ),
        (
            not 1 <= schedule.misfire_limit <= LARGEST_MISFIRE_LIMIT,
            "misfire_limit",
            f"misfire_limit is 1 to {LARGEST_MISFIRE_LIMIT}, not {schedule.misfire_limit}",
        ),
        (
            schedule.grace < timedelta(),
            "grace",
            f"grace is how late an instant may be, not {schedule.grace}",
        ),
        (
            schedule.expires is not None and schedule.expires <= timedelta(),
            "expires",
            f"a task expires some time after its instant, not {schedule.expires} after it",
        ),
        (
            bool(task.id),
            "task",
            "its task has an id, but each task that it fires gets its own",
        ),
        (
            task.delay is not None or task.run_at is not None,
            "task",
            "its task has a delay or run_at, but the timing says when tasks run",
        ),
        (
            task.expires_at is not None,
            "task",
            "its task has expires_at: use expires, which counts from each instant",
        ),
        (
            schedule.overlap is Overlap.SKIP and task.unique is not None,
            "overlap",
            "overlap skip needs the place of the task's own unique key: use allow",
        ),
        (
            schedule.overlap is Overlap.QUEUE and task.limit is not None,
            "overlap",
            "overlap queue needs the place of the task's own limit: use allow",
        ),
    )


_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(Schedule)


def encode(schedule: Schedule) -> bytes:
    """The body of its document: JSON, the payload in base64."""
    return _ENCODER.encode(schedule)


def decode(body: bytes) -> Schedule:
    """The schedule of a document; raises `InvalidSchedule` for what `encode` did not write.

    `KeyMissing` for what is encrypted with a key that is not here.
    """
    try:
        return _DECODER.decode(unsealed(body))
    except msgspec.DecodeError as error:
        raise InvalidSchedule(f"the stored definition cannot be read: {error}") from error
