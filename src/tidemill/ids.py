"""Identifiers: UUIDv7 made by the client, UUIDv5 where two makers must agree.

Made by the client, so that a repeated call names the same task. Time-ordered (RFC 9562,
section 5.7), so that new rows land at the end of an index and equal due times keep the order
of enqueueing.
"""

import binascii
import os
import re
import threading
import time
import uuid
from datetime import datetime

from tidemill.clock import to_micros

_NAMESPACE = uuid.UUID("7c0f4a5e-5d0e-5c52-9c3c-7d1de3a11000")
_NAME = re.compile(r"[A-Za-z0-9_.:-]{1,200}")
_RANDOM_BITS = 58
_MARK_BITS = 16
_STEP_BYTES = 4
_NOISE_BYTES = 8


class IdMaker:
    """Makes UUIDv7 texts that rise strictly within this maker, also across threads.

    Monotonicity follows RFC 9562 section 6.2, method 2: within one millisecond (or after the
    clock stepped back) the random part is raised by a random step. Randomness comes from the
    operating system at each call, so a forked child cannot repeat its parent's ids. The last 16
    bits are the mark of the task's queue (`queue_mark`), which RFC 9562 leaves to the maker.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._last = 0

    def make(self, queue: str = "") -> str:
        """One new id, 36 characters, for a task of this queue."""
        return self.make_many(1, queue)[0]

    def make_many(self, count: int, queue: str = "") -> list[str]:
        """`count` new ids in rising order, for tasks of one queue."""
        if count == 0:
            return []
        mark = queue_mark(queue)
        noise = os.urandom(_NOISE_BYTES + _STEP_BYTES * count)
        with self._lock:
            fresh = (time.time_ns() // 1_000_000) << _RANDOM_BITS
            fresh |= int.from_bytes(noise[:_NOISE_BYTES], "big") & ((1 << _RANDOM_BITS) - 1)
            value = fresh if fresh > self._last else self._last + 1
            made = []
            for start in range(_NOISE_BYTES, len(noise), _STEP_BYTES):
                value += 1 + int.from_bytes(noise[start : start + _STEP_BYTES], "big")
                made.append(_text((value << _MARK_BITS) | mark))
            self._last = value
        return made


def _text(value: int) -> str:
    # 48 bits of time, version 7, 12 bits, variant 2, 62 bits
    high, low = value >> 62, value & ((1 << 62) - 1)
    bits = ((high >> 12) << 80) | (7 << 76) | ((high & 0xFFF) << 64) | (2 << 62) | low
    digits = f"{bits:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def queue_mark(queue: str) -> int:
    """16 bits of a queue's name (CRC-16/XMODEM).

    An engine that is spread by queue looks first where the mark is the one that an id carries.
    """
    return binascii.crc_hqx(queue.encode(), 0)


def carried_mark(task_id: str) -> int:
    """The mark that an id carries; of an id made elsewhere it says nothing."""
    return int(task_id[-4:], 16)


def parse_id(text: str) -> str:
    """The canonical form of a UUID text; ValueError when it is none."""
    return str(uuid.UUID(text))


def id_bytes(task_id: str) -> bytes:
    """The 16 bytes of a UUID text, which sort as the text does."""
    return bytes.fromhex(task_id.replace("-", ""))


def id_text(raw: bytes) -> str:
    """The text of 16 bytes made by `id_bytes`."""
    digits = raw.hex()
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"


def fire_id(schedule: str, instant: datetime, queue: str = "") -> str:
    """The id of the task that a schedule fires at an instant: the same wherever it is made.

    Like any other it ends with the mark of the task's queue.
    """
    return named_id(f"fire:{schedule}:{to_micros(instant)}", queue)


def named_id(name: str, queue: str) -> str:
    """The id of a task of a queue that follows from a name: the same wherever it is made."""
    made = str(uuid.uuid5(_NAMESPACE, name))
    return f"{made[:-4]}{queue_mark(queue):04x}"


def delivery_id(webhook: str, notice: str, queue: str) -> str:
    """The id of the task that tells a webhook of something, named by a text: always the same.

    Like any other it ends with the mark of the task's queue.
    """
    made = str(uuid.uuid5(_NAMESPACE, f"delivery:{webhook}:{notice}"))
    return f"{made[:-4]}{queue_mark(queue):04x}"


def child_id(parent: str, ordinal: int) -> str:
    """The id of a task's n-th awaited child: the same on every attempt of the parent."""
    return str(uuid.uuid5(_NAMESPACE, f"child:{parent}:{ordinal}"))


def is_name(text: str) -> bool:
    """Whether a text can name a queue, a task type or a schedule: 1-200 of `A-Za-z0-9_.:-`."""
    return _NAME.fullmatch(text) is not None
