"""`tidemill enqueue`: one task from the shell."""

import asyncio
import sys
from datetime import timedelta
from typing import Annotated, Any

import typer

from tidemill.app import Handle, Options
from tidemill.app.audit import SUBMITTED_BY
from tidemill.cli.auditing import who
from tidemill.cli.output import print_json, show_one
from tidemill.cli.payloads import payload_from
from tidemill.cli.records import details
from tidemill.cli.session import Form, Session
from tidemill.errors import TaskCancelledError, TaskFailedError
from tidemill.task import Task


def enqueue(
    context: typer.Context,
    task_type: Annotated[str, typer.Argument(metavar="TYPE", help="option.enqueue.type")],
    payload: Annotated[
        str, typer.Option("-p", "--payload", metavar="JSON", help="option.enqueue.payload")
    ] = "{}",
    queue: Annotated[str | None, typer.Option("--queue", help="option.enqueue.queue")] = None,
    priority: Annotated[
        int | None, typer.Option("--priority", help="option.enqueue.priority")
    ] = None,
    delay: Annotated[
        float | None, typer.Option("--delay", metavar="SECONDS", help="option.enqueue.delay")
    ] = None,
    task_id: Annotated[
        str | None, typer.Option("--id", metavar="UUID", help="option.enqueue.id")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", help="option.enqueue.user")] = None,
    project: Annotated[str | None, typer.Option("--project", help="option.enqueue.project")] = None,
    tag: Annotated[list[str] | None, typer.Option("--tag", help="option.enqueue.tag")] = None,
    wait: Annotated[bool, typer.Option("--wait", help="option.enqueue.wait")] = False,
    timeout: Annotated[
        float | None, typer.Option("--timeout", metavar="SECONDS", help="option.enqueue.timeout")
    ] = None,
) -> None:
    """Enqueue a task of the application; with `--wait`, print its result."""
    session = Session.of(context)
    arguments = payload_from(payload, session.say)
    app = session.app()
    function = app.function(task_type).options(
        id=task_id,
        queue=queue,
        priority=priority,
        delay=None if delay is None else timedelta(seconds=delay),
        user_id=user,
        project_id=project,
        tags=tag,
    )
    function = function.with_options(Options(headers={SUBMITTED_BY: who()}))

    async def run() -> None:
        try:
            handle: Handle[Any] = await function.enqueue(**arguments)
            if wait:
                await _show_result(session, handle, timeout)
            else:
                show_handle(session, handle, task_type)
        finally:
            await app.close()

    asyncio.run(run())


def show_handle(session: Session, handle: Handle[Any], task_type: str) -> None:
    """Print the id of a task that was enqueued, or of the one that stands for it."""
    record = {"id": handle.id, "task_type": task_type, "duplicate": handle.duplicate}
    if session.form is Form.TABLE:
        print(handle.id)
        if handle.duplicate:
            print(session.say("enqueue.duplicate"), file=sys.stderr)
    else:
        show_one(session, record, {})


async def _show_result(session: Session, handle: Handle[Any], timeout: float | None) -> None:
    if session.form is Form.TABLE:
        print(session.say("enqueue.accepted", id=handle.id), file=sys.stderr, flush=True)
    try:
        await handle.result(timeout)
    except (TaskFailedError, TaskCancelledError):
        if session.form is not Form.TABLE:
            show_one(session, _ended(await handle.get()), {})
        raise
    task = await handle.get()
    if session.form is Form.TABLE:
        print_json(details(task)["result"], indent=True)
    else:
        show_one(session, _ended(task), {})


def _ended(task: Task) -> dict[str, Any]:
    record = details(task)
    return {name: record[name] for name in ("id", "state", "attempt", "result", "error", "reason")}
