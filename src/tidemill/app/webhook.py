"""A webhook as it is defined, how it is stored, and the task that delivers one notice to it."""

import base64
import binascii
import re
import secrets as randomness
from collections.abc import Collection
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec

from tidemill.codec import DEFAULT_CODEC
from tidemill.engine import Document, Put
from tidemill.errors import ConfigError
from tidemill.ids import is_name
from tidemill.task import Limit, NewTask, Retention

WEBHOOK: Final = "webhook"
"""The kind of the documents that hold webhooks, by id."""

TASK_TYPE: Final = "tidemill.webhook"
QUEUE: Final = "tidemill.webhooks"

WAITS: Final = (
    timedelta(seconds=5),
    timedelta(minutes=5),
    timedelta(minutes=30),
    timedelta(hours=2),
    timedelta(hours=5),
    timedelta(hours=10),
    timedelta(hours=14),
    timedelta(hours=20),
    timedelta(hours=24),
)
"""Between the attempts of one delivery, as the Standard Webhooks specification (1.0.0) suggests."""

AT_ONCE: Final = 10
"""Deliveries to one webhook at once: a receiver that answers slowly holds up nobody else."""

OVERLAP: Final = timedelta(hours=24)
"""How long a secret that was replaced signs beside the new one."""

_KEPT: Final = Retention(timedelta(days=1), timedelta(days=7), timedelta(days=1))
_SECRET_BYTES: Final = 32
_PREFIX: Final = "whsec_"
_LONGEST_NAME: Final = 200

EVENTS: Final = frozenset(
    f"task.{each}"
    for each in (
        *("enqueued", "replaced", "promoted", "admitted", "claimed", "snoozed", "waiting"),
        *("released", "reclaimed", "retried", "manual_retry", "cancel_requested"),
        *("children_final", "upstream_final", "removed", "restored"),
        *("completed", "failed", "cancelled"),
    )
)
"""What a webhook may be told of tasks: the causes of the feed, and how a task ended.

Progress is left out: it is reported up to 20 times a second, and streams carry it.
"""

USUAL: Final = ("task.completed", "task.failed", "task.cancelled")

_OTHER_EVENT: Final = re.compile(r"(?!task\.|webhook\.)[a-z0-9_]+(\.[a-z0-9_]+)+")
"""Events that parts of an application tell by `notify`, such as `alert.raised`."""


class Webhook(msgspec.Struct, frozen=True, kw_only=True):
    """An address that is told of what happens to tasks, by signed requests.

    `events` such as `task.completed` say of what. Empty filters do not restrict; `user_id` and
    `project_id` are those of the tasks. What happens from `since` on is told. Deliveries fail since
    `failing_since`; one that is not `active` sends nothing, `disabled` says why if nobody asked.
    """

    id: str
    name: str
    url: str
    created_at: datetime
    since: datetime
    events: tuple[str, ...] = USUAL
    queues: tuple[str, ...] = ()
    task_types: tuple[str, ...] = ()
    user_id: str | None = None
    project_id: str | None = None
    active: bool = True
    failing_since: datetime | None = None
    disabled: str = ""

    def __post_init__(self) -> None:
        """Refuse what could never be told, where it was written."""
        if not self.name or len(self.name) > _LONGEST_NAME or not self.name.isprintable():
            raise ConfigError(f"a webhook's name has 1-{_LONGEST_NAME} printable characters")
        if not self.events:
            raise ConfigError("a webhook needs an event to tell of, such as task.failed")
        for event in self.events:
            if event not in EVENTS and not _OTHER_EVENT.fullmatch(event):
                known = ", ".join(sorted(EVENTS))
                raise ConfigError(f"there is no event {event!r} to tell a webhook of: {known}")
        for name in (*self.queues, *self.task_types):
            if not is_name(name):
                raise ConfigError(f"{name!r} can name neither a queue nor a task type")

    @property
    def of_tenant(self) -> bool:
        """Whether it is told of some users' or projects' tasks only."""
        return self.user_id is not None or self.project_id is not None


class SigningSecret(msgspec.Struct, frozen=True):
    """A secret in the form `whsec_…`; it signs until an instant, or with None from now on."""

    text: str
    until: datetime | None = None


class Stored(msgspec.Struct, frozen=True):
    """A webhook with its secrets, the newest first: the body of its document."""

    webhook: Webhook
    secrets: tuple[SigningSecret, ...]

    def signing(self, now: datetime) -> tuple[str, ...]:
        """The secrets that sign at an instant."""
        return tuple(each.text for each in self.secrets if each.until is None or now < each.until)

    def rotated(self, secret: str, now: datetime) -> "Stored":
        """With a new secret; the one before it signs for another day, older ones no more."""
        old = [SigningSecret(each.text, now + OVERLAP) for each in self.secrets[:1]]
        return Stored(self.webhook, (SigningSecret(secret), *old))

    def changed(self, **said: Any) -> "Stored":
        """With some fields of its webhook changed."""
        return Stored(msgspec.structs.replace(self.webhook, **said), self.secrets)

    def put(self, if_version: int) -> Put:
        """What writes it, if it is as it was read."""
        return Put(WEBHOOK, self.webhook.id, msgspec.json.encode(self), if_version)


def stored(document: Document) -> Stored:
    """A webhook from its document; raises `ConfigError` for one that this version cannot read."""
    try:
        return msgspec.json.decode(document.body, type=Stored)
    except msgspec.MsgspecError as error:
        raise ConfigError(f"the webhook {document.key} cannot be read: {error}") from error


def new_secret() -> str:
    """A new secret: 256 random bits."""
    return _PREFIX + base64.b64encode(randomness.token_bytes(_SECRET_BYTES)).decode()


def key_of(secret: str) -> bytes:
    """The bytes that a secret signs with; raises `ConfigError`, which does not show the secret."""
    try:
        key = base64.b64decode(secret.removeprefix(_PREFIX), validate=True)
    except (binascii.Error, ValueError):
        key = b""
    if not key:
        raise ConfigError("a webhook's secret is whsec_ and base64: take it as it was shown")
    return key


def tag_of(webhook_id: str) -> str:
    """The tag of the tasks that deliver to a webhook."""
    return f"{WEBHOOK}:{webhook_id}"


def delivery(task_id: str, webhook_id: str, event: str, at: datetime, data: Any) -> NewTask:
    """The task that tells a webhook of an event that happened `at` an instant."""
    payload = {
        "webhook": webhook_id,
        "type": event,
        "timestamp": at.astimezone(UTC).isoformat().replace("+00:00", "Z"),
        "data": data,
    }
    return NewTask(
        id=task_id,
        task_type=TASK_TYPE,
        payload=DEFAULT_CODEC.encode(payload),
        queue=QUEUE,
        max_attempts=len(WAITS) + 1,
        limit=Limit(tag_of(webhook_id), AT_ONCE),
        retention=_KEPT,
        tags=(tag_of(webhook_id),),
    )


def names(given: Collection[str]) -> tuple[str, ...]:
    """Names in a fixed order, once each; a single text would be taken for its letters."""
    if isinstance(given, str):
        raise ConfigError(f"these are a list of names: write [{given!r}]")
    return tuple(sorted(set(given)))
