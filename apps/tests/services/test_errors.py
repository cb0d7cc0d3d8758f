"""What answers of HTTP, SMTP and IMAP servers mean for a task."""

from datetime import timedelta

import pytest

from tidemill import Permanent, Retry
from tidemill_apps.services.errors import (
    LONGEST_WAIT,
    Unavailable,
    http_error,
    imap_error,
    retry_after,
    smtp_error,
    unreachable,
)


@pytest.mark.parametrize("status", [408, 421, 423, 425, 429, 500, 502, 503, 504, 520, 529, 599])
def test_http_answers_that_pass_are_tried_again(status: int) -> None:
    error = http_error(status, "the server said so")
    assert isinstance(error, Unavailable)
    assert (error.code, str(error)) == (f"http_{status}", "the server said so")


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (301, "refused"),
        (400, "bad_request"),
        (401, "auth_failed"),
        (403, "forbidden"),
        (404, "not_found"),
        (410, "gone"),
        (413, "too_large"),
        (418, "refused"),
        (422, "invalid"),
        (501, "not_supported"),
    ],
)
def test_http_answers_that_stay_end_the_task(status: int, code: str) -> None:
    error = http_error(status, "no", {"Retry-After": "3"})
    assert isinstance(error, Permanent)
    assert error.code == code


def test_a_server_that_says_when_is_asked_then() -> None:
    dated = {
        "Date": "Wed, 21 Oct 2015 07:28:00 GMT",
        "Retry-After": "Wed, 21 Oct 2015 07:28:07 GMT",
    }
    for headers in ({"retry-after": "7"}, dated):
        error = http_error(429, "too many", headers)
        assert isinstance(error, Retry)
        assert error.after == timedelta(seconds=7)


@pytest.mark.parametrize(
    ("value", "wait"),
    [
        (None, None),
        ("soon", None),
        ("-5", None),
        ("0", timedelta()),
        ("1.5", timedelta(seconds=1.5)),
        ("86400", LONGEST_WAIT),
        ("Wed, 21 Oct 2015 07:28:30 GMT", timedelta(seconds=30)),
        ("Wed, 21 Oct 2015 07:27:00 GMT", timedelta()),
        ("Fri, 31 Dec 9999 23:59:59 GMT", LONGEST_WAIT),
        ("Fri, 99 Dec 2015 23:59:59 GMT", None),
    ],
)
def test_retry_after_is_seconds_or_a_date_by_the_servers_own_clock(
    value: str | None, wait: timedelta | None
) -> None:
    assert retry_after(value, "Wed, 21 Oct 2015 07:28:00 GMT") == wait


def test_a_date_without_the_servers_clock_says_nothing() -> None:
    assert retry_after("Wed, 21 Oct 2015 07:28:30 GMT") is None


@pytest.mark.parametrize("code", [421, 450, 451, 452, 454, 455, 499])
def test_smtp_replies_of_400_are_tried_again(code: int) -> None:
    error = smtp_error(code, "4.7.1 greylisted")
    assert isinstance(error, Unavailable)
    assert error.code == f"smtp_{code}"
    assert "4.7.1 greylisted" in str(error)


@pytest.mark.parametrize(
    ("code", "word"),
    [(500, "refused"), (535, "auth_failed"), (550, "no_mailbox"), (552, "mailbox_full")],
)
def test_smtp_replies_of_500_end_the_task(code: int, word: str) -> None:
    error = smtp_error(code, "no")
    assert isinstance(error, Permanent)
    assert error.code == word


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[AUTHENTICATIONFAILED] Authentication failed.", "auth_failed"),
        ("[authenticationfailed] no", "auth_failed"),
        ("[NONEXISTENT] Unknown mailbox", "not_found"),
        ("[BADCHARSET (UTF-8)] no", "unsupported"),
    ],
)
def test_imap_codes_that_stay_end_the_task(text: str, code: str) -> None:
    error = imap_error("NO", text)
    assert isinstance(error, Permanent)
    assert error.code == code


def test_a_login_refused_without_a_code_is_a_wrong_password() -> None:
    error = imap_error("NO", "LOGIN failed", login=True)
    assert isinstance(error, Permanent)
    assert error.code == "auth_failed"
    assert isinstance(imap_error("NO", "SELECT failed"), Unavailable)


@pytest.mark.parametrize(
    ("status", "text", "code"),
    [
        ("NO", "[UNAVAILABLE] Temporary failure", "imap_unavailable"),
        ("NO", "[INUSE] Mailbox in use", "imap_inuse"),
        ("BYE", "Server shutting down", "imap_bye"),
    ],
)
def test_imap_answers_that_pass_are_tried_again(status: str, text: str, code: str) -> None:
    error = imap_error("BYE" if status == "BYE" else "NO", text, login=True)
    assert isinstance(error, Unavailable)
    assert error.code == code


def test_a_command_that_the_server_does_not_understand_ends_the_task() -> None:
    assert isinstance(imap_error("BAD", "Unknown command"), Permanent)


def test_a_connection_that_breaks_is_tried_again() -> None:
    error = unreachable("the mail server", ConnectionRefusedError("refused"))
    assert error.code == "unreachable"
    assert str(error) == "the mail server cannot be reached: ConnectionRefusedError: refused"
