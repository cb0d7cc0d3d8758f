"""Mail that each recipient gets once, whatever the server answers."""

import asyncio
import signal
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from apps.tests.services.database.conftest import opened
from apps.tests.services.mailer.postbox import Postbox
from tests.servers.ports import Port
from tidemill import ConfigError, Permanent
from tidemill_apps.services.database import Database
from tidemill_apps.services.database.tables import mail_ledger
from tidemill_apps.services.errors import Unavailable
from tidemill_apps.services.mailer import Mailer, MailServer, Refusal, Sent

ROOT = Path(__file__).parents[4]
NOTICE = {"title": "Sync stopped", "lines": ["3 accounts wait"], "link": "", "application": "Mail"}
ANA, BO, CY = "ana@example.org", "bo@example.org", "cy@example.org"


def server(port: int, **said: Any) -> MailServer:
    return MailServer(
        host="127.0.0.1", port=port, sender="Tidemill <t@example.org>", encryption="none", **said
    )


@asynccontextmanager
async def mailer(folder: Path, port: int) -> AsyncIterator[tuple[Mailer, Database]]:
    async with opened(folder) as database:
        yield Mailer(server(port, timeout=5), database), database


async def ledger(database: Database, key: str = "k") -> dict[str, str]:
    async with database.reading() as session:
        columns = (mail_ledger.c.recipient, mail_ledger.c.state)
        rows = await session.execute(select(*columns).where(mail_ledger.c.key == key))
        return {row.recipient: row.state for row in rows}


async def test_a_mail_is_sent_once_under_its_key(folder: Path, postbox: Postbox) -> None:
    async with mailer(folder, postbox.port) as (sends, database):
        first = await sends.send("notice", "en", ANA, NOTICE, "k")
        again = await sends.send("notice", "en", ANA, NOTICE, "k")
        other = await sends.send("notice", "en", ANA, NOTICE, "k2")
        assert first == Sent(first.message_id, sent=(ANA,))
        assert again == Sent(first.message_id, earlier=(ANA,))
        assert other.message_id != first.message_id
        assert await ledger(database) == {ANA: "sent"}
    assert [mail["Message-ID"] for mail in postbox.mails] == [first.message_id, other.message_id]


async def test_each_recipient_gets_a_mail_that_names_no_other(
    folder: Path, postbox: Postbox
) -> None:
    async with mailer(folder, postbox.port) as (sends, _):
        done = await sends.send("notice", "en", [ANA, BO, ANA], NOTICE, "k")
    assert done.sent == (ANA, BO)
    assert postbox.got == [ANA, BO]
    assert {mail["Message-ID"] for mail in postbox.mails} == {done.message_id}
    assert not any(mail["Cc"] or mail["Bcc"] for mail in postbox.mails)


async def test_a_chinese_mail_arrives_as_text_and_html(folder: Path, postbox: Postbox) -> None:
    context = {
        **NOTICE,
        "title": "同步已停止",
        "lines": ["<b>三个</b> 账户在等待"],
        "link": "https://a/?b&c",
    }
    async with mailer(folder, postbox.port) as (sends, _):
        await sends.send("notice", "zh", "安娜 <ana@example.org>", context, "邮件:1")
    (mail,) = postbox.mails
    assert mail["Subject"] == "同步已停止"
    assert mail["To"].addresses[0].display_name == "安娜"
    text, html = mail.get_body(("plain",)), mail.get_body(("html",))
    assert text is not None
    assert html is not None
    assert "- <b>三个</b> 账户在等待" in text.get_content()
    assert "详情：https://a/?b&c" in text.get_content()
    assert "&lt;b&gt;三个&lt;/b&gt; 账户在等待" in html.get_content()
    assert '<a href="https://a/?b&amp;c">' in html.get_content()


async def test_a_recipient_refused_for_good_is_never_asked_again_and_others_get_theirs(
    folder: Path, postbox: Postbox
) -> None:
    postbox.recipients = {BO: "550 5.1.1 no such mailbox"}
    async with mailer(folder, postbox.port) as (sends, database):
        done = await sends.send("notice", "en", [ANA, BO, CY], NOTICE, "k")
        assert (done.sent, [each.recipient for each in done.refused]) == ((ANA, CY), [BO])
        assert "550 5.1.1 no such mailbox" in done.refused[0].answer
        again = await sends.send("notice", "en", [ANA, BO, CY], NOTICE, "k")
        assert again == Sent(done.message_id, earlier=(ANA, CY), refused=done.refused)
        assert await ledger(database) == {ANA: "sent", BO: "refused", CY: "sent"}
    assert postbox.got == [ANA, CY]
    assert postbox.asked == [ANA, BO, CY]


async def test_a_mail_that_all_recipients_are_refused_is_a_permanent_error_each_time(
    folder: Path, postbox: Postbox
) -> None:
    postbox.recipients = {ANA: "550 no such mailbox"}
    async with mailer(folder, postbox.port) as (sends, _):
        with pytest.raises(Permanent, match="550 no such mailbox") as refused:
            await sends.send("notice", "en", ANA, NOTICE, "k")
        assert refused.value.code == "no_mailbox"
        with pytest.raises(Permanent, match=r"refused before.*550 no such mailbox"):
            await sends.send("notice", "en", ANA, NOTICE, "k")
    assert postbox.asked == [ANA]


