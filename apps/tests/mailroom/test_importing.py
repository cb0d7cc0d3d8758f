"""Mail from files: however it is kept, each mail is stored once."""

import io
import mailbox
import tracemalloc
from collections.abc import Iterator
from email.message import EmailMessage
from pathlib import Path

import pytest
from sqlalchemy import func, select

from apps.tests.mailroom.conftest import Opens
from tidemill_apps.mailroom import mbox, tables
from tidemill_apps.mailroom.accounts import user_named
from tidemill_apps.mailroom.importing import ImportProgress, import_mails
from tidemill_apps.mailroom.mbox import mails_in
from tidemill_apps.mailroom.opening import Mailroom
from tidemill_apps.mailroom.store import MailStore, Stored

MAILS = 300
LINE = b"From ann@example.org Mon Feb  5 10:00:00 2024\n"
CRLF = LINE.replace(b"\n", b"\r\n")


def mail(number: int, text: str = "The tide is coming.\n") -> bytes:
    made = EmailMessage()
    made["From"] = f"Ann <ann{number % 7}@example.org>"
    made["Message-ID"] = f"<{number}@example.org>"
    made["Subject"] = f"Mail {number}"
    made.set_content(text)
    return made.as_bytes()


def as_mbox(path: Path) -> Path:
    file = path / "inbox.mbox"
    made = mailbox.mbox(file)
    for number in range(MAILS):
        made.add(mail(number, "Hello,\n\nFrom here it is 10:00.\n>From there, too.\n"))
    made.close()
    return file


