"""Signatures of Standard Webhooks 1.0 (symmetric, `v1`), as the sender makes and receivers check.

What is signed is `{webhook-id}.{webhook-timestamp}.{body}`, by HMAC-SHA256 with the bytes that the
secret holds in base64. While a secret is being replaced there is one signature for each, with
spaces between them, and one that fits is enough.
"""

import base64
import hmac
import re
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Final

import msgspec

from tidemill.app.webhook import key_of
from tidemill.clock import SystemClock, from_micros
from tidemill.errors import SignatureInvalid

ID: Final = "webhook-id"
TIMESTAMP: Final = "webhook-timestamp"
SIGNATURE: Final = "webhook-signature"
TOLERANCE: Final = timedelta(minutes=5)

_VERSION: Final = "v1"


def sign(secrets: Sequence[str], message_id: str, at: datetime, body: bytes) -> dict[str, str]:
    """The headers that sign a message sent `at` an instant; raises `ConfigError` for a secret."""
    timestamp = str(int(at.timestamp()))
    signatures = (f"{_VERSION},{_signature(each, message_id, timestamp, body)}" for each in secrets)
    return {ID: message_id, TIMESTAMP: timestamp, SIGNATURE: " ".join(signatures)}


def verify(
    secret: str | Sequence[str],
    headers: Mapping[str, str],
    body: bytes | str,
    *,
    tolerance: timedelta = TOLERANCE,
    now: datetime | None = None,
) -> dict[str, Any]:
    """What a request says that was signed with the secret (or one of several); else it raises.

    `body` are the bytes as they came, before anything has parsed them. Raises `SignatureInvalid`
    when a header is missing, no signature fits, or it was signed longer ago than `tolerance` (or as
    far ahead): an old request may be a recorded one. A receiver that must not act twice remembers
    `webhook-id`, which is the same when a request is repeated. The comparison takes as long for a
    wrong signature as for a right one. `now` is the machine's clock unless given.
    """
    given = {name.lower(): value for name, value in headers.items()}
    missing = [name for name in (ID, TIMESTAMP, SIGNATURE) if not given.get(name)]
    if missing:
        raise SignatureInvalid(f"the request has no header {missing[0]}")
    _check_age(given[TIMESTAMP], tolerance, now or from_micros(SystemClock().now()))
    raw = body.encode() if isinstance(body, str) else body
    secrets = [secret] if isinstance(secret, str) else secret
    expected = [_signature(each, given[ID], given[TIMESTAMP], raw).encode() for each in secrets]
    found = [
        text.encode()
        for version, _, text in (each.partition(",") for each in given[SIGNATURE].split())
        if version == _VERSION
    ]
    # Every pair is compared: which one fits does not show in the time.
    fits = [hmac.compare_digest(left, right) for left in expected for right in found]
    if not any(fits):
        raise SignatureInvalid("no signature of the request was made with this secret")
    try:
        return msgspec.json.decode(raw, type=dict[str, Any])
    except msgspec.MsgspecError as error:
        raise SignatureInvalid(f"the body is signed, but it is no JSON object: {error}") from error


def _check_age(timestamp: str, tolerance: timedelta, now: datetime) -> None:
    if not re.fullmatch(r"[0-9]{1,12}", timestamp):
        raise SignatureInvalid(f"the header {TIMESTAMP} is not a number of seconds")
    if abs(int(timestamp) - now.timestamp()) > tolerance.total_seconds():
        raise SignatureInvalid(
            f"the request was signed more than {tolerance} ago, or ahead: it may be a recorded "
            "one, or a clock is wrong"
        )


def _signature(secret: str, message_id: str, timestamp: str, body: bytes) -> str:
    signed = f"{message_id}.{timestamp}.".encode() + body
    return base64.b64encode(hmac.digest(key_of(secret), signed, "sha256")).decode()
