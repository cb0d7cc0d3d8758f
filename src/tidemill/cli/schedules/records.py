"""A schedule and its fires as records with stable keys, and the columns of their tables."""

from collections.abc import Callable, Mapping
from datetime import timedelta
from typing import TYPE_CHECKING, Any

from tidemill.cli.output import Record
from tidemill.cli.records import payload_of, plain
from tidemill.cli.texts import Say
from tidemill.cli.times import short, spelled
from tidemill.engine import Fire

if TYPE_CHECKING:
    from tidemill.app.schedules import ScheduleInfo

Columns = Mapping[str, Callable[[Record], object]]

_OF_TASK = (
    *("task_type", "queue", "priority", "payload", "max_attempts", "timeout"),
    *("tags", "user_id", "project_id"),
)


def schedule_record(info: "ScheduleInfo") -> dict[str, Any]:
    """A schedule without its fires; what the tasks that it fires are like stands beside the rest.

    `state` is `active`, `paused`, `finished` (nothing ever comes again) or `late`.
    """
    record: dict[str, Any] = plain(info)
    del record["fires"], record["last_error"], record["late"]
    schedule = record.pop("schedule")
    task = schedule.pop("task")
    head: dict[str, Any] = {"name": schedule.pop("name"), "state": state_of(info)}
    head |= {name: task[name] for name in _OF_TASK}
    head["payload"] = payload_of(info.schedule.task)
    return {**head, **schedule, **record}


def schedule_details(info: "ScheduleInfo") -> dict[str, Any]:
    """A schedule with its last fires and the error of the last task that it fired."""
    fires = [fire_record(each) for each in info.fires]
    return schedule_record(info) | {"last_error": plain(info.last_error), "fires": fires}


def state_of(info: "ScheduleInfo") -> str:
    """What an operator has to know of a schedule in one word."""
    if info.schedule.paused:
        return "paused"
    if info.late:
        return "late"
    return "finished" if info.next_run_at is None else "active"


def fire_record(fire: Fire) -> dict[str, Any]:
    """One instant that was fired, skipped or missed; `lag` is how much later, in seconds."""
    record: dict[str, Any] = plain(fire)
    return record | {"lag": (fire.recorded_at - fire.at).total_seconds()}


def schedule_columns(say: Say) -> Columns:
    """The columns of a table of schedules."""
    return {
        "column.name": lambda record: record["name"],
        "column.type": lambda record: record["task_type"],
        "column.when": lambda record: when(record, say),
        "column.timezone": lambda record: record["timing"].get("timezone"),
        "column.queue": lambda record: record["queue"],
        "column.next_at": lambda record: short(record["next_run_at"]),
        "column.last_at": lambda record: short(record["last_run_at"]),
        "column.fired": lambda record: record["run_count"],
        "column.state": lambda record: record["state"],
        "column.origin": lambda record: origin(record, say),
    }


FIRE_COLUMNS: Columns = {
    "column.instant": lambda record: short(record["at"]),
    "column.outcome": lambda record: record["outcome"],
    "column.lag": lambda record: f"{record['lag']:.3f} s" if not record["missed"] else "",
    "column.task": lambda record: record["task_id"],
    "column.missed": lambda record: record["missed"] or "",
    "column.by_hand": lambda record: record["by_hand"],
}
"""The columns of a table of fires."""


def when(record: Record, say: Say) -> str:
    """When a schedule fires, in a few words."""
    match record["timing"]:
        case {"type": "cron", "expression": expression}:
            return str(expression)
        case {"type": "every", "period": period, "jitter": jitter}:
            key = "schedule.every_about" if jitter else "schedule.every"
            return say(key, period=length(period), jitter=length(jitter))
        case timing:
            return say("schedule.once", at=short(timing["at"]))


def origin(record: Record, say: Say) -> str:
    """Whether code declares a schedule, and which fields an operator changed since."""
    if not record["declared"]:
        return say("schedule.made")
    changed = ", ".join(record["changed"])
    return say("schedule.changed" if changed else "schedule.declared", fields=changed)


def misfire(record: Record) -> str:
    """What becomes of late instants, and of how many where that is bounded."""
    policy = str(record["misfire"])
    return f"{policy} ({record['misfire_limit']:,})" if policy == "all" else policy


def length(seconds: float) -> str:
    """A duration of a record, exactly."""
    return spelled(timedelta(seconds=seconds))