def as_maildir(path: Path) -> Path:
    root = path / "maildir"
    made = mailbox.Maildir(root)
    for number in range(MAILS // 2):
        made.add(mail(number))
    sent = made.add_folder("Sent")
    for number in range(MAILS // 2, MAILS):
        sent.add(mail(number))
    (root / "tmp" / "half").write_bytes(b"From: half a mail")
    (root / "dovecot.index").write_bytes(bytes(100))
    return root


def as_folder(path: Path) -> Path:
    root = path / "folder"
    for number in range(MAILS):
        place = root / f"{number % 3}"
        place.mkdir(parents=True, exist_ok=True)
        ending = ".eml" if number % 2 else ""
        (place / f"{number:03}{ending}").write_bytes((b"" if number % 2 else LINE) + mail(number))
    (root / ".hidden").write_bytes(mail(1000))
    (root / "empty").touch()
    (root / "picture.png").write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(5000))
    return root


async def imported(mailroom: Mailroom, path: Path, name: str = "ann") -> list[ImportProgress]:
    async with mailroom.database.writing() as session:
        user_id = await user_named(session, name)
    store = MailStore(mailroom.database, mailroom.outbox, mailroom.files, ())
    return [each async for each in import_mails(store, user_id, path)]


@pytest.mark.parametrize(
    ("made", "skipped", "folders"),
    [
        (as_mbox, 0, {"inbox": MAILS}),
        (as_maildir, 0, {"INBOX": MAILS // 2, "Sent": MAILS // 2}),
        (as_folder, 2, {"0": 100, "1": 100, "2": 100}),
    ],
)
async def test_an_import_stores_all_mails_and_the_same_again_none(
    opens: Opens, tmp_path: Path, made: object, skipped: int, folders: dict[str, int]
) -> None:
    assert callable(made)
    path: Path = made(tmp_path)
    async with opens() as mailroom:
        steps = await imported(mailroom, path)
        again = await imported(mailroom, path)
        async with mailroom.database.reading() as session:
            columns = tables.mails.c.folder, func.count()
            rows = await session.execute(select(*columns).group_by(tables.mails.c.folder))
            found = {row[0]: row[1] for row in rows}
    assert steps[-1].stored == Stored(MAILS, MAILS, 0, 0)
    assert again[-1].stored == Stored(MAILS, 0, MAILS, 0)
    assert found == folders
    assert (steps[-1].skipped, len(steps[-1].named)) == (skipped, skipped)
    read = [each.read for each in steps]
    assert read == sorted(set(read))
    assert (read[0], read[-1]) == (0, steps[-1].total)


async def test_what_is_in_an_mbox_file_is_known_from_a_folder(opens: Opens, tmp_path: Path) -> None:
    """Also a mail without an id, which is known by its bytes alone."""
    anonymous = b"From: ann@example.org\nSubject: no id\n\nFrom here on.\n\nAnn\n"
    quoted = anonymous.replace(b"\nFrom here", b"\n>From here")
    (tmp_path / "all.mbox").write_bytes(LINE + quoted + b"\n" + LINE + mail(1) + b"\n")
    (tmp_path / "one.eml").write_bytes(anonymous)
    async with opens() as mailroom:
        first = await imported(mailroom, tmp_path / "all.mbox")
        second = await imported(mailroom, tmp_path / "one.eml")
    assert first[-1].stored.new == 2
    assert second[-1].stored == Stored(1, 0, 1, 0)


async def test_a_path_without_anything_is_named(opens: Opens, tmp_path: Path) -> None:
    async with opens() as mailroom:
        with pytest.raises(FileNotFoundError, match=r"no file or folder .*nowhere"):
            await imported(mailroom, tmp_path / "nowhere")


def subjects(data: bytes) -> list[str]:
    lines = (
        next((line for line in piece.data.splitlines() if line.startswith(b"Subject")), b"none")
        for piece in mails_in(io.BytesIO(data))
    )
    return [line.decode().removeprefix("Subject: ") for line in lines]


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (b"", []),
        (b"\n\n \n", []),
        (mail(1), ["Mail 1"]),
        (LINE + mail(1), ["Mail 1"]),
        # nothing between two mails, not even the end of a line before the first has one
        (LINE + mail(1) + LINE + mail(2), ["Mail 1", "Mail 2"]),
        (LINE + mail(1).rstrip() + b"\n" + LINE + mail(2), ["Mail 1", "Mail 2"]),
        (CRLF + mail(1) + b"\r\n\r\n" + LINE + mail(2), ["Mail 1", "Mail 2"]),
        # the head of the file is gone
        (bytes(5000) + b"\n" + LINE + mail(2), ["none", "Mail 2"]),
        (mail(1)[10:] + b"\n" + LINE + mail(2), ["Mail 1", "Mail 2"]),
        # the file is cut off, in a mail and in the line that begins one
        (LINE + mail(1) + b"\n" + LINE + mail(2)[:-30], ["Mail 1", "Mail 2"]),
        (LINE + mail(1) + b"\n" + LINE[:20], ["Mail 1"]),
        # a text that only looks like the beginning of a mail
        (LINE + mail(1, "x\n\nFrom now on: we meet.\n"), ["Mail 1"]),
        (LINE + mail(1, "x\nFrom 10:00 on we meet\nhere.\n") + b"\n", ["Mail 1"]),
        (LINE + b"\n" + LINE + mail(2), ["Mail 2"]),
    ],
)  # fmt: skip
def test_a_broken_mbox_file_gives_the_mails_that_are_in_it(data: bytes, found: list[str]) -> None:
    assert subjects(data) == found


@pytest.mark.parametrize("chunk", [1, 7, 100, 1101])
def test_where_the_file_is_cut_into_parts_changes_nothing(
    chunk: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = b"\n".join(LINE + mail(number, "x\n>From y\n" * number) for number in range(20))
    whole = list(mails_in(io.BytesIO(data)))
    monkeypatch.setattr(mbox, "CHUNK", chunk)
    assert list(mails_in(io.BytesIO(data))) == whole
    assert len(whole) == 20
    assert whole[-1].end == len(data)


class Endless(io.RawIOBase):
    """A file of many megabytes that is nowhere: one huge mail and a small one."""

    def __init__(self, chunks: int) -> None:
        self._parts: Iterator[bytes] = iter(
            [LINE + mail(1), *([b"x" * 99 + b"\n"] * chunks), b"\n" + LINE + mail(2)]
        )

    def read(self, size: int = -1, /) -> bytes:
        taken = bytearray()
        for part in self._parts:
            taken += part
            if len(taken) >= size:
                break
        return bytes(taken)


def test_a_mail_larger_than_memory_is_cut_and_the_next_one_is_whole() -> None:
    most = 100_000
    tracemalloc.start()
    first, second = mails_in(Endless(400_000), most)  # type: ignore[arg-type]  # it only has read
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert first.problem == "cut after 100,000 bytes"
    assert len(first.data) <= most
    assert (second.data, second.problem) == (mail(2), None)
    assert peak < 12_000_000  # of 40 MB
