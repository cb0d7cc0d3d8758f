"""How alerts reach people: tasks of Tidemill's own, so that they are retried like any other.

Each channel is told by a task of its own, whose id follows from the crossing: however often it is
enqueued, it is one task. Webhooks are told by deliveries of theirs.
"""

from collections.abc import Iterable, Mapping
from datetime import timedelta
from typing import Final, Literal

import msgspec

from tidemill.alert import AlertEmail, AlertLevel, AlertSettings, Notice
from tidemill.alerts import words
from tidemill.alerts.notices import FailuresNotice
from tidemill.app import Tidemill
from tidemill.backoff import exponential
from tidemill.codec import Codec
from tidemill.context import Context
from tidemill.errors import ConfigError
from tidemill.ids import named_id
from tidemill.retry import RetryPolicy
from tidemill.task import NewTask
from tidemill.task_type import TaskType, declare

QUEUE: Final = "tidemill.alerts"
TELL, TELL_FAILURES = "tidemill.alert", "tidemill.failures"
RAISED, OVER, FAILURES = "alert.raised", "alert.over", "alert.failures"
"""The events that webhooks may ask for."""

ATTEMPTS: Final = 10
"""Over about two hours: after that an alert is old."""

Channel = Literal["log", "email"]


class Delivery:
    """Enqueues what is told, for each channel; `task_types` is what a worker needs to tell it."""

    def __init__(self, app: Tidemill, settings: AlertSettings) -> None:
        self._app = app
        self._email = settings.email
        self.task_types = tuple(
            declare(
                function,
                app.settings.defaults,
                codec=Codec(limit=app.settings.payload_limit),
                name=name,
                queue=QUEUE,
                max_attempts=ATTEMPTS,
                timeout=timedelta(minutes=1),
                retry=RetryPolicy(backoff=exponential(5, cap=1800)),
            )
            for name, function in ((TELL, self.deliver), (TELL_FAILURES, self.deliver_failures))
        )
        self._by_name: Mapping[str, TaskType] = {each.name: each for each in self.task_types}

    async def tell(self, news: Iterable[tuple[Notice, int]]) -> None:
        """Enqueue notices, each with the version of the standing that it comes from."""
        channels: tuple[Channel, ...] = ("log", "email") if self._email.host else ("log",)
        tasks = []
        for notice, version in news:
            crossing = f"{notice.rule}/{notice.subject}/{version}/{notice.level:d}"
            tasks += [
                self._task(TELL, f"{channel}/{crossing}", channel=channel, notice=notice)
                for channel in channels
            ]
            event = RAISED if notice.level else OVER
            data = {**_plain(notice), "level": notice.level.name.lower()}
            await self._app.webhooks.notify(event, data, key=crossing)
        await (await self._app.engine()).enqueue(tasks)

    async def tell_failures(self, news: Iterable[tuple[FailuresNotice, int]]) -> None:
        """The same for notices of failed tasks, of which the log has a line each already."""
        tasks = []
        for notice, version in news:
            crossing = f"{notice.queue}/{notice.task_type}/{version}"
            if self._email.host:
                tasks.append(self._task(TELL_FAILURES, f"email/{crossing}", notice=notice))
            await self._app.webhooks.notify(FAILURES, _plain(notice), key=crossing)
        await (await self._app.engine()).enqueue(tasks)

    def _task(self, task_type: str, crossing: str, **payload: object) -> NewTask:
        return NewTask(
            id=named_id(f"{task_type}:{crossing}", QUEUE),
            task_type=task_type,
            payload=self._by_name[task_type].signature.bind((), payload),
            queue=QUEUE,
            priority=9,
            max_attempts=ATTEMPTS,
        )

    async def deliver(self, ctx: Context, channel: Channel, notice: Notice) -> None:
        """Tell one channel of a crossing."""
        if channel == "log":
            _log(ctx, notice)
        else:
            await _send(self._email, words.title(notice), words.body(notice))

    async def deliver_failures(self, notice: FailuresNotice) -> None:
        """Tell by e-mail of tasks that failed."""
        await _send(self._email, words.failures_title(notice), words.failures_body(notice))


def _plain(notice: msgspec.Struct) -> dict[str, object]:
    plain: dict[str, object] = msgspec.to_builtins(notice)
    return plain


def _log(ctx: Context, notice: Notice) -> None:
    if notice.level is AlertLevel.FINE:
        ctx.logger.info("%s", words.title(notice))
    elif notice.level is AlertLevel.WARNING:
        ctx.logger.warning("%s", words.title(notice))
    else:
        ctx.logger.error("%s", words.title(notice))


async def _send(email: AlertEmail, title: str, text: str) -> None:
    """Send an e-mail; raises what the server's answer means."""
    if email.host is None:
        raise ConfigError("alerts.email is not set in this process: this alert is for e-mail")
    from email.message import EmailMessage  # noqa: PLC0415  # only where e-mail is set up

    try:
        from aiosmtplib import send  # noqa: PLC0415  # an extra
    except ImportError:
        raise ConfigError("alerts by e-mail need a package: pip install 'tidemill[smtp]'") from None
    message = EmailMessage()
    message["From"], message["To"] = email.sender, ", ".join(email.to)
    message["Subject"] = f"[Tidemill] {title}"
    message.set_content(text)
    await send(
        message,
        hostname=email.host,
        port=email.port,
        username=email.username,
        password=email.password,
        start_tls=email.encryption == "starttls",
        use_tls=email.encryption == "tls",
        timeout=30,
    )
