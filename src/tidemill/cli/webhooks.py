"""`tidemill webhook …`: who is told of what happens to tasks."""

import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from tidemill.app import Tidemill
from tidemill.cli.confirm import confirm
from tidemill.cli.each import Kind, act_on_each
from tidemill.cli.enqueue import show_handle
from tidemill.cli.output import Listing, Record, show, show_one
from tidemill.cli.records import plain
from tidemill.cli.session import Commands, Session
from tidemill.cli.texts import Say
from tidemill.cli.times import short

if TYPE_CHECKING:
    from tidemill.app.webhook import Webhook
    from tidemill.app.webhooks import WebhookCreated

WEBHOOKS = Kind("webhooks", "id")

Id = Annotated[str, typer.Argument(metavar="ID", help="option.webhook.id")]
Ids = Annotated[list[str], typer.Argument(metavar="ID…", help="option.webhook.ids")]


def create(
    context: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="option.webhook.url")],
    name: Annotated[str | None, typer.Option("--name", help="option.webhook.name")] = None,
    events: Annotated[
        list[str] | None, typer.Option("--event", metavar="EVENT", help="option.webhook.event")
    ] = None,
    queues: Annotated[
        list[str] | None, typer.Option("--queue", metavar="QUEUE", help="option.webhook.queue")
    ] = None,
    task_types: Annotated[
        list[str] | None, typer.Option("--type", metavar="TYPE", help="option.webhook.type")
    ] = None,
    user: Annotated[str | None, typer.Option("--user", help="option.webhook.user")] = None,
    project: Annotated[str | None, typer.Option("--project", help="option.webhook.project")] = None,
) -> None:
    """Make a webhook and print its secret, this once."""
    session = Session.of(context)
    given = {
        "name": name,
        "events": events,
        "queues": queues,
        "task_types": task_types,
        "user_id": user,
        "project_id": project,
    }
    said: Any = {key: value for key, value in given.items() if value}
    _show_secret(session, session.run(lambda app, _: app.webhooks.create(url, **said)))


def ls(context: typer.Context) -> None:
    """List the webhooks."""
    session = Session.of(context)
    records = [_record(each.webhook) for each in session.run(lambda app, _: app.webhooks.list())]
    columns = {
        "column.id": lambda each: each["id"],
        "column.name": lambda each: each["name"],
        "webhook.events": lambda each: each["events"],
        "column.state": lambda each: _state(each, session.say),
        "webhook.failing_since": lambda each: short(each["failing_since"]),
    }
    show(session, Listing("webhooks", records, columns))


def webhook_show(context: typer.Context, webhook_id: Id) -> None:
    """Show all that is known of one webhook, but for its secrets."""
    session = Session.of(context)
    info = session.run(lambda app, _: app.webhooks.get(webhook_id))
    record = _record(info.webhook)
    show_one(session, record, _lines(record, session.say))


def rotate(context: typer.Context, webhook_id: Id) -> None:
    """Give a webhook a new secret and print it, this once."""
    session = Session.of(context)
    made = session.run(lambda app, _: app.webhooks.rotate(webhook_id))
    _show_secret(session, made)
    print(session.say("webhook.both_sign"), file=sys.stderr)


def pause(context: typer.Context, webhook_ids: Ids) -> None:
    """Tell webhooks of nothing until they are resumed."""

    async def pause_one(app: Tidemill, webhook_id: str) -> str:
        await app.webhooks.update(webhook_id, active=False)
        return "paused"

    act_on_each(Session.of(context), WEBHOOKS, webhook_ids, pause_one)


def resume(context: typer.Context, webhook_ids: Ids) -> None:
    """Tell webhooks of what happens from now on."""

    async def resume_one(app: Tidemill, webhook_id: str) -> str:
        await app.webhooks.update(webhook_id, active=True)
        return "active"

    act_on_each(Session.of(context), WEBHOOKS, webhook_ids, resume_one)


def delete(
    context: typer.Context,
    webhook_ids: Ids,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="option.yes")] = False,
) -> None:
    """Delete webhooks; deliveries that are under way are not tried again."""
    session = Session.of(context)
    confirm(session, session.say("webhook.would_delete", ids=", ".join(webhook_ids)), yes=yes)

    async def delete_one(app: Tidemill, webhook_id: str) -> str:
        await app.webhooks.delete(webhook_id)
        return "removed"

    act_on_each(session, WEBHOOKS, webhook_ids, delete_one)


def test(context: typer.Context, webhook_id: Id) -> None:
    """Send a webhook.test; a running worker delivers it."""
    from tidemill.app.webhook import TASK_TYPE

    session = Session.of(context)
    show_handle(session, session.run(lambda app, _: app.webhooks.test(webhook_id)), TASK_TYPE)


def _show_secret(session: Session, made: "WebhookCreated") -> None:
    record = {**_record(made.webhook), "secret": made.secret}
    lines = {"column.id": record["id"], "webhook.secret": made.secret}
    show_one(session, record, {**lines, **_lines(record, session.say)})
    print(session.say("webhook.once"), file=sys.stderr)


def _record(told: "Webhook") -> dict[str, Any]:
    record: dict[str, Any] = plain(told)
    return record


def _state(record: Record, say: Say) -> str:
    if record["active"]:
        return say("webhook.active")
    return say("webhook.disabled") if record["disabled"] else say("webhook.paused")


def _lines(record: Record, say: Say) -> dict[str, object]:
    lines = {
        "column.id": record["id"],
        "column.name": record["name"],
        "webhook.url": record["url"],
        "column.state": _state(record, say),
        "webhook.events": record["events"],
        "column.queue": record["queues"],
        "column.type": record["task_types"],
        "column.user": record["user_id"],
        "column.project": record["project_id"],
        "webhook.failing_since": short(record["failing_since"]),
        "webhook.reason": record["disabled"],
    }
    return {key: value for key, value in lines.items() if value}


COMMANDS: Commands = {
    "create": create,
    "ls": ls,
    "show": webhook_show,
    "rotate": rotate,
    "pause": pause,
    "resume": resume,
    "test": test,
    "delete": delete,
}
