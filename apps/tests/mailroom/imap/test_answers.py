"""What servers' lines say, also in the forms in which only some servers write them."""

from datetime import UTC, datetime

from tidemill_apps.mailroom.imap.answers import Answer, Fetched, mails, numbers, sizes


def test_the_numbers_of_a_search_rise_and_come_once() -> None:
    assert numbers([b"9 3", b"3 10", None]) == [3, 9, 10]


def test_what_is_no_uid_is_left_out() -> None:
    assert numbers([b"0 4294967295 4294967296 99999999999999999999 -1 x 7)"]) == [4294967295]


def test_sizes_are_known_by_uid() -> None:
    answer = [b"1 (UID 5 RFC822.SIZE 1234)", b"2 (RFC822.SIZE 7 UID 6)", b"3 (FLAGS (\\Seen))"]
    assert sizes(answer) == {5: 1234, 6: 7}


def test_a_mail_is_what_was_sent_wherever_its_uid_stands() -> None:
    date = b'INTERNALDATE "22-Nov-2026 17:31:06 +0100"'
    at = datetime(2026, 11, 22, 16, 31, 6, tzinfo=UTC)
    before = (b"1 (UID 5 " + date + b" BODY[]<0> {3}", b"abc")
    after = (b"2 (BODY[]<0> {3}", b"def")
    answer: Answer = [before, b")", after, b" UID 6 " + date + b")", b"3 (UID 9 FLAGS (\\Seen))"]
    assert list(mails(answer, 10)) == [Fetched(5, b"abc", at), Fetched(6, b"def", at)]


def test_a_short_mail_may_stand_in_the_line() -> None:
    answer = [b'1 (UID 5 BODY[]<0> "a\\"b")', b"2 (UID 6 BODY[] NIL)", b'3 (UID 7 BODY[] "")']
    assert [each.data for each in mails(answer, 10)] == [b'a"b', b"", b""]


def test_a_mail_of_more_bytes_than_wanted_is_cut() -> None:
    answer: Answer = [
        (b"1 (UID 5 BODY[]<0> {4}", b"abcd"),
        b")",
        (b"2 (UID 6 BODY[]<0> {3}", b"abc"),
        b")",
    ]
    assert list(mails(answer, 3)) == [Fetched(5, b"abc", cut=True), Fetched(6, b"abc")]
