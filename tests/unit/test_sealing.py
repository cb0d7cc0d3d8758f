"""Keys, and bytes and texts that are sealed with them."""

import sys
import threading

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from tidemill.errors import ConfigError, KeyMissing, PayloadUndecodable
from tidemill.sealing import Keyring, check_keys, key_id, unsealed
from tidemill.settings import (
    FORMER_KEYS_VARIABLE,
    KEY_VARIABLE,
    Settings,
    with_keys_of,
)

KEY, OTHER = bytes(range(32)), bytes(range(32, 64))
RING = Keyring(KEY)
PLACE = b"payload\0mail.send"


@settings(deadline=None)
@given(st.binary(), st.binary(max_size=40))
def test_bytes_come_back_from_their_place_and_from_no_other(data: bytes, place: bytes) -> None:
    sealed = RING.seal(data, place)
    assert RING.open(sealed, place) == data
    with pytest.raises(PayloadUndecodable, match="belongs elsewhere"):
        unsealed(RING.open(sealed, place + b"x"))


@settings(deadline=None)
@given(st.text(st.characters(exclude_categories=())))
def test_texts_come_back(text: str) -> None:
    sealed = RING.seal_text(text, PLACE)
    assert RING.open_text(sealed, PLACE) == text
    assert not text or sealed.isascii()


def test_the_same_value_is_never_sealed_alike() -> None:
    assert len({RING.seal(b"same", PLACE) for _ in range(1000)}) == 1000


def test_every_altered_byte_is_noticed() -> None:
    sealed = RING.seal(b'\x01J\x00{"a":1}', PLACE)
    for place in range(len(sealed)):
        for flip in (1, 0x80):
            altered = bytearray(sealed)
            altered[place] ^= flip
            opened = RING.open(bytes(altered), PLACE)
            assert b'{"a":1}' not in opened
            if place >= 3:
                with pytest.raises(PayloadUndecodable):
                    unsealed(opened)


def test_every_altered_character_of_a_text_is_noticed() -> None:
    sealed = RING.seal_text("the secret", PLACE)
    for place, letter in enumerate(sealed):
        altered = f"{sealed[:place]}{'A' if letter != 'A' else 'B'}{sealed[place + 1 :]}"
        assert "the secret" not in RING.open_text(altered, PLACE)


@pytest.mark.parametrize("length", range(0, 55, 6))
def test_what_was_cut_off_is_noticed(length: int) -> None:
    sealed = RING.seal(b"", PLACE)
    if length >= 3:
        with pytest.raises(PayloadUndecodable):
            unsealed(RING.open(sealed[:length], PLACE))


def test_what_is_not_sealed_comes_back_as_it_is() -> None:
    for data in (b"", b"\x01", b"\x01J\x00{}", b"plain", b"\x01J\x08k"):
        assert RING.open(data, PLACE) is data
        assert unsealed(data) is data
    for text in ("", "plain", "encrypted: yes", "encrypted:00000000:", "encrypted:xyz:AAAA"):
        assert RING.open_text(text, PLACE) == text


def test_a_former_key_opens_and_does_not_seal() -> None:
    old, new = Keyring(KEY), Keyring(OTHER, [KEY])
    assert new.open(old.seal(b"x", PLACE), PLACE) == b"x"
    assert new.open_text(old.seal_text("x", PLACE), PLACE) == "x"
    assert new.current_id == key_id(OTHER)
    assert new.former_ids == (key_id(KEY),)
    with pytest.raises(KeyMissing) as raised:
        unsealed(old.open(new.seal(b"x", PLACE), PLACE))
    assert raised.value.key_id == key_id(OTHER)
    named = f"(encrypted with the key {key_id(OTHER)}, which is missing)"
    assert old.open_text(new.seal_text("x", PLACE), PLACE) == named


def test_former_keys_alone_open_and_leave_what_is_written_plain() -> None:
    reading = Keyring.of(None, [KEY.hex()])
    assert reading is not None
    assert reading.open(RING.seal(b"x", PLACE), PLACE) == b"x"
    assert reading.seal(b"x", PLACE) == b"x"
    assert reading.seal_text("x", PLACE) == "x"
    assert reading.current_id is None


def test_without_keys_there_is_no_keyring() -> None:
    assert Keyring.of(None) is None


def test_a_key_id_is_short_stable_and_tells_nothing_of_the_key() -> None:
    assert key_id(KEY) == "9af3049f"
    assert key_id(KEY) not in KEY.hex()


def test_a_value_is_aes_256_gcm_under_a_subkey_of_hkdf_sha256() -> None:
    sealed = RING.seal(b"known", PLACE)
    assert sealed[:3] == b"\x01E\x08"
    assert sealed[3:11] == key_id(KEY).encode()
    salt, nonce, body = sealed[11:27], sealed[27:39], sealed[39:]
    subkey = HKDF(SHA256(), 32, salt, b"tidemill sealing 1").derive(KEY)
    assert AESGCM(subkey).decrypt(nonce, body, PLACE) == b"known"


def test_a_subkey_is_used_for_a_bounded_number_of_messages(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("tidemill.sealing.MESSAGES", 10)
    ring = Keyring(KEY)
    sealed = [ring.seal(b"x", PLACE) for _ in range(35)]
    salts = [each[11:27] for each in sealed]
    assert [salts.count(salt) for salt in dict.fromkeys(salts)] == [10, 10, 10, 5]
    assert [ring.open(each, PLACE) for each in sealed] == [b"x"] * 35


def test_threads_share_a_keyring(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("tidemill.sealing.MESSAGES", 100)
    ring = Keyring(KEY)
    sealed: list[bytes] = []

    def work() -> None:
        sealed.extend(ring.seal(b"x", PLACE) for _ in range(500))

    threads = [threading.Thread(target=work) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join()
    assert len(sealed) == 2000
    assert {ring.open(each, PLACE) for each in sealed} == {b"x"}
    salts = [each[11:27] for each in sealed]
    assert max(salts.count(salt) for salt in set(salts)) <= 100
    assert len({each[11:39] for each in sealed}) == 2000


@pytest.mark.parametrize("key", ["", "00", "g" * 64, "0" * 63, "0" * 65, "0" * 64 + "\n"])
def test_what_is_no_key_is_refused_and_not_shown(key: str) -> None:
    for said in ((key, ()), (None, (key,))):
        with pytest.raises(ConfigError, match="64 hexadecimal digits") as raised:
            check_keys(*said)
        assert not key or key not in str(raised.value)


def test_settings_check_their_keys_and_never_show_them() -> None:
    told = Settings(encryption_key=KEY.hex(), former_encryption_keys=(OTHER.hex(),))
    assert KEY.hex() not in repr(told)
    assert OTHER.hex() not in str(told)
    assert "payload_limit=1048576" in repr(told)
    with pytest.raises(ConfigError, match="encryption_key"):
        Settings(encryption_key="short")


def test_keys_of_the_environment_win_over_those_of_code() -> None:
    code = Settings(encryption_key=KEY.hex())
    assert with_keys_of({}, code) is code
    both = f"{KEY.hex()}, {OTHER.hex()}"
    told = with_keys_of({KEY_VARIABLE: OTHER.hex(), FORMER_KEYS_VARIABLE: both}, code)
    assert told.encryption_key == OTHER.hex()
    assert told.former_encryption_keys == (KEY.hex(), OTHER.hex())


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "cryptography.exceptions", None)
    with pytest.raises(ConfigError, match=r"pip install 'tidemill\[encryption\]'"):
        Keyring(KEY)