async def test_a_recipient_that_cannot_be_served_now_is_served_by_the_repetition(
    folder: Path, postbox: Postbox
) -> None:
    postbox.recipients = {ANA: "451 4.7.1 greylisted", BO: "550 no such mailbox"}
    async with mailer(folder, postbox.port) as (sends, database):
        with pytest.raises(Unavailable, match="451") as passing:
            await sends.send("notice", "en", [ANA, BO, CY], NOTICE, "k")
        assert passing.value.code == "smtp_451"
        assert await ledger(database) == {ANA: "sending", BO: "refused", CY: "sent"}
        del postbox.recipients[ANA]
        done = await sends.send("notice", "en", [ANA, BO, CY], NOTICE, "k")
    assert (done.sent, done.earlier) == ((ANA,), (CY,))
    assert done.refused == (Refusal(BO, "the mail server answered 550 no such mailbox"),)
    assert postbox.got == [CY, ANA]


async def test_content_that_the_server_refuses_is_refused_for_good(
    folder: Path, postbox: Postbox
) -> None:
    postbox.content = "554 looks like spam"
    async with mailer(folder, postbox.port) as (sends, database):
        with pytest.raises(Permanent, match="554 looks like spam"):
            await sends.send("notice", "en", ANA, NOTICE, "k")
        assert await ledger(database) == {ANA: "refused"}


async def test_a_sender_that_is_refused_marks_no_recipient(folder: Path, postbox: Postbox) -> None:
    postbox.senders = {"t@example.org": "550 not from here"}
    async with mailer(folder, postbox.port) as (sends, database):
        with pytest.raises(Permanent, match="550 not from here"):
            await sends.send("notice", "en", [ANA, BO], NOTICE, "k")
        assert await ledger(database) == {ANA: "sending", BO: "sending"}
        postbox.senders.clear()
        assert (await sends.send("notice", "en", [ANA, BO], NOTICE, "k")).sent == (ANA, BO)


async def test_a_connection_cut_before_the_server_has_the_mail_sends_it_once(
    folder: Path, postbox: Postbox
) -> None:
    postbox.cut = {BO}
    async with mailer(folder, postbox.port) as (sends, database):
        with pytest.raises(Unavailable, match="cannot be reached"):
            await sends.send("notice", "en", [ANA, BO, CY], NOTICE, "k")
        assert await ledger(database) == {ANA: "sent", BO: "sending", CY: "sending"}
        postbox.cut.clear()
        assert (await sends.send("notice", "en", [ANA, BO, CY], NOTICE, "k")).sent == (BO, CY)
    assert postbox.got == [ANA, BO, CY]


async def test_a_connection_cut_after_the_server_has_the_mail_sends_it_twice_with_one_id(
    folder: Path, postbox: Postbox
) -> None:
    postbox.kept = {ANA}
    async with mailer(folder, postbox.port) as (sends, _):
        with pytest.raises(Unavailable):
            await sends.send("notice", "en", ANA, NOTICE, "k")
        postbox.kept.clear()
        done = await sends.send("notice", "en", ANA, NOTICE, "k")
    assert [mail["Message-ID"] for mail in postbox.mails] == [done.message_id] * 2


async def test_a_server_that_is_not_there_can_be_tried_again(folder: Path) -> None:
    port = Port.free()
    try:
        async with mailer(folder, port.number) as (sends, database):
            with pytest.raises(Unavailable, match=f"127.0.0.1:{port.number}") as missing:
                await sends.send("notice", "en", ANA, NOTICE, "k")
            assert missing.value.code == "unreachable"
            assert await ledger(database) == {ANA: "sending"}
    finally:
        port.close()


@pytest.mark.timeout(60)
async def test_a_kill_between_the_server_and_the_ledger_sends_the_same_message_id_again(
    folder: Path, postbox: Postbox
) -> None:
    program = [sys.executable, "-m", "apps.tests.services.mailer.program"]
    command = [*program, str(folder), str(postbox.port)]
    died = await asyncio.to_thread(subprocess.run, command, cwd=ROOT, timeout=50, check=False)
    assert died.returncode == -signal.SIGKILL
    async with mailer(folder, postbox.port) as (sends, database):
        assert await ledger(database) == {ANA: "sending"}
        done = await sends.send("notice", "en", ANA, NOTICE, "k")
        assert done.sent == (ANA,)
        assert (await sends.send("notice", "en", ANA, NOTICE, "k")).earlier == (ANA,)
    assert [mail["Message-ID"] for mail in postbox.mails] == [done.message_id] * 2


@pytest.mark.parametrize("to", ["nobody", "", "a@b@", "ana@example.org\nBcc: bo@example.org"])
async def test_what_is_no_address_is_refused_before_anything_is_sent(
    folder: Path, postbox: Postbox, to: str
) -> None:
    async with mailer(folder, postbox.port) as (sends, database):
        with pytest.raises(Permanent, match="no mail address") as refused:
            await sends.send("notice", "en", [ANA, to], NOTICE, "k")
        assert refused.value.code == "bad_address"
        assert await ledger(database) == {}
    assert postbox.asked == []


def test_a_password_is_not_shown_and_not_sent_in_the_clear() -> None:
    secured = MailServer(host="h", sender="t@example.org", username="u", password="hunter2")
    assert "hunter2" not in repr(secured)
    with pytest.raises(ConfigError, match="in the clear"):
        server(25, username="u", password="hunter2")
    with pytest.raises(ConfigError, match="sender of mail is wrong"):
        MailServer(host="h", sender="nobody")
