"""`health:alerts` keeps what crossed a threshold, `health:tell` sends it to the operator."""

from datetime import timedelta
from typing import Final

import msgspec

from tidemill import Cancel, Context, RetryPolicy, exponential
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.app import MAINTENANCE, app, mailroom
from tidemill_apps.mailroom.noticing import Notice, last_told, news, notice_of, title
from tidemill_apps.mailroom.retrying import SYNCING
from tidemill_apps.services.database import insert_if_absent, utc_now
from tidemill_apps.services.mailer import Mailer, Sent

STEPS: Final = {"look": 50, "keep": 50}
TELLING: Final = RetryPolicy(10, exponential(5, cap=1800, jitter=True))
"""Over about an hour: a mail server that is down for a while loses no alert."""


@app.task(
    name="health:alerts",
    queue=MAINTENANCE,
    priority=1,
    timeout=timedelta(minutes=1),
    retry=SYNCING,
    unique="all",
    retention=timedelta(days=1),
    steps=STEPS,
)
async def health_alerts(ctx: Context) -> tuple[Notice, ...]:
    """Keep each alert that was crossed since the last look, and each that is over, once.

    Tidemill watches, by the rules of docs/alerts.md. What is crossed and over again between two
    looks is told by Tidemill's own log, webhooks and e-mail only. Answers what was news; each is
    told by a task of its own where `notify` says to whom.
    """
    room = ctx.use(mailroom)
    await ctx.step("look")
    alerts = await app.alerts.list()
    await ctx.step("keep")
    kept: list[Notice] = []
    async with room.database.writing() as session:
        for notice in news(await last_told(session), alerts, utc_now()):
            if await insert_if_absent(session, tables.notices, msgspec.structs.asdict(notice)):
                kept.append(notice)
                if room.place.mailroom.notify is not None:
                    await room.outbox.enqueue_after_commit(session, health_tell.call(notice.key))
    await ctx.step("keep", 1, 1)
    return tuple(kept)


@app.task(
    name="health:tell",
    queue=MAINTENANCE,
    priority=1,
    timeout=timedelta(minutes=5),
    retry=TELLING,
    unique="{key}",
)
async def health_tell(ctx: Context, key: str) -> Sent | Cancel:
    """Send one notice to whom `notify` names, each of them once however often it runs."""
    room = ctx.use(mailroom)
    notify = room.place.mailroom.notify
    if notify is None:
        return Cancel("applications.mailroom.notify names nobody who is told by mail")
    async with room.database.reading() as session:
        notice = await notice_of(session, key)
    context = {
        "title": title(notice, notify.lang),
        "lines": [notice.text],
        "link": None,
        "application": "mailroom",
    }
    mailer = Mailer(notify.server, room.database)
    return await mailer.send("notice", notify.lang, notify.to, context, f"notice:{notice.key}")


app.schedule("health:alerts", health_alerts, cron="* * * * *")
