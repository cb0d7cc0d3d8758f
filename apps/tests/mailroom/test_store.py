"""Mail is stored once for each user, with its tables as the code says."""

from pathlib import Path

import pytest
from sqlalchemy import create_engine, func, inspect, select
from sqlalchemy.ext.asyncio import AsyncSession

from apps.tests.mailroom.conftest import Opens
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.accounts import (
    NewAccount,
    account_with_password,
    accounts_of,
    add_account,
    new_token,
    user_named,
    user_of,
)
from tidemill_apps.mailroom.events import MailsStored
from tidemill_apps.mailroom.opening import Mailroom
from tidemill_apps.mailroom.settings import Place
from tidemill_apps.mailroom.store import MailStore, Origin, Raw, Stored
from tidemill_apps.services.database import Outbox


def mail(number: int, *, key: bool = True, text: str = "Hello") -> Raw:
    """A mail with an id of its own, or without any."""
    name = f"Message-ID: <{number}@example.org>\r\n" if key else ""
    head = f"From: Ann <ann@example.org>\r\nTo: bob@example.org\r\n{name}"
    return Raw(f"{head}Subject: {number}\r\n\r\n{text}\r\n".encode())


async def someone(mailroom: Mailroom, name: str = "ann") -> str:
    async with mailroom.database.writing() as session:
        return await user_named(session, name)


async def test_a_mail_is_stored_once_for_each_user(opens: Opens) -> None:
    async with opens() as mailroom:
        store = MailStore(mailroom.database, mailroom.outbox, mailroom.files, ())
        ann, bob = await someone(mailroom), await someone(mailroom, "bob")
        batch = [mail(1), mail(2), mail(1), mail(3, key=False), mail(3, key=False)]
        assert await store.store(Origin(ann, None, "INBOX"), batch) == Stored(5, 3, 2, 0)
        assert await store.store(Origin(ann, None, "Archive"), batch) == Stored(5, 0, 5, 0)
        assert await store.store(Origin(bob, None, "INBOX"), batch) == Stored(5, 3, 2, 0)


async def test_bytes_that_are_no_mail_are_kept_with_what_is_wrong(opens: Opens) -> None:
    async with opens() as mailroom:
        store = MailStore(mailroom.database, mailroom.outbox, mailroom.files, ())
        ann = await someone(mailroom)
        odd = Raw(b"\x00\xff not a mail at all", "cut by the server")
        assert await store.store(Origin(ann, None, "INBOX"), [odd]) == Stored(1, 1, 0, 1)
        async with mailroom.database.reading() as session:
            row = (await session.execute(select(tables.mails))).one()
        assert mailroom.files.get(row.digest) == odd.data
        assert row.parse_error.startswith("cut by the server")
        assert row.sender == ""


async def test_listeners_are_told_of_new_mail_in_its_transaction(opens: Opens) -> None:
    told: list[MailsStored] = []

    async def listener(session: AsyncSession, outbox: Outbox, event: MailsStored) -> None:
        del outbox
        stored = await session.execute(select(func.count()).select_from(tables.mails))
        assert stored.scalar_one() == 2
        told.append(event)
        raise ConnectionError("lost")

    async with opens() as mailroom:
        store = MailStore(mailroom.database, mailroom.outbox, mailroom.files, (listener,))
        ann = await someone(mailroom)
        with pytest.raises(ConnectionError):
            await store.store(Origin(ann, None, "INBOX"), [mail(1), mail(2)])
        async with mailroom.database.reading() as session:
            assert (await session.execute(select(tables.mails))).first() is None
    assert [len(each.mail_ids) for each in told] == [2]


async def test_passwords_are_sealed_and_open_for_their_user_only(
    opens: Opens, place: Place
) -> None:
    async with opens() as mailroom:
        ann, bob = await someone(mailroom), await someone(mailroom, "bob")
        new = NewAccount(host="Mail.Example.org", username="ann", password="canary-pass")
        async with mailroom.database.writing() as session:
            first = await add_account(session, mailroom.keyring, ann, new)
            again = await add_account(session, mailroom.keyring, ann, new)
        assert (first.id, first.port, first.state) == (again.id, 993, "active")
        async with mailroom.database.reading() as session:
            found = await account_with_password(session, mailroom.keyring, ann, first.id)
            assert found.password == "canary-pass"
            assert "canary" not in f"{found!r} {new!r}"
            with pytest.raises(Exception, match="has no account"):
                await account_with_password(session, mailroom.keyring, bob, first.id)
            assert await accounts_of(session, bob) == []
    written = b"".join(path.read_bytes() for path in place.folder.rglob("*") if path.is_file())
    assert b"canary-pass" not in written


async def test_a_token_is_its_users_until_the_next_one(opens: Opens) -> None:
    async with opens() as mailroom:
        ann = await someone(mailroom)
        async with mailroom.database.writing() as session:
            first = await new_token(session, ann)
            assert await user_of(session, first) == ann
            second = await new_token(session, ann)
            assert await user_of(session, first) is None
            assert await user_of(session, second) == ann


def test_two_processes_agree_on_the_key_that_they_make(tmp_path: Path) -> None:
    place = Place.of({"TIDEMILL_MAILROOM_DIR": str(tmp_path)})
    first, second = place.keyring(), place.keyring()
    assert first.current_id == second.current_id
    assert (tmp_path / "key").stat().st_mode & 0o077 == 0


async def test_the_revisions_make_the_tables_that_the_code_names(
    opens: Opens, place: Place
) -> None:
    async with opens():
        pass
    made = create_engine(place.database)
    named = create_engine("sqlite://")
    tables.metadata.create_all(named)
    for table in tables.metadata.tables:
        of = [
            {
                column["name"]: (str(column["type"]), column["nullable"])
                for column in inspect(each).get_columns(table)
            }
            for each in (made, named)
        ]
        assert of[0] == of[1], table
        for what in ("get_indexes", "get_unique_constraints", "get_foreign_keys"):
            of_both = [
                sorted(str(sorted(one.items())) for one in getattr(inspect(each), what)(table))
                for each in (made, named)
            ]
            assert of_both[0] == of_both[1], (table, what)
    made.dispose()
    named.dispose()
