"""`tidemill task …`: look at tasks, and act on them by id."""

import sys
import time
from collections.abc import Mapping, Sequence
from datetime import timedelta
from typing import Annotated, Any

import typer

from tidemill.app import Tidemill
from tidemill.cli.each import Kind, act_on_each
from tidemill.cli.output import Listing, Record, print_json, show, show_one
from tidemill.cli.records import details, plain, summary
from tidemill.cli.session import Commands, Form, Session
from tidemill.cli.texts import Say
from tidemill.engine import Engine, TaskPage, TaskQuery
from tidemill.errors import ConfigError, TaskNotFound
from tidemill.ids import parse_id
from tidemill.task import LogLine, State, Task

Ids = Annotated[list[str], typer.Argument(metavar="ID…", help="option.task.ids")]
TASKS = Kind("tasks", "id")
_LOOK = timedelta(seconds=1)


def ls(
    context: typer.Context,
    state: Annotated[list[State] | None, typer.Option("--state", help="option.task.state")] = None,
    task_type: Annotated[list[str] | None, typer.Option("--type", help="option.task.type")] = None,
    queue: Annotated[list[str] | None, typer.Option("--queue", help="option.task.queue")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="option.task.tag")] = None,
    user: Annotated[str | None, typer.Option("--user", help="option.task.user")] = None,
    project: Annotated[str | None, typer.Option("--project", help="option.task.project")] = None,
    error: Annotated[str | None, typer.Option("--error", help="option.task.error")] = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="option.task.limit")] = 50,
    before: Annotated[
        str | None, typer.Option("--before", metavar="CURSOR", help="option.task.before")
    ] = None,
) -> None:
    """List tasks, newest first."""
    session = Session.of(context)
    query = TaskQuery(
        states=frozenset(state or ()),
        task_types=frozenset(task_type or ()),
        queues=frozenset(queue or ()),
        tags=tuple(tag or ()),
        user_id=user,
        project_id=project,
        error_contains=error,
        before=before,
        limit=limit,
    )

    async def find(_: Tidemill, engine: Engine) -> TaskPage:
        return await engine.find(query)

    show_page(session, session.run(find))


def show_page(session: Session, page: TaskPage) -> None:
    """Print found tasks, and how to go on after them."""
    records = [summary(task) for task in page.tasks]
    show(session, Listing("tasks", records, TASK_COLUMNS, {"cursor": page.cursor}))
    if page.cursor is not None and session.form is not Form.JSON:
        print(session.say("task.more", cursor=page.cursor), file=sys.stderr)


def _progress(record: Record) -> str:
    progress = record["progress"]
    return f"{progress['percent']:.0f} %" if progress else ""


def _problem(record: Record) -> str:
    error = record["error"]
    text = f"{error['type']}: {error['message']}" if error else record["reason"] or ""
    return " ".join(text.split())[:80]


TASK_COLUMNS = {
    "column.id": lambda record: record["id"],
    "column.state": lambda record: record["state"],
    "column.type": lambda record: record["task_type"],
    "column.queue": lambda record: record["queue"],
    "column.attempt": lambda record: f"{record['attempt']}/{record['attempt_limit']}",
    "column.progress": _progress,
    "column.enqueued_at": lambda record: record["enqueued_at"][:19] + "Z",
    "column.problem": _problem,
}
"""The columns of a table of task summaries."""


def task_show(
    context: typer.Context,
    task_id: Annotated[str, typer.Argument(metavar="ID", help="option.task.id")],
) -> None:
    """Show all that is known of one task."""
    session = Session.of(context)
    task = session.run(lambda app, _: app.handle(an_id(task_id, session.say)).get())
    record = details(task)
    shown = {name: value for name, value in record.items() if value not in (None, [], {}, False)}
    for name in ("error", "attempts", "logs", "retention"):
        shown.pop(name, None)
    lines: dict[str, object] = {f"field.{name}": value for name, value in shown.items()}
    if task.error is not None:
        lines["field.error"] = f"{task.error.type}: {task.error.message}"
        lines["field.traceback"] = task.error.traceback.strip() or None
    if task.attempts:
        lines["field.attempts"] = "\n".join(map(_attempt_line, record["attempts"]))
    if task.logs:
        lines["field.logs"] = session.say("task.log_lines", count=len(task.logs), id=task.id)
    show_one(session, record, lines)


