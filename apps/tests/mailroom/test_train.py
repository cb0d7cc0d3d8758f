"""`spam:train` puts a table into use that judges no worse: of one user, or of all."""

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import msgspec
import pytest
from sqlalchemy import select

from apps.tests.mailroom.mails import small_mails
from apps.tests.mailroom.maintenance import at_work, home, rows, someone, stored
from tidemill import NotFound, State, VirtualClock
from tidemill.testing import Harness
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.labels import label, labellings
from tidemill_apps.mailroom.learning import KEPT, publish
from tidemill_apps.mailroom.message import parse_mail
from tidemill_apps.mailroom.opening import Mailroom
from tidemill_apps.mailroom.spam.bayes import Table, english_table
from tidemill_apps.mailroom.spam.features import names_somebody
from tidemill_apps.mailroom.spam.split import held_out
from tidemill_apps.mailroom.spam.training import Figures
from tidemill_apps.mailroom.tasks.train import STEPS, Trained, spam_train

__all__ = ["home"]

MAILS = small_mails()
WORSE = Table(spam=40, ham=80, counts={"sluice": (1, 79)})
FIGURES = Figures(spam=10, ham=20, spam_found=1, false_alarms=19)


async def labelled(room: Mailroom, user_id: str, mails: Sequence[tuple[bytes, bool]]) -> list[str]:
    """Store mails and say of each what it is; answers their ids."""
    ids = await stored(room, user_id, [data for data, _ in mails])
    async with room.database.writing() as session:
        for mail_id, (_, is_spam) in zip(ids, mails, strict=True):
            await label(session, user_id, mail_id, "spam" if is_spam else "ham")
    return ids


async def trained(harness: Harness, user_id: str | None) -> Trained:
    handle = await spam_train.enqueue(user_id)
    await harness.drain()
    return await handle.result()


async def used(room: Mailroom, user_id: str) -> Table:
    async with room.database.reading() as session:
        by = await room.spam_filters.of(session, user_id)
    assert by.table is not None
    return by.table


async def kept(room: Mailroom, user_id: str | None) -> int:
    theirs = tables.spam_tables.c.user_id.is_not_distinct_from(user_id)
    return len(await rows(room, select(tables.spam_tables.c.id).where(theirs)))


async def test_a_users_labels_become_the_table_of_that_user_alone(home: Path) -> None:
    async with at_work(home) as (harness, room):
        ann, bob = await someone(room), await someone(room, "bob")
        await labelled(room, ann, MAILS)
        done = await trained(harness, ann)
        assert (done.labels, done.published) == (len(MAILS), True)
        assert done.recall > 0.9
        assert done.false_positive_rate < 0.1
        assert done.recall >= done.former_recall
        assert done.features == len((await used(room, ann)).counts)
        assert await used(room, bob) == english_table()
        [task] = await harness.tasks(task_type="spam:train")
        assert task.progress is not None
        assert (task.progress.step, task.progress.percent) == (list(STEPS)[-1], 100)


async def test_a_table_that_judges_worse_is_not_put_into_use(home: Path) -> None:
    """Ann turns the labels that are learnt from; those that it is judged by stay right."""
    async with at_work(home) as (harness, room):
        ann = await someone(room)
        ids = await labelled(room, ann, MAILS)
        assert (await trained(harness, ann)).published
        good = await used(room, ann)
        aside = held_out([parse_mail(data) for data, _ in MAILS])
        async with room.database.writing() as session:
            for index, (mail_id, (_, is_spam)) in enumerate(zip(ids, MAILS, strict=True)):
                if index not in aside:
                    await label(session, ann, mail_id, "ham" if is_spam else "spam")
        turned = await trained(harness, ann)
        assert not turned.published
        assert turned.recall < turned.former_recall
        assert await used(room, ann) == good
        assert await kept(room, ann) == 1


async def test_too_few_labels_cancel_the_training_with_the_reason(home: Path) -> None:
    async with at_work(home) as (harness, room):
        ann = await someone(room)
        await labelled(room, ann, MAILS[:49])
        await spam_train.enqueue(ann)
        await harness.drain()
        [task] = await harness.tasks(task_type="spam:train")
        assert task.state is State.CANCELLED
        assert task.reason is not None
        assert "49 labelled mails; at least 50" in task.reason
        assert await kept(room, ann) == 0


async def test_labels_of_one_kind_only_cancel_the_training(home: Path) -> None:
    async with at_work(home) as (harness, room):
        ann = await someone(room)
        good = [(data, is_spam) for data, is_spam in MAILS if not is_spam]
        await labelled(room, ann, good)
        await spam_train.enqueue(ann)
        await harness.drain()
        [task] = await harness.tasks(task_type="spam:train")
        assert task.state is State.CANCELLED
        assert "need both spam and good mail" in (task.reason or "")


async def test_each_night_all_users_share_a_table_that_names_nobody_and_have_their_own(
    home: Path,
) -> None:
    night = VirtualClock(datetime(2026, 3, 2, 3, 29, tzinfo=UTC))
    async with at_work(home, clock=night) as (harness, room):
        ann, bob, eve = [await someone(room, name) for name in ("ann", "bob", "eve")]
        await labelled(room, ann, MAILS[:60])
        await labelled(room, bob, MAILS[60:])
        async with room.database.writing() as session:
            await publish(session, None, WORSE, FIGURES)
        await harness.run_for(minutes=2)
        tasks = await harness.tasks(task_type="spam:train")
        assert {task.state for task in tasks} == {State.COMPLETED}
        assert len(tasks) == 3
        shared = await used(room, eve)
        assert shared not in (WORSE, english_table())
        assert not any(names_somebody(feature) for feature in shared.counts)
        of_ann = await used(room, ann)
        assert any(feature.startswith("from:") for feature in of_ann.counts)
        assert of_ann != await used(room, bob)


async def test_of_the_tables_of_a_user_the_newest_three_are_kept(home: Path) -> None:
    async with at_work(home) as (_, room):
        ann = await someone(room)
        async with room.database.writing() as session:
            await publish(session, None, WORSE, FIGURES)
            for spam in range(1, KEPT + 3):
                await publish(session, ann, msgspec.structs.replace(WORSE, spam=spam), FIGURES)
        assert (await kept(room, ann), await kept(room, None)) == (KEPT, 1)
        assert (await used(room, ann)).spam == KEPT + 2


async def test_a_mail_whose_bytes_are_lost_is_left_out(home: Path) -> None:
    async with at_work(home) as (harness, room):
        ann = await someone(room)
        await labelled(room, ann, MAILS)
        async with room.database.reading() as session:
            [first, *_] = await labellings(session, ann)
        room.files.path(first.digest).unlink()
        assert (await trained(harness, ann)).labels == len(MAILS) - 1


async def test_only_their_user_labels_mails_and_may_take_it_back(home: Path) -> None:
    async with at_work(home) as (_, room):
        ann, bob = await someone(room), await someone(room, "bob")
        [mail_id] = await labelled(room, ann, MAILS[:1])
        async with room.database.writing() as session:
            with pytest.raises(NotFound, match=f"has no mail {mail_id}"):
                await label(session, bob, mail_id, "ham")
            assert [each.label for each in await labellings(session, ann)] == ["spam"]
            await label(session, ann, mail_id, None)
            assert await labellings(session, ann) == []
