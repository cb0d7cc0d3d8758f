"""`tidemill failed …`: the tasks that failed for good, one by one or by their error."""

import sys
from typing import Annotated, Any

import typer

from tidemill.app import Handle, Tidemill
from tidemill.cli.batches import all_found, in_batches
from tidemill.cli.confirm import confirm
from tidemill.cli.each import act_on_each
from tidemill.cli.enqueue import show_handle
from tidemill.cli.output import Listing, show, show_one
from tidemill.cli.payloads import edited, payload_from
from tidemill.cli.progress import progress
from tidemill.cli.records import payload_of, plain
from tidemill.cli.session import Commands, Form, Session
from tidemill.cli.tasks import TASKS, an_id, show_page
from tidemill.cli.times import short
from tidemill.engine import Engine, TaskQuery
from tidemill.errors import ConfigError, InvalidTransition
from tidemill.task import State, Task

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID…]", help="option.failed.ids")]
All = Annotated[bool, typer.Option("--all", help="option.failed.all")]
Types = Annotated[list[str] | None, typer.Option("--type", help="option.task.type")]
Queues = Annotated[list[str] | None, typer.Option("--queue", help="option.task.queue")]
Fingerprint = Annotated[str | None, typer.Option("--fingerprint", help="option.failed.fingerprint")]


def ls(
    context: typer.Context,
    task_type: Types = None,
    queue: Queues = None,
    fingerprint: Fingerprint = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="option.task.limit")] = 50,
    before: Annotated[
        str | None, typer.Option("--before", metavar="CURSOR", help="option.task.before")
    ] = None,
) -> None:
    """List failed tasks, newest first."""
    session = Session.of(context)
    query = _query(task_type, queue, fingerprint, limit=limit, before=before)
    show_page(session, session.run(lambda app, _: app.failed.find(query)))


def groups(context: typer.Context, task_type: Types = None, queue: Queues = None) -> None:
    """Count failed tasks by the fingerprint of their error, the most frequent first."""
    session = Session.of(context)
    query = _query(task_type, queue, None)
    found = session.run(lambda app, _: app.failed.groups(query))
    record = plain(found)
    extra = {"looked_at": found.looked_at, "capped": found.capped}
    show(session, Listing("groups", record["groups"], _GROUP_COLUMNS, extra))
    if found.capped and session.form is not Form.JSON:
        print(session.say("failed.capped", count=f"{found.looked_at:,}"), file=sys.stderr)


_GROUP_COLUMNS = {
    "column.count": lambda record: record["count"],
    "column.fingerprint": lambda record: record["fingerprint"],
    "column.error": lambda record: record["error_type"],
    "column.message": lambda record: " ".join(record["message"].split())[:80],
    "column.type": lambda record: record["task_types"],
    "column.first_at": lambda record: short(record["first_at"]),
    "column.last_at": lambda record: short(record["last_at"]),
    "column.example": lambda record: record["examples"][0],
}


def retry(
    context: typer.Context,
    ids: Ids = None,
    every: All = False,
    task_type: Types = None,
    queue: Queues = None,
    fingerprint: Fingerprint = None,
    rate: Annotated[
        float | None, typer.Option("--rate", min=0.001, help="option.failed.rate")
    ] = None,
) -> None:
    """Run failed tasks again, by id or all that match."""
    session = Session.of(context)
    if wanted := _chosen(session, ids, every=every):
        if rate is not None:
            raise ConfigError(session.say("failed.rate_of_all"))
        act_on_each(session, TASKS, wanted, _retry_one)
        return

    async def run(app: Tidemill, engine: Engine) -> dict[str, Any]:
        # Oldest first: a step of a workflow before those that come after it, which ask for it.
        found = (await all_found(engine, _query(task_type, queue, fingerprint)))[::-1]
        with progress(session.say, "failed.retrying", len(found)) as advance:
            report = await app.failed.retry(found, rate=rate, progress=advance)
        return {"found": report.asked, "retried": report.retried, "refused": plain(report.refused)}

    record = session.run(run)
    lines = {"failed.found": record["found"], "failed.retried": record["retried"]}
    if record["refused"]:
        lines["failed.refused"] = record["refused"]
    show_one(session, record, lines)


async def _retry_one(app: Tidemill, task_id: str) -> str:
    handle = app.handle(task_id)
    await _has_failed(handle, "retry")
    await handle.retry()
    return await handle.state()


def edit(
    context: typer.Context,
    task_id: Annotated[str, typer.Argument(metavar="ID", help="option.task.id")],
    payload: Annotated[
        str | None, typer.Option("-p", "--payload", metavar="JSON", help="option.failed.payload")
    ] = None,
) -> None:
    """Enqueue a failed task anew with another payload; the failed one stays as it is."""
    session = Session.of(context)
    session.needs_app()  # only its signature tells whether the arguments fit
    wanted = an_id(task_id, session.say)

    async def look(app: Tidemill, _: Engine) -> Task:
        await _has_failed(app.handle(wanted), "edit")
        return await app.handle(wanted).get()

    task = session.run(look)
    if payload is not None:
        arguments = payload_from(payload, session.say)
    else:
        arguments = edited(payload_of(task), session.say)
    handle = session.run(lambda app, _: app.failed.retry_edited(wanted, arguments))
    show_handle(session, handle, task.task_type)


def drop(
    context: typer.Context,
    ids: Ids = None,
    every: All = False,
    task_type: Types = None,
    queue: Queues = None,
    fingerprint: Fingerprint = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="option.dry_run")] = False,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="option.yes")] = False,
) -> None:
    """Remove failed tasks for good, by id or all that match."""
    session = Session.of(context)
    say = session.say
    wanted = _chosen(session, ids, every=every)
    query = _query(task_type, queue, fingerprint)

    async def look(app: Tidemill, engine: Engine) -> list[str]:
        for task_id in wanted:
            await _has_failed(app.handle(task_id), "drop")
        return wanted or await all_found(engine, query)

    found = session.run(look)
    if found and not dry_run:
        confirm(session, say("failed.would_drop", count=f"{len(found):,}"), yes=yes)

    async def run(app: Tidemill, _: Engine) -> int:
        return await in_batches(say, "failed.dropping", found, app.failed.drop)

    dropped = 0 if dry_run else session.run(run)
    record = {"found": len(found), "dropped": dropped, "dry_run": dry_run}
    show_one(session, record, {"failed.found": len(found), "failed.dropped": dropped})


def _query(
    task_types: list[str] | None,
    queues: list[str] | None,
    fingerprint: str | None,
    *,
    limit: int = 100,
    before: str | None = None,
) -> TaskQuery:
    return TaskQuery(
        states=frozenset({State.FAILED}),
        task_types=frozenset(task_types or ()),
        queues=frozenset(queues or ()),
        fingerprint=fingerprint,
        limit=limit,
        before=before,
    )


def _chosen(session: Session, ids: list[str] | None, *, every: bool) -> list[str]:
    """The ids that were named, none of them with `--all`; naming neither or both is refused."""
    if bool(ids) is every:
        raise ConfigError(session.say("failed.choose"))
    return [an_id(each, session.say) for each in ids or ()]


async def _has_failed(handle: Handle[Any], verb: str) -> None:
    state = await handle.state()
    if state is not State.FAILED:
        raise InvalidTransition(handle.id, state.value, verb)


COMMANDS: Commands = {"ls": ls, "groups": groups, "retry": retry, "edit": edit, "drop": drop}