def _attempt_line(attempt: Mapping[str, Any]) -> str:
    error = attempt["error"]
    problem = f"{error['type']}: {error['message']}" if error else ""
    parts = (
        str(attempt["number"]),
        attempt["outcome"] or State.RUNNING.value,
        attempt["worker"],
        attempt["started_at"],
        attempt["ended_at"] or "",
        problem,
    )
    return "  ".join(filter(None, parts))


def retry(context: typer.Context, ids: Ids) -> None:
    """Run failed or cancelled tasks again."""
    session = Session.of(context)

    async def retry_one(app: Tidemill, task_id: str) -> str:
        handle = app.handle(task_id)
        await handle.retry()
        return await handle.state()

    act_on_each(session, TASKS, _ids(session, ids), retry_one)


def cancel(
    context: typer.Context,
    ids: Ids,
    reason: Annotated[str, typer.Option("--reason", help="option.task.reason")] = "",
) -> None:
    """Cancel waiting tasks, ask running ones to stop."""
    session = Session.of(context)

    async def cancel_one(app: Tidemill, task_id: str) -> str:
        return await app.handle(task_id).cancel(reason)

    act_on_each(session, TASKS, _ids(session, ids), cancel_one)


def _ids(session: Session, texts: Sequence[str]) -> list[str]:
    return [an_id(each, session.say) for each in texts]


def logs(
    context: typer.Context,
    task_id: Annotated[str, typer.Argument(metavar="ID", help="option.task.id")],
    follow: Annotated[bool, typer.Option("-f", "--follow", help="option.task.follow")] = False,
) -> None:
    """Print what a task logged; `--follow` goes on until the task is final."""
    session = Session.of(context)
    wanted = an_id(task_id, session.say)

    async def run(_: Tidemill, engine: Engine) -> None:
        cursor = (await engine.feed(None, 1, timedelta(0))).cursor
        task = await _found(engine, wanted)
        if session.form is Form.JSON and not follow:
            print_json({"logs": plain(task.logs)}, indent=True)
            return
        printed = _print_logs(session, task.logs, 0)
        while follow and not task.state.final:
            cursor = await _until_news(engine, wanted, cursor)
            task = await _found(engine, wanted)
            printed = _print_logs(session, task.logs, printed)

    session.run(run)


async def _found(engine: Engine, task_id: str) -> Task:
    page = await engine.find(TaskQuery(ids=(task_id,), details=True))
    if not page.tasks:
        raise TaskNotFound(task_id)
    return page.tasks[0]


async def _until_news(engine: Engine, task_id: str, cursor: str) -> str:
    """Follow the feed until it speaks of the task, or a second is over: logs alone are no news."""
    end = time.monotonic() + _LOOK.total_seconds()
    while True:
        page = await engine.feed(cursor, 500, _LOOK)
        cursor = page.cursor
        told = any(entry.task_id == task_id for entry in page.entries)
        if told or page.cut or not page.entries or time.monotonic() >= end:
            return cursor


def _print_logs(session: Session, lines: Sequence[LogLine], printed: int) -> int:
    for line in lines[printed:]:
        if session.form is Form.TABLE:
            print(f"{plain(line.at)}  {line.attempt}  {line.level:<7}  {line.message}", flush=True)
        else:
            print_json(plain(line))
    sys.stdout.flush()
    return len(lines)


def an_id(text: str, say: Say) -> str:
    """The task id in a word of the command line; raises `ConfigError` when it is none."""
    try:
        return parse_id(text)
    except ValueError as error:
        raise ConfigError(say("task.not_an_id", text=text)) from error


COMMANDS: Commands = {"ls": ls, "show": task_show, "retry": retry, "cancel": cancel, "logs": logs}
