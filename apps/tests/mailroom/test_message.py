"""Mails, whole and broken, as values."""

from collections.abc import Iterator
from datetime import UTC, datetime

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from apps.tests.mailroom.mails import ALTERNATIVES, CHINESE, MALFORMED, PLAIN, SPAM_PAGE
from tidemill_apps.mailroom.headers import Address
from tidemill_apps.mailroom.message import Mail, parse_mail
from tidemill_apps.mailroom.parts import Attachment

WHOLE = [PLAIN, CHINESE, ALTERNATIVES, SPAM_PAGE]


def storable(mail: Mail) -> bool:
    """Whether JSON brings it back and no database refuses its text."""
    again = msgspec.json.decode(msgspec.json.encode(mail), type=Mail)
    return again == mail and not any("\0" in text for text in strings(msgspec.to_builtins(mail)))


def strings(value: object) -> Iterator[str]:
    match value:
        case str():
            yield value
        case dict():
            yield from strings(list(value.items()))
        case list() | tuple():
            for each in value:
                yield from strings(each)


def test_a_plain_mail_is_read_whole() -> None:
    mail = parse_mail(PLAIN)
    assert mail.message_id == mail.key == "gate-1@mill.example"
    assert mail.answers == ("gate-0@mill.example", "start@mill.example")
    assert mail.sender == Address("Ada Miller", "ada@mill.example")
    assert mail.sender.domain == "mill.example"
    assert mail.to == (
        Address("Grinder, Head", "head@mill.example"),
        Address("", "sam@pond.example"),
    )
    assert mail.cc == (Address("", "team@mill.example"),)
    assert mail.subject == "Sluice gate repair on Tuesday"
    assert mail.sent_at == datetime(2026, 3, 2, 8, tzinfo=UTC)
    assert mail.received_at == datetime(2026, 3, 2, 8, 0, 7, tzinfo=UTC)
    assert mail.text.startswith("The sluice gate")
    assert mail.headers["list-id"] == "Mill people <people.mill.example>"
    assert (*mail.defects, *mail.attachments, *mail.pages) == ()


def test_chinese_cut_between_encoded_words_and_named_by_a_narrow_charset_is_read() -> None:
    mail = parse_mail(CHINESE)
    assert mail.subject == "水闸维修"
    assert mail.sender == Address("磨坊主", "mo@mill.example")
    assert mail.text == "水闸将于星期二维修,请在中午之前停下水轮。"


def test_of_alternatives_the_plain_text_is_kept_and_the_page_is_still_known() -> None:
    mail = parse_mail(ALTERNATIVES)
    assert mail.subject == "Zürich prices"
    assert mail.text == "Coffee in Zürich costs more."
    assert mail.attachments == (Attachment("prices.pdf", "application/pdf", 8),)
    (page,) = mail.pages
    assert page.links == ("https://pond.example/prices",)
    assert page.images == 1
    assert not mail.is_page_only


def test_a_page_gives_what_its_reader_sees_and_counts_what_is_hidden() -> None:
    mail = parse_mail(SPAM_PAGE)
    assert mail.text == "Click here\nto be removed. No obligation!\nWin"
    assert mail.is_page_only
    (page,) = mail.pages
    assert (page.forms, page.hidden) == (1, len("river stone walk"))


def test_small_print_is_not_hidden() -> None:
    page = b"Content-Type: text/html\n\n<p style='font-size: 0.9em'>Terms</p>"
    assert parse_mail(page).text == "Terms"


@pytest.mark.parametrize(
    ("charset", "body", "text", "defects"),
    [
        ("utf-8", "Zürich".encode(), "Zürich", ()),
        ("us-ascii", "Zürich".encode(), "Zürich", ("bytes that are not ascii",)),
        ("klingon", b"Z\xfcrich", "Zürich", ("unknown charset 'klingon'",)),
        ("", b"Z\xfcrich", "Zürich", ()),
        ("", "水闸维修".encode("gb18030"), "水闸维修", ()),
        ("gb2312", "朱镕基".encode("gbk"), "朱镕基", ()),
        ("iso-8859-1", b"\x93so\x94", "“so”", ()),
        ("gb2312", "水".encode(), "水", ("bytes that are not gb18030",)),
        ("iso-2022-jp", b"\xffabc", "\N{REPLACEMENT CHARACTER}abc", None),
    ],
)
def test_a_charset_is_believed_as_far_as_the_bytes_allow(
    charset: str, body: bytes, text: str, defects: tuple[str, ...] | None
) -> None:
    named = f"Content-Type: text/plain; charset={charset}\n\n" if charset else "Subject: x\n\n"
    mail = parse_mail(named.encode() + body)
    assert mail.text == text
    assert mail.defects == (("bytes that are not iso2022_jp",) if defects is None else defects)


def test_a_page_may_name_its_charset_itself() -> None:
    page = "<meta charset=gb2312><p>水闸</p>".encode("gb18030")
    assert parse_mail(b"Content-Type: text/html\n\n" + page).text == "水闸"


def test_a_mail_without_an_id_is_known_by_its_bytes() -> None:
    mail = parse_mail(b"Subject: x\n\ny")
    assert mail.key == f"sha256:{mail.digest}"
    assert mail.key != parse_mail(b"Subject: x\n\nz").key


def test_the_line_that_begins_a_mail_in_an_mbox_file_is_no_part_of_it() -> None:
    mail = parse_mail(b"From ada@mill.example Mon Mar  2 09:00:00 2026\n" + PLAIN)
    assert msgspec.structs.replace(mail, digest="") == msgspec.structs.replace(
        parse_mail(PLAIN), digest=""
    )


def test_a_forwarded_mail_is_an_attachment_named_by_its_subject() -> None:
    mail = parse_mail(b"Content-Type: message/rfc822\n\nSubject: Inner\n\nwords")
    assert mail.attachments == (Attachment("Inner", "message/rfc822", 5),)
    assert not mail.text


@pytest.mark.parametrize("data", MALFORMED.values(), ids=MALFORMED)
def test_a_malformed_mail_is_read_as_far_as_it_goes(data: bytes) -> None:
    assert storable(parse_mail(data))


def test_what_was_wrong_is_listed_in_words() -> None:
    assert parse_mail(MALFORMED["open boundary"]).defects == ("close boundary not found",)
    assert parse_mail(MALFORMED["deep parts"]).defects == ("parts nested too deeply",)


@st.composite
def mutated(draw: st.DrawFn) -> bytes:
    """Return a mail with pieces cut out, doubled, overwritten or swapped in from another."""
    data = draw(st.sampled_from([*WHOLE, *MALFORMED.values()]))[:4000]
    other = draw(st.sampled_from(WHOLE))
    for _ in range(draw(st.integers(1, 6))):
        start = draw(st.integers(0, len(data)))
        end = min(len(data), start + draw(st.integers(0, 60)))
        at = draw(st.integers(0, len(other)))
        piece = draw(
            st.one_of(
                st.binary(max_size=8),
                st.just(other[at : at + 80]),
                st.just(data[start:end] * 2),
                st.sampled_from([b"\n", b"\r", b"\0", b"=?", b"?=", b"--", b";", b"\xff", b'"']),
            )
        )
        data = data[:start] + piece + data[end:]
    return data


@settings(max_examples=400, deadline=None)
@given(mutated())
def test_no_bytes_are_refused(data: bytes) -> None:
    mail = parse_mail(data)
    assert storable(mail)
    assert parse_mail(data) == mail


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=300))
def test_no_noise_is_refused(data: bytes) -> None:
    assert storable(parse_mail(data))
