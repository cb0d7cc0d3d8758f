"""`email:reindex`: another model, a lost index, a killed run; search answers all the while."""

from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from apps.tests.mailroom.maintenance import analyzed, at_work, home, rows, someone, stored
from tidemill import PayloadInvalid, Permanent, SoftTimeout, State, TaskFailedError
from tidemill.testing import Harness
from tidemill_apps.mailroom import reindexing, tables
from tidemill_apps.mailroom.opening import Mailroom
from tidemill_apps.mailroom.tasks import reindex
from tidemill_apps.mailroom.tasks.reindex import Reindexed, email_reindex
from tidemill_apps.services.embedder import EmbedKind, HashingEmbedder, Matrix
from tidemill_apps.services.errors import Unavailable
from tidemill_apps.services.sqlite_file import SqliteFile
from tidemill_apps.services.vectors import SqliteVectors

__all__ = ["home"]

OLD, NEW = HashingEmbedder(64), HashingEmbedder(128)
MAILS = 13


class Failing:
    """An embedder that fails where `text` is in what it is given, or after so many calls."""

    def __init__(self, error: Exception, *, text: str = "", after: int | None = None) -> None:
        self.dim, self.model_id = NEW.dim, NEW.model_id
        self.error = error
        self.text = text
        self.left = after

    def embed(self, texts: Sequence[str], kind: EmbedKind = "passage") -> Matrix:
        if self.text and any(self.text in each for each in texts):
            raise self.error
        if self.left is not None:
            if self.left == 0:
                raise self.error
            self.left -= 1
        return NEW.embed(texts, kind)


def mail(number: int) -> bytes:
    return (
        f"From: ada@mill.example\nMessage-ID: <{number}@mill.example>\n"
        f"Date: {1 + number % 28} Mar 2024 09:00:00 +0000\n"
        f"Subject: sluice {number}\n\nThe gate with the number {number} is to be repaired.\n"
    ).encode()


async def filled(room: Mailroom, user: str = "ann", first: int = 0) -> str:
    """A user whose mail is analysed and not yet indexed; answers their id."""
    user_id = await someone(room, user)
    ids = await stored(room, user_id, [mail(number) for number in range(first, first + MAILS)])
    await analyzed(room, ids)
    return user_id


async def reindexed(
    harness: Harness, user_id: str | None = None, since: datetime | None = None
) -> Reindexed:
    handle = await email_reindex.enqueue(user_id, since)
    await harness.drain()
    return await handle.result()


def vectors(room: Mailroom) -> dict[str, int]:
    """How many vectors each generation has."""
    file = SqliteFile(room.place.index)
    store = SqliteVectors(file)
    counts = {each.name: store.count(each.name) for each in store.collections()}
    file.close()
    return counts


def lose_index(home: Path) -> None:
    for path in home.glob("index.db*"):
        path.unlink()


async def models(room: Mailroom) -> Counter[str | None]:
    """How many mails are found by which model."""
    mails = tables.mails.c
    return Counter(row.passages_of for row in await rows(room, select(mails.passages_of)))


@pytest.fixture(autouse=True)
def _small_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(reindex, "BATCH", 5)


async def test_all_mail_is_found_afterwards_and_spam_is_not(home: Path) -> None:
    async with at_work(home, OLD) as (harness, room):
        ann = await filled(room)
        [bad, new] = await stored(room, ann, [mail(500), mail(501)])
        await analyzed(room, [bad], is_spam=True)
        done = await reindexed(harness)
        assert done == Reindexed(OLD.model_id, MAILS, 0, (), live=True, dropped=None)
        assert vectors(room) == {"mail-hashed-trigrams-64": MAILS}
        hits = room.index.search(ann, "gate with the number 7", MAILS).hits
        assert len(hits) == MAILS
        assert not {bad, new} & {hit.mail_id for hit in hits}
        [task] = await harness.tasks(task_type="email:reindex")
        assert task.progress is not None
        assert (task.progress.step, task.progress.percent) == ("switch", 100)


