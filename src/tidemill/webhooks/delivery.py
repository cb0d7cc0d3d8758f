"""The task type that sends one signed request, and what follows from the answer."""

import asyncio
import random
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

import msgspec

from tidemill.app import Tidemill
from tidemill.app.schedules import ROUNDS
from tidemill.app.webhook import QUEUE, TASK_TYPE, WAITS, WEBHOOK, Stored, stored
from tidemill.clock import SystemClock, from_micros
from tidemill.codec import Codec
from tidemill.context import Context
from tidemill.engine import Engine
from tidemill.errors import OutboundRefused, Permanent, Retry
from tidemill.events import WebhookDisabled
from tidemill.outcome import Cancel
from tidemill.task_type import TaskType, declare
from tidemill.webhooks.signing import sign

if TYPE_CHECKING:
    import httpx

PATIENCE: Final = timedelta(seconds=15)
"""For one request, from the look-up of the name to the answer's headers (Standard Webhooks)."""

GIVEN_UP_AFTER: Final = timedelta(days=5)
"""A webhook whose deliveries have all failed for so long is disabled."""

LONGEST_WAIT: Final = WAITS[-1]
TEST: Final = "webhook.test"

_GONE: Final = 410
_LATER: Final = frozenset({429, 503})


class Delivery:
    """Delivers notices for one application; `task_types` is what a worker needs to know of it.

    There is none where httpx is not installed: then this process delivers nothing.
    """

    def __init__(self, app: Tidemill) -> None:
        self._app = app
        self._client: httpx.AsyncClient | None = None

    @property
    def task_types(self) -> tuple[TaskType, ...]:
        """The task type of deliveries."""
        if find_spec("httpx") is None:
            return ()
        settings = self._app.settings
        made = declare(
            self.deliver,
            settings.defaults,
            codec=Codec(limit=settings.payload_limit),
            name=TASK_TYPE,
            queue=QUEUE,
            max_attempts=len(WAITS) + 1,
            timeout=2 * PATIENCE,
        )
        return (made,)

    async def close(self) -> None:
        """Close the connections that are kept open between deliveries."""
        client, self._client = self._client, None
        if client is not None:
            await client.aclose()

    async def deliver(
        self, ctx: Context, webhook: str, type: str, timestamp: str, data: dict[str, Any]
    ) -> int | Cancel:
        """Send one notice; answers the status with which it was accepted."""
        engine = await self._app.engine()
        [document] = await engine.get(WEBHOOK, [webhook])
        if document is None:
            return Cancel("the webhook was deleted")
        now = (await engine.marks([])).at
        told = stored(document)
        if not told.webhook.active and type != TEST:
            return Cancel("the webhook is not active")
        body = msgspec.json.encode({"type": type, "timestamp": timestamp, "data": data})
        signed = sign(told.signing(now), ctx.task_id, from_micros(SystemClock().now()), body)
        answer = await self._send(told.webhook.url, signed, body)
        if answer.accepted:
            if told.webhook.failing_since is not None:
                await self._mark(engine, webhook, lambda it: it.changed(failing_since=None))
            return answer.status
        if type != TEST:
            await self._note_failure(engine, webhook, answer, now)
        if answer.hopeless:
            raise Permanent(answer.problem)
        raise Retry(wait_of(ctx, answer), answer.problem)

    async def _send(self, url: str, headers: dict[str, str], body: bytes) -> "Answer":
        """One request. Of the answer only status and headers are read."""
        import httpx  # noqa: PLC0415  # who delivers nothing needs it not

        host = urlsplit(url).hostname  # the rest of a URL may be a secret
        sent = {**headers, "Content-Type": "application/json"}
        try:
            async with asyncio.timeout(PATIENCE.total_seconds()):
                opened = self._open().stream("POST", url, content=body, headers=sent)
                async with opened as response:
                    return _answer(str(host), response.status_code, response.headers)
        except OutboundRefused as error:
            return Answer(str(error), hopeless=True)
        except (httpx.TimeoutException, TimeoutError):
            return Answer(f"{host} did not answer within {PATIENCE.total_seconds():.0f} s")
        except (httpx.HTTPError, httpx.InvalidURL) as error:
            return Answer(f"{host}: {type(error).__name__}: {error}")

    def _open(self) -> "httpx.AsyncClient":
        if self._client is None:
            from tidemill.outbound.transport import guarded_client  # noqa: PLC0415  # the same

            told = self._app.settings.webhooks
            self._client = guarded_client(
                allow=told.networks, allow_http=told.allow_http, timeout=PATIENCE
            )
        return self._client

    async def _note_failure(
        self, engine: Engine, webhook: str, answer: "Answer", now: datetime
    ) -> None:
        """Remember since when deliveries fail; disable what is gone, or has failed for days."""

        def noted(told: Stored) -> Stored:
            reason = why_disabled(told.webhook.failing_since, answer, now)
            if reason and told.webhook.active:
                return told.changed(active=False, disabled=reason)
            return told.changed(failing_since=told.webhook.failing_since or now)

        before, after = await self._mark(engine, webhook, noted)
        if before.webhook.active and not after.webhook.active:
            kept = after.webhook
            self._app.bus.emit(WebhookDisabled(kept.id, kept.name, kept.disabled))

    async def _mark(
        self, engine: Engine, webhook: str, change: Callable[[Stored], Stored]
    ) -> tuple[Stored, Stored]:
        """Change what is kept of a webhook, and answer it before and after."""
        for _ in range(ROUNDS):
            [document] = await engine.get(WEBHOOK, [webhook])
            if document is None:
                break
            before = stored(document)
            after = change(before)
            if after == before:
                return before, after
            [written] = await engine.put([after.put(document.version)])
            if written is not None:
                return before, after
        raise Retry(reason=f"the webhook {webhook} is being changed by others")


