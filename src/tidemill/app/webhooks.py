"""The operations on webhooks: `app.webhooks`."""

from collections.abc import Callable, Collection, Mapping
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final, TypedDict, Unpack
from urllib.parse import urlsplit

import msgspec

from tidemill.app.handle import Handle
from tidemill.app.schedules import ROUNDS
from tidemill.app.webhook import (
    QUEUE,
    WEBHOOK,
    SigningSecret,
    Stored,
    Webhook,
    delivery,
    names,
    new_secret,
    stored,
    tag_of,
)
from tidemill.engine import Document, Engine, Put, TaskPage, TaskQuery
from tidemill.errors import ChangedMeanwhile, ConfigError, Conflict, WebhookNotFound
from tidemill.ids import IdMaker, delivery_id, parse_id
from tidemill.outbound import checked_url

if TYPE_CHECKING:
    from tidemill.app.tidemill import Tidemill

RELAY, PLACE = "webhooks", "relay"
"""The document of the relay: where it is in the feed. Each change of a webhook changes it too."""


class WebhookOptions(TypedDict, total=False):
    """What `create` and `update` take; what is left out stays, or is as usual.

    The `name` is the URL's host unless given. `events` are such as `task.failed` (`EVENTS`) or
    `alert.raised`; a task's end is usual. Of tasks only those are told that are in one of `queues`,
    of one of `task_types`, of `user_id` and `project_id`; what is empty does not restrict. One that
    is not `active` is told nothing.
    """

    name: str
    events: Collection[str]
    queues: Collection[str]
    task_types: Collection[str]
    user_id: str | None
    project_id: str | None
    active: bool


class WebhookInfo(msgspec.Struct, frozen=True):
    """A webhook as people read it: without its secrets."""

    webhook: Webhook
    version: int


class WebhookCreated(msgspec.Struct, frozen=True):
    """A webhook that was made, or whose secret was changed. The secret is not shown again."""

    webhook: Webhook
    version: int
    secret: str


_DETAILS: Final = ("events", "queues", "task_types")


class Webhooks:
    """The webhooks of an application's engine.

    A webhook tells of what happens after `create` returned, or after it was activated again. With
    `if_version`, the `version` of a `WebhookInfo`, nothing but what was read is changed, else
    `ChangedMeanwhile` is raised.
    """

    def __init__(self, app: "Tidemill") -> None:
        self._app = app

    async def create(self, url: str, **said: Unpack[WebhookOptions]) -> WebhookCreated:
        """Make a webhook; the secret of the answer is how the receiver knows that it is us.

        Raises `OutboundRefused` for a URL that nothing would be sent to, and `ConfigError`.
        """
        engine = await self._app.engine()
        self._check(url)
        now = (await engine.marks([])).at
        webhook = Webhook(
            id=IdMaker().make(),
            url=url,
            created_at=now,
            since=now,
            **{"name": urlsplit(url).hostname, **_details(said)},
        )
        made = Stored(webhook, (SigningSecret(new_secret()),))
        place = await _place(engine)
        [document] = await engine.put([made.put(0)])
        await _told_relay(engine, place)
        return _created(made, document)

    async def list(self) -> list[WebhookInfo]:
        """All webhooks, oldest first; without those whose definition cannot be read."""
        found = []
        for document in await (await self._app.engine()).documents(WEBHOOK):
            with suppress(ConfigError):
                found.append(_info(document))
        return found

    async def get(self, webhook_id: str) -> WebhookInfo:
        """One webhook; raises `WebhookNotFound`."""
        return _info(await _document(await self._app.engine(), webhook_id))

    async def update(
        self,
        webhook_id: str,
        *,
        if_version: int | None = None,
        url: str | None = None,
        **said: Unpack[WebhookOptions],
    ) -> WebhookInfo:
        """Change what is said; raises what `create` and `get` raise.

        One that is activated begins anew: what happened meanwhile is not told.
        """
        if url is not None:
            self._check(url)
        changes = _details(said) | ({} if url is None else {"url": url})

        def changed(before: Stored, now: datetime) -> Stored:
            begins = {}
            if changes.get("active") and not before.webhook.active:
                begins = {"since": now, "failing_since": None, "disabled": ""}
            return before.changed(**changes, **begins)

        after, version = await self._change(webhook_id, if_version, changed)
        return WebhookInfo(after.webhook, version)

    async def rotate(self, webhook_id: str, *, if_version: int | None = None) -> WebhookCreated:
        """Give it a new secret. For 24 hours the old one signs too, so that receivers can follow.

        Raises `WebhookNotFound`.
        """
        secret = new_secret()
        after, version = await self._change(
            webhook_id, if_version, lambda before, now: before.rotated(secret, now)
        )
        return WebhookCreated(after.webhook, version, secret)

    async def delete(self, webhook_id: str, *, if_version: int | None = None) -> None:
        """Remove it; deliveries that are under way are cancelled when they are next tried.

        Raises `WebhookNotFound`.
        """
        engine = await self._app.engine()
        place = await _place(engine)
        document = await _document(engine, webhook_id)
        version = document.version if if_version is None else if_version
        [gone] = await engine.put([Put(WEBHOOK, document.key, None, version)])
        if gone is None:
            raise ChangedMeanwhile(f"the webhook {webhook_id}")
        await _told_relay(engine, place)

    async def test(self, webhook_id: str) -> Handle[Any]:
        """Send it a `webhook.test`, once, also when it is not active; the handle waits for it."""
        engine = await self._app.engine()
        document = await _document(engine, webhook_id)
        at = (await engine.marks([])).at
        task_id = self._app.new_id(QUEUE)
        data = {"webhook_id": document.key, "name": stored(document).webhook.name}
        task = delivery(task_id, document.key, "webhook.test", at, data)
        await engine.enqueue([msgspec.structs.replace(task, max_attempts=1)])
        return self._app.handle(task_id)

    async def notify(
        self,
        event: str,
        data: Mapping[str, Any],
        *,
        webhook_id: str | None = None,
        key: str | None = None,
    ) -> tuple[Handle[Any], ...]:
        """Tell of something that is no task, such as `alert.raised`; answers the deliveries.

        To one webhook, whatever its events, or to all active ones that have this event. The same
        `key` tells a webhook only once. Raises `WebhookNotFound`, and `PayloadError` for data that
        is no JSON object.
        """
        engine = await self._app.engine()
        if webhook_id is not None:
            told = [(await _document(engine, webhook_id)).key]
        else:
            told = [each.id for each in await active(engine) if event in each.events]
        at = (await engine.marks([])).at
        tasks = [
            delivery(
                self._app.new_id(QUEUE) if key is None else delivery_id(each, key, QUEUE),
                each,
                event,
                at,
                data,
            )
            for each in told
        ]
        await engine.enqueue(tasks)
        return tuple(self._app.handle(task.id) for task in tasks)

    async def deliveries(
        self, webhook_id: str, *, limit: int = 100, before: str | None = None
    ) -> TaskPage:
        """The tasks that deliver to it, newest first; `before` is the cursor of the last page.

        Raises `WebhookNotFound`.
        """
        engine = await self._app.engine()
        key = (await _document(engine, webhook_id)).key
        return await engine.find(
            TaskQuery(queues=frozenset({QUEUE}), tags=(tag_of(key),), limit=limit, before=before)
        )

    def _check(self, url: str) -> None:
        told = self._app.settings.webhooks
        checked_url(url, allow=told.networks, allow_http=told.allow_http)

    async def _change(
        self,
        webhook_id: str,
        if_version: int | None,
        change: Callable[[Stored, datetime], Stored],
    ) -> tuple[Stored, int]:
        engine = await self._app.engine()
        for _ in range(ROUNDS):
            place = await _place(engine)
            document = await _document(engine, webhook_id)
            after = change(stored(document), (await engine.marks([])).at)
            version = document.version if if_version is None else if_version
            [written] = await engine.put([after.put(version)])
            if written is not None:
                await _told_relay(engine, place)
                return after, written.version
            if if_version is not None:
                raise ChangedMeanwhile(f"the webhook {webhook_id}")
        raise Conflict(f"the webhook {webhook_id} was changed by others {ROUNDS} times")


