"""`email:analyze` on a real engine and real databases: what it keeps, once, whatever happens."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from apps.tests.mailroom.analysis import (
    HASHING,
    analysing,
    letter,
    place_of,
)
from apps.tests.mailroom.mails import ALTERNATIVES, CHINESE, MALFORMED, PLAIN, SPAM_PAGE
from apps.tests.services.text import mails as samples
from tidemill import State, TaskFailedError, TaskProgressed
from tidemill_apps.mailroom import tables
from tidemill_apps.mailroom.app import app
from tidemill_apps.mailroom.asking import ask_with_label
from tidemill_apps.mailroom.contexts import NewContext, add_context
from tidemill_apps.mailroom.judging import judge
from tidemill_apps.mailroom.labels import label
from tidemill_apps.mailroom.listeners import LISTENERS
from tidemill_apps.mailroom.store import MailStore, Origin, Raw
from tidemill_apps.mailroom.tasks import analyze
from tidemill_apps.mailroom.tasks.analyze import analysis_of, email_analyze
from tidemill_apps.mailroom.tasks.contact import contact_update
from tidemill_apps.mailroom.tasks.embed import email_embed

MAILS = (PLAIN, CHINESE, ALTERNATIVES, SPAM_PAGE)


async def test_a_mail_is_analysed_counted_linked_and_found(tmp_path: Path) -> None:
    async with analysing(place_of(tmp_path / "home")) as system:
        [mail_id] = await system.store(PLAIN)
        async with system.room.database.writing() as session:
            await add_context(session, system.user_id, NewContext("Gates", ("sluice", "水闸")))
            await add_context(
                session, system.user_id, NewContext("Team", (), ("team@mill.example",))
            )
            await add_context(session, system.user_id, NewContext("Other", ("zzzz",)))
        analyzed = await system.analyze(mail_id)
        assert not analyzed.spam.is_spam
        assert analyzed.analysis.summary == (
            "The sluice gate will be repaired on Tuesday.\nPlease stop the wheel before noon."
        )
        assert [each.text for each in analyzed.analysis.action_items] == [
            "Please stop the wheel before noon."
        ]
        assert [(each.name, each.by) for each in analyzed.contexts] == [
            ("Gates", "sluice"),
            ("Team", "team@mill.example"),
        ]
        assert (analyzed.passages, analyzed.warnings, analyzed.degraded) == (1, (), False)
        assert (analyzed.origin.provider, analyzed.origin.mode) == ("offline", "extractive")
        [contact] = await system.rows(select(tables.contacts))
        assert (contact.address, contact.name, contact.mails) == (
            "ada@mill.example",
            "Ada Miller",
            1,
        )
        assert contact.sentiment == analyzed.analysis.sentiment_score
        hits = system.room.index.search(system.user_id, "sluice gate").hits
        assert [each.mail_id for each in hits] == [mail_id]
        [row] = await system.rows(select(tables.mails))
        assert (row.passages, row.passages_of) == (1, HASHING.model_id)


async def test_the_progress_goes_through_every_step(tmp_path: Path) -> None:
    seen: list[tuple[str, int]] = []

    @app.on(TaskProgressed)
    def progressed(event: TaskProgressed) -> None:
        if event.task_type == email_analyze.name:
            seen.append((event.progress.step, round(event.progress.percent)))

    async with analysing(place_of(tmp_path / "home")) as system:
        [mail_id] = await system.store(PLAIN)
        await system.analyze(mail_id)
        [task] = await system.tasks(email_analyze.name)
    expected = [
        ("load", 5),
        ("spam", 15),
        ("analysis", 55),
        ("save", 65),
        ("contact", 72),
        ("contexts", 80),
        ("index", 100),
    ]
    assert seen
    assert [each for each in expected if each in seen] == seen
    assert task.progress is not None
    assert task.progress.percent == 100.0
    assert (task.user_id, task.queue, task.priority) == (system.user_id, "mail.analyze", 5)


async def test_running_twice_changes_no_count_also_when_forced(tmp_path: Path) -> None:
    async with analysing(place_of(tmp_path / "home")) as system:
        letters = [letter(number, f"Hello {number}. I am happy.") for number in range(3)]
        mail_ids = await system.store(*MAILS, *letters)
        for force in (False, False, True):
            for mail_id in mail_ids:
                await system.analyze(mail_id, force=force)
            assert await system.counts() == await system.counted()
        assert (await system.counts())["ann@mill.example"] == 3
        assert len(await system.rows(select(tables.interactions))) == len(mail_ids)
        [ann] = await system.rows(
            select(tables.contacts).where(tables.contacts.c.address == "ann@mill.example")
        )
        assert ann.sentiment > 0.15


async def test_what_is_known_is_answered_as_it_is_unless_forced(tmp_path: Path) -> None:
    async with analysing(place_of(tmp_path / "home")) as system:
        [mail_id] = await system.store(PLAIN)
        first = await system.analyze(mail_id)
        await system.run_sql("UPDATE analyses SET summary = 'kept'")
        known = await system.analyze(mail_id)
        assert known.analysis.summary == "kept"
        assert (known.spam, known.origin, known.passages) == (
            first.spam,
            first.origin,
            first.passages,
        )
        assert (await system.analyze(mail_id, force=True)).analysis == first.analysis
        await system.run_sql("UPDATE analyses SET summary = 'old', version = 0")
        assert (await system.analyze(mail_id)).analysis == first.analysis


async def test_whoever_asks_for_the_mail_of_another_is_refused_at_once(tmp_path: Path) -> None:
    async with analysing(place_of(tmp_path / "home")) as system:
        bob = await system.user("bob")
        [mail_id] = await system.store(PLAIN, user_id=bob)
        for wanted in (mail_id, "nothing"):
            handle = await app.enqueue(analysis_of(system.user_id, wanted))
            await system.harness.drain()
            with pytest.raises(TaskFailedError, match="has no mail"):
                await handle.result(1)
            task = await handle.get()
            assert task.error is not None
            assert (task.attempt, task.error.message[:10]) == (1, "forbidden:")
        assert await system.rows(select(tables.analyses)) == []


async def test_spam_says_why_counts_for_its_sender_and_is_not_found(tmp_path: Path) -> None:
    chinese = letter(
        1,
        "代开发票，加微信详谈，稳赚，日赚千元，点击链接领取。" * 3,
        subject="代开发票 中奖 贷款",
        sender="mo@deals.example",
    )
    async with analysing(place_of(tmp_path / "home")) as system:
        mail_ids = await system.store(SPAM_PAGE.replace(b"deals4u", b"d@deals.example"), chinese)
        english, mandarin = [await system.analyze(each) for each in mail_ids]
        for each in (english, mandarin):
            assert each.spam.is_spam
            assert (each.analysis.category, each.analysis.sentiment) == ("spam", "neutral")
            assert (each.analysis.urgency, each.analysis.action_items) == ("low", ())
            assert (each.passages, each.contexts, each.degraded) == (None, (), False)
        assert english.analysis.summary.startswith("Auto-detected as spam: ")
        assert mandarin.analysis.summary.startswith("自动识别为垃圾邮件：")
        assert "主题含有可疑词语" in mandarin.analysis.summary
        assert await system.counts() == {"d@deals.example": 1, "mo@deals.example": 1}
        assert await system.tasks(email_embed.name) == []


async def test_what_the_reader_called_it_decides(tmp_path: Path) -> None:
    async with analysing(place_of(tmp_path / "home")) as system:
        spam, good = await system.store(SPAM_PAGE, PLAIN)
        async with system.room.database.writing() as session:
            await label(session, system.user_id, spam, "ham")
            await label(session, system.user_id, good, "spam")
        assert not (await system.analyze(spam)).spam.is_spam
        analyzed = await system.analyze(good)
        assert analyzed.spam.is_spam
        assert "its reader called it spam" in analyzed.analysis.summary


async def test_a_mail_that_its_reader_calls_spam_is_found_no_more(tmp_path: Path) -> None:
    async with analysing(place_of(tmp_path / "home")) as system:
        room, user_id = system.room, system.user_id
        [good] = await system.store(PLAIN)
        assert (await system.analyze(good)).passages
        assert [each.mail_id for each in room.index.search(user_id, "sluice gate").hits] == [good]
        called = await ask_with_label(app, room, user_id, good, "spam")
        await room.outbox.relay()
        await system.harness.drain()
        assert await app.handle(called).state() is State.COMPLETED
        assert room.index.search(user_id, "sluice gate").hits == ()
        assert await system.rows(select(tables.mails.c.passages, tables.mails.c.label)) == [
            (None, "spam")
        ]
        await ask_with_label(app, room, user_id, good, None)
        await room.outbox.relay()
        await system.harness.drain()
        assert [each.mail_id for each in room.index.search(user_id, "sluice gate").hits] == [good]


async def test_what_its_reader_calls_a_mail_while_it_is_analysed_is_not_missed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with analysing(place_of(tmp_path / "home")) as system:
        room, user_id = system.room, system.user_id
        [mail_id] = await system.store(PLAIN)
        loop, said = asyncio.get_running_loop(), list[str]()

        async def call_it_spam() -> None:
            said.append(await ask_with_label(app, room, user_id, mail_id, "spam"))
            await room.outbox.relay()

        def judge_late(*given: Any) -> Any:
            if not said:
                asyncio.run_coroutine_threadsafe(call_it_spam(), loop).result(20)
            return judge(*given)

        monkeypatch.setattr(analyze, "judge", judge_late)
        first = await system.analyze(mail_id)
        assert not first.spam.is_spam
        again = await app.handle(said[0]).get()
        assert (again.state, again.attempt) == (State.COMPLETED, 1)
        [row] = await system.rows(select(tables.analyses))
        assert (row.is_spam, row.label) == (True, "spam")
        assert room.index.search(user_id, "sluice gate").hits == ()


async def test_malformed_mails_are_analysed_all_the_same(tmp_path: Path) -> None:
    async with analysing(place_of(tmp_path / "home")) as system:
        mail_ids = await system.store(*MALFORMED.values())
        for mail_id in set(mail_ids):
            await system.enqueue(mail_id)
        await system.harness.drain()
        states = {task.state for task in await system.tasks(email_analyze.name)}
        assert states == {State.COMPLETED}
        assert len(await system.rows(select(tables.analyses))) == len(set(mail_ids))
        assert await system.counts() == await system.counted()


async def test_a_mail_whose_bytes_are_gone_fails_and_says_so(tmp_path: Path) -> None:
    async with analysing(place_of(tmp_path / "home")) as system:
        [mail_id] = await system.store(PLAIN)
        [row] = await system.rows(select(tables.mails))
        system.room.files.remove(row.digest)
        handle = await system.enqueue(mail_id)
        await system.harness.drain()
        task = await handle.get()
        assert task.error is not None
        assert (task.state, task.attempt) == (State.FAILED, 1)
        assert task.error.message.startswith("file_missing: no file ")


async def test_a_contact_that_cannot_be_counted_is_a_warning_and_counted_later(
    tmp_path: Path,
) -> None:
    async with analysing(place_of(tmp_path / "home")) as system:
        await system.run_sql(
            "CREATE TRIGGER closed BEFORE INSERT ON contacts"
            " BEGIN SELECT RAISE(ABORT, 'the contacts are closed'); END"
        )
        [mail_id] = await system.store(PLAIN)
        handle = await system.enqueue(mail_id)
        await system.harness.drain()
        analyzed = await handle.result(1)
        assert [(each.part, each.text) for each in analyzed.warnings] == [
            ("contact", "the contacts are closed")
        ]
        assert (analyzed.passages, await system.counts()) == (1, {})
        await system.run_sql("DROP TRIGGER closed")
        await system.relay()
        await system.harness.run_for(seconds=1)
        [task] = await system.tasks(contact_update.name)
        assert task.state is State.COMPLETED
        assert await system.counts() == {"ada@mill.example": 1}
        assert (await system.analyze(mail_id)).warnings == ()


async def test_contexts_that_cannot_be_linked_are_a_warning(tmp_path: Path) -> None:
    async with analysing(place_of(tmp_path / "home")) as system:
        async with system.room.database.writing() as session:
            await add_context(session, system.user_id, NewContext("Gates", ("sluice",)))
        await system.run_sql(
            "CREATE TRIGGER closed BEFORE INSERT ON context_links"
            " BEGIN SELECT RAISE(ABORT, 'no links'); END"
        )
        [mail_id] = await system.store(PLAIN)
        analyzed = await system.analyze(mail_id)
        assert [(each.part, each.text) for each in analyzed.warnings] == [("contexts", "no links")]
        assert (await system.counts(), analyzed.passages) == ({"ada@mill.example": 1}, 1)


async def test_new_mail_is_analysed_and_counted_by_itself(tmp_path: Path) -> None:
    async with analysing(place_of(tmp_path / "home")) as system:
        room = system.room
        store = MailStore(room.database, room.outbox, room.files, LISTENERS)
        await store.store(Origin(system.user_id, None, "INBOX"), [Raw(data) for data in MAILS])
        await system.relay()
        tasks = await system.tasks(email_analyze.name)
        assert [(task.state, task.user_id) for task in tasks] == [
            (State.COMPLETED, system.user_id)
        ] * len(MAILS)
        [update] = await system.tasks(contact_update.name)
        assert update.state is State.COMPLETED
        assert await system.counts() == await system.counted()


async def test_contacts_are_counted_before_the_mail_is_analysed(tmp_path: Path) -> None:
    async with analysing(place_of(tmp_path / "home")) as system:
        mail_ids = await system.store(PLAIN, letter(1, "Hi"), letter(2, "Hi"), b"From: \n\nHi")
        handle = await contact_update.enqueue(system.user_id, [*mail_ids, mail_ids[0], "gone"])
        await system.harness.drain()
        counted = await handle.result(1)
        assert (counted.contacts, counted.mails, counted.left_out) == (2, 3, 2)
        assert await system.counts() == {"ada@mill.example": 1, "ann@mill.example": 2}


async def test_each_sentence_of_an_offline_summary_stands_in_the_mail(tmp_path: Path) -> None:
    async with analysing(place_of(tmp_path / "home")) as system:
        mail_ids = await system.store(
            *(
                letter(number, sample.mail.text, subject=sample.mail.subject)
                for number, sample in enumerate(samples.ALL)
            )
        )
        async with system.room.database.writing() as session:
            for mail_id in mail_ids:
                await label(session, system.user_id, mail_id, "ham")
        handles = [await system.enqueue(mail_id) for mail_id in mail_ids]
        await system.harness.drain()
        analyses = [(await handle.result(1)).analysis for handle in handles]
    for sample, analysis in zip(samples.ALL, analyses, strict=True):
        said = " ".join(sample.mail.text.split())
        sentences = analysis.summary.split("\n")
        assert 1 <= len(sentences) <= 3
        assert [each for each in sentences if each not in said] == []
        is_chinese = sample in samples.CHINESE
        assert analysis.language == ("zh" if is_chinese else "en")
