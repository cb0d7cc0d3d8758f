"""What people read of a mailroom is the same on SQLite and on PostgreSQL."""

from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from sqlalchemy import insert

from apps.tests.mailroom.analysis import place_of
from apps.tests.services.postgres import Postgres, postgres
from tidemill import NotFound, Tidemill
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.accounts import user_named
from tidemill_apps.mailroom.contexts import NewContext, add_context
from tidemill_apps.mailroom.opening import open_mailroom
from tidemill_apps.mailroom.reading import (
    MailQuery,
    contacts_of,
    contexts_of,
    mail_of,
    mails_like,
    mails_of,
    statistics_of,
)
from tidemill_apps.mailroom.settings import Place
from tidemill_apps.services.database import Database

FEBRUARY = datetime(2024, 2, 1, tzinfo=UTC)
MARCH = datetime(2024, 3, 1, tzinfo=UTC)


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as started:
        yield started


@pytest.fixture(params=["sqlite", "postgres"])
def place(request: pytest.FixtureRequest, tmp_path: Path) -> Place:
    if request.param == "sqlite":
        return place_of(tmp_path / "home")
    server: Postgres = request.getfixturevalue("server")
    return place_of(tmp_path / "home", database={"dsn": server.fresh()})


async def filled(database: Database) -> tuple[str, str]:
    """Two users: five mails in February and March, of which two are analysed, one as spam."""
    async with database.writing() as session:
        ann, bob = await user_named(session, "ann"), await user_named(session, "bob")
        context = await add_context(session, ann, NewContext("Mill", ("tide",)))
        for number in range(5):
            row = {
                "id": f"0000000{number}-0000-4000-8000-000000000000", "user_id": ann,
                "folder": "INBOX", "message_key": f"{number}", "digest": f"{number}",
                "subject": f"Mail {number}", "sender_name": "", "sender": f"a{number}@example.org",
                "recipients": ["ann@example.org"],
                "sent_at": FEBRUARY if number < 3 else MARCH, "stored_at": MARCH, "text": "…",
                "parse_error": "no date" if number == 4 else None,
                "passages": 1 if number == 0 else None,
            }  # fmt: skip
            await session.execute(insert(tables.mails).values(**row))
            contact = {
                "id": f"c{number}", "user_id": ann, "address": row["sender"], "name": "",
                "mails": number, "last_at": FEBRUARY, "sentiment": None if number else 0.5,
            }  # fmt: skip
            await session.execute(insert(tables.contacts).values(**contact))
            link = {"context_id": context.id, "mail_id": row["id"], "matched": "tide"}
            if number == 1:
                await session.execute(insert(tables.context_links).values(**link))
        for number, is_spam in ((0, False), (1, True)):
            analysis = {
                "mail_id": f"0000000{number}-0000-4000-8000-000000000000", "user_id": ann,
                "digest": "", "version": 1, "category": "spam" if is_spam else "work",
                "sentiment": "neutral", "sentiment_score": 0.0, "urgency": "low", "summary": "…",
                "language": "en", "action_items": [], "keywords": [], "is_spam": is_spam,
                "spam_probability": 0.5, "spam_reasons": [], "degraded": not is_spam,
                "origin": {"provider": "offline", "model": "m", "mode": "extractive"},
                "warnings": [{"part": "index", "text": "down"}], "analyzed_at": MARCH,
            }  # fmt: skip
            await session.execute(insert(tables.analyses).values(**analysis))
    return ann, bob


async def test_what_people_read_is_counted_sorted_and_their_own(place: Place) -> None:
    async with open_mailroom(Tidemill("memory://"), place) as mailroom:
        ann, bob = await filled(mailroom.database)
        async with mailroom.database.reading() as session:

            async def numbers(query: MailQuery, user_id: str = ann) -> str:
                page = await mails_of(session, user_id, query)
                return "".join(each.subject[-1] for each in page.mails)

            assert await numbers(MailQuery()) == "43210"
            assert await numbers(MailQuery(), bob) == ""
            pages, cursor = list[str](), None
            while cursor is not None or not pages:
                page = await mails_of(session, ann, MailQuery(cursor=cursor, limit=2))
                pages.append("".join(each.subject[-1] for each in page.mails))
                cursor = page.cursor
            assert pages == ["43", "21", "0"]
            assert await numbers(MailQuery(since=MARCH)) == "43"
            assert await numbers(MailQuery(until=MARCH)) == "210"
            assert await numbers(MailQuery(spam=True)) == "1"
            assert await numbers(MailQuery(spam=False)) == "4320"
            assert await numbers(MailQuery(category="work")) == "0"
            assert await numbers(MailQuery(contact=" A2@example.org")) == "2"
            (context,) = await contexts_of(session, ann)
            assert (context.keywords, context.mails) == (("tide",), 1)
            assert await numbers(MailQuery(context_id=context.id)) == "1"
            (mail_id,) = await mails_like(session, ann, "00000001")
            assert len(await mails_like(session, ann, "0000")) == 3
            assert await mails_like(session, bob, "00000001") == []
            view = await mail_of(session, ann, mail_id)
            assert view.analysis is not None
            assert [each.text for each in view.analysis.warnings] == ["down"]
            assert [each.matched for each in view.contexts] == ["tide"]
            with pytest.raises(NotFound):
                await mail_of(session, bob, mail_id)
            for order, first in (("mails", "a4"), ("sentiment", "a0")):
                found = await contacts_of(session, ann, order=order)  # type: ignore[arg-type]  # a word of the loop
                assert found[0].address.startswith(first), order
            counted = await statistics_of(session, ann)
            assert counted.categories == {"spam": 1, "work": 1}
            assert (counted.mails, counted.analyzed, counted.spam, counted.degraded) == (5, 2, 1, 1)
            assert (counted.unindexed, counted.malformed) == (3, 1)
            assert (counted.contacts, counted.contexts) == (5, 1)
            assert (await statistics_of(session, bob)).mails == 0