class Answer(msgspec.Struct, frozen=True):
    """What a receiver answered, or why there is no answer (`status` 0).

    `problem` is empty where it accepted the notice. `hopeless`: another try would end the same.
    """

    problem: str
    status: int = 0
    retry_after: timedelta | None = None
    hopeless: bool = False

    @property
    def accepted(self) -> bool:
        """Whether the notice has arrived."""
        return not self.problem


def _answer(host: str, status: int, headers: "httpx.Headers") -> Answer:
    if 200 <= status < 300:
        return Answer("", status)
    later = retry_after(headers.get("retry-after", "")) if status in _LATER else None
    return Answer(f"{host} answered {status}", status, later, hopeless=status == _GONE)


def retry_after(text: str) -> timedelta | None:
    """How long a `Retry-After` asks to wait, at most a day; None for what is neither form of it."""
    wait = None
    if text.isascii() and text.isdecimal():
        wait = timedelta(seconds=min(int(text), LONGEST_WAIT.total_seconds()))
    else:
        with suppress(ValueError):
            at = parsedate_to_datetime(text)
            wait = at.replace(tzinfo=at.tzinfo or UTC) - from_micros(SystemClock().now())
    return None if wait is None else max(timedelta(seconds=1), min(wait, LONGEST_WAIT))


def wait_of(ctx: Context, answer: Answer) -> timedelta:
    """How long to wait for the next attempt: as the receiver asks, else by the table of waits.

    Up to a tenth more, so that what failed together does not come back together.
    """
    if answer.retry_after is not None:
        return answer.retry_after
    claim = ctx.claim
    within_budget = claim.max_attempts - (claim.attempt_limit - claim.attempt)
    wait = WAITS[min(within_budget, len(WAITS)) - 1]
    return wait * random.uniform(1.0, 1.1)  # noqa: S311  # spreads load; it keeps no secret


def why_disabled(failing_since: datetime | None, answer: Answer, now: datetime) -> str:
    """Why a webhook whose delivery failed is told nothing any more; empty: it is."""
    if answer.status == _GONE:
        return "its receiver answered 410: it wants no more"
    if failing_since is not None and now - failing_since >= GIVEN_UP_AFTER:
        return f"its deliveries failed for {GIVEN_UP_AFTER.days} days: {answer.problem}"
    return ""
