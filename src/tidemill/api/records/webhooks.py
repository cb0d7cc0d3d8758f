"""Webhooks."""

from urllib.parse import urlsplit

import msgspec

from tidemill.app.webhook import Webhook
from tidemill.interface.webhooks import WebhookRecord


def webhook_record(told: Webhook) -> WebhookRecord:
    """A webhook as it stands."""
    return WebhookRecord(
        webhook_id=told.id,
        name=told.name,
        url=told.url,
        events=told.events,
        queue_names=told.queues,
        task_types=told.task_types,
        user_id=told.user_id,
        project_id=told.project_id,
        is_active=told.active,
        created_at=told.created_at,
        since=told.since,
        failing_since=told.failing_since,
        disabled=told.disabled or None,
    )


def audited(told: Webhook) -> dict[str, object]:
    """A webhook as the audit has it: of its URL no more than the host, the rest may be a secret."""
    parts = urlsplit(told.url)
    record: dict[str, object] = msgspec.to_builtins(webhook_record(told))
    return record | {"url": f"{parts.scheme}://{parts.hostname}"}
