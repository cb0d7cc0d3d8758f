"""Webhooks: make, read, change, test, delete; and what was delivered to them."""

from typing import Annotated, Any, Final

import msgspec
from litestar.handlers import HTTPRouteHandler
from msgspec import UNSET, Meta, UnsetType

from tidemill.access import Scope
from tidemill.api.auditing import Change
from tidemill.api.limits import Label, Name
from tidemill.api.paging import USUAL_PAGE, Cursor, PageSize, after_cursor
from tidemill.api.records.tasks import task_record
from tidemill.api.records.webhooks import audited, webhook_record
from tidemill.api.routing import Answer, Call, Nothing, route
from tidemill.app.webhook import QUEUE, USUAL, tag_of
from tidemill.app.webhooks import WebhookCreated, WebhookInfo
from tidemill.engine import TaskQuery
from tidemill.interface.tasks import TaskPage, TaskRecord
from tidemill.interface.webhooks import WebhookRecord, WebhookSecretRecord, WebhooksRecord

TAG: Final = "webhooks"
MOST: Final = 100

Url = Annotated[str, Meta(min_length=1, max_length=2_000, description="https, of the internet.")]
Events = Annotated[tuple[Name, ...], Meta(min_length=1, max_length=MOST)]
Names = Annotated[tuple[Name, ...], Meta(max_length=MOST)]


class CreateWebhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """An address to be told of `events`, such as task.failed.

    Of the tasks in one of `queue_names`, of one of `task_types`, of `user_id` and `project_id`;
    what is left out does not restrict.
    """

    url: Url
    name: Label | None = None
    events: Events = USUAL
    queue_names: Names = ()
    task_types: Names = ()
    user_id: Label | None = None
    project_id: Label | None = None


