"""`tidemill schedule ls|show|next|history|status`: schedules as they stand."""

import sys
from collections.abc import Iterable
from datetime import datetime
from itertools import islice
from typing import Annotated, Any

import typer

from tidemill.app import Tidemill
from tidemill.cli.output import Listing, age, show, show_one
from tidemill.cli.records import plain
from tidemill.cli.schedules.options import Cron, Name, Timezone
from tidemill.cli.schedules.records import (
    FIRE_COLUMNS,
    fire_record,
    length,
    misfire,
    origin,
    schedule_columns,
    schedule_details,
    schedule_record,
    when,
)
from tidemill.cli.session import Form, Session
from tidemill.cli.texts import Say
from tidemill.cli.times import in_zone, short
from tidemill.engine import Engine
from tidemill.errors import ConfigError


def ls(context: typer.Context) -> None:
    """List schedules by name."""
    session = Session.of(context)
    infos = session.run(lambda app, _: app.schedules.list())
    records = [schedule_record(each) for each in infos]
    show(session, Listing("schedules", records, schedule_columns(session.say)))


def schedule_show(context: typer.Context, name: Name) -> None:
    """Show all that is known of one schedule, with its last fires."""
    session = Session.of(context)
    info = session.run(lambda app, _: app.schedules.get(name))
    record = schedule_details(info)
    show_one(session, record, _lines(record, session.say))
    if session.form is Form.TABLE and record["fires"]:
        print()
        show(session, Listing("fires", record["fires"], FIRE_COLUMNS))


_AS_THEY_ARE = (
    *("name", "state", "task_type", "queue", "priority", "payload", "max_attempts", "tags"),
    *("timeout", "user_id", "project_id"),
)
_DURATIONS = ("grace", "expires")
_INSTANTS = ("next_run_at", "last_run_at", "starts_at", "ends_at", "created_at", "updated_at")


def _lines(record: dict[str, Any], say: Say) -> dict[str, object]:
    """What is worth a line: what is set, and what somebody has to decide on."""
    error = record["last_error"]
    shown: dict[str, object] = {name: record[name] for name in _AS_THEY_ARE}
    shown |= {name: record[name] and length(record[name]) for name in _DURATIONS}
    shown |= {name: short(record[name]) for name in _INSTANTS}
    shown |= {
        "when": when(record, say),
        "timezone": record["timing"].get("timezone"),
        "run_count": record["run_count"],
        "misfire": misfire(record),
        "overlap": record["overlap"],
        "origin": origin(record, say),
        "last_error": f"{error['type']}: {error['message']}" if error else None,
    }
    return {f"field.{name}": shown[name] for name in _ORDER if shown[name] not in (None, "", [])}


_ORDER = (
    *("name", "state", "task_type", "when", "timezone", "next_run_at", "last_run_at", "run_count"),
    *("queue", "priority", "payload", "max_attempts", "timeout", "tags", "user_id", "project_id"),
    *("misfire", "grace", "overlap", "expires", "starts_at", "ends_at", "origin"),
    *("created_at", "updated_at", "last_error"),
)
"""The lines of a page about a schedule, in order."""


def schedule_next(
    context: typer.Context,
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="option.schedule.name")
    ] = None,
    count: Annotated[
        int, typer.Option("-n", "--count", min=1, max=1000, help="option.schedule.count")
    ] = 10,
    cron: Cron = None,
    timezone: Timezone = None,
) -> None:
    """Tell the next instants of a schedule, or of an expression that is stored nowhere."""
    session = Session.of(context)
    if (name is None) is (cron is None) or (name is not None and timezone is not None):
        raise ConfigError(session.say("schedule.name_or_cron"))
    if cron is not None:
        zone = timezone or "UTC"
        now, instants = _of_expression(cron, zone, count)
    else:
        now, instants, zone = session.run(lambda app, engine: _of_name(app, engine, name, count))
    records = [
        {
            "at": plain(at),
            "local": in_zone(at, zone, session.say).isoformat(timespec="seconds"),
            "in": (at - now).total_seconds(),
        }
        for at in instants
    ]
    columns = {
        "column.local": lambda record: record["local"],
        "column.utc": lambda record: short(record["at"]),
        "column.in": lambda record: age(record["in"]),
    }
    show(session, Listing("instants", records, columns, {"timezone": zone}))
    if not records and session.form is not Form.JSON:
        print(session.say("schedule.nothing_comes"), file=sys.stderr)


def _of_expression(cron: str, zone: str, count: int) -> tuple[datetime, Iterable[datetime]]:
    from tidemill.clock import SystemClock, from_micros
    from tidemill.cron import parse

    now = from_micros(SystemClock().now())
    return now, tuple(islice(parse(cron, zone).instants(now), count))


async def _of_name(
    app: Tidemill, engine: Engine, name: str | None, count: int
) -> tuple[datetime, Iterable[datetime], str]:
    from tidemill import schedule

    definition = (await app.schedules.get(str(name))).schedule
    now = (await engine.marks(())).at
    timing = definition.timing
    zone = timing.timezone if isinstance(timing, schedule.Cron) else "UTC"
    return now, schedule.upcoming(definition, now, count), zone


def history(context: typer.Context, name: Name) -> None:
    """List what a schedule has fired, skipped and missed, newest first."""
    session = Session.of(context)
    fires = session.run(lambda app, _: app.schedules.history(name))
    show(session, Listing("fires", [fire_record(each) for each in fires], FIRE_COLUMNS))


def status(context: typer.Context) -> None:
    """Count schedules by state, and tell the last and the next fire of all."""
    session = Session.of(context)
    record = plain(session.run(lambda app, _: app.schedules.statistics()))
    lines = {
        "schedule.active": record["active"],
        "schedule.paused": record["paused"],
        "schedule.finished": record["finished"],
        "schedule.late": record["late"],
        "field.last_fire_at": short(record["last_fire_at"]),
        "field.next_fire_at": short(record["next_fire_at"]),
    }
    show_one(session, record, lines)
