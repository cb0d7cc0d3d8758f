"""What the answers of other servers mean for a task: give up, try again, or try again then.

Each function returns the error to raise: `Permanent` with a code for programs where the next
attempt would be told the same, `Unavailable` where it may be told better, and `Retry` where the
server said when. A retry policy gives `Unavailable` its own rule: `on={Unavailable: RetryRule(3)}`.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import Final, Literal, TypeAlias

from tidemill import Permanent, Retry

LONGEST_WAIT: Final = timedelta(hours=1)
"""A server that asks for more is asked again after this: it may have been wrong or hostile."""

HTTP_PERMANENT: Final[Mapping[int, str]] = {
    400: "bad_request",
    401: "auth_failed",
    402: "payment_required",
    403: "forbidden",
    404: "not_found",
    405: "not_supported",
    407: "auth_failed",
    409: "conflict",
    410: "gone",
    411: "bad_request",
    413: "too_large",
    414: "too_large",
    415: "unsupported",
    422: "invalid",
    431: "too_large",
    451: "forbidden",
    501: "not_supported",
    505: "not_supported",
    511: "auth_failed",
}
"""Answers that the same request would get again (RFC 9110, 6585, 7725)."""

HTTP_PASSING: Final = frozenset({408, 421, 423, 425, 429})
"""Of the 4xx, those that pass (RFC 9110, 4918, 6585, 8470); so do all 5xx not named above."""

SMTP_PERMANENT: Final[Mapping[int, str]] = {
    521: "no_mail_accepted",
    530: "auth_failed",
    534: "auth_failed",
    535: "auth_failed",
    538: "auth_failed",
    550: "no_mailbox",
    551: "no_mailbox",
    552: "mailbox_full",
    553: "bad_address",
    554: "rejected",
    556: "no_mail_accepted",
}
"""Replies of RFC 5321, 4954 and 7504 that stay; any other 5yz is `refused`, every 4yz passes."""

IMAP_PERMANENT: Final[Mapping[str, str]] = {
    "ALREADYEXISTS": "conflict",
    "AUTHENTICATIONFAILED": "auth_failed",
    "AUTHORIZATIONFAILED": "forbidden",
    "BADCHARSET": "unsupported",
    "CANNOT": "not_supported",
    "CLIENTBUG": "bad_request",
    "CONTACTADMIN": "auth_failed",
    "CORRUPTION": "corrupt",
    "EXPIRED": "auth_failed",
    "NONEXISTENT": "not_found",
    "NOPERM": "forbidden",
    "OVERQUOTA": "mailbox_full",
    "PRIVACYREQUIRED": "auth_failed",
    "TRYCREATE": "not_found",
}
"""Response codes of RFC 5530 and 3501 that stay; INUSE, LIMIT, UNAVAILABLE and others pass."""

MILVUS_PERMANENT: Final[Mapping[int, str]] = {
    6: "bad_request",  # cross cluster routing; of milvus-lite, an illegal argument
    10: "not_supported",
    100: "not_found",
    102: "too_many",
    105: "invalid",
    107: "not_supported",
    200: "not_found",
    250: "too_many",
    701: "not_supported",
    702: "conflict",
    800: "not_found",
    801: "too_many",
    802: "invalid",
    1100: "invalid",
    1101: "invalid",
    1102: "too_large",
    1400: "auth_failed",
    1401: "forbidden",
    1600: "not_found",
    1601: "conflict",
    1602: "conflict",
    1603: "not_found",
    1700: "invalid",
    1701: "invalid",
    1800: "auth_failed",
    2001: "not_supported",
    3000: "not_supported",
}
"""Milvus 2 codes that stay; limits of memory, disk and rate, loading and nodes pass.

A collection that is not loaded (101) or has no index (700) is one whose index is being rebuilt.
"""

ImapStatus: TypeAlias = Literal["NO", "BAD", "BYE"]


class Unavailable(Exception):
    """A service could not do it now; another attempt may succeed.

    `code` is stable, for programs: `http_503`, `smtp_451`, `imap_inuse`, `milvus_8`, `unreachable`.
    """

    def __init__(self, reason: str, code: str) -> None:
        super().__init__(reason, code)
        self.reason = reason
        self.code = code

    def __str__(self) -> str:
        return self.reason


ServiceError: TypeAlias = Permanent | Retry | Unavailable


def http_error(status: int, reason: str, headers: Mapping[str, str] | None = None) -> ServiceError:
    """The error for an HTTP answer that is not a success; `reason` tells who answered what.

    With a `Retry-After` on an answer that passes, it is a `Retry` after that wait. Redirects count
    as permanent: whoever follows them does so before asking.
    """
    if status in HTTP_PERMANENT or not (status in HTTP_PASSING or status >= 500):
        return Permanent(reason, code=HTTP_PERMANENT.get(status, "refused"))
    known = {name.lower(): value for name, value in (headers or {}).items()}
    wait = retry_after(known.get("retry-after"), known.get("date"))
    return Unavailable(reason, f"http_{status}") if wait is None else Retry(wait, reason)


def retry_after(value: str | None, date: str | None = None) -> timedelta | None:
    """The wait that a `Retry-After` header asks for, at most `LONGEST_WAIT`; None for none.

    It is a number of seconds or a date, which is measured from the answer's own `date` header, so
    that a wrong clock on either side changes nothing.
    """
    if value is None:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d*)?", value.strip()):
        return min(timedelta(seconds=float(value)), LONGEST_WAIT)
    until, since = _instant(value), _instant(date)
    if until is None or since is None:
        return None
    return min(max(until - since, timedelta()), LONGEST_WAIT)


def smtp_error(code: int, reply: str) -> Permanent | Unavailable:
    """The error for an SMTP reply of 400 or more; to RCPT it is about that recipient only."""
    reason = f"the mail server answered {code} {reply}".strip()
    if code < 500:
        return Unavailable(reason, f"smtp_{code}")
    return Permanent(reason, code=SMTP_PERMANENT.get(code, "refused"))


def imap_error(status: ImapStatus, text: str, *, login: bool = False) -> Permanent | Unavailable:
    """The error for an IMAP answer that is not OK; `text` begins with its `[CODE]`, if any.

    A `NO` to a login is a wrong password unless its code says otherwise: many servers give none.
    """
    reason = f"the mail server answered {status} {text}".strip()
    match = re.match(r"\[([A-Za-z-]+)[^\]]*\]", text)
    word = match[1].upper() if match else ""
    if word in IMAP_PERMANENT:
        return Permanent(reason, code=IMAP_PERMANENT[word])
    if status == "BAD":
        return Permanent(reason, code="bad_request")
    if status == "NO" and login and not word:
        return Permanent(reason, code="auth_failed")
    return Unavailable(reason, f"imap_{(word or status).lower()}")


def milvus_error(code: int, message: str) -> Permanent | Unavailable:
    """The error for a Milvus status code other than 0; `message` is the status' reason."""
    reason = f"Milvus answered {code}: {message}"
    if code in MILVUS_PERMANENT:
        return Permanent(reason, code=MILVUS_PERMANENT[code])
    return Unavailable(reason, f"milvus_{code}")


def unreachable(service: str, error: Exception) -> Unavailable:
    """The error for a connection that could not be made, broke off, or took too long."""
    return Unavailable(
        f"{service} cannot be reached: {type(error).__name__}: {error}", "unreachable"
    )


def _instant(date: str | None) -> datetime | None:
    try:
        parsed = parsedate_to_datetime(date or "")
    except ValueError:
        return None
    return parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)
