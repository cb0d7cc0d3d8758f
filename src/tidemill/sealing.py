"""Keys, and values sealed with them: how stored bytes and texts are encrypted.

A sealed value holds any bytes, and says which key opens it:

    byte 0      1, the version of the envelope (codec.py)
    byte 1      codec of the body, `E`: encrypted bytes
    byte 2      8, the length of the key id
    then        the key id, in ASCII
    then        a salt of 16 bytes, a nonce of 12, and what AES-256-GCM made: ciphertext and tag

A sealed text is `encrypted:`, the key id, a colon, and salt, nonce and ciphertext in base64.

A key id is the beginning of a hash of the key, so that nobody has to name keys. Each value is bound
to its place (what kind of value it is, and of which task): moved elsewhere, it does not open.

AES-GCM with random nonces allows 2^32 messages under one key, as the probability that two nonces
are equal stays below 2^-32 until then (NIST SP 800-38D, 8.3); with equal nonces both messages are
as good as open. A store may hold more than that. So no message is encrypted with a configured key:
each process derives a subkey from it and a random salt (HKDF-SHA256, RFC 5869), and another one
after 2^20 messages. Two nonces of such a subkey are equal with a probability of 2^-57, anywhere
among 10^10 messages of 2^-43.
"""

import base64
import functools
import hashlib
import hmac
import itertools
import os
import re
import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING, Final, NamedTuple, Self

from tidemill.errors import ConfigError, KeyMissing, PayloadUndecodable

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

KEY_DIGITS: Final = 64
"""Hexadecimal digits of a configured key: 32 bytes."""

MESSAGES: Final = 1 << 20
"""Messages that one subkey encrypts."""

SUBKEYS: Final = 1024
"""Subkeys that are kept for reading: making one takes 10 µs, and each has 2^20 messages."""

_ID_LENGTH = 8
_SALT = 16
_NONCE = 12
_TAG = 16
_LABEL = b"tidemill sealing 1"
_BEGINS = bytes((1, ord("E"), _ID_LENGTH))
_ALTERED = bytes((1, ord("!"), _ID_LENGTH))
_BODY = len(_BEGINS) + _ID_LENGTH
_TEXT = re.compile(
    rf"encrypted:(?P<key_id>[0-9a-f]{{{_ID_LENGTH}}}):(?P<body>[A-Za-z0-9+/]+={{0,2}})"
)


def parse_key(text: str, name: str) -> bytes:
    """A key from its hexadecimal digits; raises `ConfigError`, which does not show it."""
    if not re.fullmatch(rf"[0-9a-fA-F]{{{KEY_DIGITS}}}", text):
        raise ConfigError(
            f"{name} must have {KEY_DIGITS} hexadecimal digits: make one with "
            "`openssl rand -hex 32`"
        )
    return bytes.fromhex(text)


def check_keys(encryption_key: str | None, former: Iterable[str]) -> None:
    """Raise `ConfigError` for what is no key; the package for encryption is not needed for that."""
    _parsed(encryption_key, former)


def _parsed(encryption_key: str | None, former: Iterable[str]) -> tuple[bytes | None, list[bytes]]:
    keys = [parse_key(each, "each of former_encryption_keys") for each in former]
    if encryption_key is None:
        return None, keys
    return parse_key(encryption_key, "encryption_key"), keys


def key_id(key: bytes) -> str:
    """The name of a key: 8 hexadecimal digits of a hash, from which nothing of it follows."""
    return hashlib.sha256(_LABEL + b" key id" + key).hexdigest()[:_ID_LENGTH]


def unsealed(data: bytes) -> bytes:
    """The same bytes; raises `KeyMissing` or `PayloadUndecodable` where they are still sealed."""
    if data[:3] == _BEGINS:
        raise KeyMissing(_id_in(data))
    if data[:3] == _ALTERED:
        raise PayloadUndecodable(
            f"it was altered after it was encrypted with the key {_id_in(data)}, or belongs "
            "elsewhere: what is stored there cannot be trusted"
        )
    return data


def _id_in(data: bytes) -> str:
    return bytes(data[len(_BEGINS) : _BODY]).decode("ascii", "replace")


class _Writing(NamedTuple):
    """The subkey that is written with, and the numbers of the messages that it has left."""

    salt: bytes
    cipher: "AESGCM"
    numbers: "itertools.count[int]"


