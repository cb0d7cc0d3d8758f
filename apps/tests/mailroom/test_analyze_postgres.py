"""The analysis with its business data in PostgreSQL, many mails at once."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from sqlalchemy import select

from apps.tests.mailroom.analysis import analysing, letter, place_of
from apps.tests.mailroom.mails import SPAM_PAGE
from apps.tests.services.postgres import Postgres, postgres
from tidemill import State
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.contexts import NewContext, add_context
from tidemill_apps.mailroom.tasks.analyze import email_analyze
from tidemill_apps.mailroom.tasks.contact import contact_update


@pytest.fixture(scope="module")
def server() -> Iterator[Postgres]:
    with postgres() as started:
        yield started


async def test_mails_that_are_analysed_at_once_all_count(server: Postgres, tmp_path: Path) -> None:
    place = place_of(tmp_path / "home", database={"dsn": server.fresh()})
    async with analysing(place, concurrency=10) as system:
        async with system.room.database.writing() as session:
            await add_context(session, system.user_id, NewContext("Gates", ("gate",)))
        letters = [
            letter(number, "Thank you for the gate.", sender=f"{number % 3}@mill.example")
            for number in range(20)
        ]
        mail_ids = await system.store(*letters, SPAM_PAGE)
        for force in (False, True):
            for mail_id in mail_ids:
                await system.enqueue(mail_id, force=force)
            await contact_update.enqueue(system.user_id, mail_ids)
            await system.harness.drain()
        tasks = await system.tasks(email_analyze.name)
        assert {(task.state, task.attempt) for task in tasks} == {(State.COMPLETED, 1)}
        assert await system.counts() == await system.counted()
        assert sum((await system.counts()).values()) == 21
        assert len(await system.rows(select(tables.context_links))) == 20
        warnings = await system.rows(select(tables.analyses.c.warnings))
        assert all(each == ([],) for each in warnings)
