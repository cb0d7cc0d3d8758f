"""Where a message of the servers' protocol (RESP2 and RESP3) ends."""

from collections.abc import Iterator

_TEXTS = b"$=!"
_ARRAYS = b"*~>"
_PAIRS = b"%|"


class Messages:
    """Cuts a stream of bytes, one direction of a connection, into whole messages."""

    def __init__(self) -> None:
        self._rest = b""

    @property
    def rest(self) -> bytes:
        """What came after the last whole message."""
        return self._rest

    def feed(self, data: bytes) -> Iterator[bytes]:
        """The messages that these bytes complete."""
        self._rest += data
        while (end := message_end(self._rest, 0)) is not None:
            message, self._rest = self._rest[:end], self._rest[end:]
            yield message


def message_end(data: bytes, start: int) -> int | None:
    """The position behind the message that starts there; None when it is not all there.

    Anything that does not begin like a message is one up to the end of its line.
    """
    line = data.find(b"\r\n", start)
    if line < 0:
        return None
    kind, after = data[start], line + 2
    if kind in _TEXTS:
        length = int(data[start + 1 : line])
        end = after + length + 2 if length >= 0 else after
        return end if end <= len(data) else None
    if kind in _ARRAYS:
        return _skip(data, after, int(data[start + 1 : line]))
    if kind in _PAIRS:
        # Attributes ("|") stand before the answer that they describe, and are one message with it.
        return _skip(data, after, 2 * int(data[start + 1 : line]) + (kind == ord("|")))
    return after


def _skip(data: bytes, start: int, messages: int) -> int | None:
    end: int | None = start
    for _ in range(messages):
        if end is None:
            return None
        end = message_end(data, end)
    return end