class ChangeWebhook(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """What is to be different; what is absent stays, null removes it.

    One that becomes active again is told of what happens from then on.
    """

    url: Url | UnsetType = UNSET
    name: Label | UnsetType = UNSET
    events: Events | UnsetType = UNSET
    queue_names: Names | UnsetType = UNSET
    task_types: Names | UnsetType = UNSET
    user_id: Label | UnsetType | None = UNSET
    project_id: Label | UnsetType | None = UNSET
    is_active: bool | UnsetType = UNSET


class DeliveriesFilter(msgspec.Struct, frozen=True, kw_only=True, forbid_unknown_fields=True):
    """Where to go on, and how much to read."""

    cursor: Cursor = ""
    limit: PageSize = USUAL_PAGE


@route(
    "POST",
    "/webhooks",
    tag=TAG,
    scope=Scope.ADMIN,
    tenants=False,
    answers={201: WebhookSecretRecord},
)
async def create_webhook(call: Call[Nothing, CreateWebhook]) -> Answer:
    """Make a webhook. The answer shows its secret this once: receivers check signatures with it."""
    made = await call.app.webhooks.create(call.body.url, **_options(call.body))
    location = {"Location": call.address(f"/webhooks/{made.webhook.id}")}
    return msgspec.structs.replace(_with_secret(made), headers=location)


@route(
    "GET",
    "/webhooks",
    tag=TAG,
    scope=Scope.ADMIN,
    tenants=False,
    answers={200: WebhooksRecord},
    headers=("If-None-Match",),
)
async def list_webhooks(call: Call[Nothing, Nothing]) -> Answer:
    """List the webhooks, the oldest first."""
    found = await call.app.webhooks.list()
    return Answer(WebhooksRecord(tuple(webhook_record(each.webhook) for each in found)))


@route(
    "GET",
    "/webhooks/{webhook_id}",
    tag=TAG,
    scope=Scope.ADMIN,
    tenants=False,
    answers={200: WebhookRecord},
    problems=(404,),
    headers=("If-None-Match",),
)
async def get_webhook(call: Call[Nothing, Nothing]) -> Answer:
    """Read a webhook."""
    return _answer(await call.app.webhooks.get(call.named("webhook_id")))


@route(
    "PATCH",
    "/webhooks/{webhook_id}",
    tag=TAG,
    scope=Scope.ADMIN,
    tenants=False,
    answers={200: WebhookRecord},
    problems=(404, 409, 412),
    headers=("If-Match",),
)
async def change_webhook(call: Call[Nothing, ChangeWebhook]) -> Answer:
    """Change what is said of a webhook, and leave the rest."""
    before = await call.app.webhooks.get(call.named("webhook_id"))
    said = _options(call.body)
    if call.body.url is not UNSET:
        said["url"] = call.body.url
    after = await call.app.webhooks.update(
        before.webhook.id, if_version=call.version(before.version), **said
    )
    return _answer(after, Change(before=audited(before.webhook), after=audited(after.webhook)))


@route(
    "DELETE",
    "/webhooks/{webhook_id}",
    tag=TAG,
    scope=Scope.ADMIN,
    tenants=False,
    answers={204: None},
    problems=(404, 412),
    headers=("If-Match",),
)
async def delete_webhook(call: Call[Nothing, Nothing]) -> Answer:
    """Delete a webhook; deliveries that are under way are not tried again."""
    before = await call.app.webhooks.get(call.named("webhook_id"))
    await call.app.webhooks.delete(before.webhook.id, if_version=call.version(before.version))
    return Answer(change=Change(before=audited(before.webhook)))


@route(
    "POST",
    "/webhooks/{webhook_id}/rotate",
    tag=TAG,
    scope=Scope.ADMIN,
    tenants=False,
    answers={200: WebhookSecretRecord},
    problems=(404, 409),
)
async def rotate_webhook(call: Call[Nothing, Nothing]) -> Answer:
    """Give a webhook a new secret, shown this once. For 24 hours the old one signs as well."""
    return _with_secret(await call.app.webhooks.rotate(call.named("webhook_id")))


@route(
    "POST",
    "/webhooks/{webhook_id}/test",
    tag=TAG,
    scope=Scope.ADMIN,
    tenants=False,
    answers={202: TaskRecord},
    problems=(404,),
)
async def test_webhook(call: Call[Nothing, Nothing]) -> Answer:
    """Send a `webhook.test`, once. The answer is the task that delivers it."""
    handle = await call.app.webhooks.test(call.named("webhook_id"))
    task = await call.task(handle.id)
    location = {"Location": call.address(f"/tasks/{handle.id}")}
    return Answer(task_record(task, details=False), headers=location)


@route(
    "GET",
    "/webhooks/{webhook_id}/deliveries",
    tag=TAG,
    scope=Scope.ADMIN,
    tenants=False,
    answers={200: TaskPage},
    problems=(404,),
    headers=("If-None-Match",),
)
async def list_deliveries(call: Call[DeliveriesFilter, Nothing]) -> Answer:
    """List the tasks that deliver to a webhook, newest first."""
    webhook = (await call.app.webhooks.get(call.named("webhook_id"))).webhook
    query = TaskQuery(queues=frozenset({QUEUE}), tags=(tag_of(webhook.id),))
    engine = await call.app.engine()
    return Answer(await after_cursor(engine, query, call.query.cursor, call.query.limit))


_RENAMED: Final = {"queue_names": "queues", "is_active": "active"}


def _options(body: CreateWebhook | ChangeWebhook) -> dict[str, Any]:
    """What a body says, as `app.webhooks` takes it, but for the URL."""
    said = {name: getattr(body, name) for name in body.__struct_fields__ if name != "url"}
    if isinstance(body, CreateWebhook) and body.name is None:
        del said["name"]
    return {_RENAMED.get(name, name): value for name, value in said.items() if value is not UNSET}


def _answer(info: WebhookInfo, change: Change | None = None) -> Answer:
    record = webhook_record(info.webhook)
    return Answer(record, version=str(info.version), change=change)


def _with_secret(made: WebhookCreated) -> Answer:
    record = webhook_record(made.webhook)
    change = Change(subject={"webhook_id": record.webhook_id}, after=audited(made.webhook))
    return Answer(WebhookSecretRecord(secret=made.secret, webhook=record), change=change)


HANDLERS: list[HTTPRouteHandler] = [
    create_webhook,
    list_webhooks,
    get_webhook,
    change_webhook,
    delete_webhook,
    rotate_webhook,
    test_webhook,
    list_deliveries,
]
