"""Reads the engine's feed, and enqueues a delivery for each webhook that is to be told.

Any number of nodes may run one. They share a place in the feed, kept as a document, and one of them
moves it: who loses stands by and looks now and then whether the place still moves. A delivery's
id follows from the webhook and the transition, so what is enqueued twice is one task.
"""

import random
import time
from collections.abc import Sequence
from datetime import timedelta
from typing import Final

from tidemill.app import Tidemill
from tidemill.app.repeating import repeat
from tidemill.app.webhook import WEBHOOK, Webhook, stored
from tidemill.app.webhooks import PLACE, RELAY
from tidemill.engine import Document, Engine, FeedPage, Put, TaskQuery
from tidemill.errors import ConfigError, QueueFull
from tidemill.events import WebhookDisabled, WebhooksMissed
from tidemill.task import NewTask
from tidemill.webhooks.matching import delivery_of, matching, owned

PAGE: Final = 1_000
BATCH: Final = 500
"""Deliveries enqueued at once."""

LOOK_EVERY: Final = 2.0
"""Seconds between looks for webhooks while there are none."""

PATIENCE: Final = timedelta(seconds=5)
"""How long one look at the feed waits; after one in vain the webhooks are read anew."""

SAVE_EVERY: Final = timedelta(seconds=1)
"""How far the kept place may lag behind while nothing is to be told."""

STILL: Final = timedelta(seconds=3)
"""A place that has not moved for so long, with something to read after it, is taken over."""

NO_TIME: Final = timedelta(0)


class Relay:
    """Tells webhooks of transitions, each at least once, as long as the feed keeps them.

    Without an active webhook it looks for one every other second, and does not read the feed. It
    emits `WebhooksMissed` when the feed was cut before it was read, and `WebhookDisabled` for a
    definition that cannot be read.
    """

    def __init__(self, app: Tidemill) -> None:
        self._app = app
        self._webhooks: Sequence[Webhook] = ()
        self._place: Document | None = None
        self._cursor = ""
        self._saved_at = 0.0
        self._leads = True
        self._unreadable: set[tuple[str, int]] = set()

    async def run(self) -> None:
        """Relay until cancelled; raises the error of an engine that refuses."""
        await repeat(self._app, "webhooks", self._turn)

    async def _turn(self, engine: Engine) -> float:
        """Do what is to be done now; answers after how many seconds to do it again."""
        place = self._place or await self._look(engine)
        if not self._webhooks or place is None:
            self._place = None
            return _about(LOOK_EVERY)
        if not self._leads and not await self._is_still(engine, place):
            self._place = None
            return _about(STILL.total_seconds())
        self._place = place
        page = await engine.feed(self._cursor, PAGE, self._patience(place))
        if not page.entries and not page.cut and self._cursor == place.body.decode():
            self._place = None
            return 0 if self._leads else _about(STILL.total_seconds())
        return await self._relay(engine, place, page)

    async def _look(self, engine: Engine) -> Document | None:
        """Read the place, then the webhooks; and begin at the end where there is no place yet."""
        [place] = await engine.get(RELAY, [PLACE])
        self._webhooks = [each for each in await self._read(engine) if each.active]
        if self._webhooks and place is None:
            end = (await engine.feed(None, 1, NO_TIME)).cursor
            await engine.put([Put(RELAY, PLACE, end.encode(), 0)])
            [place] = await engine.get(RELAY, [PLACE])
        if place is not None:
            self._cursor = place.body.decode()
            self._saved_at = time.monotonic()
        return place

    async def _read(self, engine: Engine) -> list[Webhook]:
        found = []
        for document in await engine.documents(WEBHOOK):
            try:
                found.append(stored(document).webhook)
            except ConfigError as problem:
                if (document.key, document.version) not in self._unreadable:
                    self._unreadable.add((document.key, document.version))
                    self._app.bus.emit(WebhookDisabled(document.key, "", str(problem)))
        return found

    async def _is_still(self, engine: Engine, place: Document) -> bool:
        return (await engine.marks([])).at - place.at >= STILL

    def _patience(self, place: Document) -> timedelta:
        if not self._leads:
            return NO_TIME
        return PATIENCE if self._cursor == place.body.decode() else SAVE_EVERY

    async def _relay(self, engine: Engine, place: Document, page: FeedPage) -> float:
        tasks = await self._deliveries(engine, page)
        for start in range(0, len(tasks), BATCH):
            try:
                await engine.enqueue(tasks[start : start + BATCH])
            except QueueFull:
                return 1.0
        self._cursor = page.cursor
        saving = time.monotonic() - self._saved_at >= SAVE_EVERY.total_seconds()
        if tasks or page.cut or saving or not page.entries:
            return await self._save(engine, place, page)
        return 0

    async def _deliveries(self, engine: Engine, page: FeedPage) -> list[NewTask]:
        pairs = matching(page.entries, self._webhooks)
        asked = tuple({entry.task_id for webhook, entry in pairs if webhook.of_tenant})
        if asked:
            found = await engine.find(TaskQuery(ids=asked, limit=len(asked)))
            pairs = owned(pairs, {task.id: task for task in found.tasks})
        return [delivery_of(webhook, entry) for webhook, entry in pairs]

    async def _save(self, engine: Engine, place: Document, page: FeedPage) -> float:
        """Move the place; where somebody else did, or a webhook changed, look at all of it anew."""
        put = Put(RELAY, PLACE, self._cursor.encode(), place.version)
        [written] = await engine.put([put])
        self._saved_at = time.monotonic()
        self._place = written
        if written is not None:
            self._leads = True
            if page.cut:
                self._app.bus.emit(WebhooksMissed(place.at, len(self._webhooks)))
            return 0
        [now] = await engine.get(RELAY, [PLACE])
        # A change of a webhook leaves the place where it was.
        self._leads = now is not None and now.body == place.body
        return 0 if self._leads else _about(STILL.total_seconds())


def _about(seconds: float) -> float:
    """Within 20 % of it, so that the relays of many nodes drift apart."""
    return seconds * random.uniform(0.8, 1.2)  # noqa: S311  # spreads load; it keeps no secret
