"""`tidemill schedule add|edit|run|pause|resume|rm`: schedules at run time."""

from typing import Annotated, Any

import typer

from tidemill.app import Tidemill
from tidemill.cli.confirm import confirm
from tidemill.cli.each import Kind, act_on_each
from tidemill.cli.enqueue import show_handle
from tidemill.cli.output import show_one
from tidemill.cli.schedules.options import Name, Names, read_fields, with_fields
from tidemill.cli.schedules.records import origin, schedule_record, state_of, when
from tidemill.cli.session import Session
from tidemill.cli.times import short
from tidemill.engine import Engine
from tidemill.errors import ConfigError

SCHEDULES = Kind("schedules", "name")


@with_fields
def add(
    context: typer.Context,
    name: Name,
    task_type: Annotated[str, typer.Argument(metavar="TYPE", help="option.enqueue.type")],
    paused: Annotated[bool, typer.Option("--paused", help="option.schedule.paused")] = False,
    **said: Any,
) -> None:
    """Make a schedule for a task type of the application."""
    session = Session.of(context)
    fields = read_fields(said, session.say)
    session.needs_app()
    _show(
        session,
        session.run(lambda app, _: app.schedules.create(name, task_type, paused=paused, **fields)),
    )


@with_fields
def edit(
    context: typer.Context,
    name: Name,
    task: Annotated[
        str | None, typer.Option("--type", metavar="TYPE", help="option.schedule.type")
    ] = None,
    **said: Any,
) -> None:
    """Change a schedule; what is not said stays as it is."""
    session = Session.of(context)
    fields = read_fields({"task": task, **said}, session.say)
    if not fields:
        raise ConfigError(session.say("schedule.say_what"))
    if fields.keys() & _OF_TYPE:
        session.needs_app()
    _show(session, session.run(lambda app, _: app.schedules.update(name, **fields)))


_OF_TYPE = frozenset({"task", "payload", "tags"})
"""Fields that cannot be changed without knowing the task type."""


def _show(session: Session, info: Any) -> None:
    record = schedule_record(info)
    lines = {
        "field.name": record["name"],
        "field.state": record["state"],
        "field.when": when(record, session.say),
        "field.timezone": record["timing"].get("timezone"),
        "field.next_run_at": short(record["next_run_at"]),
        "field.origin": origin(record, session.say),
    }
    show_one(session, record, {key: value for key, value in lines.items() if value})


def run(context: typer.Context, name: Name) -> None:
    """Fire a schedule now, out of turn; its instants stay as they are."""
    session = Session.of(context)

    async def fire(app: Tidemill, _: Engine) -> Any:
        info = await app.schedules.get(name)
        return info.schedule.task.task_type, await app.schedules.run(name)

    task_type, handle = session.run(fire)
    show_handle(session, handle, task_type)


def pause(context: typer.Context, names: Names) -> None:
    """Stop schedules from firing; what they have fired goes on."""

    async def pause_one(app: Tidemill, name: str) -> str:
        return state_of(await app.schedules.pause(name))

    act_on_each(Session.of(context), SCHEDULES, names, pause_one)


def resume(context: typer.Context, names: Names) -> None:
    """Let schedules fire again, from now on."""

    async def resume_one(app: Tidemill, name: str) -> str:
        return state_of(await app.schedules.resume(name))

    act_on_each(Session.of(context), SCHEDULES, names, resume_one)


def rm(
    context: typer.Context,
    names: Names,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="option.yes")] = False,
) -> None:
    """Remove schedules with their history; the tasks that they have fired stay."""
    session = Session.of(context)
    say = session.say

    async def declared(app: Tidemill, _: Engine) -> list[str]:
        known = {info.schedule.name: info.schedule for info in await app.schedules.list()}
        return [name for name in names if name in known and known[name].declared]

    question = say("schedule.would_remove", names=", ".join(names))
    if back := session.run(declared):
        question += "\n" + say("schedule.comes_back", names=", ".join(back))
    confirm(session, question, yes=yes)

    async def remove(app: Tidemill, name: str) -> str:
        await app.schedules.delete(name)
        return "removed"

    act_on_each(session, SCHEDULES, names, remove)
