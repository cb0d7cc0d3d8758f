"""Each user's mail is judged by the newest table that there is for them."""

from sqlalchemy import select

from apps.tests.mailroom.conftest import Opens
from apps.tests.mailroom.mails import PLAIN
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.accounts import user_named
from tidemill_apps.mailroom.judging import MOST_FILTERS, SpamFilters, judge, standing_of
from tidemill_apps.mailroom.labels import Label, label
from tidemill_apps.mailroom.learning import publish
from tidemill_apps.mailroom.message import parse_mail
from tidemill_apps.mailroom.spam.bayes import Table, english_table
from tidemill_apps.mailroom.spam.filter import FilterSettings, SpamFilter
from tidemill_apps.mailroom.spam.rules import Standing
from tidemill_apps.mailroom.spam.training import Figures
from tidemill_apps.mailroom.store import MailStore, Origin, Raw

FIGURES = Figures(spam=1, ham=1, spam_found=1, false_alarms=0)


def table(number: int) -> Table:
    return Table(spam=number, ham=1, counts={})


async def test_the_newest_table_of_a_user_is_taken_at_once(opens: Opens) -> None:
    async with opens() as room:
        filters = SpamFilters(FilterSettings(threshold=0.9))
        async with room.database.writing() as session:
            ann, bob = await user_named(session, "ann"), await user_named(session, "bob")
            assert (await filters.of(session, ann)).table == english_table()
            await publish(session, None, table(1), FIGURES)
            assert (await filters.of(session, ann)).table == table(1)
            for number in range(2, MOST_FILTERS + 3):
                await publish(session, ann, table(number), FIGURES)
                assert (await filters.of(session, ann)).table == table(number)
            await publish(session, None, table(99), FIGURES)
            assert (await filters.of(session, ann)).table == table(MOST_FILTERS + 2)
            assert (await filters.of(session, bob)).table == table(99)
            again = await filters.of(session, bob)
            assert again is await filters.of(session, bob)
            assert again.settings.threshold == 0.9


async def test_a_sender_stands_by_what_the_user_called_their_other_mails(opens: Opens) -> None:
    mails = [PLAIN.replace(b"gate-1@", b"gate-%d@" % number) for number in range(5, 9)]
    async with opens() as room:
        async with room.database.writing() as session:
            ann = await user_named(session, "ann")
        store = MailStore(room.database, room.outbox, room.files, ())
        await store.store(Origin(ann, None, "INBOX"), [Raw(each) for each in mails])
        async with room.database.writing() as session:
            ids = [str(each) for each in (await session.scalars(select(tables.mails.c.id)))]
            labels: list[Label | None] = ["spam", "spam", "ham", None]
            for mail_id, called in zip(ids, labels, strict=True):
                await label(session, ann, mail_id, called)
            sender = "ada@mill.example"
            assert await standing_of(session, ann, sender, but=ids[3]) == Standing(2, 1)
            assert await standing_of(session, ann, sender, but=ids[0]) == Standing(1, 1)
            assert await standing_of(session, "bob", sender, but="") == Standing()
            assert await standing_of(session, ann, "", but="") == Standing()


def test_the_reader_knows_better_than_the_filter() -> None:
    mail, by = parse_mail(PLAIN), SpamFilter()
    assert not judge(by, mail, Standing(), None).is_spam
    called = judge(by, mail, Standing(), "spam")
    assert (called.is_spam, called.probability) == (True, 1.0)
    assert called.reasons[0].fact == "its reader called it spam"
    assert not judge(by, mail, Standing(spam=9), "ham").is_spam
