"""`tidemill failed …`: the tasks that failed for good, one by one or by their error."""

from collections.abc import Sequence
from typing import Annotated, Any

import typer

from tidemill.app import Tidemill
from tidemill.cli.batches import all_found, in_batches
from tidemill.cli.confirm import confirm
from tidemill.cli.output import Listing, show, show_one
from tidemill.cli.records import plain
from tidemill.cli.session import Commands, Session
from tidemill.cli.tasks import act_on_each, an_id, show_page
from tidemill.engine import Engine, Retrial, TaskPage, TaskQuery
from tidemill.errors import ConfigError, InvalidTransition
from tidemill.task import State, Task

Ids = Annotated[list[str] | None, typer.Argument(metavar="[ID…]", help="option.failed.ids")]
All = Annotated[bool, typer.Option("--all", help="option.failed.all")]
Types = Annotated[list[str] | None, typer.Option("--type", help="option.task.type")]
Queues = Annotated[list[str] | None, typer.Option("--queue", help="option.task.queue")]
Fingerprint = Annotated[str | None, typer.Option("--fingerprint", help="option.failed.fingerprint")]


def ls(
    context: typer.Context,
    group: Annotated[bool, typer.Option("--group", help="option.failed.group")] = False,
    task_type: Types = None,
    queue: Queues = None,
    fingerprint: Fingerprint = None,
    limit: Annotated[int, typer.Option("--limit", min=1, max=1000, help="option.task.limit")] = 50,
    before: Annotated[
        str | None, typer.Option("--before", metavar="CURSOR", help="option.task.before")
    ] = None,
) -> None:
    """List failed tasks, newest first, or count them by error."""
    session = Session.of(context)
    query = _query(task_type, queue, fingerprint, limit=limit, before=before)
    if group:
        tasks = session.run(lambda _, engine: all_found(engine, query))
        show(session, Listing("groups", _grouped(tasks)[:limit], _GROUP_COLUMNS))
        return

    async def find(_: Tidemill, engine: Engine) -> TaskPage:
        return await engine.find(query)

    show_page(session, session.run(find))


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


def _grouped(tasks: Sequence[Task]) -> list[dict[str, Any]]:
    """One record per fingerprint, the most frequent first; tasks come newest first."""
    groups: dict[str, list[Task]] = {}
    for task in tasks:
        groups.setdefault(task.error.fingerprint if task.error else "", []).append(task)
    records = [
        {
            "fingerprint": fingerprint,
            "count": len(members),
            "error_type": members[0].error.type if members[0].error else None,
            "message": members[0].error.message if members[0].error else None,
            "task_types": sorted({task.task_type for task in members}),
            "newest_id": members[0].id,
            "last_at": plain(max(task.finished_at or task.enqueued_at for task in members)),
        }
        for fingerprint, members in groups.items()
    ]
    return sorted(records, key=lambda record: (-record["count"], record["fingerprint"]))


_GROUP_COLUMNS = {
    "column.count": lambda record: record["count"],
    "column.fingerprint": lambda record: record["fingerprint"],
    "column.error": lambda record: record["error_type"],
    "column.message": lambda record: " ".join((record["message"] or "").split())[:80],
    "column.type": lambda record: record["task_types"],
    "column.last_at": lambda record: record["last_at"][:19] + "Z",
}


def retry(
    context: typer.Context,
    ids: Ids = None,
    every: All = False,
    task_type: Types = None,
    queue: Queues = None,
    fingerprint: Fingerprint = None,
) -> None:
    """Run failed tasks again, by id or all that match."""
    session = Session.of(context)
    if ids := _chosen(session, ids, every=every):
        act_on_each(session, ids, _retry_one)
        return

    async def run(_: Tidemill, engine: Engine) -> tuple[int, int]:
        tasks = await all_found(engine, _query(task_type, queue, fingerprint))

        async def retry_batch(batch: Sequence[str]) -> int:
            answers = await engine.retry(batch)
            return sum(answer is Retrial.RETRIED for answer in answers)

        found = [task.id for task in tasks]
        return len(found), await in_batches(session.say, "failed.retrying", found, retry_batch)

    found, retried = session.run(run)
    record = {"found": found, "retried": retried}
    show_one(session, record, {"failed.found": found, "failed.retried": retried})


async def _retry_one(app: Tidemill, task_id: str) -> State:
    handle = app.handle(task_id)
    await _failed(app, task_id, "retry")
    await handle.retry()
    return await handle.state()


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
    wanted = [an_id(each, say) for each in _chosen(session, ids, every=every)]
    query = _query(task_type, queue, fingerprint)

    async def look(app: Tidemill, engine: Engine) -> list[str]:
        for task_id in wanted:
            await _failed(app, task_id, "drop")
        return wanted or [task.id for task in await all_found(engine, query)]

    found = session.run(look)
    if found and not dry_run:
        confirm(session, say("failed.would_drop", count=f"{len(found):,}"), yes=yes)

    async def run(_: Tidemill, engine: Engine) -> int:
        async def remove(batch: Sequence[str]) -> int:
            return sum(await engine.remove(batch))

        return await in_batches(say, "failed.dropping", found, remove)

    dropped = 0 if dry_run else session.run(run)
    record = {"found": len(found), "dropped": dropped, "dry_run": dry_run}
    show_one(session, record, {"failed.found": len(found), "failed.dropped": dropped})


def _chosen(session: Session, ids: list[str] | None, *, every: bool) -> list[str]:
    """The ids that were named, none of them with `--all`; naming neither or both is refused."""
    if bool(ids) is every:
        raise ConfigError(session.say("failed.choose"))
    return ids or []


async def _failed(app: Tidemill, task_id: str, verb: str) -> None:
    state = await app.handle(task_id).state()
    if state is not State.FAILED:
        raise InvalidTransition(task_id, state.value, verb)


COMMANDS: Commands = {"ls": ls, "retry": retry, "drop": drop}
