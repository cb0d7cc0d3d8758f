"""A folder of a real server is read whole, in order, and left as it is."""

import asyncio
import traceback
from datetime import timedelta
from pathlib import Path

import pytest

from apps.tests.mailroom.imap.letters import letters
from apps.tests.mailroom.imap_servers import (
    HOST,
    PASSWORD,
    USER,
    ImapServer,
    Postman,
    Relay,
    Scripted,
    pymap,
)
from tests.servers.certificates import Certificates, certificates
from tidemill import Permanent
from tidemill_apps.mailroom.imap import Fetched, MailFolder, MailServer, open_folder
from tidemill_apps.services.errors import Unavailable


def opened(server: MailServer, folder: str = "INBOX", most_bytes: int = 2**20) -> MailFolder:
    return open_folder(server, folder, allow_private=True, most_bytes=most_bytes)


def fetched(folder: MailFolder, uids: list[int]) -> list[Fetched]:
    return [mail for group in folder.fetch(uids) for mail in group]


def test_a_folder_gives_its_mails_as_they_are_and_leaves_them_unread(
    mail_server: ImapServer, postman: Postman, folder: str
) -> None:
    mails = letters(60)
    postman.fill(folder, mails)
    with opened(mail_server.account(), folder) as box:
        uids = box.uids()
        found = fetched(box, uids)
    assert [each.data for each in found] == mails
    assert [each.uid for each in found] == uids == sorted(uids)
    assert not any(each.cut for each in found)
    assert all(each.received_at is not None for each in found)
    assert postman.unread(folder) == 60


def test_uids_are_asked_for_from_the_first_that_is_wanted(
    mail_server: ImapServer, postman: Postman, folder: str
) -> None:
    postman.fill(folder, letters(5))
    with opened(mail_server.account(), folder) as box:
        uids = box.uids()
        assert box.uids(uids[3]) == uids[3:]


def test_a_mail_that_is_gone_meanwhile_is_left_out(
    mail_server: ImapServer, postman: Postman, folder: str
) -> None:
    postman.fill(folder, letters(3))
    with opened(mail_server.account(), folder) as box:
        uids = box.uids()
    postman.remove(folder, uids[1])
    with opened(mail_server.account(), folder) as box:
        assert [each.uid for each in fetched(box, uids)] == [uids[0], uids[2]]


def test_a_giant_mail_is_cut_after_its_first_bytes_and_stops_no_other(
    mail_server: ImapServer, postman: Postman, folder: str
) -> None:
    giant = letters(1)[0] + b"x" * 50_000
    postman.fill(folder, [giant, *letters(2)])
    with opened(mail_server.account(), folder, most_bytes=4_000) as box:
        found = fetched(box, box.uids())
    assert [each.cut for each in found] == [True, False, False]
    assert found[0].data == giant[:4_000]


def test_an_empty_folder_has_no_mails(
    mail_server: ImapServer, postman: Postman, folder: str
) -> None:
    postman.fill(folder, [])
    with opened(mail_server.account(), folder) as box:
        assert (box.uids(), box.mails) == ([], 0)
        assert box.uidvalidity > 0


@pytest.mark.parametrize("password", ["not-this-one", "这不是口令", 'quo"ted\\'])
def test_a_wrong_password_is_permanent_and_told_to_nobody(
    mail_server: ImapServer, password: str
) -> None:
    account = mail_server.account(password=password)
    assert password not in repr(account)
    with pytest.raises(Permanent) as refused:
        opened(account)
    assert refused.value.code == "auth_failed"
    assert password not in "".join(traceback.format_exception(refused.value))


def test_a_folder_that_is_not_there_is_permanent(mail_server: ImapServer) -> None:
    with pytest.raises(Permanent) as refused:
        opened(mail_server.account(), "no such folder")
    assert refused.value.code == "not_found"


@pytest.mark.parametrize("host", [HOST, "localhost", "::1", "169.254.169.254", "10.0.0.1"])
def test_hosts_that_are_not_of_the_internet_are_refused_before_anything_is_sent(host: str) -> None:
    account = MailServer(host, 143, "none", USER, PASSWORD)
    with pytest.raises(Permanent) as refused:
        open_folder(account, "INBOX")
    assert refused.value.code == "outbound_refused"


@pytest.mark.parametrize(
    ("host", "port", "security", "username", "password"),
    [
        ("", 143, "none", "a", "b"),
        ("a b", 143, "none", "a", "b"),
        ("a", 0, "none", "a", "b"),
        ("a", 65_536, "none", "a", "b"),
        ("a", 143, "ssl", "a", "b"),
        ("a", 143, "none", "a\r\nx LOGOUT", "b"),
        ("a", 143, "none", "a", "b\0"),
        ("a", 143, "none", "a", "\ud800"),
    ],
)
def test_what_no_server_can_be_asked_with_is_refused(
    host: str, port: int, security: str, username: str, password: str
) -> None:
    with pytest.raises(Permanent) as refused:
        MailServer(host, port, security, username, password)  # type: ignore[arg-type]  # also from outside
    assert refused.value.code == "bad_request"


def test_a_folder_cannot_smuggle_a_command(mail_server: ImapServer) -> None:
    with pytest.raises(Permanent) as refused:
        opened(mail_server.account(), 'INBOX"\r\nx LOGOUT')
    assert refused.value.code == "bad_request"


def test_a_server_that_does_not_listen_is_unavailable(mail_server: ImapServer) -> None:
    with pytest.raises(Unavailable) as unreachable:
        opened(MailServer(HOST, 1, "none", USER, PASSWORD))
    assert unreachable.value.code == "unreachable"


