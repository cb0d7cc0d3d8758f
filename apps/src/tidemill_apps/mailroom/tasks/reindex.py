"""`email:reindex` embeds mail again: with another model, or where the index was lost."""

import asyncio
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Final

import msgspec

from tidemill import Context, Permanent, Snooze, SoftTimeout
from tidemill_apps.mailroom.app import MAINTENANCE, app, mailroom
from tidemill_apps.mailroom.opening import Mailroom
from tidemill_apps.mailroom.reindexing import (
    TASK_TYPE,
    Indexable,
    Scope,
    begin,
    counted,
    found_by_others,
    keep,
    left,
)
from tidemill_apps.mailroom.retrying import EMBEDDING

STEPS: Final = {"begin": 1, "index": 98, "switch": 1}
BATCH: Final = 100
MOST_NAMED: Final = 100
TIMEOUT: Final = timedelta(minutes=30)
SOFT_TIMEOUT: Final = timedelta(minutes=28)


class Refused(msgspec.Struct, frozen=True):
    """A mail that cannot be indexed, and why."""

    mail_id: str
    reason: str


class Reindexed(msgspec.Struct, frozen=True):
    """How many mails search finds by `model` now, and the first 100 of those that it cannot.

    `live`: questions are answered by this model. `dropped` are the vectors of the one before.
    """

    model: str
    done: int
    failures: int
    failed: tuple[Refused, ...]
    live: bool
    dropped: str | None


@app.task(
    name=TASK_TYPE,
    queue=MAINTENANCE,
    priority=1,
    timeout=TIMEOUT,
    soft_timeout=SOFT_TIMEOUT,
    retry=EMBEDDING,
    unique="{user_id}:{model}",
    steps=STEPS,
)
async def email_reindex(
    ctx: Context,
    user_id: str | None = None,
    since: Annotated[datetime, msgspec.Meta(tz=True)] | None = None,
    model: str | None = None,
) -> Reindexed | Snooze:
    """Index all mails anew, those of one user, or those sent since an instant.

    The model is that of the configuration; a `model` that is another one is refused, so that a
    worker that still has the old configuration does no harm. With a new model the old vectors
    answer until no mail is left that they alone can find; then the new ones do, and the old are
    dropped. What is done stays done: an attempt goes on where the last one was, and what takes
    longer than its time goes on in another run.
    """
    room = ctx.use(mailroom)
    scope = Scope(room.embedder.model_id, user_id, since)
    if model not in (None, scope.model):
        raise Permanent(
            f"this worker embeds with {scope.model}, not with {model}: change "
            "ai.active_services.embedding and start the workers again",
            code="other_model",
        )
    await ctx.step("begin")
    await asyncio.to_thread(_check, room)
    async with room.database.writing() as session:
        await begin(session, scope, ctx.task_id)
    refused: dict[str, Refused] = {}
    try:
        # mail that is stored or found anew meanwhile has any id: until nothing is left
        while await _sweep(ctx, room, scope, refused):
            pass
    except SoftTimeout:
        return Snooze(timedelta(), "goes on in another run: its time was over")
    await ctx.step("switch")
    dropped = await _switch(room, scope.model)
    live = await asyncio.to_thread(room.index.live)
    async with room.database.reading() as session:
        done, _ = await counted(session, scope)
    await ctx.step("switch", 1, 1)
    return Reindexed(
        model=scope.model,
        done=done,
        failures=len(refused),
        failed=tuple(refused.values())[:MOST_NAMED],
        live=live == room.index.generation,
        dropped=dropped,
    )


class _Put(msgspec.Struct, frozen=True):
    """What became of a batch: passages by mail, and mails that were refused."""

    passages: dict[str, int]
    refused: tuple[Refused, ...]


async def _sweep(ctx: Context, room: Mailroom, scope: Scope, refused: dict[str, Refused]) -> bool:
    """Index once what is left of a scope; answers whether there was anything."""
    cursor, any_left = "", False
    while True:
        async with room.database.reading() as session:
            mails = await left(session, scope, cursor, BATCH)
            done, total = await counted(session, scope)
        await ctx.step("index", done + len(refused), total)
        if not mails:
            return any_left
        cursor = mails[-1].id
        tried = [mail for mail in mails if mail.id not in refused]
        any_left |= bool(tried)
        put = await asyncio.to_thread(_put, ctx, room, tried)
        async with room.database.writing() as session:
            await keep(session, scope.model, put.passages, [each.mail_id for each in put.refused])
        for each in put.refused:
            refused[each.mail_id] = each
            ctx.logger.warning("mail %s cannot be indexed: %s", each.mail_id, each.reason)


def _put(ctx: Context, room: Mailroom, mails: Sequence[Indexable]) -> _Put:
    passages: dict[str, int] = {}
    refused: list[Refused] = []
    for mail in mails:
        if ctx.should_stop:
            break
        try:
            passages[mail.id] = room.index.put(
                mail.user_id, mail.id, mail.subject, mail.text, mail.sent_at
            )
        except Permanent as error:
            _check(room)
            refused.append(Refused(mail.id, error.reason))
    return _Put(passages, tuple(refused))


def _check(room: Mailroom) -> None:
    """Raise what the embedder or the store has against any mail, and not against one."""
    room.embedder.embed(["."])
    room.index.live()


async def _switch(room: Mailroom, model: str) -> str | None:
    """Let the own vectors answer, unless others still find what they do not."""
    if await asyncio.to_thread(room.index.live) in (None, room.index.generation):
        return None
    async with room.database.reading() as session:
        if await found_by_others(session, model):
            return None
    return await asyncio.to_thread(room.index.switch)
