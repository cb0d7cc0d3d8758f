"""Webhooks."""

from collections.abc import Iterable
from typing import TypedDict, Unpack

from tidemill.client.asking import Ask, Route, path, said
from tidemill.client.routes.forms import API, if_match_of, post, read
from tidemill.interface.tasks import (
    TaskPage,
    TaskRecord,
)
from tidemill.interface.webhooks import WebhookRecord, WebhookSecretRecord, WebhooksRecord


class WebhookChanges(TypedDict, total=False):
    """What `change_webhook` changes; None removes what may be absent."""

    url: str
    name: str
    events: Iterable[str]
    queue_names: Iterable[str]
    task_types: Iterable[str]
    user_id: str | None
    project_id: str | None
    is_active: bool


class WebhookFilter(TypedDict, total=False):
    """What a webhook is told of; what is left out does not restrict."""

    name: str
    events: Iterable[str]
    queue_names: Iterable[str]
    task_types: Iterable[str]
    user_id: str
    project_id: str


@Route
def create_webhook(url: str, **options: Unpack[WebhookFilter]) -> Ask[WebhookSecretRecord]:
    """Make a webhook; the secret of the answer is told this once."""
    return post(f"{API}/webhooks", WebhookSecretRecord, {"url": url, **options})


@Route
def list_webhooks() -> Ask[WebhooksRecord]:
    """The webhooks, the oldest first."""
    return read(f"{API}/webhooks", WebhooksRecord)


@Route
def get_webhook(webhook_id: str) -> Ask[WebhookRecord]:
    """One webhook; `NotFound` when there is none."""
    return read(path(f"{API}/webhooks/{{}}", webhook_id), WebhookRecord)


@Route
def change_webhook(
    webhook_id: str, *, if_match: str | None = None, **changes: Unpack[WebhookChanges]
) -> Ask[WebhookRecord]:
    """Change a webhook; with the `etag` that was read, only if it is still the same."""
    return Ask(
        method="PATCH",
        path=path(f"{API}/webhooks/{{}}", webhook_id),
        answer=WebhookRecord,
        body=changes,
        headers=if_match_of(if_match),
    )


@Route
def delete_webhook(webhook_id: str, *, if_match: str | None = None) -> Ask[None]:
    """Delete a webhook."""
    return Ask(
        method="DELETE",
        path=path(f"{API}/webhooks/{{}}", webhook_id),
        answer=type(None),
        headers=if_match_of(if_match),
    )


@Route
def rotate_webhook(webhook_id: str) -> Ask[WebhookSecretRecord]:
    """Give a webhook a new secret, told this once; for 24 hours the old one signs as well."""
    return post(path(f"{API}/webhooks/{{}}/rotate", webhook_id), WebhookSecretRecord)


@Route
def test_webhook(webhook_id: str) -> Ask[TaskRecord]:
    """Send a `webhook.test`, once; answers the task that delivers it."""
    return post(path(f"{API}/webhooks/{{}}/test", webhook_id), TaskRecord)


@Route
def list_deliveries(
    webhook_id: str, *, cursor: str | None = None, limit: int | None = None
) -> Ask[TaskPage]:
    """The tasks that deliver to a webhook, newest first."""
    query = said({"cursor": cursor, "limit": limit})
    return read(path(f"{API}/webhooks/{{}}/deliveries", webhook_id), TaskPage, query)