class Keyring:
    """Seals with one key, and opens with it or a former one. Safe to use from any thread.

    Without a key to write with it only opens: what is written stays as it is. What it cannot open
    it gives back marked, so that one bad value costs no other one: bytes raise when they are
    `unsealed`, texts say it themselves. Raises `ConfigError` for what is no key, and where the
    package `cryptography` is not installed.
    """

    def __init__(self, key: bytes | None, former: Iterable[bytes] = ()) -> None:
        try:
            from cryptography.exceptions import InvalidTag  # noqa: PLC0415  # slow: only with keys
            from cryptography.hazmat.primitives.ciphers.aead import AESGCM  # noqa: PLC0415  # slow
        except ModuleNotFoundError as error:
            raise ConfigError(
                "encryption needs the package cryptography: pip install 'tidemill[encryption]'"
            ) from error
        self._aes = AESGCM
        self._invalid = InvalidTag
        self._keys = {key_id(each): each for each in (*former, *([key] if key else []))}
        self.current_id = key_id(key) if key else None
        self._subkey = functools.lru_cache(maxsize=SUBKEYS)(self._derived)
        self._turning = threading.Lock()
        self._writing = self._new_subkey() if key else None

    @classmethod
    def of(cls, encryption_key: str | None, former: Iterable[str] = ()) -> Self | None:
        """The keys of a configuration; None where there are none, and nothing is to be sealed."""
        key, others = _parsed(encryption_key, former)
        return cls(key, others) if key or others else None

    @property
    def former_ids(self) -> tuple[str, ...]:
        """The ids of the keys that are only read with."""
        return tuple(each for each in self._keys if each != self.current_id)

    def seal(self, data: bytes, place: bytes) -> bytes:
        """Bytes sealed for a place."""
        if self.current_id is None:
            return data
        return _BEGINS + self.current_id.encode() + self._encrypted(data, place)

    def open(self, data: bytes, place: bytes) -> bytes:
        """The bytes that were sealed for a place; others come back as they are, or marked."""
        if data[:3] != _BEGINS:
            return data
        found = _id_in(data)
        if found not in self._keys:
            return data
        opened = self._decrypted(found, data[_BODY:], place)
        return _ALTERED + data[len(_ALTERED) :] if opened is None else opened

    def seal_text(self, text: str, place: bytes) -> str:
        """A text sealed for a place; an empty one stays empty."""
        if self.current_id is None or not text:
            return text
        sealed = self._encrypted(text.encode("utf-8", "surrogatepass"), place)
        return f"encrypted:{self.current_id}:{base64.b64encode(sealed).decode()}"

    def open_text(self, text: str, place: bytes) -> str:
        """The text that was sealed for a place, or a sentence that says why there is none."""
        found = _TEXT.fullmatch(text) if text.startswith("encrypted:") else None
        if found is None:
            return text
        name = found["key_id"]
        if name not in self._keys:
            return f"(encrypted with the key {name}, which is missing)"
        try:
            opened = self._decrypted(name, base64.b64decode(found["body"]), place)
        except ValueError:
            opened = None
        if opened is None:
            return f"(encrypted with the key {name}, and altered since)"
        return opened.decode("utf-8", "surrogatepass")

    def _encrypted(self, data: bytes, place: bytes) -> bytes:
        writing = self._writing or self._turned(None)
        while next(writing.numbers) >= MESSAGES:
            writing = self._turned(writing)
        nonce = os.urandom(_NONCE)
        return writing.salt + nonce + writing.cipher.encrypt(nonce, data, place)

    def _decrypted(self, name: str, body: bytes, place: bytes) -> bytes | None:
        """What was encrypted; None for what is not whole, was altered or has another place."""
        if len(body) < _SALT + _NONCE + _TAG:
            return None
        nonce = body[_SALT : _SALT + _NONCE]
        try:
            return self._subkey(name, body[:_SALT]).decrypt(nonce, body[_SALT + _NONCE :], place)
        except self._invalid:
            return None

    def _turned(self, spent: _Writing | None) -> _Writing:
        """The next subkey to write with, which the first thread that comes here makes."""
        with self._turning:
            if self._writing is None or self._writing is spent:
                self._writing = self._new_subkey()
            return self._writing

    def _new_subkey(self) -> _Writing:
        salt = os.urandom(_SALT)
        return _Writing(salt, self._subkey(str(self.current_id), salt), itertools.count())

    def _derived(self, name: str, salt: bytes) -> "AESGCM":
        """HKDF-SHA256 of a key: one block of output is the whole subkey."""
        extracted = hmac.digest(salt, self._keys[name], "sha256")
        return self._aes(hmac.digest(extracted, _LABEL + b"\x01", "sha256"))
