"""`context:backfill` links the mails of before to the contexts that they belong to."""

import asyncio
from pathlib import Path

import pytest
from sqlalchemy import select

from apps.tests.mailroom.maintenance import at_work, home, rows, someone, stored
from tidemill import State, TaskFailedError
from tidemill.testing import Harness
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.contexts import (
    NewContext,
    SmartContext,
    add_context,
    contexts_of,
    delete_context,
)
from tidemill_apps.mailroom.opening import Mailroom
from tidemill_apps.mailroom.tasks import backfill
from tidemill_apps.mailroom.tasks.backfill import Backfilled, context_backfill

__all__ = ["home"]


def mail(number: int, text: str, to: str = "bob@mill.example") -> bytes:
    return (
        f"From: Ada <ada@mill.example>\nTo: {to}\nMessage-ID: <{number}@mill.example>\n"
        f"Subject: {number}\n\n{text}\n"
    ).encode()


MAILS = [mail(number, "the perl of the mill" if number % 3 else "properly") for number in range(12)]
PERL = 8


async def context(room: Mailroom, user_id: str, *keywords: str, people: str = "") -> SmartContext:
    new = NewContext(" ".join([*keywords, people]), keywords, (people,) if people else ())
    async with room.database.writing() as session:
        return await add_context(session, user_id, new)


async def backfilled(harness: Harness, user_id: str, context_id: str | None = None) -> Backfilled:
    handle = await context_backfill.enqueue(user_id, context_id)
    await harness.drain()
    return await handle.result()


async def links(room: Mailroom) -> int:
    return len(await rows(room, select(tables.context_links)))


@pytest.fixture
def small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(backfill, "BATCH", 5)


@pytest.mark.usefixtures("small_batches")
async def test_each_mail_with_the_word_is_linked_once_however_often_it_runs(home: Path) -> None:
    async with at_work(home) as (harness, room):
        ann, bob = await someone(room), await someone(room, "bob")
        await stored(room, ann, MAILS)
        await stored(room, bob, MAILS)
        perl = await context(room, ann, "perl")
        assert await backfilled(harness, ann, perl.id) == Backfilled(len(MAILS), PERL, PERL)
        assert await backfilled(harness, ann, perl.id) == Backfilled(len(MAILS), PERL, 0)
        assert await links(room) == PERL
        [*_, task] = await harness.tasks(task_type="context:backfill")
        assert task.progress is not None
        assert (task.progress.percent, task.progress.done) == (100, len(MAILS))


async def test_a_word_that_no_mail_has_links_nothing(home: Path) -> None:
    async with at_work(home) as (harness, room):
        ann = await someone(room)
        await stored(room, ann, MAILS)
        nothing = await context(room, ann, "zzzz")
        assert await backfilled(harness, ann, nothing.id) == Backfilled(len(MAILS), 0, 0)


async def test_without_a_context_all_of_a_user_are_filled_and_recipients_count(home: Path) -> None:
    async with at_work(home) as (harness, room):
        ann = await someone(room)
        await stored(room, ann, [*MAILS, mail(99, "nothing", "Eve@Pond.example")])
        await context(room, ann, "perl")
        await context(room, ann, people="eve@pond.example")
        assert await backfilled(harness, ann) == Backfilled(13, PERL + 1, PERL + 1)


async def test_the_context_of_somebody_else_is_refused_at_once(home: Path) -> None:
    async with at_work(home) as (harness, room):
        ann, bob = await someone(room), await someone(room, "bob")
        perl = await context(room, ann, "perl")
        with pytest.raises(TaskFailedError, match=f"has no context {perl.id}"):
            await backfilled(harness, bob, perl.id)
        [task] = await harness.tasks(task_type="context:backfill")
        assert task.attempt == 1


@pytest.mark.usefixtures("small_batches")
async def test_a_context_that_is_deleted_meanwhile_ends_it_and_keeps_no_link(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_work(home) as (harness, room):
        ann = await someone(room)
        await stored(room, ann, MAILS)
        perl = await context(room, ann, "perl")
        link = backfill._link  # the moment between two batches

        async def linked_and_deleted(*args: object) -> int:
            new = await link(*args)  # type: ignore[arg-type]  # as it was called
            async with room.database.writing() as session:
                if await contexts_of(session, ann):
                    await delete_context(session, ann, perl.id)
            return new

        monkeypatch.setattr(backfill, "_link", linked_and_deleted)
        await context_backfill.enqueue(ann, perl.id)
        await harness.drain()
        [task] = await harness.tasks(task_type="context:backfill")
        assert (task.state, task.reason) == (
            State.CANCELLED,
            f"context {perl.id} was deleted meanwhile",
        )
        assert await links(room) == 0


@pytest.mark.usefixtures("small_batches")
async def test_cancelled_between_batches_it_keeps_what_is_linked(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_work(home) as (harness, room):
        ann = await someone(room)
        await stored(room, ann, MAILS)
        perl = await context(room, ann, "perl")
        handle = await context_backfill.enqueue(ann, perl.id)
        link = backfill._link  # the moment between two batches

        async def linked_and_cancelled(*args: object) -> int:
            new = await link(*args)  # type: ignore[arg-type]  # as it was called
            await handle.cancel("enough")
            await asyncio.Event().wait()  # until the cancel is here
            return new

        monkeypatch.setattr(backfill, "_link", linked_and_cancelled)
        await harness.drain()
        assert (await handle.get()).state is State.CANCELLED
        assert 0 < await links(room) <= 5
