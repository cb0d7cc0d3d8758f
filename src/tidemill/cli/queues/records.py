"""A queue as a record with stable keys, and the columns of its tables."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any

import msgspec

from tidemill.cli.output import Record, age
from tidemill.cli.records import plain
from tidemill.cli.texts import Say
from tidemill.queue import FIELDS, rate_text
from tidemill.rates import Rate
from tidemill.task import WAITING, State

if TYPE_CHECKING:
    from tidemill.app.queues import QueueInfo

Columns = Mapping[str, Callable[[Record], object]]


def queue_record(info: "QueueInfo", now: datetime) -> dict[str, Any]:
    """A queue; the settings in force stand beside the rest, `declared` has those of the code.

    Every state has a count, also zero. `oldest_pending_age` is in seconds.
    """
    record: dict[str, Any] = plain(info)
    definition = record.pop("definition")
    oldest = info.oldest_pending_at
    waited = None if oldest is None else (now - oldest).total_seconds()
    return {**definition, **record, "waiting": info.waiting, "oldest_pending_age": waited}


def queue_columns(say: Say) -> Columns:
    """The columns of a table of queues."""
    return {
        "column.queue": lambda record: record["name"],
        **{f"state.{state.value}": _count(state) for state in State},
        "column.oldest": lambda record: age(record["oldest_pending_age"]),
        "column.capacity": lambda record: _filled(record["waiting"], record["capacity"]),
        "column.rate": rate,
        "column.weight": lambda record: record["weight"],
        "column.paused": lambda record: record["paused"],
        "column.origin": lambda record: origin(record, say),
    }


def _count(state: State) -> Callable[[Record], object]:
    if state is State.RUNNING:
        return lambda record: of(record["counts"][state.value], record["concurrency"])
    return lambda record: record["counts"][state.value]


def _waiting(state: State) -> Callable[[Record], object]:
    return lambda record: record["waiting"][state.value]


def _filled(waiting: int, capacity: int | None) -> object:
    """How much of a capacity is taken; nothing where there is none."""
    return None if capacity is None else of(waiting, capacity)


def of(number: int, most: int | None) -> object:
    """A number, and the limit that it stays within."""
    return number if most is None else f"{number:,}/{most:,}"


def rate(record: Record) -> str:
    """The rate of a record as it is written."""
    value = record["rate"]
    if value is None:
        return ""
    return rate_text(Rate(value["count"], timedelta(seconds=value["per"]), value["burst"]))


STATISTICS: Columns = {
    "column.queue": lambda record: record["name"],
    **{f"state.{state.value}": _waiting(state) for state in State if state in WAITING},
    "state.running": lambda record: of(record["running"], record["concurrency"]),
    "column.oldest": lambda record: age(record["oldest_age"]),
    "column.throughput": lambda record: f"{record['throughput']:.3g}/s",
    "column.empty_in": lambda record: age(record["empty_in"]),
    "column.capacity": lambda record: _filled(sum(record["waiting"].values()), record["capacity"]),
    "column.rate": rate,
    "column.paused": lambda record: record["paused"],
}
"""The columns of a table of how queues go."""


def setting_lines(info: "QueueInfo", say: Say) -> dict[str, object]:
    """A line for each setting: what is in force, and what the code says where that was changed."""
    lines: dict[str, object] = {}
    for field in FIELDS:
        value = getattr(info.definition, field)
        if field not in info.changed:
            if value is None:
                continue
            lines[f"field.{field}"] = setting_text(value, say)
        elif info.declared is None:
            lines[f"field.{field}"] = setting_text(value, say)
        else:
            said = setting_text(getattr(info.declared, field), say)
            text = say("queue.changed_from", value=setting_text(value, say), declared=said)
            lines[f"field.{field}"] = text
    return lines


def origin(record: Record, say: Say) -> str:
    """Whether code declares a queue, and which settings an operator changed since.

    Nothing for a queue that nobody told anything.
    """
    changed = ", ".join(record["changed"])
    if record["declared"] is None:
        return say("schedule.made") if changed else ""
    return say("schedule.changed" if changed else "schedule.declared", fields=changed)


def setting_text(value: object, say: Say) -> str:
    """One setting for people."""
    match value:
        case None:
            return say("none")
        case Rate():
            return say("queue.rate_burst", rate=rate_text(value), burst=value.burst)
        case timedelta():
            return f"{value.total_seconds():g} s"
    return str(msgspec.to_builtins(value))