async def test_a_connection_that_breaks_in_the_middle_is_unavailable(
    mail_server: ImapServer, postman: Postman, folder: str
) -> None:
    postman.fill(folder, letters(60))
    async with Relay(mail_server.port, after=20_000).running() as relay:
        account = mail_server.account(port=relay.port)
        with pytest.raises(Unavailable) as broken:
            await asyncio.to_thread(_read_all, account, folder)
    assert relay.struck.is_set()
    assert broken.value.code == "unreachable"


def _read_all(account: MailServer, folder: str) -> None:
    with opened(account, folder) as box:
        fetched(box, box.uids())


async def test_another_thread_frees_one_that_waits_for_a_silent_server() -> None:
    async with Scripted({b"UID SEARCH": []}).running() as server:
        forever = timedelta(days=1)
        box = await asyncio.to_thread(
            open_folder, server.account(), "INBOX", timeout=forever, allow_private=True
        )
        waiting = asyncio.ensure_future(asyncio.to_thread(box.uids))
        await server.hears(b"UID SEARCH")
        box.abort()
        with pytest.raises(Unavailable):
            await waiting
        box.close()


# TLS


@pytest.fixture(scope="module")
def shown(tmp_path_factory: pytest.TempPathFactory) -> Certificates:
    return certificates(tmp_path_factory.mktemp("certificates"))


async def test_tls_is_spoken_with_a_server_that_proves_its_name(
    mail_server: ImapServer, shown: Certificates, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSL_CERT_FILE", str(shown.authority))
    async with Relay(mail_server.port, tls=shown.context()).running() as relay:
        account = MailServer("localhost", relay.port, "tls", USER, PASSWORD)
        box = await asyncio.to_thread(opened, account)
        await asyncio.to_thread(box.close)


async def test_a_certificate_that_nobody_vouches_for_is_refused(
    mail_server: ImapServer, shown: Certificates
) -> None:
    async with Relay(mail_server.port, tls=shown.context()).running() as relay:
        account = MailServer("localhost", relay.port, "tls", USER, PASSWORD)
        with pytest.raises(Permanent) as refused:
            await asyncio.to_thread(opened, account)
    assert refused.value.code == "untrusted"


def test_with_starttls_the_password_goes_encrypted_to_a_server_that_proves_its_name(
    shown: Certificates, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pymap(tmp_path, shown=shown) as server:
        account = MailServer("localhost", server.port, "starttls", USER, PASSWORD)
        with pytest.raises(Permanent) as refused:
            opened(account)
        monkeypatch.setenv("SSL_CERT_FILE", str(shown.authority))
        with opened(account) as box:
            assert box.uidvalidity > 0
    assert refused.value.code == "untrusted"


async def test_without_starttls_no_password_is_sent() -> None:
    async with Scripted({}).running() as server:
        account = MailServer(HOST, server.port, "starttls", USER, PASSWORD)
        with pytest.raises(Permanent) as refused:
            await asyncio.to_thread(opened, account)
    assert refused.value.code == "not_supported"
    assert not any(PASSWORD.encode() in line for line in server.heard)


# servers that misbehave


async def problem(server: Scripted) -> Permanent | Unavailable:
    """What reading a folder of this server ends in."""
    async with server.running():
        with pytest.raises((Permanent, Unavailable)) as ended:
            await asyncio.to_thread(_read_all, server.account(), "INBOX")
    assert PASSWORD not in "".join(traceback.format_exception(ended.value))
    assert isinstance(ended.value, Permanent | Unavailable)
    return ended.value


async def test_a_server_that_says_goodbye_at_once_is_unavailable() -> None:
    ended = await problem(Scripted({}, greeting=b"* BYE too many connections"))
    assert isinstance(ended, Unavailable)
    assert "too many connections" in str(ended)


async def test_where_logging_in_is_disabled_the_password_is_not_sent() -> None:
    server = Scripted({b"CAPABILITY": [b"* CAPABILITY IMAP4rev1 LOGINDISABLED", b"TAG OK done"]})
    ended = await problem(server)
    assert isinstance(ended, Permanent)
    assert ended.code == "auth_failed"
    assert not any(b"LOGIN" in line for line in server.heard)


async def test_a_server_that_repeats_the_password_does_not_get_it_into_errors() -> None:
    said = f"TAG BAD what is {USER} {PASSWORD}?".encode()
    ended = await problem(Scripted({b"LOGIN": [said]}))
    assert "what is ann ***?" in str(ended)


async def test_a_server_that_is_busy_is_not_a_wrong_password() -> None:
    ended = await problem(Scripted({b"LOGIN": [b"TAG NO [UNAVAILABLE] try later"]}))
    assert isinstance(ended, Unavailable)
    assert ended.code == "imap_unavailable"


async def test_a_server_without_uidvalidity_is_not_supported() -> None:
    ended = await problem(Scripted({b"EXAMINE": [b"* 3 EXISTS", b"TAG OK done"]}))
    assert isinstance(ended, Permanent)
    assert ended.code == "not_supported"


@pytest.mark.parametrize(
    "lines",
    [
        [b"* 1 FETCH (UID 1 BODY[]<0> {9999999999}"],
        [b"* 1 FETCH (UID 1 BODY[]<0> {" + b"9" * 5000 + b"}"],
        [b"* 1 FETCH " + b"x" * 3_000_000, b"TAG OK done"],
        [b"\xff\xfe nonsense"],
        [b"* BYE shutting down"],
        [b"TAG NO not now"],
    ],
    ids=["giant", "endless number", "long line", "nonsense", "goodbye", "refusal"],
)
async def test_a_server_that_answers_nonsense_is_unavailable(lines: list[bytes]) -> None:
    server = Scripted({b"UID SEARCH": [b"* SEARCH 1", b"TAG OK done"], b"UID FETCH": lines})
    assert isinstance(await problem(server), Unavailable)
