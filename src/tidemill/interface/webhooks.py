"""Webhooks, and what they were told."""

from datetime import datetime

import msgspec


class WebhookRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook without its secrets. Empty filters do not restrict.

    What happens from `since` on is told. Deliveries have failed since `failing_since`; where
    nobody asked for it, `disabled` says why it is no longer active.
    """

    webhook_id: str
    name: str
    url: str
    events: tuple[str, ...]
    queue_names: tuple[str, ...]
    task_types: tuple[str, ...]
    user_id: str | None
    project_id: str | None
    is_active: bool
    created_at: datetime
    since: datetime
    failing_since: datetime | None
    disabled: str | None


class WebhooksRecord(msgspec.Struct, frozen=True):
    """All webhooks, the oldest first."""

    webhooks: tuple[WebhookRecord, ...]


class WebhookSecretRecord(msgspec.Struct, frozen=True, kw_only=True):
    """A webhook with a new secret, which is shown this once."""

    secret: str
    webhook: WebhookRecord