async def test_with_another_model_the_old_vectors_answer_until_all_mail_has_new_ones(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_work(home, OLD) as (harness, room):
        ann = await filled(room)
        await reindexed(harness)
    async with at_work(home, NEW, former=[OLD]) as (harness, room):
        asked: list[tuple[str | None, bool]] = []
        put = room.index.put

        def asking(*said: Any) -> int:
            asked.append((room.index.live(), room.index.search(ann, "gate 7").degraded))
            return put(*said)

        monkeypatch.setattr(room.index, "put", asking)
        done = await reindexed(harness)
        assert asked == [("mail-hashed-trigrams-64", False)] * MAILS
        assert (done.model, done.done, done.live) == (NEW.model_id, MAILS, True)
        assert done.dropped == "mail-hashed-trigrams-64"
        assert vectors(room) == {"mail-hashed-trigrams-128": MAILS}
        assert await models(room) == {NEW.model_id: MAILS}
        assert not room.index.search(ann, "gate 7").degraded


async def test_a_part_leaves_the_old_vectors_until_the_other_part_is_done(home: Path) -> None:
    async with at_work(home, OLD) as (harness, room):
        ann, bob = await filled(room), await filled(room, "bob", first=100)
        await reindexed(harness)
    async with at_work(home, NEW, former=[OLD]) as (harness, room):
        part = await reindexed(harness, ann)
        assert (part.done, part.live, part.dropped) == (MAILS, False, None)
        assert vectors(room) == {
            "mail-hashed-trigrams-64": 2 * MAILS,
            "mail-hashed-trigrams-128": MAILS,
        }
        assert room.index.search(bob, "gate 7").hits
        rest = await reindexed(harness, bob)
        assert (rest.done, rest.live) == (MAILS, True)
        assert vectors(room) == {"mail-hashed-trigrams-128": 2 * MAILS}


async def test_a_run_that_breaks_off_goes_on_where_it_was(home: Path) -> None:
    embedder = Failing(Unavailable("the embedder is down", "unreachable"), after=12)
    async with at_work(home, embedder) as (harness, room):
        await filled(room)
        handle = await email_reindex.enqueue()
        await harness.drain()
        first = await models(room)
        assert (await handle.get()).state is State.SCHEDULED
        assert first == {NEW.model_id: 10, None: MAILS - 10}  # two batches of five
        embedder.left = MAILS - 12 + 1 + 1  # what has no vector, and the look at the start
        await harness.run_for(minutes=1)
        assert (await handle.result()).done == MAILS
        assert embedder.left == 0
        assert (await handle.get()).attempt == 2


async def test_what_was_lost_of_the_index_is_there_again(home: Path) -> None:
    async with at_work(home, NEW) as (harness, room):
        ann = await filled(room)
        await reindexed(harness)
    lose_index(home)
    async with at_work(home, NEW) as (harness, room):
        assert room.index.search(ann, "gate 7").hits == ()
        assert (await reindexed(harness)).done == MAILS
        assert vectors(room) == {"mail-hashed-trigrams-128": MAILS}
        assert len(room.index.search(ann, "gate 7", MAILS).hits) == MAILS


async def test_a_mail_that_is_refused_is_named_and_holds_up_nothing(home: Path) -> None:
    async with at_work(home, OLD) as (harness, room):
        await filled(room)
        await reindexed(harness)
    refusing = Failing(Permanent("too strange", code="invalid"), text="sluice 7")
    async with at_work(home, refusing, former=[OLD]) as (harness, room):
        done = await reindexed(harness)
        assert (done.done, done.failures, done.live) == (MAILS - 1, 1, True)
        assert [each.reason for each in done.failed] == ["too strange"]
        assert vectors(room) == {"mail-hashed-trigrams-128": MAILS - 1}
        assert await models(room) == {NEW.model_id: MAILS - 1, None: 1}


@pytest.mark.parametrize("after", [0, 4])
async def test_a_provider_that_refuses_everything_fails_the_run_and_no_mail(
    home: Path, after: int
) -> None:
    """At once, or from the fourth mail on."""
    async with at_work(home, OLD) as (harness, room):
        await filled(room)
        await reindexed(harness)
    refusing = Failing(Permanent("wrong key", code="auth_failed"), after=after)
    async with at_work(home, refusing, former=[OLD]) as (harness, room):
        with pytest.raises(TaskFailedError, match="wrong key"):
            await reindexed(harness)
        assert room.index.live() == "mail-hashed-trigrams-64"
        assert await models(room) == {OLD.model_id: MAILS}


async def test_only_mail_sent_since_then_is_indexed(home: Path) -> None:
    async with at_work(home, NEW) as (harness, room):
        await filled(room)
        done = await reindexed(harness, since=datetime(2024, 3, 10, tzinfo=UTC))
        assert done.done == 4  # of 13 mails, one a day from the first of March on
        with pytest.raises(PayloadInvalid):
            await email_reindex.enqueue(None, datetime(2024, 3, 10))  # noqa: DTZ001  # refused


async def test_a_worker_that_embeds_with_another_model_refuses(home: Path) -> None:
    async with at_work(home, OLD) as (harness, _):
        handle = await email_reindex.enqueue(model=NEW.model_id)
        await harness.drain()
        with pytest.raises(TaskFailedError, match="embeds with hashed-trigrams-64"):
            await handle.result()
        assert (await handle.get()).attempt == 1


async def test_what_takes_longer_than_its_time_goes_on_in_another_run(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with at_work(home, NEW) as (harness, room):
        await filled(room)
        times = iter([True])

        async def late(*said: Any) -> None:
            await reindexing.keep(*said)
            if next(times, False):
                raise SoftTimeout("28 minutes are over")

        monkeypatch.setattr(reindex, "keep", late)
        handle = await email_reindex.enqueue()
        await harness.drain()
        assert (await handle.result()).done == MAILS
        assert (await handle.get()).attempt == 1  # the run that was over does not count