async def active(engine: Engine) -> list[Webhook]:
    """The active webhooks; without those whose definition cannot be read."""
    found = []
    for document in await engine.documents(WEBHOOK):
        with suppress(ConfigError):
            found.append(stored(document).webhook)
    return [each for each in found if each.active]


def _details(said: Mapping[str, Any]) -> dict[str, Any]:
    return {name: names(value) if name in _DETAILS else value for name, value in said.items()}


def _info(document: Document) -> WebhookInfo:
    return WebhookInfo(stored(document).webhook, document.version)


def _created(made: Stored, document: Document | None) -> WebhookCreated:
    version = document.version if document else 1
    return WebhookCreated(made.webhook, version, made.secrets[0].text)


async def _document(engine: Engine, webhook_id: str) -> Document:
    try:
        [found] = await engine.get(WEBHOOK, [parse_id(webhook_id)])
    except ValueError:
        found = None
    if found is None:
        raise WebhookNotFound(webhook_id)
    return found


class _Place(msgspec.Struct, frozen=True):
    """Where the relay is, and where it has to begin if nobody is told of anything yet."""

    document: Document | None
    end: str
    idle: bool


async def _place(engine: Engine) -> _Place:
    [document] = await engine.get(RELAY, [PLACE])
    end = (await engine.feed(None, 1, timedelta(0))).cursor
    return _Place(document, end, not await active(engine))


async def _told_relay(engine: Engine, before: _Place) -> None:
    """Let every relay read the webhooks anew before it moves on.

    A relay moves on only from the version of its place at which it read the webhooks, so none can
    pass over what happens after this returns. Where no webhook was active nobody has moved it, and
    it begins at the end. If another change came first, that one has done so.
    """
    document = before.document
    cursor = before.end if document is None or before.idle else document.body.decode()
    version = document.version if document else 0
    for _ in range(ROUNDS):
        [written] = await engine.put([Put(RELAY, PLACE, cursor.encode(), version)])
        if written is not None:
            return
        [document] = await engine.get(RELAY, [PLACE])
        if document is not None:
            cursor, version = document.body.decode(), document.version
    raise Conflict(f"the webhooks were changed by others {ROUNDS} times")
