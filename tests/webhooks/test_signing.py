"""Signatures: ours against the public library of Standard Webhooks, and what is refused."""

import base64
from datetime import UTC, datetime, timedelta

import pytest
import standardwebhooks
from hypothesis import given
from hypothesis import strategies as st

from tidemill import ConfigError, SignatureInvalid
from tidemill.app.webhook import key_of, new_secret
from tidemill.webhooks import sign, verify

NOW = datetime.now(UTC)
BODY = b'{"type":"task.failed","data":{"task_id":"1"}}'
SECRET, OTHER = new_secret(), new_secret()


def test_a_secret_is_256_random_bits() -> None:
    assert SECRET.startswith("whsec_")
    assert len(key_of(SECRET)) == 32
    assert SECRET != OTHER


@given(st.dictionaries(st.text(), st.text()), st.text(alphabet="abc-0123", min_size=1))
def test_the_public_library_reads_what_we_sign(data: dict[str, str], message_id: str) -> None:
    import msgspec

    body = msgspec.json.encode(data)
    headers = sign([SECRET], message_id, datetime.now(UTC), body)
    assert standardwebhooks.Webhook(SECRET).verify(body, headers) == data
    assert verify(SECRET, headers, body) == data


def test_we_read_what_the_public_library_signs() -> None:
    signature = standardwebhooks.Webhook(SECRET).sign("msg_1", NOW, BODY.decode())
    headers = {
        "Webhook-Id": "msg_1",
        "Webhook-Timestamp": str(int(NOW.timestamp())),
        "Webhook-Signature": signature,
    }
    assert verify(SECRET, headers, BODY)["type"] == "task.failed"


def test_the_example_of_the_specification_gives_its_signature() -> None:
    """The vector of the reference implementations."""
    secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
    at = datetime.fromtimestamp(1614265330, UTC)
    headers = sign([secret], "msg_p5jXN8AQM9LWM0D4loKWxJek", at, b'{"test": 2432232314}')
    assert headers["webhook-signature"] == "v1,g0hM9SsE+OTPJTGt/tmIKtSyZlE3uFJELVlNIOLJ1OE="


def test_while_a_secret_is_replaced_either_of_the_two_verifies() -> None:
    headers = sign([OTHER, SECRET], "msg", NOW, BODY)
    assert headers["webhook-signature"].count("v1,") == 2
    for secret in (SECRET, OTHER):
        assert verify(secret, headers, BODY)
        assert standardwebhooks.Webhook(secret).verify(BODY, headers)
    assert verify([new_secret(), SECRET], headers, BODY)


@pytest.mark.parametrize("name", ["webhook-id", "webhook-timestamp", "webhook-signature"])
def test_each_header_is_needed(name: str) -> None:
    headers = sign([SECRET], "msg", NOW, BODY)
    del headers[name]
    with pytest.raises(SignatureInvalid, match=name):
        verify(SECRET, headers, BODY)


@pytest.mark.parametrize(
    "changed",
    [
        {"webhook-id": "other"},
        {"webhook-timestamp": str(int(NOW.timestamp()) + 1)},
        {"webhook-signature": "v1,"},
        {"webhook-signature": "v1"},
        {"webhook-signature": "v1,\u00fc"},
        {"webhook-signature": "v2," + base64.b64encode(b"x" * 32).decode()},
        {"webhook-signature": "v1a," + base64.b64encode(b"x" * 32).decode()},
        {"webhook-timestamp": "soon"},
        {"webhook-timestamp": "9" * 5000},
        {"webhook-timestamp": "-1"},
        {"webhook-timestamp": "\u0661"},
    ],
)
def test_what_was_changed_on_the_way_is_refused(changed: dict[str, str]) -> None:
    headers = sign([SECRET], "msg", NOW, BODY) | changed
    with pytest.raises(SignatureInvalid):
        verify(SECRET, headers, BODY)


def test_another_body_or_another_secret_is_refused() -> None:
    headers = sign([SECRET], "msg", NOW, BODY)
    with pytest.raises(SignatureInvalid):
        verify(SECRET, headers, BODY.replace(b"1", b"2"))
    with pytest.raises(SignatureInvalid):
        verify(OTHER, headers, BODY)


@pytest.mark.parametrize("away", [timedelta(minutes=-6), timedelta(minutes=6)])
def test_what_was_signed_too_long_ago_or_ahead_is_refused(away: timedelta) -> None:
    headers = sign([SECRET], "msg", NOW, BODY)
    assert verify(SECRET, headers, BODY, now=NOW + away * 0.8)
    with pytest.raises(SignatureInvalid, match="clock"):
        verify(SECRET, headers, BODY, now=NOW + away)


@pytest.mark.parametrize("secret", ["", "whsec_", "whsec_not base64!", "whsec_abc"])
def test_a_secret_that_is_none_is_told_without_showing_it(secret: str) -> None:
    with pytest.raises(ConfigError) as told:
        sign([secret], "msg", NOW, BODY)
    assert not secret or secret not in str(told.value) or secret == "whsec_"


def test_a_signed_body_that_is_no_object_is_refused() -> None:
    with pytest.raises(SignatureInvalid, match="JSON"):
        verify(SECRET, sign([SECRET], "msg", NOW, b"[1]"), b"[1]")
